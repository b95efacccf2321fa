// One step of some rows: for each phase and unit block, products into a strip, then the cell over it, at once.
#pragma once

#include "sequence/plan.h"
#include "sequence/weights.h"
#include "sequence/work_poll.h"

namespace latchwork {

// Where the rows of one step lie.
template <class T>
struct StepRows {
  const T* const* x = nullptr;  // [rows] pointers to rows of I
  const T* const* h_previous;   // [rows] pointers to rows of H
  T* const* h_next;
  Rows<T> previous[kMaxStates] = {}, next[kMaxStates] = {};  // states beyond h, padded rows
  Rows<T> record = {};                                       // no data: nothing is kept for backward
  Rows<T> intermediate = {};                                 // [rows][padded], of a cell with phases
  const T* const* intermediate_rows = nullptr;
  // [rows][slots] what the input product has made of x already, ahead of time; null: it is done here.
  const T* hoisted = nullptr;
};

// The part of a step that one thread does: some unit blocks of up to `rows` rows. Allocates when it is made.
template <class T>
class StepPass {
 public:
  // interrupt: null where a step is too short to be interrupted.
  StepPass(const Weights<T>& weights, Activation activation, Activation recurrent_activation, BlockShare blocks,
           Index rows, Index strip_rows, InterruptPoll* interrupt);

  // Rows [begin, end) of `at`; not all of them once the call is interrupted. Within a FloatScope.
  void run(int phase, const StepRows<T>& at, Index begin, Index end) noexcept;

 private:
  void blocks(int phase, BlockShare share, const StepRows<T>& at, Index row, Index rows) noexcept;
  void multiply(int phase, BlockShare share, const StepRows<T>& at, Index row, Index rows) noexcept;
  void apply(int phase, Index block, T* strip, const StepRows<T>& at, Index row, Index rows) noexcept;
  T* strip_of(BlockShare share, Index block, Index row, Index rows) noexcept;

  const Weights<T>& weights_;
  const Layout& layout_;
  const CellInfo& cell_;
  const ProductKernels<T>& kernels_;
  const Activation activation_, recurrent_activation_;
  const BlockShare blocks_;
  const Index strip_rows_;
  const Index few_rows_;  // so few rows take all blocks at once: the product kernel then has panels to fill its gaps
  const Index strip_stride_;  // between the strips of two blocks: 0 unless a later phase reads them again
  Buffer<T> strip_;
  WorkPoll poll_;
};

}  // namespace latchwork
