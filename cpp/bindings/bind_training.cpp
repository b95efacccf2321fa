// Training: losses, accuracies.
#include "bindings/training.h"
#include "layers/loss.h"

namespace latchwork {

namespace {

// Class labels [...] for predictions [..., C].
const std::int64_t* labels_of(const py::array& y, const py::array& prediction) {
  if (!y.dtype().equal(py::dtype::of<std::int64_t>())) throw Error("y must be int64 labels, got " + dtype_text(y));
  if (!is_contiguous(y) || !is_aligned(y)) throw Error("y must be C-contiguous and aligned");
  std::vector<Index> expected = shape_of(prediction);
  expected.pop_back();
  if (shape_of(y) != expected) {
    throw Error("y must hold one label for each row of y_pred " + shape_text(prediction) + ", got shape " +
                shape_text(y));
  }
  return static_cast<const std::int64_t*>(y.data());
}

// One weight for each loss element.
template <class T>
const T* weights_of(const py::array& weight, Index elements) {
  if (weight.size() != elements)
    throw Error("weight must hold one number for each of " + std::to_string(elements) + " losses, got shape " +
                shape_text(weight));
  return data_of<T>(weight, "weight");
}

// (sum, count, gradient or None)
py::tuple loss(const std::string& name, const py::array& y, const py::array& prediction, bool from_logits,
               double label_smoothing, double delta, bool with_gradient, const std::optional<py::array>& weight,
               std::optional<Index> counted) {
  const LossOptions options{from_logits, label_smoothing, delta};
  const bool sparse = name == "sparse_categorical_crossentropy";
  const bool elementwise = is_elementwise_loss(name);
  if (!elementwise && !sparse && name != "categorical_crossentropy") throw Error("unknown loss " + name);
  return by_dtype(prediction, "y_pred", [&](auto zero) {
    using T = decltype(zero);
    const T* const p = data_of<T>(prediction, "y_pred");
    const Index classes = elementwise ? 1 : classes_of(prediction, "y_pred");
    const std::int64_t* const labels = sparse ? labels_of(y, prediction) : nullptr;
    const T* const targets = sparse ? nullptr : data_of<T>(y, "y");
    if (!sparse) require_shape(y, "y", prediction, "y_pred");
    py::object gradient = py::none();
    T* g = nullptr;
    if (with_gradient) {
      py::array_t<T> made = make_array<T>(shape_of(prediction));
      g = made.mutable_data();
      gradient = std::move(made);
    }
    const Index n = prediction.size() / classes;
    const Index count = counted.value_or(n);
    const T* const w = weight ? weights_of<T>(*weight, n) : nullptr;
    double sum = 0;
    {
      const Compute compute;
      sum = elementwise ? elementwise_loss(name, options, ElementBatch<T>{n, count, targets, p, w, g})
                        : class_loss(options, ClassBatch<T>{n, count, classes, targets, labels, p, w, g});
    }
    return py::make_tuple(sum, count, gradient);
  });
}

}  // namespace

void bind_statistics(py::module_& m);

void bind_training(py::module_& m) {
  m.def("loss", &loss, py::arg("name"), py::arg("y"), py::arg("y_pred"), py::kw_only(), py::arg("from_logits") = false,
        py::arg("label_smoothing") = 0.0, py::arg("delta") = 1.0, py::arg("gradient") = true,
        py::arg("weight") = py::none(), py::arg("count") = py::none());
  bind_statistics(m);
}

}  // namespace latchwork
