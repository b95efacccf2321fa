// Optimizers: their updates, clipping, and the functions of learning-rate schedules.
#include <optional>

#include "bindings/training.h"
#include "layers/optimizer.h"
#include "layers/rules.h"
#include "layers/schedule.h"
#include "layers/statistics.h"

namespace latchwork {

namespace {

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

// What the rules of layers/rules.h are named, and whether they have a second moment.
struct KnownRule {
  const char* name;
  Rule rule;
  bool second;
};
constexpr KnownRule kRules[] = {{"nadam", Rule::kNadam, true},
                                {"adagrad", Rule::kAdagrad, false},
                                {"adadelta", Rule::kAdadelta, true},
                                {"lion", Rule::kLion, false}};

const KnownRule& rule_of(const std::string& name) {
  for (const KnownRule& known : kRules)
    if (name == known.name) return known;
  throw Error("name must be one of nadam, adagrad, adadelta, lion, got '" + name + "'");
}

void rule_update(const std::string& name, py::array params, const py::array& grads, std::optional<py::array> first,
                 std::optional<py::array> second, Index step, double learning_rate, double weight_decay, double beta_1,
                 double beta_2, double epsilon) {
  const KnownRule& known = rule_of(name);
  if (!first) throw Error("first must be an array like params, got None");
  if (second.has_value() != known.second)
    throw Error("second must be " + std::string(known.second ? "an array like params" : "None") + " for " + name);
  if (step < 1) throw Error("step must be 1 or more, got " + std::to_string(step));
  by_dtype(params, "params", [&](auto zero) {
    using T = decltype(zero);
    const RuleArgs<T> args{.n = params.size(),
                           .params = mutable_data_of<T>(params, "params"),
                           .grads = gradients_of<T>(grads, params),
                           .first = moment<T>(first, "first", params),
                           .second = moment<T>(second, "second", params),
                           .step = step,
                           .learning_rate = learning_rate,
                           .weight_decay = weight_decay,
                           .beta_1 = beta_1,
                           .beta_2 = beta_2,
                           .epsilon = epsilon};
    const Compute compute;
    update(known.rule, args);
  });
}

void average_update(py::array average, const py::array& params, double momentum) {
  require_shape(params, "params", average, "average");
  require_apart(average, "average", params, "params");
  by_dtype(average, "average", [&](auto zero) {
    using T = decltype(zero);
    T* const out = mutable_data_of<T>(average, "average");
    const T* const in = data_of<T>(params, "params");
    const Compute compute;
    update_average(momentum, in, out, average.size());
  });
}

}  // namespace

void bind_optimizers(py::module_& m) {
  m.def("rule_update", &rule_update, py::arg("name"), py::arg("params"), py::arg("grads"), py::arg("first"),
        py::arg("second"), py::kw_only(), py::arg("step"), py::arg("learning_rate"), py::arg("weight_decay"),
        py::arg("beta_1"), py::arg("beta_2"), py::arg("epsilon"));
  m.def("average_update", &average_update, py::arg("average"), py::arg("params"), py::arg("momentum"));
  m.def(
      "power",
      [](double base, double exponent) {
        const FloatScope scope;
        return power(base, exponent);
      },
      py::arg("base"), py::arg("exponent"));
  m.def(
      "half_cosine",
      [](double x) {
        const FloatScope scope;
        return half_cosine(x);
      },
      py::arg("x"));
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

}  // namespace latchwork
