#include "layers/ctc.h"

#include <algorithm>
#include <limits>

#include "layers/blocks.h"
#include "layers/statistics.h"

namespace latchwork {

namespace {

constexpr double kNever = -std::numeric_limits<double>::infinity();

const UnaryKernels<double>& unary() { return kernels().of<double>().unary; }

// What one sequence needs. A path runs through 2 L + 1 places: blank, label, blank, label, ..., blank.
struct Sequence {
  Index T, L, C, blank;
  const std::int64_t* label;  // [L]
  double* log_norm;           // [T]: log(sum(exp(logits)))
  double* emitted;            // [T][1 + L]: log p of blank and of each label
  double* alpha;              // [T][S]: log p of all beginnings that stand at place s at step t
  double* beta;               // [S]: log p of all ends that go on from there
  double* scratch;            // [4 S + C]

  Index S() const { return 2 * L + 1; }
  static Index doubles(Index T, Index L, Index C) { return T * (1 + 1 + L + 2 * L + 1) + 5 * (2 * L + 1) + C; }
  Index class_at(Index s) const { return s % 2 == 0 ? blank : static_cast<Index>(label[s / 2]); }
  double emission(Index t, Index s) const { return emitted[t * (1 + L) + (s % 2 == 0 ? 0 : 1 + s / 2)]; }
  // A path may leap over the blank between two labels, unless they are the same.
  bool leaps(Index s) const { return s % 2 == 1 && s >= 2 && label[s / 2] != label[s / 2 - 1]; }
};

Sequence placed(double* at, Index T, Index L, Index C) {
  Sequence q{};
  q.T = T, q.L = L, q.C = C;
  q.log_norm = at;
  q.emitted = q.log_norm + T;
  q.alpha = q.emitted + T * (1 + L);
  q.beta = q.alpha + T * q.S();
  q.scratch = q.beta + q.S();
  return q;
}

// y = log(exp(a) + exp(b) + exp(c)), each [n], scratch [3 n]; a, b and c are overwritten.
void log_add(double* a, double* b, double* c, double* y, Index n) {
  for (Index i = 0; i < n; ++i) {
    const double top = std::max(a[i], std::max(b[i], c[i]));
    const double base = top == kNever ? 0.0 : top;
    a[i] -= base, b[i] -= base, c[i] -= base;
    y[i] = base;
  }
  unary().exp(a, a, n);
  unary().exp(b, b, n);
  unary().exp(c, c, n);
  for (Index i = 0; i < n; ++i) a[i] = a[i] + b[i] + c[i];
  unary().log(a, a, n);
  for (Index i = 0; i < n; ++i) y[i] += a[i];
}

template <class T>
void emit(const Sequence& q, const T* logits) {
  double* const e = q.scratch;
  for (Index t = 0; t < q.T; ++t) {
    const T* const x = logits + t * q.C;
    double top = static_cast<double>(x[0]), total = 0;
    for (Index c = 1; c < q.C; ++c) top = std::max(top, static_cast<double>(x[c]));
    for (Index c = 0; c < q.C; ++c) e[c] = static_cast<double>(x[c]) - top;
    unary().exp(e, e, q.C);
    for (Index c = 0; c < q.C; ++c) total += e[c];
    unary().log(&total, &total, 1);
    q.log_norm[t] = total + top;
    double* const row = q.emitted + t * (1 + q.L);
    row[0] = static_cast<double>(x[q.blank]) - top - total;
    for (Index l = 0; l < q.L; ++l) row[1 + l] = static_cast<double>(x[q.label[l]]) - top - total;
  }
}

// log p(labels).
double forward(const Sequence& q) {
  const Index S = q.S();
  double *const stay = q.scratch, *const move = stay + S, *const leap = move + S;
  for (Index t = 0; t < q.T; ++t) {
    double* const now = q.alpha + t * S;
    if (t == 0) {
      std::fill_n(now, S, kNever);
      for (Index s = 0; s < std::min<Index>(2, S); ++s) now[s] = q.emission(0, s);
      continue;
    }
    const double* const before = now - S;
    for (Index s = 0; s < S; ++s) {
      stay[s] = before[s];
      move[s] = s >= 1 ? before[s - 1] : kNever;
      leap[s] = q.leaps(s) ? before[s - 2] : kNever;
    }
    log_add(stay, move, leap, now, S);
    for (Index s = 0; s < S; ++s) now[s] += q.emission(t, s);
  }
  const double* const last = q.alpha + (q.T - 1) * S;
  double ends[3] = {last[S - 1], S > 1 ? last[S - 2] : kNever, kNever}, result;
  log_add(ends, ends + 1, ends + 2, &result, 1);
  return result;
}

// d(-log p)/d(logits) = softmax(logits) - the share of all paths that emit the class at this step.
template <class T>
void backward(const Sequence& q, double log_p, double scale, const T* logits, T* gradient) {
  const Index S = q.S();
  double *const stay = q.scratch, *const move = stay + S, *const leap = move + S, *const next = leap + S;
  double* const p = next + S;  // [C]
  for (Index t = q.T - 1; t >= 0; --t) {
    if (t == q.T - 1) {
      for (Index s = 0; s < S; ++s) q.beta[s] = s >= S - 2 ? 0.0 : kNever;
    } else {
      for (Index s = 0; s < S; ++s) next[s] = q.beta[s] + q.emission(t + 1, s);
      for (Index s = 0; s < S; ++s) {
        stay[s] = next[s];
        move[s] = s + 1 < S ? next[s + 1] : kNever;
        leap[s] = s + 2 < S && q.leaps(s + 2) ? next[s + 2] : kNever;
      }
      log_add(stay, move, leap, q.beta, S);
    }
    double* const share = stay;
    for (Index s = 0; s < S; ++s) share[s] = q.alpha[t * S + s] + q.beta[s] - log_p;
    unary().exp(share, share, S);
    for (Index c = 0; c < q.C; ++c) p[c] = static_cast<double>(logits[t * q.C + c]) - q.log_norm[t];
    unary().exp(p, p, q.C);
    for (Index s = 0; s < S; ++s) p[q.class_at(s)] -= share[s];
    for (Index c = 0; c < q.C; ++c) gradient[t * q.C + c] = static_cast<T>(p[c] * scale);
  }
}

}  // namespace

template <class T>
double ctc_loss(const CtcBatch<T>& batch) {
  const auto steps_of = [&](Index i) { return static_cast<Index>(batch.steps[i + 1] - batch.steps[i]); };
  const auto labels_of = [&](Index i) { return static_cast<Index>(batch.places[i + 1] - batch.places[i]); };
  Index scratch = 0;
  for (Index i = 0; i < batch.sequences; ++i) {
    scratch = std::max(scratch, Sequence::doubles(steps_of(i), labels_of(i), batch.classes));
  }
  Buffer<double> losses(batch.sequences);
  in_blocks(batch.sequences, 1, 1, scratch, [&](Index i, Index, double* own) {
    const Index T_i = steps_of(i), C = batch.classes;
    const double weight = batch.weight ? static_cast<double>(batch.weight[i]) : 1.0;
    T* const gradient = batch.gradient ? batch.gradient + batch.steps[i] * C : nullptr;
    losses[i] = 0.0;
    if (weight == 0.0 || T_i == 0) {
      if (gradient) std::fill_n(gradient, T_i * C, T(0));
      if (weight != 0.0 && labels_of(i) > 0) losses[i] = -kNever * weight;
      return;
    }
    Sequence q = placed(own, T_i, labels_of(i), C);
    q.blank = batch.blank;
    q.label = batch.labels + batch.places[i];
    const T* const logits = batch.logits + batch.steps[i] * C;
    emit(q, logits);
    const double log_p = forward(q);
    losses[i] = -log_p * weight;
    if (!gradient) return;
    if (log_p == kNever) {
      std::fill_n(gradient, T_i * C, std::numeric_limits<T>::quiet_NaN());
    } else {
      backward(q, log_p, weight / static_cast<double>(batch.count), logits, gradient);
    }
  });
  return sum(losses.data(), batch.sequences);
}

template double ctc_loss<float>(const CtcBatch<float>&);
template double ctc_loss<double>(const CtcBatch<double>&);

}  // namespace latchwork
