// Elementwise passes of training: sums, losses, optimizer updates, dropout. Arrays may be unaligned; n may be 0.
#pragma once

#include "base/types.h"

namespace latchwork {

// A long sum is cut into chunks of kSumChunk elements, their sums added in order in float64. Inside a chunk, element i
// belongs to lane i % kSumLanes, whatever the vector width, and the lanes are added pairwise: j with j + 8, then
// j + 4, j + 2, j + 1.
constexpr Index kSumChunk = 4096;
constexpr int kSumLanes = 16;

// One pass over an elementwise loss: returns the sum of weight * loss, and writes scale * weight *
// d(loss)/d(prediction).
template <class T>
struct LossArgs {
  Index n;              // at most kSumChunk
  const T* target;      // [n]
  const T* prediction;  // [n]
  const T* weight;      // [n], of the losses; null: ones. Where it is 0 loss and gradient are 0, whatever they were
  T* gradient;          // [n]; null: the value alone
  T scale;              // of the gradient, 1 / count
  T delta;              // Huber: where the square turns into a line
  T smoothing;          // binary cross-entropy: targets become target * (1 - smoothing) + smoothing / 2
};

// One row of a cross-entropy over C classes. Targets are a row of probabilities, or null and a label.
template <class T>
struct ClassLossArgs {
  Index classes;
  const T* target;      // [C], or null
  Index label;          // used when target is null, in [0, C)
  const T* prediction;  // [C]
  T* gradient;          // [C]; null: the value alone
  T scale;
  T smoothing;  // targets become target * (1 - smoothing) + smoothing / C; for rows of probabilities only
};

// Optimizer steps over n parameters, formulas of Keras 3. `decay` is learning_rate * weight_decay: the parameter is
// first reduced by its decay-th part, then stepped.
template <class T>
struct SgdArgs {
  Index n;
  T* params;
  const T* grads;
  T* velocity;  // null: no momentum
  T learning_rate;
  T decay;
  T momentum;
  bool nesterov;
};

template <class T>
struct RmspropArgs {
  Index n;
  T* params;
  const T* grads;
  T* square;   // running mean of g * g
  T* momenta;  // null: no momentum
  T* average;  // running mean of g; null: not centered
  T learning_rate;
  T decay;
  T rho;
  T one_minus_rho;  // rounded from float64: 1 - T(0.999) would lose four digits of float32
  T momentum;
  T epsilon;  // inside the root
};

template <class T>
struct AdamArgs {
  Index n;
  T* params;
  const T* grads;
  T* first;     // m, running mean of g
  T* second;    // v, running mean of g * g
  T* maximum;   // AMSGrad's largest v so far; null: plain Adam
  T step_size;  // learning_rate * sqrt(1 - beta_2^t) / (1 - beta_1^t)
  T decay;
  T one_minus_beta_1;
  T one_minus_beta_2;
  T epsilon;  // outside the root
};

template <class T>
struct ElementwiseKernels {
  // y[i] += a * x[i]. Not fused, nor is dot: the orthogonal initialiser makes 10^9 of these in float64 at 512 units,
  // and portable's fma of float64 is libm's, 21-103 ns each without the instruction.
  void (*axpy)(T a, const T* x, T* y, Index n) noexcept;
  // x[i] *= a
  void (*scale)(T a, T* x, Index n) noexcept;
  // x[i] into [-limit, limit]; NaN passes
  void (*clip)(T limit, T* x, Index n) noexcept;
  // low <= x[i] <= high for every i (false for NaN)
  bool (*within)(T low, T high, const T* x, Index n) noexcept;
  // y[i] = mask[i] == 0 ? 0 : x[i] * mask[i]: a dropped element is 0 even if x is infinite. x and y may be the same.
  void (*dropout)(const T* x, const T* mask, T* y, Index n) noexcept;

  // y = exp(x) / sum(exp(x)) over one row of any length, and dx = y * (dy - sum(y * dy)). In and out may be the same.
  void (*softmax)(const T* x, T* y, Index n) noexcept;
  void (*softmax_backward)(const T* y, const T* dy, T* dx, Index n) noexcept;

  // One chunk, n <= kSumChunk.
  T (*sum)(const T* x, Index n) noexcept;
  T (*dot)(const T* x, const T* y, Index n) noexcept;

  T (*squared_error)(const LossArgs<T>&) noexcept;
  T (*absolute_error)(const LossArgs<T>&) noexcept;
  T (*huber)(const LossArgs<T>&) noexcept;
  T (*binary_crossentropy)(const LossArgs<T>&) noexcept;  // from probabilities
  T (*binary_crossentropy_logits)(const LossArgs<T>&) noexcept;
  T (*categorical_crossentropy)(const ClassLossArgs<T>&) noexcept;  // from probabilities
  T (*categorical_crossentropy_logits)(const ClassLossArgs<T>&) noexcept;

  void (*sgd)(const SgdArgs<T>&) noexcept;
  void (*rmsprop)(const RmspropArgs<T>&) noexcept;
  void (*adam)(const AdamArgs<T>&) noexcept;
};

}  // namespace latchwork
