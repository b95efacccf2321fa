// Optimizer steps over a contiguous range, split over the team. Formulas: kernels/updates.h.
#pragma once

#include <utility>
#include <vector>

#include "kernels/elementwise.h"

namespace latchwork {

template <class T>
void update(const SgdArgs<T>& args);
template <class T>
void update(const RmspropArgs<T>& args);
template <class T>
void update(const AdamArgs<T>& args);

// learning_rate * sqrt(1 - beta_2^step) / (1 - beta_1^step), step counted from 1. Powers by squaring: libm's pow has
// other bits on other machines.
double adam_step_size(double learning_rate, double beta_1, double beta_2, Index step) noexcept;

using Ranges = std::vector<std::pair<Index, Index>>;  // [start, stop) of each variable

// Scales gradients down to a norm of at most max_norm: each variable by its own norm, or all by that of all together.
// Keras' rules: a joint norm that is not finite makes every gradient NaN.
template <class T>
void clip_norm(T* gradients, const Ranges& variables, double max_norm, bool together);

}  // namespace latchwork
