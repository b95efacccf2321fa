#include "layers/rules.h"

#include <algorithm>
#include <cmath>

#include "layers/schedule.h"
#include "layers/statistics.h"

namespace latchwork {
namespace {

// f(i) for every element. No fma in it: where the processor has none, it is a call of 21-103 ns.
template <class F>
void each(Index n, F f) {
  parallel_for(n, kElementGrain, [=](Index begin, Index end) {
    for (Index i = begin; i < end; ++i) f(i);
  });
}

// The warming momentum of T. Dozat (2016): beta_1 (1 - 0.96^step / 2).
double nadam_momentum(double beta_1, Index step) { return beta_1 * (1 - 0.5 * power(0.96, static_cast<double>(step))); }

// The product of those of steps 1 to `step`. 0.96^1000 / 2 is lost in 1: from there on they are beta_1.
double nadam_product(double beta_1, Index step) {
  constexpr Index kWarm = 1000;
  double product = 1, decay = 1;
  for (Index i = 1; i <= std::min(step, kWarm); ++i) {
    decay *= 0.96;
    product *= beta_1 * (1 - 0.5 * decay);
  }
  return step > kWarm ? product * power(beta_1, static_cast<double>(step - kWarm)) : product;
}

template <class T>
void nadam(const RuleArgs<T>& a, T decay) {
  const double now = nadam_momentum(a.beta_1, a.step), next = nadam_momentum(a.beta_1, a.step + 1);
  const double product = nadam_product(a.beta_1, a.step);
  const T of_mean = static_cast<T>(a.learning_rate * next / (1 - product * next));
  const T of_gradient = static_cast<T>(a.learning_rate * (1 - now) / (1 - product));
  const T of_square = static_cast<T>(1 / (1 - power(a.beta_2, static_cast<double>(a.step))));
  const T gain_1 = static_cast<T>(1 - a.beta_1), gain_2 = static_cast<T>(1 - a.beta_2);
  const T epsilon = static_cast<T>(a.epsilon);
  each(a.n, [=, w = a.params, g = a.grads, m = a.first, v = a.second](Index i) {
    m[i] += (g[i] - m[i]) * gain_1;
    v[i] += (g[i] * g[i] - v[i]) * gain_2;
    const T step = (of_mean * m[i] + of_gradient * g[i]) / (std::sqrt(of_square * v[i]) + epsilon);
    w[i] = w[i] - decay * w[i] - step;
  });
}

template <class T>
void adagrad(const RuleArgs<T>& a, T decay) {
  const T rate = static_cast<T>(a.learning_rate), epsilon = static_cast<T>(a.epsilon);
  each(a.n, [=, w = a.params, g = a.grads, sum = a.first](Index i) {
    sum[i] += g[i] * g[i];
    w[i] = w[i] - decay * w[i] - rate * g[i] / std::sqrt(sum[i] + epsilon);
  });
}

template <class T>
void adadelta(const RuleArgs<T>& a, T decay) {
  const T rate = static_cast<T>(a.learning_rate), epsilon = static_cast<T>(a.epsilon);
  const T rho = static_cast<T>(a.beta_1), gain = static_cast<T>(1 - a.beta_1);
  each(a.n, [=, w = a.params, g = a.grads, square = a.first, steps = a.second](Index i) {
    square[i] = rho * square[i] + gain * (g[i] * g[i]);
    const T step = std::sqrt(steps[i] + epsilon) * g[i] / std::sqrt(square[i] + epsilon);
    steps[i] = rho * steps[i] + gain * (step * step);
    w[i] = w[i] - decay * w[i] - rate * step;
  });
}

template <class T>
void lion(const RuleArgs<T>& a, T decay) {
  const T rate = static_cast<T>(a.learning_rate);
  const T beta_1 = static_cast<T>(a.beta_1), gain_1 = static_cast<T>(1 - a.beta_1);
  const T beta_2 = static_cast<T>(a.beta_2), gain_2 = static_cast<T>(1 - a.beta_2);
  each(a.n, [=, w = a.params, g = a.grads, m = a.first](Index i) {
    const T toward = m[i] * beta_1 + g[i] * gain_1;
    const T sign = toward > 0 ? T(1) : toward < 0 ? T(-1) : toward;  // 0 stays 0, NaN stays NaN
    w[i] = w[i] - decay * w[i] - rate * sign;
    m[i] = m[i] * beta_2 + g[i] * gain_2;
  });
}

}  // namespace

template <class T>
void update(Rule rule, const RuleArgs<T>& a) {
  const T decay = static_cast<T>(a.learning_rate * a.weight_decay);
  switch (rule) {
    case Rule::kNadam:
      return nadam(a, decay);
    case Rule::kAdagrad:
      return adagrad(a, decay);
    case Rule::kAdadelta:
      return adadelta(a, decay);
    case Rule::kLion:
      return lion(a, decay);
  }
}

template <class T>
void update_average(double momentum, const T* params, T* average, Index n) {
  const T keep = static_cast<T>(momentum), gain = static_cast<T>(1 - momentum);
  each(n, [=](Index i) { average[i] = keep * average[i] + gain * params[i]; });
}

#define LATCHWORK_INSTANTIATE(T)                     \
  template void update<T>(Rule, const RuleArgs<T>&); \
  template void update_average<T>(double, const T*, T*, Index);
LATCHWORK_INSTANTIATE(float)
LATCHWORK_INSTANTIATE(double)
#undef LATCHWORK_INSTANTIATE

}  // namespace latchwork
