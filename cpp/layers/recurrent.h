// A recurrent layer over arrays: how the caller's sequences lie, one forward call, and the backward that consumes it.
#pragma once

#include <memory>
#include <vector>

#include "sequence/run.h"

namespace latchwork {

// How sequences of some feature count lie in an array.
struct Arrangement {
  Index batch = 0, steps = 0;  // B, T (0 if ragged)
  bool time_major = false;     // [T, B, F] instead of [B, T, F]
  std::vector<Index> offsets;  // ragged: [B + 1] into [N, F]
  std::vector<Index> lengths;  // [B], within [0, T]; masked: how many steps are real

  // Masked: the numbers of the real steps, sequence after sequence, and where each sequence's begin, [B + 1].
  std::vector<Index> real = {}, first_real = {};

  bool ragged() const { return !offsets.empty(); }
  bool masked() const { return !first_real.empty(); }

  // Notes the real steps of a mask that lies as x does: [B, T], [T, B] or, ragged, [N]. lengths are set.
  void set_mask(const bool* mask);
  // The same array with every step real.
  Arrangement unmasked() const;
};

// Throws Error naming the argument unless lengths and offsets fit the array.
void check_arrangement(const Arrangement& a, Index rows);

// The rows of `data` under an arrangement. Reversed: from a sequence's last real step backwards.
template <class T>
RowMap<T> row_map(T* data, Index features, const Arrangement& a, bool reversed);

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
};

template <class T>
struct RecurrentGradients;

// What a training forward leaves for backward. x, y and the initial states are the caller's and must stay.
template <class T>
class RecurrentContext {
 public:
  RecurrentContext(const RecurrentCall<T>& call, const Batch& batch) : call_(call), batch_(batch) {}

  const RecurrentCall<T>& call() const { return call_; }

 private:
  template <class U>
  friend std::unique_ptr<RecurrentContext<U>> recurrent_forward(const RecurrentCall<U>&, U*, U* const*, bool,
                                                                const Plan*);
  template <class U>
  friend void recurrent_backward(RecurrentContext<U>&, const RecurrentGradients<U>&, const Plan*);

  RecurrentCall<T> call_;
  Batch batch_;
  RowMap<T> y_;
  Buffer<T> outputs_;  // y, when the caller keeps none
  Buffer<T> saved_;
};

// Pointers to where gradients come from and go to; null: zero, or not wanted.
template <class T>
struct RecurrentGradients {
  const T* dy = nullptr;  // like y
  Index dy_width = 0;     // elements from one row of dy to the next; 0: H
  const T* d_final[kMaxStates] = {};
  T* dx = nullptr;
  T* d_initial[kMaxStates] = {};
  T* d_kernel = nullptr;
  T* d_recurrent_kernel = nullptr;
  T* d_bias = nullptr;
};

// y: [B, T, H] as x is arranged, in the order read when reversed (see OutputRule); null: only final states are wanted.
// A plan may be forced (tests); else it is chosen.
template <class T>
std::unique_ptr<RecurrentContext<T>> recurrent_forward(const RecurrentCall<T>& call, T* y, T* const* final,
                                                       bool training, const Plan* plan = nullptr);

template <class T>
void recurrent_backward(RecurrentContext<T>& context, const RecurrentGradients<T>& gradients,
                        const Plan* plan = nullptr);

}  // namespace latchwork
