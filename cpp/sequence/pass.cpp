#include "sequence/pass.h"

#include <algorithm>

#include "sequence/panel_list.h"

namespace latchwork {
namespace {

template <class T>
Rows<T> from(const Rows<T>& rows, Index row) {
  return {rows.data ? rows.data + row * rows.stride : nullptr, rows.stride};
}

}  // namespace

template <class T>
StepPass<T>::StepPass(const Weights<T>& weights, Activation activation, Activation recurrent_activation,
                      BlockShare blocks, Index rows, Index strip_rows, InterruptPoll* interrupt)
    : weights_(weights),
      layout_(weights.layout()),
      cell_(*layout_.cell),
      kernels_(weights.table().template of<T>().product),
      activation_(activation),
      recurrent_activation_(recurrent_activation),
      blocks_(blocks),
      strip_rows_(std::min(strip_rows, std::max<Index>(1, rows))),
      few_rows_(std::min<Index>(kernels_.tile_rows / 2, rows)),
      strip_stride_(cell_.phases > 1 ? rows * cell_.slots * layout_.panel_columns : 0),
      poll_(interrupt) {
  const Index count = blocks.end - blocks.first;
  strip_ =
      Buffer<T>(strip_stride_ > 0 ? strip_stride_ * count
                                  : std::max(strip_rows_, few_rows_ * count) * cell_.slots * layout_.panel_columns);
}

template <class T>
void StepPass<T>::run(int phase, const StepRows<T>& at, Index begin, Index end) noexcept {
  const Index row_work = cell_.slots * layout_.panel_columns * (layout_.input + layout_.hidden);  // of one block
  if (end - begin <= few_rows_) {
    if (!poll_.leaving((end - begin) * row_work * (blocks_.end - blocks_.first)))
      blocks(phase, blocks_, at, begin, end - begin);
    return;
  }
  for (Index b = blocks_.first; b < blocks_.end; ++b)
    for (Index row = begin; row < end; row += strip_rows_) {
      const Index count = std::min(strip_rows_, end - row);
      if (poll_.leaving(count * row_work)) return;
      blocks(phase, {b, b + 1}, at, row, count);
    }
}

template <class T>
void StepPass<T>::blocks(int phase, BlockShare share, const StepRows<T>& at, Index row, Index rows) noexcept {
  multiply(phase, share, at, row, rows);
  for (Index b = share.first; b < share.end; ++b) apply(phase, b, strip_of(share, b, row, rows), at, row, rows);
}

// Pre-activations of `rows` rows from `row`, [rows][slot][width of the block].
template <class T>
T* StepPass<T>::strip_of(BlockShare share, Index b, Index row, Index rows) noexcept {
  const Index slots = cell_.slots;
  if (strip_stride_ == 0) return strip_.data() + (b - share.first) * rows * slots * layout_.panel_columns;
  return strip_.data() + (b - blocks_.first) * strip_stride_ +
         row * slots * layout_.blocks[static_cast<std::size_t>(b)].width;
}

// The products of a phase, chain by chain.
template <class T>
void StepPass<T>::multiply(int phase, BlockShare share, const StepRows<T>& at, Index row, Index rows) noexcept {
  const T* const init = at.hoisted ? at.hoisted + row * layout_.slot_row() : weights_.bias();
  const std::vector<Chain>& chains = layout_.chains_of(phase);
  for (std::size_t c = 0; c < chains.size(); ++c) {
    Segment<T> segments[kMaxProducts];
    Index count = 0;
    for (int i = 0; i < chains[c].product_count; ++i) {
      const Operand operand = cell_.product[chains[c].products[i]].operand;
      if (operand == Operand::x && at.hoisted) continue;
      const T* const* const operands = operand == Operand::x   ? at.x
                                       : operand == Operand::h ? at.h_previous
                                                               : at.intermediate_rows;
      segments[count++] = {operands + row, 0, layout_.features(operand)};
    }
    PanelList<T> panels(kernels_, {.rows = rows,
                                   .init_stride = at.hoisted ? layout_.slot_row() : 0,
                                   .segments = segments,
                                   .segment_count = count});
    for (Index b = share.first; b < share.end; ++b) {
      const Block& block = layout_.blocks[static_cast<std::size_t>(b)];
      for (const Panel& panel : layout_.panels_of(phase, b))
        if (static_cast<std::size_t>(panel.chain) == c)
          panels.add(panel.columns, cell_.slots * block.width,
                     {init + layout_.block_offset(block) + panel.in_block,
                      weights_.forward() + panel.weights + (at.hoisted ? panel.x_weights : 0),
                      strip_of(share, b, row, rows) + panel.in_block});
    }
    panels.run();
  }
}

// The cell over a block's strip.
template <class T>
void StepPass<T>::apply(int phase, Index b, T* strip, const StepRows<T>& at, Index row, Index rows) noexcept {
  const Block& block = layout_.blocks[static_cast<std::size_t>(b)];
  PointwiseArgs<T> a{};
  a.rows = rows;
  a.unit = block.unit;
  a.units = block.units;
  a.padded_hidden = layout_.padded_hidden;
  a.activation = activation_;
  a.recurrent_activation = recurrent_activation_;
  a.slots = {strip, cell_.slots * block.width};
  a.slot_stride = block.slot_stride;
  a.h_previous = at.h_previous + row;
  a.h_next = at.h_next + row;
  for (int state = 1; state < cell_.states; ++state) {
    a.previous[state] = from(at.previous[state], row);
    a.next[state] = from(at.next[state], row);
  }
  a.saved = from(at.record, row);
  a.intermediate = from(at.intermediate, row);
  weights_.kernels().forward[phase](a);
}

template class StepPass<float>;
template class StepPass<double>;

}  // namespace latchwork
