// Losses of a whole row: of two vectors, of two distributions.
#include <cmath>

#include "cpu/dispatch.h"
#include "layers/loss_formulas.h"

namespace latchwork {

namespace {

constexpr double kEpsilon = 1e-7;  // keras.config.epsilon()

using Options = FormulaOptions;

const UnaryKernels<double>& unary() { return kernels().of<double>().unary; }

// x / max(|x|, epsilon); returns |x|, or 0 where epsilon is larger. Scaled by the largest element: no overflow.
double normalized(const double* x, double* y, Index n) {
  double top = 0, squares = 0;
  for (Index i = 0; i < n; ++i) top = std::abs(x[i]) > top ? std::abs(x[i]) : top;
  const double unit = top > 0 ? top : 1.0;
  for (Index i = 0; i < n; ++i) y[i] = x[i] / unit, squares += y[i] * y[i];
  const double length = std::sqrt(squares);
  if (unit * length < kEpsilon) {
    for (Index i = 0; i < n; ++i) y[i] = x[i] / kEpsilon;
    return 0;
  }
  for (Index i = 0; i < n; ++i) y[i] /= length;
  return unit * length;
}

double cosine_similarity(const Options&, const RowSpan& s) {
  double *const target = s.scratch, *const output = s.scratch + s.n;
  normalized(s.target, target, s.n);
  const double length = normalized(s.output, output, s.n);
  double similarity = 0;
  for (Index i = 0; i < s.n; ++i) similarity += target[i] * output[i];
  for (Index i = 0; i < s.n; ++i) {  // a length below epsilon does not turn
    s.slope[i] = length == 0 ? -target[i] / kEpsilon : (similarity * output[i] - target[i]) / length;
  }
  return -similarity;
}

double kl_divergence(const Options&, const RowSpan& s) {
  double *const ratio = s.scratch, *const target = s.scratch + s.n;
  const auto kept = [](double p) { return p < kEpsilon ? kEpsilon : p > 1 ? 1.0 : p; };
  for (Index i = 0; i < s.n; ++i) {
    const double p = kept(s.output[i]);
    target[i] = kept(s.target[i]);
    ratio[i] = target[i] / p;
    s.slope[i] = p == s.output[i] ? -ratio[i] : p == p ? 0.0 : p;
  }
  unary().log(ratio, ratio, s.n);
  double total = 0;
  for (Index i = 0; i < s.n; ++i) total += target[i] * ratio[i];
  return total;
}

double categorical_hinge(const Options&, const RowSpan& s) {
  double right = 0, wrong = 0;
  Index at = 0;
  for (Index i = 0; i < s.n; ++i) {
    right += s.target[i] * s.output[i];
    const double other = (1 - s.target[i]) * s.output[i];
    if (i == 0 || other > wrong) wrong = other, at = i;
  }
  const double margin = wrong - right + 1;
  for (Index i = 0; i < s.n; ++i) s.slope[i] = margin > 0 ? -s.target[i] : margin < 0 ? 0.0 : margin;
  if (margin > 0) s.slope[at] += 1 - s.target[at];
  return margin < 0 ? 0.0 : margin;
}

// log(q) and q = softmax(x).
void log_softmax(const double* x, double* log_q, double* q, Index n) {
  double top = x[0], total = 0;
  for (Index i = 1; i < n; ++i) top = x[i] > top ? x[i] : top;
  for (Index i = 0; i < n; ++i) log_q[i] = x[i] - top;
  unary().exp(log_q, q, n);
  for (Index i = 0; i < n; ++i) total += q[i];
  double log_total = total;
  unary().log(&log_total, &log_total, 1);
  for (Index i = 0; i < n; ++i) log_q[i] -= log_total, q[i] /= total;
}

// sum of -alpha t (1 - q)^gamma log(q). The slopes go through h = q dloss/dq, which stays finite where q vanishes.
double categorical_focal(const Options& o, const RowSpan& s) {
  double *const q = s.scratch, *const log_q = s.scratch + s.n, *const f = s.slope;
  double total = 1;
  if (o.from_logits) {
    log_softmax(s.output, log_q, q, s.n);
  } else {  // Keras: divided by their sum, then kept away from 0 and 1
    total = 0;
    for (Index i = 0; i < s.n; ++i) total += s.output[i];
    for (Index i = 0; i < s.n; ++i) {
      q[i] = s.output[i] / total;
      q[i] = q[i] < kEpsilon ? kEpsilon : q[i] > 1 - kEpsilon ? 1 - kEpsilon : q[i];
    }
    unary().log(q, log_q, s.n);
  }
  for (Index i = 0; i < s.n; ++i) f[i] = 1 - q[i];
  unary().log(f, f, s.n);
  for (Index i = 0; i < s.n; ++i) f[i] = o.gamma == 0 ? 0.0 : o.gamma * f[i];
  unary().exp(f, f, s.n);
  double loss = 0, shared = 0;
  for (Index i = 0; i < s.n; ++i) {
    const double t = s.target[i] * (1 - o.label_smoothing) + o.label_smoothing / static_cast<double>(s.n);
    const double u = 1 - q[i];
    const double bits = q[i] == 0 ? 0.0 : q[i] * log_q[i];
    const double df = u == 0 ? (o.gamma == 1 ? 1.0 : 0.0) : o.gamma * (f[i] / u);
    const bool live = o.from_logits || q[i] == s.output[i] / total || q[i] != q[i];
    if (t != 0) loss -= o.alpha * t * f[i] * log_q[i];
    f[i] = live ? o.alpha * t * (df * bits - f[i]) : 0.0;
    shared += f[i];
  }
  for (Index i = 0; i < s.n; ++i) {
    s.slope[i] = o.from_logits ? f[i] - q[i] * shared : (f[i] / q[i] - shared) / total;
  }
  return loss;
}

}  // namespace

RowFormula row_formula(std::string_view name) {
  if (name == "cosine_similarity") return cosine_similarity;
  if (name == "kl_divergence") return kl_divergence;
  if (name == "categorical_hinge") return categorical_hinge;
  if (name == "categorical_focal") return categorical_focal;
  return nullptr;
}

}  // namespace latchwork
