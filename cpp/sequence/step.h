// One cell, one step at a time: for streams. After it is made, nothing is allocated or locked; on the calling thread,
// or by the team where a step is long, follows the one before closely and the team is free. I input, H hidden. The bits
// are those of forward.cpp's loop.
#pragma once

#include <chrono>
#include <deque>
#include <memory>

#include "runtime/thread_team.h"
#include "sequence/pass.h"

namespace latchwork {

template <class T>
class CellStep {
 public:
  // weights: prepared, and kept as they are while this lives. threads: the most that share a step. States are zeros.
  CellStep(std::shared_ptr<const Weights<T>> weights, Index rows, Activation activation,
           Activation recurrent_activation, int threads);

  // x [rows, I]. A row whose `real` is false keeps its states; null: all are real. To be called within a FloatScope.
  void step(const T* x, const bool* real) noexcept;
  const T* output() const noexcept { return h_[parity_].data(); }  // [rows, H], the last of each row

  Index rows() const noexcept { return x_.size(); }
  const Layout& layout() const noexcept { return weights_->layout(); }
  void clear(Index row) noexcept;  // its states to zero
  // States [rows, H], in the cell's order.
  void read(int state, T* out) const noexcept;
  void write(int state, const T* in) noexcept;

 private:
  // The part of a step that one pass has blocks for.
  void run(StepPass<T>& pass, const StepRows<T>& at, const bool* real, Barrier& barrier) noexcept;
  void alone(const StepRows<T>& at, const bool* real) noexcept;
  void together(const StepRows<T>& at, const bool* real) noexcept;
  T* state_row(int state, Index row) noexcept;
  const T* state_row(int state, Index row) const noexcept;

  std::shared_ptr<const Weights<T>> weights_;
  StepPass<T> whole_;
  std::deque<StepPass<T>> shares_;                    // of each member; none: a step is too short to share
  std::chrono::steady_clock::time_point ended_ = {};  // the last step
  int parity_ = 0;          // which of the two h is the last output: blocks read all of it while others are written
  Buffer<T> h_[2];          // [rows][H]
  Buffer<T> states_;        // [states - 1][rows][padded], those beyond h, updated in place
  Buffer<T> intermediate_;  // [rows][padded]
  Buffer<const T*> x_, h_before_[2], intermediate_rows_;  // [rows]
  Buffer<T*> h_after_[2];
};

}  // namespace latchwork
