// This ISA's table of functions of one argument, and its probes.
#include "kernels/unary.h"

#include "kernels/lanes.h"
#include "simd/math.h"
#include "simd/vec.h"

namespace latchwork::LATCHWORK_ISA {
namespace {

template <class V, class F, class T = typename V::Scalar>
void map(const T* x, T* y, Index n, F f) noexcept {
  for_each<V>(n, [=](Index i, auto lanes) { lanes.store(y + i, f(lanes.load(x + i))); });
}

template <class V, class T = typename V::Scalar>
void exp_array(const T* x, T* y, Index n) noexcept {
  map<V>(x, y, n, [](V v) { return exp(v); });
}

template <class V, class T = typename V::Scalar>
void expm1_array(const T* x, T* y, Index n) noexcept {
  map<V>(x, y, n, [](V v) { return expm1(v); });
}

template <class V, class T = typename V::Scalar>
void log_array(const T* x, T* y, Index n) noexcept {
  map<V>(x, y, n, [](V v) { return log(v); });
}

template <class V, class T = typename V::Scalar>
void log1p_array(const T* x, T* y, Index n) noexcept {
  map<V>(x, y, n, [](V v) { return log1p(v); });
}

template <class V, class T = typename V::Scalar>
void activation(Activation kind, const T* x, T* y, Index n) noexcept {
  visit(kind, [=](auto k) { map<V>(x, y, n, [k](V v) { return activate(k, v); }); });
}

template <class V, class T = typename V::Scalar>
void activation_backward(Activation kind, const T* y, const T* dy, T* dx, Index n) noexcept {
  visit(kind, [=](auto k) {
    for_each<V>(n, [=](Index i, auto lanes) {
      lanes.store(dx + i, lanes.load(dy + i) * activation_derivative(k, lanes.load(y + i)));
    });
  });
}

// One operation of the vector vocabulary under the name tests know it by; a mask is seen as 1 and 0.
template <class V>
struct Probe {
  const char* name;
  V (*run)(V a, V b, V c);
};

template <class V>
V as_number(typename V::Mask m) {
  return select(m, V(1), V(0));
}

template <class V>
constexpr Probe<V> kProbes[] = {
    {"broadcast", [](V, V, V) { return V(3); }},
    {"add", [](V a, V b, V) { return a + b; }},
    {"subtract", [](V a, V b, V) { return a - b; }},
    {"multiply", [](V a, V b, V) { return a * b; }},
    {"divide", [](V a, V b, V) { return a / b; }},
    {"negate", [](V a, V, V) { return -a; }},
    {"fma", [](V a, V b, V c) { return fma(a, b, c); }},
    {"fnma", [](V a, V b, V c) { return fnma(a, b, c); }},
    {"less", [](V a, V b, V) { return as_number<V>(a < b); }},
    {"less_equal", [](V a, V b, V) { return as_number<V>(a <= b); }},
    {"equal", [](V a, V b, V) { return as_number<V>(a == b); }},
    {"not_equal", [](V a, V b, V) { return as_number<V>(a != b); }},
    {"mask_and", [](V a, V b, V c) { return as_number<V>((a < b) & (b < c)); }},
    {"mask_or", [](V a, V b, V c) { return as_number<V>((a < b) | (b < c)); }},
    {"mask_not", [](V a, V b, V) { return as_number<V>(!(a < b)); }},
    {"select", [](V a, V b, V c) { return select(a < b, b, c); }},
    {"min", [](V a, V b, V) { return min(a, b); }},
    {"max", [](V a, V b, V) { return max(a, b); }},
    {"clamp", [](V a, V b, V c) { return clamp(a, b, c); }},
    {"abs", [](V a, V, V) { return abs(a); }},
    {"copysign", [](V a, V b, V) { return copysign(a, b); }},
    {"sqrt", [](V a, V, V) { return sqrt(a); }},
    {"round", [](V a, V, V) { return round(a); }},
    {"shift_to_exponent", [](V a, V, V) { return shift_to_exponent(a); }},
    {"pow2", [](V a, V, V) { return pow2(a); }},
    {"exponent", [](V a, V, V) { return exponent(a); }},
    {"mantissa", [](V a, V, V) { return mantissa(a); }},
};
constexpr int kOperations = sizeof(kProbes<Vec<float>>) / sizeof(Probe<Vec<float>>);

// The probe after the operations: 1 where load_partial and store_partial keep to the first n lanes, for every n.
constexpr const char* kPartialProbe = "partial";

template <class V, class T = typename V::Scalar>
bool partial_is_exact(const T* a, T guard) {
  bool exact = true;
  for (Index n = 0; n <= V::kLanes; ++n) {
    T loaded[V::kLanes], stored[V::kLanes];
    const V v = V::load_partial(a, n);
    v.store(loaded);
    V(guard).store(stored);
    v.store_partial(stored, n);
    for (Index j = 0; j < V::kLanes; ++j) {
      exact = exact && (loaded[j] == (j < n ? a[j] : T(0))) && (stored[j] == (j < n ? a[j] : guard));
    }
  }
  return exact;
}

struct ProbeNames {
  const char* names[kOperations + 1];
};

constexpr ProbeNames probe_names() {
  ProbeNames result{};
  for (int i = 0; i < kOperations; ++i) result.names[i] = kProbes<Vec<float>>[i].name;
  result.names[kOperations] = kPartialProbe;
  return result;
}

constexpr ProbeNames kProbeNames = probe_names();

template <class V, class T = typename V::Scalar>
void probe(int operation, const T* a, const T* b, const T* c, T* out, Index n) noexcept {
  if (operation < kOperations) {
    const auto run = kProbes<V>[operation].run;
    for_each<V>(n, [=](Index i, auto lanes) {
      lanes.store(out + i, run(lanes.load(a + i), lanes.load(b + i), lanes.load(c + i)));
    });
  } else {
    for (Index i = 0; i < n; ++i) out[i] = T(i + V::kLanes > n || partial_is_exact<V>(a + i, b[i]));
  }
}

template <class T, class V = Vec<T>>
constexpr UnaryKernels<T> unary_table() {
  return {
      .exp = exp_array<V>,
      .expm1 = expm1_array<V>,
      .log = log_array<V>,
      .log1p = log1p_array<V>,
      .activation = activation<V>,
      .activation_backward = activation_backward<V>,
      .probe_count = kOperations + 1,
      .probe_names = kProbeNames.names,
      .probe = probe<V>,
  };
}

}  // namespace

extern const UnaryKernels<float> unary_f32;
extern const UnaryKernels<double> unary_f64;
constinit const UnaryKernels<float> unary_f32 = unary_table<float>();
constinit const UnaryKernels<double> unary_f64 = unary_table<double>();

}  // namespace latchwork::LATCHWORK_ISA
