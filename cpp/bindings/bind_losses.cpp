// Losses beyond the fused ones of bind_training.cpp.
#include <optional>

#include "bindings/training.h"
#include "layers/formula_loss.h"

namespace latchwork {

namespace {

// (sum, count, gradient or None)
py::tuple formula(const std::string& name, const py::array& y, const py::array& prediction,
                  const FormulaOptions& options, bool with_gradient, const std::optional<py::array>& weight,
                  std::optional<Index> counted) {
  const FormulaShape shape = formula_shape(name, options, classes_of(prediction, "y_pred"));
  const Index rows = prediction.size() / shape.outputs, n = rows * shape.losses;
  if (y.size() != rows * shape.targets) {
    throw Error("y must hold " + std::to_string(rows * shape.targets) + " targets for y_pred " +
                shape_text(prediction) + ", got shape " + shape_text(y));
  }
  if (weight && weight->size() != n)
    throw Error("weight must hold " + std::to_string(n) + " numbers, got shape " + shape_text(*weight));
  return by_dtype(prediction, "y_pred", [&](auto zero) {
    using T = decltype(zero);
    FormulaBatch<T> batch{rows,
                          shape,
                          counted.value_or(n),
                          data_of<T>(y, "y"),
                          data_of<T>(prediction, "y_pred"),
                          weight ? data_of<T>(*weight, "weight") : nullptr,
                          nullptr};
    py::object gradient = py::none();
    if (with_gradient) {
      py::array_t<T> made = make_array<T>(shape_of(prediction));
      batch.gradient = made.mutable_data();
      gradient = std::move(made);
    }
    double sum = 0;
    {
      const Compute compute;
      sum = formula_loss(name, options, batch);
    }
    return py::make_tuple(sum, batch.count, gradient);
  });
}

}  // namespace

void bind_losses(py::module_& m) {
  m.def(
      "formula_loss",
      [](const std::string& name, const py::array& y, const py::array& prediction, bool from_logits,
         double label_smoothing, double alpha, double gamma, double df, double min_scale, std::vector<double> levels,
         Index components, bool with_gradient, const std::optional<py::array>& weight, std::optional<Index> count) {
        const FormulaOptions options{from_logits, label_smoothing,   alpha,     gamma, df,
                                     min_scale,   std::move(levels), components};
        return formula(name, y, prediction, options, with_gradient, weight, count);
      },
      py::arg("name"), py::arg("y"), py::arg("y_pred"), py::kw_only(), py::arg("from_logits") = false,
      py::arg("label_smoothing") = 0.0, py::arg("alpha") = -1.0, py::arg("gamma") = 0.0, py::arg("df") = 0.0,
      py::arg("min_scale") = 0.0, py::arg("levels") = std::vector<double>(), py::arg("components") = 1,
      py::arg("gradient") = true, py::arg("weight") = py::none(), py::arg("count") = py::none());
}

}  // namespace latchwork
