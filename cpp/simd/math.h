// exp, expm1, tanh, sigmoid, log, log1p and the activations, written once over V = Vec<T>: the same operations, hence
// the same bits, on every ISA. At most 3 ULP wherever argument and exact result are normal numbers; docs/math.md has
// the derivation and the measured errors. FROZEN: another formula or coefficient is a new bit version (CHANGELOG).
//
// No branches, tables or gathers, one division per gate function. NaN stays NaN, infinities saturate. Sixteen float
// units of an LSTM (3 sigmoids, 2 tanh, loads and stores) take 55 cycles on AVX-512 and 110 on AVX2 (Zen 5), where the
// five divisions alone are 37 and 27.
#pragma once

#include "base/activation.h"
#include "simd/vec.h"

namespace latchwork::LATCHWORK_ISA {

template <class T>
struct MathConstants;

template <>
struct MathConstants<float> {
  static constexpr float kLog2E = 0x1.715476p+0f;
  static constexpr float kLn2High = 0x1.62e43p-1f;  // ln 2 = high + low; x - n * high is exact in one fnma
  static constexpr float kLn2Low = -0x1.05c61p-29f;
  static constexpr float kSaturate = 88;                // exp(-88) is below the normal numbers, exp(88) finite
  static constexpr float kExpTop = 89;                  // exp(89) is infinite
  static constexpr float kExpBottom = -0x1.5d589ep+6f;  // the least argument whose exp is a normal number
  static constexpr float kTopExponent = 127;
  // (e^r - 1 - r) / r^2 on |r| <= ln(2) / 2; error 0.26 * 2^-24 of e^r - 1.
  static constexpr float kExpm1[] = {0x1p-1f, 0x1.5554ap-3f, 0x1.555446p-5f, 0x1.1234a6p-7f, 0x1.6e5f58p-10f};
  // (2 atanh(s) - 2 s) / s^3 in s^2 on |s| <= 3 - sqrt(8); error 0.014 * 2^-24 of 2 atanh(s).
  static constexpr float kAtanh[] = {0x1.55557ap-1f, 0x1.995ed6p-2f, 0x1.31e082p-2f};
};

template <>
struct MathConstants<double> {
  static constexpr double kLog2E = 0x1.71547652b82fep+0;
  static constexpr double kLn2High = 0x1.62e42fefa39efp-1;
  static constexpr double kLn2Low = 0x1.abc9e3b39803fp-56;
  static constexpr double kSaturate = 709;
  static constexpr double kExpTop = 710;
  static constexpr double kExpBottom = -0x1.6232bdd7abcd2p+9;
  static constexpr double kTopExponent = 1023;
  // Error 0.26 * 2^-53 of e^r - 1.
  static constexpr double kExpm1[] = {0x1.0000000000004p-1,  0x1.555555555553fp-3,  0x1.55555555527cep-5,
                                      0x1.1111111117cdep-7,  0x1.6c16c17dccc63p-10, 0x1.a01a017ada49fp-13,
                                      0x1.a019aa2813588p-16, 0x1.71de7c53eac04p-19, 0x1.289f7c9d0f0a8p-22,
                                      0x1.ae7c81ecddb8ap-26};
  // Error 0.011 * 2^-53 of 2 atanh(s).
  static constexpr double kAtanh[] = {0x1.5555555555592p-1, 0x1.999999997ff1ep-2, 0x1.24924941e131cp-2,
                                      0x1.c71c52143bb2fp-3, 0x1.74663cfd3c9e9p-3, 0x1.39a1e60a1e996p-3,
                                      0x1.2f03e11232058p-3};
};

template <class V>
using Constants = MathConstants<typename V::Scalar>;

// c[0] + c[1] x + ...: pairs in x, then Horner in x^2 (which callers have): as many operations as plain Horner,
// half its latency.
template <class V, int N>
inline V polynomial(V x, V x2, const typename V::Scalar (&c)[N]) {
  int k = N % 2 ? N - 1 : N - 2;
  V sum = N % 2 ? V(c[N - 1]) : fma(V(c[N - 1]), x, V(c[N - 2]));
#pragma GCC unroll 16
  for (k -= 2; k >= 0; k -= 2) sum = fma(sum, x2, fma(V(c[k + 1]), x, V(c[k])));
  return sum;
}

// e^x = 2^n (1 + growth), |growth| < 0.42. Growth keeps its relative precision near zero, so sums are formed as
// 2^n growth + (2^n +- 1) with one rounding of what matters.
template <class V>
struct Exponential {
  V shifted;  // n + kExponentShift
  V growth;

  V scale() const { return shift_to_exponent(shifted); }
};

// |x| <= kExpTop.
template <class V>
inline Exponential<V> exponential(V x) {
  using C = Constants<V>;
  const V shift = kExponentShift<typename V::Scalar>;
  const V shifted = fma(x, V(C::kLog2E), shift);
  const V n = shifted - shift;
  const V r = fnma(n, V(C::kLn2Low), fnma(n, V(C::kLn2High), x));
  const V r2 = r * r;
  return {shifted, fma(r2, polynomial(r, r2, C::kExpm1), r)};
}

// Between exp(88) and the largest number n is 128, and 2^128 has no exponent field: take 2^127 and double at the end.
template <class V>
inline V exp(V x) {
  using C = Constants<V>;
  const auto [shifted, growth] = exponential(clamp(x, V(-C::kSaturate), V(C::kExpTop)));
  const V top = C::kTopExponent + kExponentShift<typename V::Scalar>;
  const V scale = shift_to_exponent(min(shifted, top));
  const V y = fma(growth, scale, scale);
  return select(x < V(C::kExpBottom), V(0), select(top < shifted, y + y, y));
}

template <class V>
inline V expm1(V x) {
  using C = Constants<V>;
  const auto [shifted, growth] = exponential(clamp(x, V(-C::kSaturate), V(C::kExpTop)));
  const V top = C::kTopExponent + kExponentShift<typename V::Scalar>;
  const V scale = shift_to_exponent(min(shifted, top));
  const V y = fma(growth, scale, scale - V(1));
  return copysign(select(top < shifted, y + y, y), x);
}

// -tanh|x| = E / (E + 2) with E = e^(-2|x|) - 1 in (-1, 0]. Of the two signs this is the better one: E + 2 in (1, 2]
// rounds half as coarsely as in [2, ..), and where E rounds to -1 the quotient is exactly -1, while E + 2 at E > 2^25
// meets ties that break the monotony. The second fma instead of E + 2 costs 1 % of an LSTM gate set and takes the worst
// error from 2.6 to 2.1 ULP.
template <class V>
inline V tanh(V x) {
  const auto e = exponential(max(V(-Constants<V>::kSaturate), V(-2) * abs(x)));
  const V scale = e.scale();
  return copysign(fma(e.growth, scale, scale - V(1)) / fma(e.growth, scale, scale + V(1)), x);
}

// 1 / (1 + e^-x). The larger of 1 and 2^n is added last, so what is rounded before is small beside the sum: 2.0 ULP
// instead of 2.4 with 2^n growth + (2^n + 1), for 4 % of an LSTM gate set.
template <class V>
inline V sigmoid(V x) {
  using C = Constants<V>;
  const auto e = exponential(clamp(-x, V(-C::kSaturate), V(C::kSaturate)));
  const V scale = e.scale();
  return V(1) / (fma(e.growth, scale, min(scale, V(1))) + max(scale, V(1)));
}

// log(x) + rest for normal positive x and a rest that is small beside x - 1: x = m 2^e, m in [sqrt(1/2), sqrt(2)],
// f = m - 1, s = f / (f + 2): log m = 2 atanh(s) = f - s (f - s^2 Q(s^2)), where f is exact and what follows is small.
template <class V>
inline V log_normal(V x, V rest) {
  using C = Constants<V>;
  V e = exponent(x);
  V m = mantissa(x);
  const auto large = V(typename V::Scalar(1.4142135623730951)) < m;
  e = select(large, e + V(1), e);
  m = select(large, m * V(0.5), m);
  const V f = m - V(1);
  const V s = f / (f + V(2));
  const V s2 = s * s;
  const V tail = fnma(s2, polynomial(s2, s2 * s2, C::kAtanh), f);
  const V low = fma(e, V(C::kLn2Low), rest);
  return fma(e, V(C::kLn2High), f + fnma(s, tail, low));
}

// What log makes of 0, negative numbers, infinity and NaN.
template <class V>
inline V log_special(V x, V log_x) {
  const V infinity = __builtin_huge_valf();
  const V y = select(x < infinity, log_x, x);
  return select(x == V(0), -infinity, select(x < V(0), V(__builtin_nanf("")), y));
}

template <class V>
inline V log(V x) {
  return log_special(x, log_normal(x, V(0)));
}

// 1 + x = u + lost exactly, and log(u + lost) = log(u) + lost / u + ...
template <class V>
inline V log1p(V x) {
  const V u = x + V(1);
  const V v = u - V(1);
  const V lost = (V(1) - (u - v)) + (x - v);
  return copysign(log_special(u, log_normal(u, lost / u)), x);
}

// Activations by kind, the derivative from the output y. A loop picks its kind once, outside, with visit; the
// forms that take an Activation switch on every call.
template <Activation kind>
struct Kind {};

template <class V>
inline V activate(Kind<Activation::linear>, V x) {
  return x;
}
template <class V>
inline V activation_derivative(Kind<Activation::linear>, V) {
  return V(1);
}

template <class V>
inline V activate(Kind<Activation::relu>, V x) {
  return max(V(0), x);
}
template <class V>
inline V activation_derivative(Kind<Activation::relu>, V y) {
  return select(y <= V(0), V(0), V(1));
}

template <class V>
inline V activate(Kind<Activation::tanh>, V x) {
  return tanh(x);
}
template <class V>
inline V activation_derivative(Kind<Activation::tanh>, V y) {
  return fnma(y, y, V(1));
}

template <class V>
inline V activate(Kind<Activation::sigmoid>, V x) {
  return sigmoid(x);
}
template <class V>
inline V activation_derivative(Kind<Activation::sigmoid>, V y) {
  return fnma(y, y, y);  // y (1 - y), rounded once
}

template <class V>
inline V activate(Kind<Activation::hard_sigmoid>, V x) {
  return clamp(x + V(3), V(0), V(6)) * V(typename V::Scalar(1.0 / 6));
}
template <class V>
inline V activation_derivative(Kind<Activation::hard_sigmoid>, V y) {
  return select((V(0) < y) & (y < V(1)), V(typename V::Scalar(1.0 / 6)), V(0));
}

// The bound keeps infinity / infinity away; beyond it the quotient is 1 already.
template <class V>
inline V activate(Kind<Activation::softsign>, V x) {
  const V a = min(V(0x1p60f), abs(x));
  return copysign(a / (a + V(1)), x);
}
template <class V>
inline V activation_derivative(Kind<Activation::softsign>, V y) {
  const V rest = V(1) - abs(y);
  return rest * rest;
}

template <class V>
inline V activate(Kind<Activation::elu>, V x) {
  return select(x < V(0), expm1(x), x);
}
template <class V>
inline V activation_derivative(Kind<Activation::elu>, V y) {
  return select(V(0) < y, V(1), y + V(1));
}

template <class V>
inline V activate(Kind<Activation::softplus>, V x) {
  return max(V(0), x) + log1p(exp(-abs(x)));
}
template <class V>
inline V activation_derivative(Kind<Activation::softplus>, V y) {
  return -expm1(-y);  // sigmoid(x) = 1 - e^-y
}

template <class V>
inline V activate(Kind<Activation::exponential>, V x) {
  return exp(x);
}
template <class V>
inline V activation_derivative(Kind<Activation::exponential>, V y) {
  return y;
}

// f(Kind<kind>{}).
template <class F>
inline auto visit(Activation kind, F f) {
  switch (kind) {
    case Activation::linear:
      break;
    case Activation::relu:
      return f(Kind<Activation::relu>{});
    case Activation::tanh:
      return f(Kind<Activation::tanh>{});
    case Activation::sigmoid:
      return f(Kind<Activation::sigmoid>{});
    case Activation::hard_sigmoid:
      return f(Kind<Activation::hard_sigmoid>{});
    case Activation::softsign:
      return f(Kind<Activation::softsign>{});
    case Activation::elu:
      return f(Kind<Activation::elu>{});
    case Activation::softplus:
      return f(Kind<Activation::softplus>{});
    case Activation::exponential:
      return f(Kind<Activation::exponential>{});
  }
  return f(Kind<Activation::linear>{});
}

template <class V>
inline V activate(Activation kind, V x) {
  return visit(kind, [=](auto k) { return activate(k, x); });
}

template <class V>
inline V activation_derivative(Activation kind, V y) {
  return visit(kind, [=](auto k) { return activation_derivative(k, y); });
}

}  // namespace latchwork::LATCHWORK_ISA
