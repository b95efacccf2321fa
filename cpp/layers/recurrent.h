// Recurrent layers over arrays: forward calls, and the backward that consumes what they leave.
#pragma once

#include <memory>
#include <span>

#include "layers/arrangement.h"
#include "sequence/run.h"

namespace latchwork {

// What y is where a mask leaves no output, and where the outputs of a reversed call lie.
struct OutputRule {
  bool hold = false;   // at masked steps the output before them is repeated (Keras' rule), not 0
  bool align = false;  // reversed: each output lies where its input does, not in the order read
  Index width = 0;     // elements from one row of y to the next, so that two calls may share an array; 0: H
};

template <class T>
struct RecurrentCall {
  const Weights<T>* weights;  // prepared
  Arrangement arrangement;
  bool reversed = false;
  OutputRule output = {};
  Activation activation = Activation::tanh, recurrent_activation = Activation::sigmoid;
  const T* x = nullptr;
  const T* initial[kMaxStates] = {};
  T* y = nullptr;  // [B, T, H] as x is arranged, in the order read when reversed (see OutputRule); null: not wanted
  T* final[kMaxStates] = {};  // [B, H]; null: not wanted
  Memory memory = Memory::store;
  Index budget =
      0;  // bytes that what is kept and the work space may take: the fastest mode that fits; 0: `memory` holds
};

template <class T>
struct RecurrentGradients;

// What a training forward leaves for backward. x, y and the initial states are the caller's and must stay.
template <class T>
class RecurrentContext : public InPool {
 public:
  explicit RecurrentContext(const RecurrentCall<T>& call) : call_(call), batch_(call_.arrangement.lengths) {}

  const RecurrentCall<T>& call() const { return call_; }

  // The one that forward took.
  const Plan& plan() const { return plan_; }
  void note_plan(const Plan& plan) { plan_ = plan; }

  Memory memory() const { return memory_; }  // that was chosen
  Index kept_bytes() const {
    return (outputs_.size() + saved_.size() + states_.size()) * static_cast<Index>(sizeof(T));
  }

  // One call's part of forward and backward, as the time loops take it.
  ForwardArgs<T> prepare_forward(bool training);
  void finish_forward();
  BackwardArgs<T> prepare_backward(const RecurrentGradients<T>& gradients);

 private:
  template <class Args>
  void keep(Args& args);

  RecurrentCall<T> call_;
  Batch batch_;
  Plan plan_;
  RowMap<T> y_;
  Buffer<T> outputs_;  // y, when the caller keeps none
  Memory memory_ = Memory::store;
  Index segment_ = 0;         // steps of one, where records are made again
  Buffer<T> saved_, states_;  // records, or the states before segments
  Buffer<T> gathered_;        // dy of held outputs
};

// Pointers to where gradients come from and go to; null: zero, or not wanted.
template <class T>
struct RecurrentGradients {
  RecurrentContext<T>* context;
  const T* dy = nullptr;  // like y
  Index dy_width = 0;     // elements from one row of dy to the next; 0: H
  const T* d_final[kMaxStates] = {};
  T* dx = nullptr;
  T* d_initial[kMaxStates] = {};
  T* d_kernel = nullptr;
  T* d_recurrent_kernel = nullptr;
  T* d_bias = nullptr;
};

// Independent calls (the directions of a layer, say): side by side on the team, or in turn, as the cost table has it;
// the bits do not depend on it. A plan may be forced on every call (tests).
template <class T>
PoolVector<std::unique_ptr<RecurrentContext<T>>> recurrent_forward(std::span<const RecurrentCall<T>> calls,
                                                                   bool training, const Plan* plan = nullptr);

// Calls that add to one array run in turn.
template <class T>
void recurrent_backward(std::span<const RecurrentGradients<T>> calls, const Plan* plan = nullptr);

}  // namespace latchwork
