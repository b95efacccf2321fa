// Functions of one number, activations, the merging of two arrays, and the vector probes of the tests.
#include "base/activation.h"
#include "bindings/compute.h"
#include "bindings/ndarray.h"
#include "cpu/dispatch.h"
#include "layers/merge.h"
#include "runtime/thread_team.h"

namespace latchwork {

namespace {

constexpr Index kGrain = 16384;  // elements: some 10 us of exp, against 0.2 us to wake a spinning team

std::vector<Index> shape_of(const py::array& a) { return {a.shape(), a.shape() + a.ndim()}; }

// A new array like `x`, filled by fill(data of x, result, begin, end) on the team.
template <class T, class F>
py::array mapped(const py::array& x, const char* name, F fill) {
  const T* const data = data_of<T>(x, name);
  py::array_t<T> result = make_array<T>(shape_of(x));
  T* const out = result.mutable_data();
  const Index n = x.size();
  {
    const Compute compute;
    interruptible_for(n, kGrain, [&](Index begin, Index end) { fill(data + begin, out + begin, begin, end - begin); });
  }
  return result;
}

template <class T>
py::array mapped_activation(Activation kind, const py::array& x) {
  const auto run = kernels().of<T>().unary.activation;
  return mapped<T>(x, "x", [=](const T* from, T* to, Index, Index n) { run(kind, from, to, n); });
}

std::string known_activations() {
  std::string known;
  for (const char* const name : kActivationNames) known += std::string(known.empty() ? "" : ", ") + name;
  return known;
}

// -1 for a name that is no activation.
int find_activation(const std::string& name) {
  for (int i = 0; i < kActivationCount; ++i) {
    if (name == kActivationNames[i]) return i;
  }
  return -1;
}

Activation activation_of(const std::string& name) {
  const int kind = find_activation(name);
  if (kind < 0) throw Error("name must be one of " + known_activations() + ", got '" + name + "'");
  return static_cast<Activation>(kind);
}

py::array activation(const std::string& name, const py::array& x) {
  const Activation kind = activation_of(name);
  return is_double(x, "x") ? mapped_activation<double>(kind, x) : mapped_activation<float>(kind, x);
}

template <class T>
py::array unary_of(const std::string& name, const py::array& x) {
  const UnaryKernels<T>& unary = kernels().of<T>().unary;
  const auto apply = [&](auto run) {
    return mapped<T>(x, "x", [=](const T* from, T* to, Index, Index n) { run(from, to, n); });
  };
  if (name == "exp") return apply(unary.exp);
  if (name == "expm1") return apply(unary.expm1);
  if (name == "log") return apply(unary.log);
  if (name == "log1p") return apply(unary.log1p);
  const int kind = find_activation(name);
  if (kind < 0)
    throw Error("name must be one of exp, expm1, log, log1p, " + known_activations() + ", got '" + name + "'");
  return mapped_activation<T>(static_cast<Activation>(kind), x);
}

py::array unary(const std::string& name, const py::array& x) {
  return is_double(x, "x") ? unary_of<double>(name, x) : unary_of<float>(name, x);
}

template <class T>
py::array activation_backward_of(Activation kind, const py::array& y, const py::array& dy) {
  const T* const gradient = data_of<T>(dy, "dy");
  const auto run = kernels().of<T>().unary.activation_backward;
  return mapped<T>(y, "y", [=](const T* from, T* to, Index at, Index n) { run(kind, from, gradient + at, to, n); });
}

py::array activation_backward(const std::string& name, const py::array& y, const py::array& dy) {
  const Activation kind = activation_of(name);
  if (shape_of(y) != shape_of(dy))
    throw Error("dy must have the shape of y, " + shape_text(y) + ", got " + shape_text(dy));
  return is_double(y, "y") ? activation_backward_of<double>(kind, y, dy) : activation_backward_of<float>(kind, y, dy);
}

template <class T>
py::array merged(Merge mode, const py::array& a, const py::array& b) {
  const T* const other = data_of<T>(b, "b");
  return mapped<T>(a, "a", [=](const T* from, T* to, Index at, Index n) { merge(mode, from, other + at, to, n); });
}

py::array merge_of(const std::string& name, const py::array& a, const py::array& b) {
  if (shape_of(a) != shape_of(b))
    throw Error("b must have the shape of a, " + shape_text(a) + ", got " + shape_text(b));
  for (int i = 0; i < kMergeCount; ++i) {
    const auto mode = static_cast<Merge>(i);
    if (name == kMergeNames[i]) return is_double(a, "a") ? merged<double>(mode, a, b) : merged<float>(mode, a, b);
  }
  throw Error("name must be one of sum, mul, ave, got '" + name + "'");
}

template <class T>
py::array probe_of(const std::string& operation, const py::array& a, const py::array& b, const py::array& c) {
  const UnaryKernels<T>& unary = kernels().of<T>().unary;
  const T* const b_data = data_of<T>(b, "b");
  const T* const c_data = data_of<T>(c, "c");
  for (int i = 0; i < unary.probe_count; ++i) {
    if (operation != unary.probe_names[i]) continue;
    return mapped<T>(a, "a", [=, run = unary.probe](const T* from, T* to, Index at, Index n) {
      run(i, from, b_data + at, c_data + at, to, n);
    });
  }
  throw Error("operation: no probe is named '" + operation + "'");
}

py::array probe(const std::string& operation, const py::array& a, const py::array& b, const py::array& c) {
  if (shape_of(a) != shape_of(b) || shape_of(a) != shape_of(c)) throw Error("a, b and c must have one shape");
  return is_double(a, "a") ? probe_of<double>(operation, a, b, c) : probe_of<float>(operation, a, b, c);
}

std::vector<std::string> probe_names() {
  const UnaryKernels<float>& unary = kernels().f32.unary;
  return {unary.probe_names, unary.probe_names + unary.probe_count};
}

}  // namespace

void bind_unary(py::module_& m) {
  m.def("unary", &unary, py::arg("name"), py::arg("x"));
  m.def("activation", &activation, py::arg("name"), py::arg("x"));
  m.def("activation_names",
        [] { return std::vector<std::string>(kActivationNames, kActivationNames + kActivationCount); });
  m.def("activation_backward", &activation_backward, py::arg("name"), py::arg("y"), py::arg("dy"));
  m.def("merge", &merge_of, py::arg("name"), py::arg("a"), py::arg("b"));
  m.def("probe", &probe, py::arg("operation"), py::arg("a"), py::arg("b"), py::arg("c"));
  m.def("probe_names", &probe_names);
}

}  // namespace latchwork
