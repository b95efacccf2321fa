// Optimizer steps, formulas of Keras 3 (keras/src/optimizers), one pass over parameters, gradients and moments.
#pragma once

#include "kernels/lanes.h"

namespace latchwork::LATCHWORK_ISA {
namespace {

template <class V, class T = typename V::Scalar>
void sgd(const SgdArgs<T>& a) noexcept {
  for_each<V>(a.n, [&](Index i, auto lanes) {
    const V w = lanes.load(a.params + i);
    const V decayed = fnma(w, V(a.decay), w);
    const V step = V(a.learning_rate) * lanes.load(a.grads + i);
    if (!a.velocity) return lanes.store(a.params + i, decayed - step);
    const V velocity = fma(V(a.momentum), lanes.load(a.velocity + i), -step);
    lanes.store(a.velocity + i, velocity);
    lanes.store(a.params + i, decayed + (a.nesterov ? fma(V(a.momentum), velocity, -step) : velocity));
  });
}

template <class V, class T = typename V::Scalar>
void rmsprop(const RmspropArgs<T>& a) noexcept {
  for_each<V>(a.n, [&](Index i, auto lanes) {
    const V w = lanes.load(a.params + i);
    const V g = lanes.load(a.grads + i);
    const V decayed = fnma(w, V(a.decay), w);
    const V square = fma(V(a.rho), lanes.load(a.square + i), V(a.one_minus_rho) * (g * g));
    lanes.store(a.square + i, square);
    V variance = square;
    if (a.average) {
      const V average = fma(V(a.rho), lanes.load(a.average + i), V(a.one_minus_rho) * g);
      lanes.store(a.average + i, average);
      variance = fnma(average, average, square);
    }
    V step = V(a.learning_rate) * g / sqrt(variance + V(a.epsilon));
    if (a.momenta) {
      step = fma(V(a.momentum), lanes.load(a.momenta + i), step);
      lanes.store(a.momenta + i, step);
    }
    lanes.store(a.params + i, decayed - step);
  });
}

template <class V, class T = typename V::Scalar>
void adam(const AdamArgs<T>& a) noexcept {
  for_each<V>(a.n, [&](Index i, auto lanes) {
    const V w = lanes.load(a.params + i);
    const V g = lanes.load(a.grads + i);
    const V m = lanes.load(a.first + i);
    const V v = lanes.load(a.second + i);
    const V first = fma(g - m, V(a.one_minus_beta_1), m);
    const V second = fma(fma(g, g, -v), V(a.one_minus_beta_2), v);
    lanes.store(a.first + i, first);
    lanes.store(a.second + i, second);
    V spread = second;
    if (a.maximum) {
      spread = max(second, lanes.load(a.maximum + i));
      lanes.store(a.maximum + i, spread);
    }
    const V decayed = fnma(w, V(a.decay), w);
    lanes.store(a.params + i, decayed - first * V(a.step_size) / (sqrt(spread) + V(a.epsilon)));
  });
}

}  // namespace
}  // namespace latchwork::LATCHWORK_ISA
