// Gradients of the parameters, block of steps by block of steps: operands are packed during the sweep, then multiplied
// with the slot gradients, by output tiles, while these are hot.
#pragma once

#include <array>
#include <span>

#include "sequence/run.h"
#include "sequence/slot_gradients.h"
#include "sequence/work_poll.h"

namespace latchwork {

template <class T>
class WeightGradients {
 public:
  WeightGradients(const BackwardArgs<T>& args, SlotGradients<T>& slots);

  // Takes in what the caller's arrays hold of the edge (slot_gradients.h), whose slots lie apart there: one member's
  // share, before anybody's `add`. `finish` puts it back, after the last.
  void begin(int member, int members) { move_edge(member, members, false); }

  // `rows` rows of an operand (pointers in `source`) of a step, the first of them row k of the block of steps, each
  // `stride` behind the one before.
  void pack(Operand operand, const T* const* source, Index rows, Index k, Index stride);

  // Adds the gradients of a block whose groups of steps have `counts` rows: the share of one member, counted in output
  // tiles; not all of them once the call is interrupted.
  void add(std::span<const Index> counts, int member, int members, WorkPoll& poll);

  void finish(int member, int members) { move_edge(member, members, true); }

 private:
  // All operands side by side are the features, in the order h, x, intermediate; a bias is the weight of a feature that
  // is always 1, behind the operand of its product.
  struct Range {
    Index first = 0, count = 0;  // without the 1
    bool one = false;
  };
  // The gradients of one operand's weights in some columns: of its first feature, and of its 1. Null: of no product.
  struct Output {
    T* weight = nullptr;
    T* bias = nullptr;
  };
  using Outputs = std::array<Output, kOperands>;
  // Neighbouring features of one tile.
  struct TilePart {
    Index first, count;
  };
  // One column of output tiles: what the same products make of neighbouring slot gradients.
  struct Panel {
    const T* slots;
    Index slots_stride;
    Index columns = 0;
    Outputs out = {};
    Index out_stride;
    std::size_t use = 0;
    Index cost = 0;  // of all its tiles
  };
  // The features that some products have, by tile.
  struct Use {
    unsigned outputs;  // two bits an operand: whether its weight and its bias have one
    PoolVector<TilePart> tiles;
  };
  void list_features();
  void list_slot(int slot, Index block);
  void list_edge(Index block);
  void add_panel(Panel panel);
  std::size_t use_of(const Outputs& outputs);
  Output output(const ProductInfo& product, int gate, Index unit) const;
  Index tile_cost(const Panel& panel, const TilePart& tile) const;
  void add_tile(const Panel& panel, const TilePart& tile, std::span<const Index> counts);
  void move_edge(int member, int members, bool out);

  const BackwardArgs<T>& args_;
  const Layout& layout_;
  const ProductKernels<T>& kernels_;
  SlotGradients<T>& slots_;
  Range features_[kOperands];
  Buffer<T> packed_;  // [tile][K of the block][tile_rows]
  Buffer<T> edge_;    // [feature][slot][unit]
  PoolVector<Panel> panels_;
  PoolVector<Use> uses_;
};

}  // namespace latchwork
