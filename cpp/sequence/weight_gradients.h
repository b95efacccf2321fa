// Gradients of the parameters, block of steps by block of steps: operands are packed during the sweep, then multiplied
// with the slot gradients, by output tiles, while these are hot.
#pragma once

#include <span>

#include "sequence/run.h"
#include "sequence/slot_gradients.h"
#include "sequence/work_poll.h"

namespace latchwork {

template <class T>
class WeightGradients {
 public:
  WeightGradients(const BackwardArgs<T>& args, SlotGradients<T>& slots);

  // `rows` rows of an operand (pointers in `source`) of a step, the first of them row k of the block of steps, each
  // `stride` behind the one before.
  void pack(Operand operand, const T* const* source, Index rows, Index k, Index stride);

  // Adds the gradients of a block whose groups of steps have `counts` rows: the share of one member, counted in output
  // tiles; not all of them once the call is interrupted.
  void add(std::span<const Index> counts, int member, int members, WorkPoll& poll);

 private:
  // Where an operand's rows lie packed for `outer`: [tile][K of the block][tile_rows].
  struct PackedOperand {
    Operand operand;
    Index tiles;
    Buffer<T> rows;
  };
  // One column of output tiles: the gradient of one weight's gate for the units of one block.
  struct Panel {
    const PackedOperand* operand;  // null: a bias
    int slot;
    Index block;
    T* out;
    Index tiles;
  };
  void list_panels(const BackwardArgs<T>& args, int slot, Index block);
  void add_tile(const Panel& panel, Index tile, std::span<const Index> counts);

  const Layout& layout_;
  const ProductKernels<T>& kernels_;
  SlotGradients<T>& slots_;
  PoolVector<PackedOperand> operands_;
  PoolVector<Panel> panels_;
};

}  // namespace latchwork
