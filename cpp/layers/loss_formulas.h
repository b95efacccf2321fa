// The formulas themselves: value and slope of a span of losses in float64.
#pragma once

#include <string_view>

#include "layers/formula_loss.h"

namespace latchwork {

// n losses side by side: each has a target and some outputs, its parameters, every parameter in a plane of its own.
struct ElementSpan {
  Index n;
  Index stride;          // of planes
  const double* target;  // [n]
  const double* level;   // [n], quantile
  const double* planes;  // [parameters][stride]
  double* slopes;        // [parameters][stride]: d(loss)/d(parameter)
  double* loss;          // [n]
  double* scratch;       // [kScratchPlanes + components][stride]
  double constant;       // what normalizes a density

  const double* parameter(Index k) const { return planes + k * stride; }
  double* slope(Index k) const { return slopes + k * stride; }
  double* spare(Index k) const { return scratch + k * stride; }
};
constexpr Index kScratchPlanes = 4;

struct ElementFormula {
  const char* name;
  Index blocks;  // parameters of a loss, where there is one component
  void (*run)(const FormulaOptions&, const ElementSpan&);
  double (*constant)(const FormulaOptions&);  // null: 0
};
// Null for a name that has none.
const ElementFormula* element_formula(std::string_view name);

// One row, one loss: returns it and writes its slopes.
struct RowSpan {
  Index n;
  const double* target;  // [n]
  const double* output;  // [n]
  double* slope;         // [n]
  double* scratch;       // [2][n]
};
using RowFormula = double (*)(const FormulaOptions&, const RowSpan&);
RowFormula row_formula(std::string_view name);

}  // namespace latchwork
