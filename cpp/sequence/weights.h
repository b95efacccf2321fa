// Weights laid out for the product tiles, forward and backward. The caller's arrays stay canonical; packs are copies.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "cpu/dispatch.h"
#include "runtime/buffer.h"

namespace latchwork {

// A block is the units of one panel. Pre-activations of a row are laid out [block][slot][width of the block]; where the
// last block has few real units and it saves tiles, its slots lie side by side without padding.
struct Block {
  Index unit, width;  // width: padded units
  Index units;        // real units
  Index slot_stride;  // from slot to slot: width, or units
};

// Slots of a phase that the same products fill, in the same order.
struct Chain {
  int product_count;
  int products[kMaxProducts];
};

// The columns of one product tile, out of the slots of one chain. Those beyond its last slot are written too, before
// the slots they belong to.
struct Panel {
  int chain;  // of the phase
  Index columns;
  Index in_block;   // offset of its columns within the block's slots
  Index end;        // of the chain's slots there
  Index weights;    // offset in the forward pack
  Index x_weights;  // length of its x part there: what a hoisted product has done already
};

// d_operand += d_slots · weights^T, a chain over (slot, unit).
struct BackwardProduct {
  Operand operand;
  Index columns;  // features of the operand, real
  Index terms;    // K
  Index weights;  // offset in the backward pack: panels of [K][columns of the panel]
  std::vector<int> slots;
};

// Everything about a cell of some size on some ISA that does not depend on data.
struct Layout {
  Layout(const CellInfo& cell, Index input, Index hidden, Index panel_columns, Index lanes);

  const CellInfo* cell;
  Index input, hidden, padded_hidden;
  Index panel_columns, lanes;
  std::vector<Block> blocks;
  std::vector<std::vector<Chain>> chains;  // [phase]
  std::vector<std::vector<Panel>> panels;  // [phase * blocks + block]
  std::vector<BackwardProduct> backward;   // by operand
  Index forward_size, backward_size;       // elements of the packs

  Index features(Operand operand) const { return operand == Operand::x ? input : hidden; }
  Index slot_row() const { return padded_hidden * cell->slots; }                     // pre-activations of a row
  Index block_offset(const Block& block) const { return block.unit * cell->slots; }  // of a block in it
  Index panel_width(Index columns, Index panel) const;                               // of a backward panel
  const BackwardProduct* backward_of(Operand operand) const;
  // The last block, if its slots lie side by side; else null.
  const Block* edge() const { return blocks.back().slot_stride < blocks.back().width ? &blocks.back() : nullptr; }
  const std::vector<Chain>& chains_of(int phase) const { return chains[static_cast<std::size_t>(phase)]; }
  const std::vector<Panel>& panels_of(int phase, Index block) const {
    return panels[static_cast<std::size_t>(phase) * blocks.size() + static_cast<std::size_t>(block)];
  }
  // Values of a saved record: what the cell saves, then the states beyond h.
  Index record() const { return (cell->saved + cell->states - 1) * padded_hidden; }

 private:
  bool packs_dense(const Block& block) const;
};

// The caller's arrays, canonical: kernel [I, G*H], recurrent_kernel [H, G*H], bias [biases, G*H] or null.
template <class T>
struct Parameters {
  const T* kernel;
  const T* recurrent_kernel;
  const T* bias;
};

template <class T>
class Weights {
 public:
  Weights(int cell, Index input, Index hidden, Parameters<T> parameters);

  const CellInfo& cell() const { return *cell_; }
  Index input() const { return input_; }
  Index hidden() const { return hidden_; }
  const Parameters<T>& parameters() const { return parameters_; }

  // The arrays have been written: packs are stale.
  void touch() { forward_fresh_ = backward_fresh_ = false; }
  // The layout for the ISA in use, and room for the forward packs. Nothing is read of the arrays.
  void lay_out();
  // Elements of the packs that are stale, for which there is room then.
  Index stale(bool backward);
  // One of `parts` parts of the packs that are stale.
  void pack(bool backward, Index part, Index parts) noexcept;
  // All parts have been packed.
  void packed(bool backward) { forward_fresh_ = true, backward_fresh_ |= backward; }

  const KernelTable& table() const { return *table_; }
  const CellKernels<T>& kernels() const { return *table_->template of<T>().cells[cell_index_]; }
  const Layout& layout() const { return *layout_; }
  const T* forward() const { return forward_.data(); }
  const T* backward() const { return backward_.data(); }
  const T* bias() const { return bias_.data(); }  // [block][slot][width], zeros without a bias

 private:
  void pack_bias() noexcept;
  void pack_panels(Index begin, Index end) noexcept;
  void pack_backward(Index begin, Index end) noexcept;
  const T* matrix(Weight weight) const {
    return weight == Weight::kernel ? parameters_.kernel : parameters_.recurrent_kernel;
  }

  const CellInfo* cell_;
  int cell_index_;
  Index input_, hidden_;
  Parameters<T> parameters_;
  const KernelTable* table_ = nullptr;
  std::unique_ptr<Layout> layout_;
  Buffer<T> forward_, backward_, bias_;
  bool forward_fresh_ = false, backward_fresh_ = false;
};

// Makes the packs that are stale for the ISA in use, by the team: those of several calls by the members that would run
// them side by side, so that they lie in the caches of those. Not to be called from two threads at once for one of
// them.
template <class T>
void prepare(std::span<Weights<T>* const> weights, bool backward);
template <class T>
void prepare(Weights<T>& weights, bool backward) {
  Weights<T>* const one = &weights;
  prepare(std::span(&one, 1), backward);
}

}  // namespace latchwork
