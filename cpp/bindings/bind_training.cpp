// Training: losses, accuracies, optimizer updates.
#include <optional>

#include "bindings/training.h"
#include "layers/loss.h"
#include "layers/optimizer.h"
#include "layers/statistics.h"

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

// A flat array of an optimizer, of the size of params; null if absent.
template <class T>
T* moment(std::optional<py::array>& a, const char* name, const py::array& params) {
  if (!a) return nullptr;
  require_shape(*a, name, params, "params");
  require_apart(*a, name, params, "params");
  return mutable_data_of<T>(*a, name);
}

template <class T>
const T* gradients_of(const py::array& grads, const py::array& params) {
  require_shape(grads, "grads", params, "params");
  require_apart(params, "params", grads, "grads");
  return data_of<T>(grads, "grads");
}

void sgd_update(py::array params, const py::array& grads, std::optional<py::array> velocity, double learning_rate,
                double weight_decay, double momentum, bool nesterov) {
  const FloatScope scope;  // learning_rate * weight_decay is part of the answer
  by_dtype(params, "params", [&](auto zero) {
    using T = decltype(zero);
    const SgdArgs<T> args{.n = params.size(),
                          .params = mutable_data_of<T>(params, "params"),
                          .grads = gradients_of<T>(grads, params),
                          .velocity = moment<T>(velocity, "velocity", params),
                          .learning_rate = static_cast<T>(learning_rate),
                          .decay = static_cast<T>(learning_rate * weight_decay),
                          .momentum = static_cast<T>(momentum),
                          .nesterov = nesterov};
    const Compute compute;
    update(args);
  });
}

void rmsprop_update(py::array params, const py::array& grads, std::optional<py::array> square,
                    std::optional<py::array> momenta, std::optional<py::array> average, double learning_rate,
                    double weight_decay, double rho, double momentum, double epsilon) {
  if (!square) throw Error("square must be an array like params, got None");
  const FloatScope scope;
  by_dtype(params, "params", [&](auto zero) {
    using T = decltype(zero);
    const RmspropArgs<T> args{.n = params.size(),
                              .params = mutable_data_of<T>(params, "params"),
                              .grads = gradients_of<T>(grads, params),
                              .square = moment<T>(square, "square", params),
                              .momenta = moment<T>(momenta, "momenta", params),
                              .average = moment<T>(average, "average", params),
                              .learning_rate = static_cast<T>(learning_rate),
                              .decay = static_cast<T>(learning_rate * weight_decay),
                              .rho = static_cast<T>(rho),
                              .one_minus_rho = static_cast<T>(1 - rho),
                              .momentum = static_cast<T>(momentum),
                              .epsilon = static_cast<T>(epsilon)};
    const Compute compute;
    update(args);
  });
}

void adam_update(py::array params, const py::array& grads, std::optional<py::array> first,
                 std::optional<py::array> second, std::optional<py::array> maximum, Index step, double learning_rate,
                 double weight_decay, double beta_1, double beta_2, double epsilon) {
  if (!first || !second) throw Error("first and second must be arrays like params, got None");
  if (step < 1) throw Error("step must be 1 or more, got " + std::to_string(step));
  const FloatScope scope;  // the bias correction is part of the answer
  by_dtype(params, "params", [&](auto zero) {
    using T = decltype(zero);
    const AdamArgs<T> args{.n = params.size(),
                           .params = mutable_data_of<T>(params, "params"),
                           .grads = gradients_of<T>(grads, params),
                           .first = moment<T>(first, "first", params),
                           .second = moment<T>(second, "second", params),
                           .maximum = moment<T>(maximum, "maximum", params),
                           .step_size = static_cast<T>(adam_step_size(learning_rate, beta_1, beta_2, step)),
                           .decay = static_cast<T>(learning_rate * weight_decay),
                           .one_minus_beta_1 = static_cast<T>(1 - beta_1),
                           .one_minus_beta_2 = static_cast<T>(1 - beta_2),
                           .epsilon = static_cast<T>(epsilon)};
    const Compute compute;
    update(args);
  });
}

void bind_optimizers(py::module_& m) {
  m.def("sgd_update", &sgd_update, py::arg("params"), py::arg("grads"), py::arg("velocity"), py::kw_only(),
        py::arg("learning_rate"), py::arg("weight_decay"), py::arg("momentum"), py::arg("nesterov"));
  m.def("rmsprop_update", &rmsprop_update, py::arg("params"), py::arg("grads"), py::arg("square"), py::arg("momenta"),
        py::arg("average"), py::kw_only(), py::arg("learning_rate"), py::arg("weight_decay"), py::arg("rho"),
        py::arg("momentum"), py::arg("epsilon"));
  m.def("adam_update", &adam_update, py::arg("params"), py::arg("grads"), py::arg("first"), py::arg("second"),
        py::arg("maximum"), py::kw_only(), py::arg("step"), py::arg("learning_rate"), py::arg("weight_decay"),
        py::arg("beta_1"), py::arg("beta_2"), py::arg("epsilon"));
  m.def(
      "clip_norm",
      [](py::array grads, const Ranges& variables, double max_norm, bool together) {
        for (const auto& [start, stop] : variables) {
          if (start < 0 || stop < start || stop > grads.size()) {
            throw Error("variables must be ranges within grads of " + std::to_string(grads.size()) + ", got (" +
                        std::to_string(start) + ", " + std::to_string(stop) + ")");
          }
        }
        by_dtype(grads, "grads", [&](auto zero) {
          auto* const g = mutable_data_of<decltype(zero)>(grads, "grads");
          const Compute compute;
          clip_norm(g, variables, max_norm, together);
        });
      },
      py::arg("grads"), py::arg("variables"), py::arg("max_norm"), py::arg("together"));
  m.def(
      "clip_value",
      [](py::array a, double limit) {
        by_dtype(a, "a", [&](auto zero) {
          using T = decltype(zero);
          T* const data = mutable_data_of<T>(a, "a");
          const Compute compute;
          clip_value(static_cast<T>(limit), data, a.size());
        });
      },
      py::arg("a"), py::arg("limit"));
  m.def(
      "scale",
      [](py::array a, double factor) {
        by_dtype(a, "a", [&](auto zero) {
          using T = decltype(zero);
          T* const data = mutable_data_of<T>(a, "a");
          const Compute compute;
          scale(static_cast<T>(factor), data, a.size());
        });
      },
      py::arg("a"), py::arg("factor"));
}

}  // namespace

void bind_statistics(py::module_& m);

void bind_training(py::module_& m) {
  m.def("loss", &loss, py::arg("name"), py::arg("y"), py::arg("y_pred"), py::kw_only(), py::arg("from_logits") = false,
        py::arg("label_smoothing") = 0.0, py::arg("delta") = 1.0, py::arg("gradient") = true,
        py::arg("weight") = py::none(), py::arg("count") = py::none());
  bind_optimizers(m);
  bind_statistics(m);
}

}  // namespace latchwork
