// The time loops, once for every cell: arguments and entry points.
#pragma once

#include "sequence/batch.h"
#include "sequence/plan.h"
#include "sequence/weights.h"

namespace latchwork {

// FMAs between two looks at whether the call was interrupted: under a millisecond, a tenth of it with AVX-512.
constexpr Index kPollWork = Index(1) << 23;

template <class T>
struct ForwardArgs {
  const Weights<T>* weights;
  const Batch* batch;
  Index steps;  // T of the arrays: y is zero from a sequence's length to here
  Activation activation, recurrent_activation;
  RowMap<const T> x;             // rows of I
  RowMap<T> y;                   // rows of H; no data: outputs are not kept
  const T* initial[kMaxStates];  // [B, H] by batch index; null: zeros
  T* final[kMaxStates];          // [B, H]; null: not wanted
  T* saved;                      // [records][record]; null: inference
};

// Parameter gradients accumulate into the caller's arrays; gradients of x and of the initial states are overwritten.
template <class T>
struct BackwardArgs {
  const Weights<T>* weights;
  const Batch* batch;
  Activation activation, recurrent_activation;
  RowMap<const T> x;
  RowMap<const T> y;  // of the forward call
  const T* initial[kMaxStates];
  const T* saved;
  RowMap<const T> dy;            // no data: zero
  const T* d_final[kMaxStates];  // [B, H]; null: zero
  RowMap<T> dx;                  // no data: not wanted
  T* d_initial[kMaxStates];      // [B, H]; null: not wanted
  T* d_kernel;                   // [I, G*H]; null: parameter gradients are not wanted
  T* d_recurrent_kernel;         // [H, G*H]
  T* d_bias;                     // [biases, G*H] or null
};

template <class T>
void run_forward(const ForwardArgs<T>& args, const Plan& plan);

template <class T>
void run_backward(const BackwardArgs<T>& args, const Plan& plan);

}  // namespace latchwork
