// Losses with their gradients in the same pass, formulas of Keras 3 (keras/src/losses, keras/src/backend).
#pragma once

#include "kernels/lanes.h"
#include "simd/math.h"

namespace latchwork::LATCHWORK_ISA {
namespace {

// Probabilities are kept this far from 0 and 1 (keras.config.epsilon()); where that clips, the gradient is 0.
template <class T>
constexpr T kClip = T(1e-7);

template <class V>
inline auto inside(V p, typename V::Scalar low, typename V::Scalar high) {
  return (V(low) <= p) & (p <= V(high));
}

// An elementwise loss is two formulas: its value, and its derivative by the prediction.
template <class V, class T, class F>
inline T elementwise_loss(const LossArgs<T>& a, F formula) {
  return sum_chunk<V>(a.n, [&](V sum, Index i, auto lanes) {
    V loss;
    V derivative;
    formula(lanes.load(a.target + i), lanes.load(a.prediction + i), loss, derivative);
    V scale(a.scale);
    if (a.weight) {
      const V weight = lanes.load(a.weight + i);
      const auto left_out = weight == V(T(0));
      loss = select(left_out, V(T(0)), loss * weight);
      derivative = select(left_out, V(T(0)), derivative);
      scale = scale * weight;
    }
    if (a.gradient) lanes.store(a.gradient + i, derivative * scale);
    return sum + lanes.keep(loss);
  });
}

template <class V, class T = typename V::Scalar>
T squared_error(const LossArgs<T>& a) noexcept {
  return elementwise_loss<V>(a, [](V target, V prediction, V& loss, V& derivative) {
    const V error = prediction - target;
    loss = error * error;
    derivative = error + error;
  });
}

template <class V, class T = typename V::Scalar>
T absolute_error(const LossArgs<T>& a) noexcept {
  return elementwise_loss<V>(a, [](V target, V prediction, V& loss, V& derivative) {
    const V error = prediction - target;
    loss = abs(error);
    derivative = select(error == V(T(0)), V(T(0)), copysign(V(T(1)), error));
    derivative = select(error != error, error, derivative);  // NaN stays NaN
  });
}

template <class V, class T = typename V::Scalar>
T huber(const LossArgs<T>& a) noexcept {
  const V delta(a.delta);
  return elementwise_loss<V>(a, [delta](V target, V prediction, V& loss, V& derivative) {
    const V error = prediction - target;
    const V size = abs(error);
    const auto square = size <= delta;
    loss = select(square, V(T(0.5)) * (error * error), delta * (size - V(T(0.5)) * delta));
    derivative = clamp(error, -delta, delta);
  });
}

template <class V, class T>
inline V smoothed(const LossArgs<T>& a, V target) {
  return fma(target, V(T(1) - a.smoothing), V(T(0.5) * a.smoothing));
}

template <class V, class T = typename V::Scalar>
T binary_crossentropy(const LossArgs<T>& a) noexcept {
  constexpr T low = kClip<T>, high = T(1) - kClip<T>;
  return elementwise_loss<V>(a, [&a](V target, V prediction, V& loss, V& derivative) {
    const V one(T(1));
    const V t = smoothed(a, target);
    const V p = clamp(prediction, V(low), V(high));
    loss = -(t * log(p) + (one - t) * log(one - p));
    derivative = (p - t) / (p * (one - p));
    derivative = select((prediction < V(low)) | (V(high) < prediction), V(T(0)), derivative);
  });
}

// max(x, 0) - x t + log(1 + exp(-|x|)): no overflow, and exact for large |x|.
template <class V, class T = typename V::Scalar>
T binary_crossentropy_logits(const LossArgs<T>& a) noexcept {
  return elementwise_loss<V>(a, [&a](V target, V x, V& loss, V& derivative) {
    const V t = smoothed(a, target);
    loss = (max(x, V(T(0))) - x * t) + log1p(exp(-abs(x)));
    derivative = sigmoid(x) - t;
  });
}

template <class V, class T>
inline T log_of(T x) {
  T lane[V::kLanes];
  log(V(x)).store(lane);
  return lane[0];
}

template <class V, class T>
inline V class_target(const ClassLossArgs<T>& a, Index i, auto lanes) {
  return fma(lanes.load(a.target + i), V(T(1) - a.smoothing), V(a.smoothing / static_cast<T>(a.classes)));
}

// log_softmax(x)[j] = (x[j] - max) - log(sum(exp(x - max))).
template <class V, class T = typename V::Scalar>
T categorical_crossentropy_logits(const ClassLossArgs<T>& a) noexcept {
  const T* x = a.prediction;
  const T top = largest<V>(x, a.classes);
  const T total = sum_row<V>(a.classes, [&](V sum, Index i, auto lanes) {
    const V e = exp(lanes.load(x + i) - V(top));
    if (a.gradient) lanes.store(a.gradient + i, e);
    return sum + lanes.keep(e);
  });
  const T log_total = log_of<V>(total);
  if (!a.target) {
    if (a.gradient) {
      for_each<V>(a.classes, [&](Index i, auto lanes) {
        lanes.store(a.gradient + i, lanes.load(a.gradient + i) / V(total) * V(a.scale));
      });
      // exp again: the row holds scaled values already, and x[label] must not be rounded twice.
      T lane[V::kLanes];
      exp(V(x[a.label] - top)).store(lane);
      a.gradient[a.label] = (lane[0] / total - T(1)) * a.scale;
    }
    return log_total - (x[a.label] - top);
  }
  const T weight =
      sum_row<V>(a.classes, [&](V sum, Index i, auto lanes) { return sum + lanes.keep(class_target<V>(a, i, lanes)); });
  return sum_row<V>(a.classes, [&](V sum, Index i, auto lanes) {
    const V t = class_target<V>(a, i, lanes);
    const V loss = t * (V(log_total) - (lanes.load(x + i) - V(top)));
    if (a.gradient) {
      const V p = lanes.load(a.gradient + i) / V(total);
      lanes.store(a.gradient + i, (p * V(weight) - t) * V(a.scale));
    }
    return sum + lanes.keep(loss);
  });
}

// Probabilities are divided by their sum first, as Keras does: q = p / sum(p), loss = -sum(t log(clip(q))).
// With g = dloss/dq, the gradient is (g - sum(g q)) / sum(p).
template <class V, class T = typename V::Scalar>
T categorical_crossentropy(const ClassLossArgs<T>& a) noexcept {
  constexpr T low = kClip<T>, high = T(1) - kClip<T>;
  const T* p = a.prediction;
  const T total = sum_row<V>(a.classes, [&](V sum, Index i, auto lanes) { return sum + lanes.load(p + i); });
  if (!a.target) {
    const T q = p[a.label] / total;
    const T clipped = q < low ? low : high < q ? high : q;
    if (a.gradient) {
      const bool live = !(q < low || high < q);
      const T g = live ? T(-1) / q : T(0);
      const T shared = -(g * q) / total * a.scale;
      for_each<V>(a.classes, [&](Index i, auto lanes) { lanes.store(a.gradient + i, V(shared)); });
      a.gradient[a.label] = (g - g * q) / total * a.scale;
    }
    return -log_of<V>(clipped);
  }
  const auto slope = [&](V t, V q) {  // -dloss/dq
    return select((q < V(low)) | (V(high) < q), V(T(0)), t / q);
  };
  const T shared = sum_row<V>(a.classes, [&](V sum, Index i, auto lanes) {
    const V q = lanes.load(p + i) / V(total);
    return sum + lanes.keep(slope(class_target<V>(a, i, lanes), q) * q);
  });
  return sum_row<V>(a.classes, [&](V sum, Index i, auto lanes) {
    const V t = class_target<V>(a, i, lanes);
    const V q = lanes.load(p + i) / V(total);
    if (a.gradient) lanes.store(a.gradient + i, (V(shared) - slope(t, q)) / V(total) * V(a.scale));
    return sum - lanes.keep(t * log(clamp(q, V(low), V(high))));
  });
}

template <class V, class T = typename V::Scalar>
void softmax(const T* x, T* y, Index n) noexcept {
  if (n == 0) return;
  const T top = largest<V>(x, n);
  const T total = sum_row<V>(n, [&](V sum, Index i, auto lanes) {
    const V e = exp(lanes.load(x + i) - V(top));
    lanes.store(y + i, e);
    return sum + lanes.keep(e);
  });
  for_each<V>(n, [&](Index i, auto lanes) { lanes.store(y + i, lanes.load(y + i) / V(total)); });
}

template <class V, class T = typename V::Scalar>
void softmax_backward(const T* y, const T* dy, T* dx, Index n) noexcept {
  const T shared =
      sum_row<V>(n, [&](V sum, Index i, auto lanes) { return fma(lanes.load(y + i), lanes.load(dy + i), sum); });
  for_each<V>(n,
              [&](Index i, auto lanes) { lanes.store(dx + i, lanes.load(y + i) * (lanes.load(dy + i) - V(shared))); });
}

}  // namespace
}  // namespace latchwork::LATCHWORK_ISA
