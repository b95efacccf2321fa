// One of many by its score: the token that a roll-out goes on with. On the calling thread.
#pragma once

#include "base/types.h"
#include "runtime/buffer.h"

namespace latchwork {

struct SamplingOptions {
  bool logits = false;     // the scores are logits, else probabilities
  double temperature = 1;  // 0: the most likely
  Index top_k = 0;         // of the top_k most likely alone; 0: of all
  double top_p = 1;        // of the fewest that together are at least this likely, after temperature and top_k
};

// Tokens are weighed by exp((logit - largest logit) / temperature) in float64, a logit being the log of a probability,
// and the sums that u is held against run in the order of the tokens: those that top_k or top_p leave out weigh
// nothing. Where scores are equal the lower token counts as the more likely.
class TokenSampler {
 public:
  TokenSampler(Index tokens, const SamplingOptions& options);
  // u uniform in [0, 1). -1 where a score is NaN, infinite or, of probabilities, negative, or where no token is likely.
  Index draw(const double* scores, double u) noexcept;

 private:
  void keep_most_likely(const double* scores) noexcept;

  Index tokens_;
  SamplingOptions options_;
  Buffer<double> weights_;
  Buffer<Index> order_;  // where some may be left out
};

// Quantiles by linear interpolation between the order statistics (type 7 of R. J. Hyndman, Y. Fan, "Sample quantiles in
// statistical packages", 1996), of n >= 1 values, which are sorted in place: NaN if one of them is.
void sample_quantiles(double* values, Index n, const double* levels, Index count, double* out) noexcept;

}  // namespace latchwork
