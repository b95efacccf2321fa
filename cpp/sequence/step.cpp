#include "sequence/step.h"

#include <algorithm>

namespace latchwork {
namespace {

constexpr Index kStripRows = 32;  // as the plan's: their pre-activations stay in L1

template <class T>
Buffer<T> zeros(Index n) {
  Buffer<T> buffer(n);
  std::fill_n(buffer.data(), n, T(0));
  return buffer;
}

}  // namespace

template <class T>
CellStep<T>::CellStep(std::shared_ptr<const Weights<T>> weights, Index rows, Activation activation,
                      Activation recurrent_activation)
    : weights_(std::move(weights)),
      activation_(activation),
      recurrent_activation_(recurrent_activation),
      x_(rows),
      intermediate_rows_(rows) {
  const Layout& at = layout();
  const CellInfo& cell = *at.cell;
  const Index strip_rows = std::min(rows, kStripRows), strip_width = cell.slots * at.panel_columns;
  strip_stride_ = cell.phases > 1 ? strip_rows * strip_width : 0;
  strip_ =
      Buffer<T>(strip_stride_ > 0 ? strip_stride_ * static_cast<Index>(at.blocks.size()) : strip_rows * strip_width);
  states_ = zeros<T>(checked_product((cell.states - 1) * at.padded_hidden, rows));
  intermediate_ = zeros<T>(cell.phases > 1 ? checked_product(rows, at.padded_hidden) : 0);
  for (const int i : {0, 1}) {
    h_[i] = zeros<T>(checked_product(rows, at.hidden));
    h_before_[i] = Buffer<const T*>(rows), h_after_[i] = Buffer<T*>(rows);
    for (Index row = 0; row < rows; ++row) h_before_[i][row] = h_after_[i][row] = h_[i].data() + row * at.hidden;
  }
  for (Index row = 0; row < rows; ++row)
    intermediate_rows_[row] = cell.phases > 1 ? intermediate_.data() + row * at.padded_hidden : nullptr;
}

template <class T>
void CellStep<T>::step(const T* x, const bool* real) noexcept {
  const Layout& at = layout();
  for (Index row = 0; row < rows(); ++row) x_[row] = x + row * at.input;
  for (Index row = 0, end = 0; row < rows(); row = end) {
    if (real && !real[row]) {
      std::copy_n(h_before_[parity_][row], at.hidden, h_after_[1 - parity_][row]);
      end = row + 1;
      continue;
    }
    for (end = row; end < rows() && end - row < kStripRows && (!real || real[end]);) ++end;
    for (int phase = 0; phase < at.cell->phases; ++phase)
      for (Index block = 0; block < static_cast<Index>(at.blocks.size()); ++block) pass(phase, block, row, end - row);
  }
  parity_ = 1 - parity_;
}

// One block of rows [row, row + rows): its products, then the cell.
template <class T>
void CellStep<T>::pass(int phase, Index b, Index row, Index rows) noexcept {
  const Layout& at = layout();
  const CellInfo& cell = *at.cell;
  const Block& block = at.blocks[static_cast<std::size_t>(b)];
  const Index strip_row = cell.slots * block.width;
  T* const strip = strip_.data() + b * strip_stride_;
  for (const Panel& panel : at.panels_of(phase, b)) {
    Segment<T> segments[kMaxProducts];
    for (int i = 0; i < panel.product_count; ++i) {
      const Operand operand = cell.product[panel.products[i]].operand;
      const Buffer<const T*>& operands = operand == Operand::x   ? x_
                                         : operand == Operand::h ? h_before_[parity_]
                                                                 : intermediate_rows_;
      segments[i] = {operands.data() + row, 0, at.features(operand)};
    }
    weights_->table().template of<T>().product.product(
        {.rows = rows,
         .columns = panel.columns,
         .init = weights_->bias() + at.block_offset(block) + panel.in_block,
         .init_stride = 0,
         .weights = weights_->forward() + panel.weights,
         .segments = segments,
         .segment_count = panel.product_count,
         .out = strip + panel.in_block,
         .out_stride = strip_row});
  }
  PointwiseArgs<T> a{};
  a.rows = rows;
  a.unit = block.unit;
  a.units = block.units;
  a.padded_hidden = at.padded_hidden;
  a.activation = activation_;
  a.recurrent_activation = recurrent_activation_;
  a.slots = {strip, strip_row};
  a.slot_stride = block.width;
  a.h_previous = h_before_[parity_].data() + row;
  a.h_next = h_after_[1 - parity_].data() + row;
  for (int state = 1; state < cell.states; ++state)
    a.previous[state] = a.next[state] = {state_row(state, row), at.padded_hidden};
  if (cell.phases > 1) a.intermediate = {intermediate_.data() + row * at.padded_hidden, at.padded_hidden};
  weights_->kernels().forward[phase](a);
}

template <class T>
const T* CellStep<T>::state_row(int state, Index row) const noexcept {
  if (state == 0) return h_[parity_].data() + row * layout().hidden;
  return states_.data() + ((state - 1) * rows() + row) * layout().padded_hidden;
}

template <class T>
T* CellStep<T>::state_row(int state, Index row) noexcept {
  return const_cast<T*>(std::as_const(*this).state_row(state, row));
}

template <class T>
void CellStep<T>::clear(Index row) noexcept {
  for (int state = 0; state < layout().cell->states; ++state) std::fill_n(state_row(state, row), layout().hidden, T(0));
}

template <class T>
void CellStep<T>::read(int state, T* out) const noexcept {
  for (Index row = 0; row < rows(); ++row)
    std::copy_n(state_row(state, row), layout().hidden, out + row * layout().hidden);
}

template <class T>
void CellStep<T>::write(int state, const T* in) noexcept {
  for (Index row = 0; row < rows(); ++row)
    std::copy_n(in + row * layout().hidden, layout().hidden, state_row(state, row));
}

template class CellStep<float>;
template class CellStep<double>;

}  // namespace latchwork
