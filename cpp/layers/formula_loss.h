// Losses beyond the fused ones: a formula in float64 over small blocks, whatever the dtype of the arrays. The formulas
// are compiled once; exp, log and their like are the kernels', so the bits are the same on every ISA.
#pragma once

#include <string_view>
#include <vector>

#include "base/types.h"

namespace latchwork {

struct FormulaOptions {
  bool from_logits = false;    // outputs are logits (Poisson: the logarithm of the rate)
  double label_smoothing = 0;  // focal
  double alpha = -1;           // focal; below 0: no weighing of the classes
  double gamma = 0;            // focal
  double df = 0;               // Student-t: degrees of freedom
  double min_scale = 0;        // likelihoods: scale = softplus(raw) + min_scale
  std::vector<double> levels;  // quantile
  Index components = 1;        // mixture
};

// A batch is rows: of targets, of outputs, of losses. `last_axis` is how many outputs a row has.
struct FormulaShape {
  Index targets, outputs, losses;
};
// Throws Error for an unknown name, or outputs that this loss cannot have.
FormulaShape formula_shape(std::string_view name, const FormulaOptions& options, Index last_axis);

template <class T>
struct FormulaBatch {
  Index rows;
  FormulaShape shape;   // as formula_shape says
  Index count;          // whose mean the gradient is of: rows * losses, or fewer where some are left out
  const T* target;      // [rows, targets]
  const T* prediction;  // [rows, outputs]
  const T* weight;      // [rows, losses]; null: ones. A loss of weight 0 is left out, whatever it holds
  T* gradient;          // [rows, outputs] or null
};
// The sum of weight * loss; writes d(sum / count)/d(prediction).
template <class T>
double formula_loss(std::string_view name, const FormulaOptions& options, const FormulaBatch<T>& batch);

}  // namespace latchwork
