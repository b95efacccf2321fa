// Optimizer steps beside those of the kernels, formulas of Keras 3 (keras/src/optimizers). Their time is that of the
// memory they pass over, so the loops are compiled once: a division and a square root of SSE2 keep up with it.
#pragma once

#include "base/types.h"

namespace latchwork {

enum class Rule { kNadam, kAdagrad, kAdadelta, kLion };

template <class T>
struct RuleArgs {
  Index n;
  T* params;  // [n], as all others
  const T* grads;
  T* first;    // Nadam, Lion: running mean of g; Adagrad: sum of g * g; Adadelta: running mean of g * g
  T* second;   // Nadam: running mean of g * g; Adadelta: that of the steps; else null
  Index step;  // counted from 1
  double learning_rate;
  double weight_decay;  // the parameter is first reduced by its learning_rate * weight_decay-th part
  double beta_1;        // Adadelta: rho
  double beta_2;
  double epsilon;
};

// One step over a contiguous range, split over the team.
template <class T>
void update(Rule rule, const RuleArgs<T>& args);

// average = momentum * average + (1 - momentum) * params
template <class T>
void update_average(double momentum, const T* params, T* average, Index n);

}  // namespace latchwork
