#include "sequence/input_gradients.h"

#include <algorithm>

namespace latchwork {

template <class T>
InputGradients<T>::InputGradients(BackwardCall<T>& call, const Stretch& stretch, int member)
    : call_(call),
      split_(stretch.split),
      member_(member),
      product_(call.args.dx ? call.layout.backward_of(Operand::x) : nullptr),
      rows_(row_share(stretch, *call.args.batch, call.plan.members, member)),
      poll_(&call.interruption) {
  if (!product_) return;
  slot_rows_ = Buffer<const T*>(call.slots.capacity());
  edge_rows_ = Buffer<const T*>(call.layout.edge() ? call.slots.capacity() : 0);
  chain_ = call.slots.chain(*product_, edge_rows_.data());
  dx_ = Buffer<T*>(call.slots.capacity());
  strip_ = Buffer<T>(call.plan.strip_rows * call.layout.panel_columns);
}

// Where the rows of this member lie, in the slot gradients and in dx; how many there are.
template <class T>
Index InputGradients<T>::list_rows(Index begin, Index end) {
  const Batch& batch = *call_.args.batch;
  const bool by_rows = split_ == Split::rows;
  Index count = 0, k = 0;
  for (Index t = end - 1; t >= begin; --t) {
    const Index rows = rows_.active(batch.active(t));
    for (Index i = 0; i < rows; ++i) {
      if (!by_rows && (k + i) % call_.plan.members != member_) continue;
      const Index row = rows_.row(i);
      slot_rows_[count] = call_.slots.row(0, k + row);
      if (call_.layout.edge()) edge_rows_[count] = call_.slots.edge_row(k + row);
      dx_[count++] = call_.args.dx.row(batch.sequence(row), t);
    }
    k += batch.active(t);
  }
  return count;
}

// One panel of columns; the caller's rows end where x does, so the tile goes through a strip.
template <class T>
void InputGradients<T>::panel(Index count, Index column, Index width, const T* weights) {
  const Index strip_rows = call_.plan.strip_rows;
  for (Index row = 0; row < count; row += strip_rows) {
    const Index rows = std::min(strip_rows, count - row);
    if (poll_.leaving(rows * product_->terms * width)) return;
    read_edge(chain_, edge_rows_.data() + row);
    const ProductPanel<T> out{nullptr, weights, strip_.data()};
    call_.args.weights->table().template of<T>().product.product({.rows = rows,
                                                                  .columns = width,
                                                                  .panels = &out,
                                                                  .panel_count = 1,
                                                                  .out_stride = width,
                                                                  .segments = chain_.data(),
                                                                  .segment_count = static_cast<Index>(chain_.size()),
                                                                  .operand = slot_rows_.data() + row});
    for (Index r = 0; r < rows; ++r)
      std::copy_n(strip_.data() + r * width, std::min(width, product_->columns - column), dx_[row + r] + column);
  }
}

template <class T>
void InputGradients<T>::run(Index begin, Index end) {
  if (!product_) return;
  const Index count = list_rows(begin, end), panel_columns = call_.layout.panel_columns;
  const T* weights = call_.args.weights->backward() + product_->weights;
  for (Index i = 0; i * panel_columns < product_->columns; ++i) {
    const Index width = call_.layout.panel_width(product_->columns, i);
    panel(count, i * panel_columns, width, weights);
    weights += product_->terms * width;
  }
}

template class InputGradients<float>;
template class InputGradients<double>;

}  // namespace latchwork
