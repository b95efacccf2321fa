#include "layers/sampling.h"

#include <algorithm>
#include <limits>
#include <numeric>

#include "cpu/dispatch.h"

namespace latchwork {

TokenSampler::TokenSampler(Index tokens, const SamplingOptions& options) : tokens_(tokens), options_(options) {
  if (options_.top_k == 0 || options_.top_k > tokens) options_.top_k = tokens;
  if (options_.temperature > 0) weights_ = Buffer<double>(tokens);
  if (options_.top_k < tokens || options_.top_p < 1) order_ = Buffer<Index>(tokens);
}

Index TokenSampler::draw(const double* scores, double u) noexcept {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  const double least = options_.logits ? -kInfinity : 0.0;
  Index best = 0;
  for (Index i = 0; i < tokens_; ++i) {
    if (!(scores[i] >= least && scores[i] < kInfinity)) return -1;
    if (scores[i] > scores[best]) best = i;
  }
  if (!(scores[best] > least)) return -1;
  if (options_.temperature == 0) return best;

  double* const weights = weights_.data();
  const auto& f = kernels().of<double>().unary;
  std::copy_n(scores, tokens_, weights);
  if (!options_.logits) f.log(weights, weights, tokens_);
  const double largest = weights[best];
  for (Index i = 0; i < tokens_; ++i) {
    const double below = weights[i] - largest;
    weights[i] = below == 0 ? 0 : below / options_.temperature;  // the temperature may be subnormal
  }
  f.exp(weights, weights, tokens_);
  if (order_.size() > 0) keep_most_likely(scores);

  const double target = u * std::accumulate(weights, weights + tokens_, 0.0);
  double sum = 0;
  for (Index i = 0; i < tokens_; ++i)
    if ((sum += weights[i]) > target) return i;
  return best;  // not reached: target is below the sum of the same additions
}

void TokenSampler::keep_most_likely(const double* scores) noexcept {
  Index* const order = order_.data();
  std::iota(order, order + tokens_, Index{0});
  const auto before = [scores](Index a, Index b) { return scores[a] > scores[b] || (scores[a] == scores[b] && a < b); };
  Index kept = options_.top_k;
  if (options_.top_p < 1) {
    std::partial_sort(order, order + kept, order + tokens_, before);
    double all = 0, sum = 0;
    for (Index i = 0; i < kept; ++i) all += weights_[order[i]];
    for (Index i = 0; i < kept; ++i)
      if ((sum += weights_[order[i]]) >= options_.top_p * all) kept = i + 1;
  } else {
    std::nth_element(order, order + kept, order + tokens_, before);
  }
  for (Index i = kept; i < tokens_; ++i) weights_[order[i]] = 0;
}

void sample_quantiles(double* values, Index n, const double* levels, Index count, double* out) noexcept {
  if (std::any_of(values, values + n, [](double value) { return value != value; })) {
    std::fill_n(out, count, std::numeric_limits<double>::quiet_NaN());
    return;
  }
  std::sort(values, values + n);
  for (Index q = 0; q < count; ++q) {
    const double at = levels[q] * static_cast<double>(n - 1);
    const Index below = std::min(static_cast<Index>(at), n - 1), above = std::min(below + 1, n - 1);
    const double low = values[below], high = values[above];
    const double part = at - static_cast<double>(below);
    out[q] = part == 0 || low == high ? low : low + part * (high - low);  // infinities would become NaN
  }
}

}  // namespace latchwork
