#include "layers/orthogonal.h"

#include <cmath>

#include "layers/statistics.h"

namespace latchwork {

namespace {

// 8 reflectors are applied to a vector while it is in L1: one at a time reads the whole matrix once per reflector.
constexpr Index kPanel = 8;

struct Reflectors {
  double* vectors;  // [count, length]; reflector k is vectors[k][k ..]
  double* factor;   // [count]: 2 / v.v
  Index length;

  const double* at(Index k) const { return vectors + k * length + k; }

  // x -= factor * (v.x) * v, elements k and beyond
  void apply(Index k, double* x) const noexcept {
    const double* v = at(k);
    const Index n = length - k;
    kernels().of<double>().elementwise.axpy(-(factor[k] * dot_alone(v, x + k, n)), v, x + k, n);
  }

  // Turns column k into the reflector that clears it below the diagonal; returns the diagonal of R.
  double make(Index k) noexcept {
    double* const x = vectors + k * length + k;
    const double norm = std::sqrt(dot_alone(x, x, length - k));
    const double diagonal = x[0] > 0 ? -norm : norm;
    x[0] -= diagonal;  // both of one sign: nothing cancels
    factor[k] = 1 / (norm * std::abs(x[0]));
    return diagonal;
  }
};

}  // namespace

void orthonormalize(double* vectors, Index count, Index length) {
  if (count == 0) return;
  Buffer<double> factor(count), diagonal(count), result(checked_product(count, length));
  Reflectors reflectors{vectors, factor.data(), length};
  InterruptPoll poll;
  for (Index panel = 0; panel < count; panel += kPanel) {
    const Index panel_end = panel + kPanel < count ? panel + kPanel : count;
    for (Index k = panel; k < panel_end; ++k) {
      diagonal[k] = reflectors.make(k);
      for (Index j = k + 1; j < panel_end; ++j) reflectors.apply(k, vectors + j * length);
    }
    const Index grain = ceil_div(kElementGrain, length);  // columns a thread at least: some 10 us of work
    interruptible_for(count - panel_end, grain, poll, [&](Index begin, Index end) {
      for (Index j = panel_end + begin; j < panel_end + end; ++j) {
        for (Index k = panel; k < panel_end; ++k) reflectors.apply(k, vectors + j * length);
      }
    });
  }

  // Column j of Q is the product of the reflectors, the last first, on unit vector j; those beyond j leave it alone.
  const auto make_panel = [&](Index panel) {
    const Index begin = panel * kPanel;
    const Index end = begin + kPanel < count ? begin + kPanel : count;
    for (Index j = begin; j < end; ++j) {
      double* const q = result.data() + j * length;
      for (Index i = 0; i < length; ++i) q[i] = i == j ? 1 : 0;
    }
    for (Index k = end - 1; k >= 0 && !poll.wanted(); --k) {
      for (Index j = k > begin ? k : begin; j < end; ++j) reflectors.apply(k, result.data() + j * length);
    }
  };
  // Later panels cost more: each thread takes panels from both ends.
  const Index panels = ceil_div(count, kPanel);
  const Index grain = ceil_div(8 * kElementGrain, kPanel * count * length);
  interruptible_for(ceil_div(panels, 2), grain, poll, [&](Index begin, Index end) {
    for (Index panel = begin; panel < end; ++panel) {
      make_panel(panel);
      if (panels - 1 - panel != panel) make_panel(panels - 1 - panel);
    }
  });
  for (Index j = 0; j < count; ++j) {
    const double sign = diagonal[j] < 0 ? -1 : 1;
    for (Index i = 0; i < length; ++i) vectors[j * length + i] = sign * result[j * length + i];
  }
}

}  // namespace latchwork
