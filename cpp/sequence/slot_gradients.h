// Gradients of the pre-activations of one block of steps.
#pragma once

#include "sequence/weights.h"

namespace latchwork {

// [slot][block][K][panel columns]; k counts the block's steps, last first, and in a step the plan rows.
template <class T>
class SlotGradients {
 public:
  // capacity: the most rows K a block of steps has.
  SlotGradients(const Layout& layout, Index capacity)
      : layout_(layout),
        capacity_(capacity),
        values_(layout.cell->slots * static_cast<Index>(layout.blocks.size()) * capacity * layout.panel_columns) {}

  Index capacity() const { return capacity_; }
  T* row(Index block, Index k) { return values_.data() + (block * capacity_ + k) * layout_.panel_columns; }
  Index slot_stride() const { return static_cast<Index>(layout_.blocks.size()) * capacity_ * layout_.panel_columns; }

  // The chain over (slot, unit) in canonical order: where its parts lie from a row of block 0 on.
  PoolVector<Segment<T>> chain(const BackwardProduct& product) const {
    PoolVector<Segment<T>> segments;
    segments.reserve(product.slots.size() * layout_.blocks.size());
    for (const int slot : product.slots)
      for (std::size_t b = 0; b < layout_.blocks.size(); ++b) {
        const Index block = static_cast<Index>(b) * capacity_ * layout_.panel_columns;
        segments.push_back({nullptr, slot * slot_stride() + block, layout_.blocks[b].units});
      }
    return segments;
  }

 private:
  const Layout& layout_;
  Index capacity_;
  Buffer<T> values_;
};

}  // namespace latchwork
