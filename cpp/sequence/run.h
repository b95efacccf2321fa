// The time loops, once for every cell: arguments and entry points.
#pragma once

#include <span>

#include "sequence/batch.h"
#include "sequence/plan.h"
#include "sequence/records.h"
#include "sequence/weights.h"

namespace latchwork {

template <class T>
struct ForwardArgs {
  Plan plan;
  const Weights<T>* weights;
  const Batch* batch;
  Index steps;  // T of the arrays: y is zero from a sequence's length to here
  Activation activation, recurrent_activation;
  RowMap<const T> x;               // rows of I
  RowMap<T> y;                     // rows of H; no data: outputs are not kept
  const T* initial[kMaxStates];    // [B, H] by batch index; null: zeros
  T* final[kMaxStates];            // [B, H]; null: not wanted
  Records<T> records = {};         // kept for backward; no data: not kept
  SegmentStates<T> segments = {};  // kept for a rerun, when records are not; no data: not kept
  RowMap<const T> h = {};          // of the call that is run again: where a segment's h comes from
};

// Parameter gradients accumulate into the caller's arrays; gradients of x and of the initial states are overwritten.
template <class T>
struct BackwardArgs {
  Plan plan;
  const Weights<T>* weights;
  const Batch* batch;
  Activation activation, recurrent_activation;
  RowMap<const T> x;
  RowMap<const T> y;  // of the forward call
  const T* initial[kMaxStates];
  Records<T> records;  // no data: made again, segment by segment, from the states before each
  SegmentStates<T> segments;
  RowMap<const T> dy;            // no data: zero
  const T* d_final[kMaxStates];  // [B, H]; null: zero
  RowMap<T> dx;                  // no data: not wanted
  T* d_initial[kMaxStates];      // [B, H]; null: not wanted
  T* d_kernel;                   // [I, G*H]; null: parameter gradients are not wanted
  T* d_recurrent_kernel;         // [H, G*H]
  T* d_bias;                     // [biases, G*H] or null
};

// Independent calls, side by side as far as the team goes (sequence/calls.h).
template <class T>
void run_forward(std::span<const ForwardArgs<T>> calls);

// The same; no two calls add to one array.
template <class T>
void run_backward(std::span<const BackwardArgs<T>> calls);

// Work space of one call under its plan, in bytes of the pool. Nothing is read of the arrays.
template <class T>
std::size_t forward_bytes(const ForwardArgs<T>& args);
template <class T>
std::size_t backward_bytes(const BackwardArgs<T>& args);

}  // namespace latchwork
