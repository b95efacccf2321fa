// Gradients of the pre-activations of one block of steps.
#pragma once

#include "sequence/weights.h"

namespace latchwork {

// Row k: k counts the block's steps, last first, and in a step the plan rows. [slot][block][K][panel columns], but for
// an edge: a last block whose slots lie side by side, [K][slot][units].
template <class T>
class SlotGradients {
 public:
  // capacity: the most rows K a block of steps has.
  SlotGradients(const Layout& layout, Index capacity)
      : layout_(layout),
        capacity_(capacity),
        full_(static_cast<Index>(layout.blocks.size()) - (layout.edge() ? 1 : 0)),
        edge_columns_(layout.edge() ? round_up(layout.cell->slots * layout.edge()->units, layout.lanes) : 0),
        edge_(layout.cell->slots * full_ * capacity * layout.panel_columns),
        values_(edge_ + capacity * edge_columns_ + layout.panel_columns) {}  // whole vectors are read

  Index capacity() const { return capacity_; }
  T* row(Index block, Index k) {
    return values_.data() + (block < full_ ? block * capacity_ * layout_.panel_columns : edge_) + k * row_stride(block);
  }
  Index row_stride(Index block) const { return block < full_ ? layout_.panel_columns : edge_columns_; }
  Index slot_stride(Index block) const {
    return block < full_ ? full_ * capacity_ * layout_.panel_columns : layout_.edge()->units;
  }

  T* edge_row(Index k) { return row(full_, k); }

  // The chain over (slot, unit) in canonical order: where its parts lie from a row of block 0 on, or, at the edge, from
  // the rows that edge_rows point to.
  PoolVector<Segment<T>> chain(const BackwardProduct& product, const T* const* edge_rows) const {
    PoolVector<Segment<T>> segments;
    segments.reserve(product.slots.size() * layout_.blocks.size());
    for (const int slot : product.slots)
      for (Index block = 0; block < static_cast<Index>(layout_.blocks.size()); ++block) {
        const Segment<T> part{
            block < full_ ? nullptr : edge_rows,
            slot * slot_stride(block) + (block < full_ ? block * capacity_ * layout_.panel_columns : 0),
            layout_.blocks[static_cast<std::size_t>(block)].units};
        Segment<T>* const last = segments.empty() ? nullptr : &segments.back();
        if (last && part.rows && last->rows == part.rows && last->offset + last->count == part.offset)
          last->count += part.count;  // the edge is all there is
        else
          segments.push_back(part);
      }
    return segments;
  }

 private:
  const Layout& layout_;
  Index capacity_;
  Index full_;  // blocks that are no edge
  Index edge_columns_;
  Index edge_;  // where its rows begin
  Buffer<T> values_;
};

// The rows that a chain reads at the edge are these from now on.
template <class T>
void read_edge(PoolVector<Segment<T>>& chain, const T* const* edge_rows) {
  for (Segment<T>& part : chain)
    if (part.rows) part.rows = edge_rows;
}

}  // namespace latchwork
