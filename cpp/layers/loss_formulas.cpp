#include "layers/loss_formulas.h"

#include <cmath>

#include "cpu/dispatch.h"

namespace latchwork {

namespace {

constexpr double kEpsilon = 1e-7;  // keras.config.epsilon()
constexpr double kHalfLogTwoPi = 0.91893853320467274178;
constexpr double kLogTwo = 0.69314718055994530942;

using Options = FormulaOptions;
using Span = ElementSpan;

const UnaryKernels<double>& unary() { return kernels().of<double>().unary; }

double log_of(double x) {
  unary().log(&x, &x, 1);
  return x;
}

// y = x^exponent for x >= 0; x and y may be the same.
void power(const double* x, double exponent, double* y, Index n) {
  unary().log(x, y, n);
  for (Index i = 0; i < n; ++i) y[i] = exponent == 0 ? 0.0 : exponent * y[i];
  unary().exp(y, y, n);
}

// ---- errors of numbers ------------------------------------------------------------------------------------------

// |e| + log1p(expm1(-2 |e|) / 2): log(cosh(e)) without overflow, and without cancelling against log 2.
void log_cosh(const Options&, const Span& s) {
  const double* const p = s.parameter(0);
  double *const size = s.spare(0), *const rest = s.spare(1), *const slope = s.slope(0);
  for (Index i = 0; i < s.n; ++i) {
    slope[i] = p[i] - s.target[i];
    size[i] = std::abs(slope[i]);
    rest[i] = -2 * size[i];
  }
  unary().expm1(rest, rest, s.n);
  for (Index i = 0; i < s.n; ++i) rest[i] *= 0.5;
  unary().log1p(rest, rest, s.n);
  for (Index i = 0; i < s.n; ++i) s.loss[i] = size[i] + rest[i];
  unary().activation(Activation::tanh, slope, slope, s.n);
}

void squared_logarithmic(const Options&, const Span& s) {
  const double* const p = s.parameter(0);
  double *const ours = s.spare(0), *const wanted = s.spare(1);
  for (Index i = 0; i < s.n; ++i) {
    ours[i] = p[i] < kEpsilon ? kEpsilon : p[i];
    wanted[i] = s.target[i] < kEpsilon ? kEpsilon : s.target[i];
  }
  unary().log1p(ours, ours, s.n);
  unary().log1p(wanted, wanted, s.n);
  for (Index i = 0; i < s.n; ++i) {
    const double e = ours[i] - wanted[i];
    s.loss[i] = e * e;
    s.slope(0)[i] = p[i] < kEpsilon ? 0.0 : 2 * e / (p[i] + 1);
  }
}

double sign(double e) { return e > 0 ? 1.0 : e < 0 ? -1.0 : e; }  // 0 and NaN are themselves

void absolute_percentage(const Options&, const Span& s) {
  for (Index i = 0; i < s.n; ++i) {
    const double e = s.parameter(0)[i] - s.target[i];
    const double size = std::abs(s.target[i]);
    const double whole = size < kEpsilon ? kEpsilon : size;
    s.loss[i] = 100 * (std::abs(e) / whole);
    s.slope(0)[i] = 100 * sign(e) / whole;
  }
}

void quantile(const Options&, const Span& s) {
  for (Index i = 0; i < s.n; ++i) {
    const double e = s.target[i] - s.parameter(0)[i], q = s.level[i];
    s.loss[i] = e > 0 ? q * e : (q - 1) * e;
    s.slope(0)[i] = e > 0 ? -q : e < 0 ? 1 - q : e;
  }
}

void poisson(const Options& o, const Span& s) {
  const double* const p = s.parameter(0);
  double* const f = s.spare(0);
  if (o.from_logits) {  // p is the logarithm of the rate
    unary().exp(p, f, s.n);
    for (Index i = 0; i < s.n; ++i) {
      s.loss[i] = f[i] - s.target[i] * p[i];
      s.slope(0)[i] = f[i] - s.target[i];
    }
    return;
  }
  for (Index i = 0; i < s.n; ++i) f[i] = p[i] + kEpsilon;
  unary().log(f, f, s.n);
  for (Index i = 0; i < s.n; ++i) {
    s.loss[i] = p[i] - s.target[i] * f[i];
    s.slope(0)[i] = 1 - s.target[i] / (p[i] + kEpsilon);
  }
}

// ---- two classes ------------------------------------------------------------------------------------------------

double side(double target) { return target == 0 ? -1.0 : target; }

void hinge(const Options&, const Span& s) {
  for (Index i = 0; i < s.n; ++i) {
    const double y = side(s.target[i]), margin = 1 - y * s.parameter(0)[i];
    s.loss[i] = margin < 0 ? 0.0 : margin;
    s.slope(0)[i] = margin > 0 ? -y : margin < 0 ? 0.0 : margin;
  }
}

void squared_hinge(const Options&, const Span& s) {
  for (Index i = 0; i < s.n; ++i) {
    const double y = side(s.target[i]), margin = 1 - y * s.parameter(0)[i];
    const double inside = margin < 0 ? 0.0 : margin;
    s.loss[i] = inside * inside;
    s.slope(0)[i] = -2 * y * inside;
  }
}

// loss = u^gamma b, with b the cross-entropy and u the probability of the other class, t (1 - p) + (1 - t) p.
void binary_focal(const Options& o, const Span& s) {
  const double* const x = s.parameter(0);
  double *const p = s.spare(0), *const rest = s.spare(1), *const b = s.spare(2), *const f = s.spare(3);
  double* const slope = s.slope(0);
  const auto smoothed = [&](Index i) { return s.target[i] * (1 - o.label_smoothing) + 0.5 * o.label_smoothing; };
  if (o.from_logits) {
    for (Index i = 0; i < s.n; ++i) b[i] = -std::abs(x[i]), rest[i] = -x[i];
    unary().exp(b, b, s.n);
    unary().log1p(b, b, s.n);
    unary().activation(Activation::sigmoid, x, p, s.n);
    unary().activation(Activation::sigmoid, rest, rest, s.n);
    for (Index i = 0; i < s.n; ++i) {
      const double t = smoothed(i);
      b[i] += (x[i] > 0 ? x[i] : 0.0) - x[i] * t;
      slope[i] = p[i] - t;
    }
  } else {  // Keras: the cross-entropy of p kept away from 0 and 1, u of p as it is
    for (Index i = 0; i < s.n; ++i) {
      const double q = x[i] < kEpsilon ? kEpsilon : x[i] > 1 - kEpsilon ? 1 - kEpsilon : x[i];
      b[i] = q, f[i] = 1 - q;
      p[i] = x[i], rest[i] = 1 - x[i];
      slope[i] = q == x[i] ? (q - smoothed(i)) / (q * (1 - q)) : 0.0;
    }
    unary().log(b, b, s.n);
    unary().log(f, f, s.n);
    for (Index i = 0; i < s.n; ++i) b[i] = -(smoothed(i) * b[i] + (1 - smoothed(i)) * f[i]);
  }
  double* const u = s.loss;
  for (Index i = 0; i < s.n; ++i) u[i] = smoothed(i) * rest[i] + (1 - smoothed(i)) * p[i];
  power(u, o.gamma, f, s.n);
  for (Index i = 0; i < s.n; ++i) {
    const double t = smoothed(i);
    const double weight = o.alpha < 0 ? 1.0 : t * o.alpha + (1 - t) * (1 - o.alpha);
    const double du = (1 - 2 * t) * (o.from_logits ? p[i] * rest[i] : 1.0);
    // d(u^gamma) = gamma u^gamma / u du; at u = 0 it is du for gamma 1, and nothing that b outlives for others.
    const double df = u[i] == 0 ? (o.gamma == 1 ? du : 0.0) : o.gamma * (f[i] / u[i]) * du;
    slope[i] = weight * (f[i] * slope[i] + b[i] * df);
    s.loss[i] = weight * (f[i] * b[i]);
  }
}

// ---- likelihoods ------------------------------------------------------------------------------------------------

// scale = softplus(raw) + min_scale, its logarithm, and d(scale)/d(raw) = sigmoid(raw). raw and slope may be the same.
void scales(const Options& o, const double* raw, double* scale, double* log_scale, double* slope, Index n) {
  unary().activation(Activation::softplus, raw, scale, n);
  for (Index i = 0; i < n; ++i) scale[i] += o.min_scale;
  unary().log(scale, log_scale, n);
  unary().activation(Activation::sigmoid, raw, slope, n);
}

void gaussian(const Options& o, const Span& s) {
  double *const scale = s.spare(0), *const log_scale = s.spare(1);
  scales(o, s.parameter(1), scale, log_scale, s.slope(1), s.n);
  for (Index i = 0; i < s.n; ++i) {
    const double z = (s.target[i] - s.parameter(0)[i]) / scale[i];
    s.loss[i] = 0.5 * (z * z) + log_scale[i] + kHalfLogTwoPi;
    s.slope(0)[i] = -z / scale[i];
    s.slope(1)[i] *= (1 - z * z) / scale[i];
  }
}

// log(Gamma(x)), x > 0: moved up to 16, then Stirling's series, whose first term left out is below 1e-16.
double log_gamma(double x) {
  double product = 1;
  for (; x < 16; x += 1) product *= x;
  const double r = 1 / x, r2 = r * r;
  const double series = r * (1.0 / 12 - r2 * (1.0 / 360 - r2 * (1.0 / 1260 - r2 * (1.0 / 1680 - r2 / 1188))));
  return (x - 0.5) * log_of(x) - x + kHalfLogTwoPi + series - log_of(product);
}

double student_constant(const Options& o) {
  return log_gamma(o.df / 2) - log_gamma((o.df + 1) / 2) + 0.5 * log_of(o.df) + kHalfLogTwoPi - 0.5 * kLogTwo;
}

void student(const Options& o, const Span& s) {
  double *const scale = s.spare(0), *const log_scale = s.spare(1), *const tail = s.spare(2), *const z = s.spare(3);
  constexpr double kFar = 1e100;  // z^2 would overflow: log(1 + z^2 / df) = 2 log(z) - log(df)
  scales(o, s.parameter(1), scale, log_scale, s.slope(1), s.n);
  for (Index i = 0; i < s.n; ++i) {
    z[i] = (s.target[i] - s.parameter(0)[i]) / scale[i];
    tail[i] = std::abs(z[i]) > kFar ? std::abs(z[i]) : z[i] * z[i] / o.df;
  }
  unary().log1p(tail, tail, s.n);
  const double log_df = log_of(o.df);
  for (Index i = 0; i < s.n; ++i) {
    const bool far = std::abs(z[i]) > kFar;
    const double log_term = far ? 2 * tail[i] - log_df : tail[i];
    const double w = far ? (o.df + 1) / z[i] : (o.df + 1) * z[i] / (o.df + z[i] * z[i]);
    s.loss[i] = s.constant + log_scale[i] + 0.5 * (o.df + 1) * log_term;
    s.slope(0)[i] = -w / scale[i];
    s.slope(1)[i] *= (1 - w * z[i]) / scale[i];
  }
}

// y = log(sum over k of exp(x_k)) of `count` planes.
void log_sum_exp(const double* x, Index count, Index stride, double* y, double* scratch, Index n) {
  double* const top = scratch;
  double* const e = scratch + stride;
  for (Index i = 0; i < n; ++i) top[i] = x[i], y[i] = 0;
  for (Index k = 1; k < count; ++k) {
    for (Index i = 0; i < n; ++i) top[i] = x[k * stride + i] > top[i] ? x[k * stride + i] : top[i];
  }
  for (Index k = 0; k < count; ++k) {
    for (Index i = 0; i < n; ++i) e[i] = x[k * stride + i] - top[i];
    unary().exp(e, e, n);
    for (Index i = 0; i < n; ++i) y[i] += e[i];
  }
  unary().log(y, y, n);
  for (Index i = 0; i < n; ++i) y[i] += top[i];
}

// -log(sum over k of w_k N(t; m_k, s_k)), w = softmax(logits); planes: logits, means, raw scales of the components.
void mixture(const Options& o, const Span& s) {
  const Index K = o.components;
  double *const scale = s.spare(0), *const e = s.spare(1), *const whole = s.spare(2);
  double* const joint = s.spare(4);  // [K] planes: log(w_k N_k)
  log_sum_exp(s.parameter(0), K, s.stride, whole, s.spare(0), s.n);
  for (Index k = 0; k < K; ++k) {
    scales(o, s.parameter(2 * K + k), scale, e, s.slope(2 * K + k), s.n);
    for (Index i = 0; i < s.n; ++i) {
      const double z = (s.target[i] - s.parameter(K + k)[i]) / scale[i];
      const double log_weight = s.parameter(k)[i] - whole[i];
      joint[k * s.stride + i] = log_weight - 0.5 * (z * z) - e[i] - kHalfLogTwoPi;
      s.slope(k)[i] = log_weight;
      s.slope(K + k)[i] = -z / scale[i];
      s.slope(2 * K + k)[i] *= (1 - z * z) / scale[i];
    }
  }
  log_sum_exp(joint, K, s.stride, whole, s.spare(0), s.n);
  for (Index i = 0; i < s.n; ++i) s.loss[i] = -whole[i];
  for (Index k = 0; k < K; ++k) {
    double* const share = joint + k * s.stride;  // of component k in the density
    for (Index i = 0; i < s.n; ++i) share[i] -= whole[i];
    unary().exp(share, share, s.n);
    unary().exp(s.slope(k), s.slope(k), s.n);
    for (Index i = 0; i < s.n; ++i) {
      s.slope(k)[i] -= share[i];
      for (const Index plane : {K + k, 2 * K + k}) {  // a component that explains nothing learns nothing, however far
        s.slope(plane)[i] = share[i] == 0 ? 0.0 : share[i] * s.slope(plane)[i];
      }
    }
  }
}

constexpr ElementFormula kFormulas[] = {
    {"log_cosh", 1, log_cosh, nullptr},
    {"msle", 1, squared_logarithmic, nullptr},
    {"mape", 1, absolute_percentage, nullptr},
    {"quantile", 1, quantile, nullptr},
    {"poisson", 1, poisson, nullptr},
    {"hinge", 1, hinge, nullptr},
    {"squared_hinge", 1, squared_hinge, nullptr},
    {"binary_focal", 1, binary_focal, nullptr},
    {"gaussian", 2, gaussian, nullptr},
    {"student_t", 2, student, student_constant},
    {"mixture", 3, mixture, nullptr},
};

}  // namespace

const ElementFormula* element_formula(std::string_view name) {
  for (const ElementFormula& formula : kFormulas) {
    if (name == formula.name) return &formula;
  }
  return nullptr;
}

}  // namespace latchwork
