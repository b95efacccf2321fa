#include "layers/formula_loss.h"

#include <algorithm>
#include <cmath>
#include <string>

#include "latchwork/error.h"
#include "layers/blocks.h"
#include "layers/loss_formulas.h"
#include "layers/statistics.h"

namespace latchwork {

namespace {

constexpr Index kBlock = 128;  // elements: a parameter's plane is 1 KB

constexpr Index kBlocksEach = 16;

// Where the losses of a row find their outputs: [blocks][losses][components]; and their targets.
struct Places {
  Index losses, blocks, components, targets;
  Index output(Index loss, Index block, Index component) const {
    const Index row = loss / losses, place = loss % losses;
    return ((row * blocks + block) * losses + place) * components + component;
  }
  Index target(Index loss) const { return targets == losses ? loss : loss / losses; }
};

// What a loss and its slopes are multiplied by; false where it is left out.
template <class T>
bool weigh(const FormulaBatch<T>& batch, Index loss, double& weight) {
  weight = batch.weight ? static_cast<double>(batch.weight[loss]) : 1.0;
  return weight != 0.0;
}

template <class T>
void run_elements(const ElementFormula& formula, const FormulaOptions& options, const FormulaBatch<T>& batch,
                  double* losses) {
  const Places places{batch.shape.losses, formula.blocks, options.components, batch.shape.targets};
  const Index planes = places.blocks * places.components;
  const double constant = formula.constant ? formula.constant(options) : 0.0;
  const double scale = 1.0 / static_cast<double>(batch.count);
  const Index scratch = (3 + 2 * planes + kScratchPlanes + options.components) * kBlock;
  in_blocks(batch.rows * places.losses, kBlock, kBlocksEach, scratch, [&](Index begin, Index end, double* own) {
    double* const target = own;
    double* const level = target + kBlock;
    double* const loss = level + kBlock;
    double* const parameters = loss + kBlock;
    double* const slopes = parameters + planes * kBlock;
    for (Index i = begin; i < end; ++i) {
      target[i - begin] = static_cast<double>(batch.target[places.target(i)]);
      if (!options.levels.empty()) level[i - begin] = options.levels[static_cast<std::size_t>(i % places.losses)];
      for (Index k = 0; k < planes; ++k) {
        const Index from = places.output(i, k / places.components, k % places.components);
        parameters[k * kBlock + i - begin] = static_cast<double>(batch.prediction[from]);
      }
    }
    formula.run(options,
                {end - begin, kBlock, target, level, parameters, slopes, loss, slopes + planes * kBlock, constant});
    for (Index i = begin; i < end; ++i) {
      double weight;
      const bool counts = weigh(batch, i, weight);
      losses[i] = counts ? loss[i - begin] * weight : 0.0;
      for (Index k = 0; batch.gradient && k < planes; ++k) {
        const Index to = places.output(i, k / places.components, k % places.components);
        batch.gradient[to] = counts ? static_cast<T>(slopes[k * kBlock + i - begin] * (scale * weight)) : T(0);
      }
    }
  });
}

template <class T>
void run_rows(RowFormula formula, const FormulaOptions& options, const FormulaBatch<T>& batch, double* losses) {
  const Index n = batch.shape.outputs;
  const double scale = 1.0 / static_cast<double>(batch.count);
  in_blocks(batch.rows, ceil_div(kBlock, n), kBlocksEach, 5 * n, [&](Index begin, Index end, double* own) {
    for (Index r = begin; r < end; ++r) {
      T* const gradient = batch.gradient ? batch.gradient + r * n : nullptr;
      double weight;
      losses[r] = 0.0;
      if (!weigh(batch, r, weight)) {
        if (gradient) std::fill_n(gradient, n, T(0));
        continue;
      }
      double *const target = own, *const output = own + n, *const slope = own + 2 * n;
      for (Index i = 0; i < n; ++i) {
        target[i] = static_cast<double>(batch.target[r * n + i]);
        output[i] = static_cast<double>(batch.prediction[r * n + i]);
      }
      losses[r] = formula(options, {n, target, output, slope, own + 3 * n}) * weight;
      for (Index i = 0; gradient && i < n; ++i) gradient[i] = static_cast<T>(slope[i] * (scale * weight));
    }
  });
}

}  // namespace

FormulaShape formula_shape(std::string_view name, const FormulaOptions& options, Index last_axis) {
  const auto levels = static_cast<Index>(options.levels.size());
  if ((name == "quantile") != (levels > 0)) throw Error("levels must be given for the loss quantile, and for no other");
  if (options.components < 1 || (options.components > 1 && name != "mixture")) {
    throw Error("components must be 1, or more for the loss mixture, got " + std::to_string(options.components));
  }
  // log_gamma climbs from there in steps of 1: from -1e300 it would never arrive.
  if (name == "student_t" && !(options.df > 0 && std::isfinite(options.df)))
    throw Error("df must be finite and above 0, got " + std::to_string(options.df));
  if (row_formula(name)) return {last_axis, last_axis, 1};
  const ElementFormula* const formula = element_formula(name);
  if (!formula) throw Error("unknown loss " + std::string(name));
  if (levels > 0) {
    if (last_axis != levels) {
      throw Error("y_pred must be [..., " + std::to_string(levels) +
                  "], an output for each quantile, got a last axis of " + std::to_string(last_axis));
    }
    return {1, levels, levels};
  }
  const Index planes = checked_product(formula->blocks, options.components);
  if (planes == 1) return {1, 1, 1};
  if (last_axis % planes != 0) {
    throw Error("y_pred must have " + std::to_string(planes) + " outputs for each target, got a last axis of " +
                std::to_string(last_axis));
  }
  return {last_axis / planes, last_axis, last_axis / planes};
}

template <class T>
double formula_loss(std::string_view name, const FormulaOptions& options, const FormulaBatch<T>& batch) {
  Buffer<double> losses(checked_product(batch.rows, batch.shape.losses));
  if (const RowFormula rows = row_formula(name)) {
    run_rows(rows, options, batch, losses.data());
  } else {
    run_elements(*element_formula(name), options, batch, losses.data());
  }
  return sum(losses.data(), losses.size());
}

template double formula_loss<float>(std::string_view, const FormulaOptions&, const FormulaBatch<float>&);
template double formula_loss<double>(std::string_view, const FormulaOptions&, const FormulaBatch<double>&);

}  // namespace latchwork
