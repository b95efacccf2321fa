// One forward step: for each phase and unit block, products into a strip, then the cell over it, at once.
#include <algorithm>

#include "sequence/forward_call.h"
#include "sequence/panel_list.h"

namespace latchwork {

// The input products of the coming steps, as one taller product. Rows are [step][own row].
template <class T>
void ForwardMember<T>::hoist(Index t, Index end) {
  const Index steps = std::min(call_.plan.hoist_steps, end - t);
  Index count = 0;
  for (Index i = 0; i < steps; ++i) {
    const Index rows = rows_.active(batch_.active(t + i));
    for (Index r = 0; r < rows; ++r) hoisted_x_[count++] = args_.x.row(batch_.sequence(rows_.row(r)), t + i);
  }
  const Segment<T> segment{hoisted_x_.data(), 0, layout_.input};
  for (int phase = 0; phase < cell_.phases; ++phase)
    for (Index b = blocks_.first; b < blocks_.end; ++b)
      for (const Panel& panel : layout_.panels_of(phase, b)) {
        const Index column = layout_.block_offset(layout_.blocks[static_cast<std::size_t>(b)]) + panel.in_block;
        const ProductPanel<T> out{args_.weights->bias() + column, args_.weights->forward() + panel.weights,
                                  hoisted_.data() + column};
        kernels_.product({.rows = count,
                          .columns = panel.columns,
                          .panels = &out,
                          .panel_count = 1,
                          .init_stride = 0,
                          .out_stride = layout_.slot_row(),
                          .segments = &segment,
                          .segment_count = panel.x_weights > 0 ? 1 : 0});
      }
}

// Pre-activations of `rows` own rows from `row`, [rows][slot][width of the block].
template <class T>
T* ForwardMember<T>::strip_of(BlockShare blocks, Index b, Index row, Index rows) {
  const Index slots = cell_.slots;
  if (strip_stride_ == 0) return strip_.data() + (b - blocks.first) * rows * slots * layout_.panel_columns;
  const Index width = layout_.blocks[static_cast<std::size_t>(b)].width;
  return strip_.data() + (b - blocks_.first) * strip_stride_ + row * slots * width;
}

// The products of a phase, chain by chain.
template <class T>
void ForwardMember<T>::multiply(Index t, int phase, BlockShare blocks, Index row, Index rows) {
  const Index hoist_steps = call_.plan.hoist_steps;
  const bool hoisted = hoist_steps > 0;
  Index hoisted_row = row;  // [step][own row], steps before t in this chunk shrink with the active rows
  if (hoisted)
    for (Index i = t - (t - begin_) % hoist_steps; i < t; ++i) hoisted_row += rows_.active(batch_.active(i));
  const T* const init = hoisted ? hoisted_.data() + hoisted_row * layout_.slot_row() : args_.weights->bias();

  const std::vector<Chain>& chains = layout_.chains_of(phase);
  for (std::size_t c = 0; c < chains.size(); ++c) {
    Segment<T> segments[kMaxProducts];
    Index count = 0;
    for (int i = 0; i < chains[c].product_count; ++i) {
      const Operand operand = cell_.product[chains[c].products[i]].operand;
      if (operand == Operand::x && hoisted) continue;
      const T* const* operand_rows = operand == Operand::x   ? x_.data()
                                     : operand == Operand::h ? h_previous_.data()
                                                             : intermediate_.data();
      segments[count++] = {operand_rows + row, 0, layout_.features(operand)};
    }
    PanelList<T> panels(
        kernels_,
        {.rows = rows, .init_stride = hoisted ? layout_.slot_row() : 0, .segments = segments, .segment_count = count});
    for (Index b = blocks.first; b < blocks.end; ++b) {
      const Block& block = layout_.blocks[static_cast<std::size_t>(b)];
      for (const Panel& panel : layout_.panels_of(phase, b))
        if (static_cast<std::size_t>(panel.chain) == c)
          panels.add(panel.columns, cell_.slots * block.width,
                     {init + layout_.block_offset(block) + panel.in_block,
                      args_.weights->forward() + panel.weights + (hoisted ? panel.x_weights : 0),
                      strip_of(blocks, b, row, rows) + panel.in_block});
    }
    panels.run();
  }
}

// The cell over a block's strip.
template <class T>
void ForwardMember<T>::apply(Index t, int phase, Index b, T* strip, Index row, Index rows) {
  const Block& block = layout_.blocks[static_cast<std::size_t>(b)];
  const Index stride = rows_.stride * layout_.padded_hidden, plan_row = rows_.row(row);
  PointwiseArgs<T> a{};
  a.rows = rows;
  a.unit = block.unit;
  a.units = block.units;
  a.padded_hidden = layout_.padded_hidden;
  a.activation = args_.activation;
  a.recurrent_activation = args_.recurrent_activation;
  a.slots = {strip, cell_.slots * block.width};
  a.slot_stride = block.width;
  a.h_previous = h_previous_.data() + row;
  a.h_next = h_next_.data() + row;
  for (int state = 1; state < cell_.states; ++state) {
    a.previous[state] = state_rows(t - 1, state, plan_row);
    a.next[state] = state_rows(t, state, plan_row);
  }
  if (args_.records) a.saved = args_.records.rows(begin_, t, plan_row, rows_.stride);
  if (call_.intermediate.size() > 0)
    a.intermediate = {call_.intermediate.data() + plan_row * layout_.padded_hidden, stride};
  args_.weights->kernels().forward[phase](a);
}

// Blocks of `rows` own rows from `row`: their products, then the cell.
template <class T>
void ForwardMember<T>::pass(Index t, int phase, BlockShare blocks, Index row, Index rows) {
  multiply(t, phase, blocks, row, rows);
  for (Index b = blocks.first; b < blocks.end; ++b) apply(t, phase, b, strip_of(blocks, b, row, rows), row, rows);
}

template <class T>
void ForwardMember<T>::step(Index t, Index rows) {
  for (int phase = 0; phase < cell_.phases; ++phase) {
    if (rows <= few_rows_)
      pass(t, phase, blocks_, 0, rows);
    else
      for (Index b = blocks_.first; b < blocks_.end; ++b)
        for (Index row = 0; row < rows; row += call_.plan.strip_rows)
          pass(t, phase, {b, b + 1}, row, std::min(call_.plan.strip_rows, rows - row));
    if (call_.plan.split == Split::units) call_.barrier.wait();
  }
}

#define LATCHWORK_INSTANTIATE(T)                       \
  template void ForwardMember<T>::hoist(Index, Index); \
  template void ForwardMember<T>::step(Index, Index);
LATCHWORK_INSTANTIATE(float)
LATCHWORK_INSTANTIATE(double)
#undef LATCHWORK_INSTANTIATE

}  // namespace latchwork
