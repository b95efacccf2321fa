// Losses beyond the fused ones of bind_training.cpp.
#include <optional>

#include "bindings/training.h"
#include "layers/ctc.h"
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

const std::int64_t* integers(const py::array& a, const char* name, Index size) {
  if (!a.dtype().equal(py::dtype::of<std::int64_t>()) || !is_contiguous(a) || !is_aligned(a) || a.size() != size)
    throw Error(std::string(name) + " must be " + std::to_string(size) + " int64 in one piece, got " + dtype_text(a) +
                " of shape " + shape_text(a));
  return static_cast<const std::int64_t*>(a.data());
}

// [B + 1], rising from 0 to `end`.
const std::int64_t* bounds(const py::array& a, const char* name, Index sequences, Index end) {
  const std::int64_t* const at = integers(a, name, sequences + 1);
  if (at[0] != 0 || at[sequences] != end || !std::is_sorted(at, at + sequences + 1))
    throw Error(std::string(name) + " must rise from 0 to " + std::to_string(end));
  return at;
}

// (sum, count, gradient or None). steps and places [B + 1]: where sequences begin in y_pred [N, C] and in labels.
py::tuple ctc(const py::array& labels, const py::array& places, const py::array& prediction, const py::array& steps,
              Index blank, bool with_gradient, const std::optional<py::array>& weight, std::optional<Index> counted) {
  const Index classes = classes_of(prediction, "y_pred"), sequences = std::max<Index>(steps.size() - 1, 0);
  const Index rows = prediction.size() / classes;
  const std::int64_t* const label = integers(labels, "labels", labels.size());
  if (blank < 0 || blank >= classes)
    throw Error("blank must be in [0, " + std::to_string(classes) + "), got " + std::to_string(blank));
  for (Index i = 0; i < labels.size(); ++i) {
    if (label[i] < 0 || label[i] >= classes || label[i] == blank)
      throw Error("y must hold labels in [0, " + std::to_string(classes) + ") other than blank, " +
                  std::to_string(blank) + ", got " + std::to_string(label[i]));
  }
  if (weight && weight->size() != sequences)
    throw Error("weight must hold " + std::to_string(sequences) + " numbers, got shape " + shape_text(*weight));
  return by_dtype(prediction, "y_pred", [&](auto zero) {
    using T = decltype(zero);
    CtcBatch<T> batch{sequences,
                      classes,
                      blank,
                      bounds(steps, "steps", sequences, rows),
                      bounds(places, "places", sequences, labels.size()),
                      label,
                      data_of<T>(prediction, "y_pred"),
                      weight ? data_of<T>(*weight, "weight") : nullptr,
                      nullptr,
                      counted.value_or(sequences)};
    py::object gradient = py::none();
    if (with_gradient) {
      py::array_t<T> made = make_array<T>(shape_of(prediction));
      batch.gradient = made.mutable_data();
      gradient = std::move(made);
    }
    double sum = 0;
    {
      const Compute compute;
      sum = ctc_loss(batch);
    }
    return py::make_tuple(sum, batch.count, gradient);
  });
}

}  // namespace

void bind_losses(py::module_& m) {
  m.def("ctc_loss", &ctc, py::arg("labels"), py::arg("places"), py::arg("y_pred"), py::arg("steps"), py::kw_only(),
        py::arg("blank"), py::arg("gradient") = true, py::arg("weight") = py::none(), py::arg("count") = py::none());
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
