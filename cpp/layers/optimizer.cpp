#include "layers/optimizer.h"

#include <cmath>

#include "cpu/dispatch.h"
#include "layers/statistics.h"

namespace latchwork {

namespace {

// Moves every array of a step's arguments forward, the absent ones excepted.
template <class T, class... Arrays>
void advance(Index offset, Arrays*&... arrays) {
  ((arrays = arrays ? arrays + offset : nullptr), ...);
}

double power(double base, Index exponent) noexcept {
  double result = 1;
  for (; exponent > 0; exponent /= 2) {
    if (exponent % 2 == 1) result *= base;
    base *= base;
  }
  return result;
}

}  // namespace

template <class T>
void update(const SgdArgs<T>& args) {
  const auto& k = kernels().of<T>().elementwise;
  parallel_for(args.n, kElementGrain, [&](Index begin, Index end) {
    SgdArgs<T> part = args;
    part.n = end - begin;
    advance<T>(begin, part.params, part.grads, part.velocity);
    k.sgd(part);
  });
}

template <class T>
void update(const RmspropArgs<T>& args) {
  const auto& k = kernels().of<T>().elementwise;
  parallel_for(args.n, kElementGrain, [&](Index begin, Index end) {
    RmspropArgs<T> part = args;
    part.n = end - begin;
    advance<T>(begin, part.params, part.grads, part.square, part.momenta, part.average);
    k.rmsprop(part);
  });
}

template <class T>
void update(const AdamArgs<T>& args) {
  const auto& k = kernels().of<T>().elementwise;
  parallel_for(args.n, kElementGrain, [&](Index begin, Index end) {
    AdamArgs<T> part = args;
    part.n = end - begin;
    advance<T>(begin, part.params, part.grads, part.first, part.second, part.maximum);
    k.adam(part);
  });
}

double adam_step_size(double learning_rate, double beta_1, double beta_2, Index step) noexcept {
  return learning_rate * std::sqrt(1 - power(beta_2, step)) / (1 - power(beta_1, step));
}

template <class T>
void clip_norm(T* gradients, const Ranges& variables, double max_norm, bool together) {
  const auto shrink = [&](Index start, Index stop, double norm) {
    if (norm <= max_norm) return;
    // norm - norm is 0, or NaN for infinity and NaN.
    const double factor = max_norm / norm + (together ? norm - norm : 0.0);
    scale(static_cast<T>(factor), gradients + start, stop - start);
  };
  double joint = 0;
  for (const auto& [start, stop] : variables) {
    const double squares = sum_squares(gradients + start, stop - start);
    if (!together) shrink(start, stop, std::sqrt(squares));
    joint += squares;
  }
  if (!together) return;
  for (const auto& [start, stop] : variables) shrink(start, stop, std::sqrt(joint));
}

#define LATCHWORK_INSTANTIATE(T)                  \
  template void update<T>(const SgdArgs<T>&);     \
  template void update<T>(const RmspropArgs<T>&); \
  template void update<T>(const AdamArgs<T>&);    \
  template void clip_norm<T>(T*, const Ranges&, double, bool);
LATCHWORK_INSTANTIATE(float)
LATCHWORK_INSTANTIATE(double)
#undef LATCHWORK_INSTANTIATE

}  // namespace latchwork
