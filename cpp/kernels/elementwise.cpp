// This ISA's table of the elementwise passes.
#include "kernels/elementwise.h"

#include "kernels/lanes.h"
#include "kernels/losses.h"
#include "kernels/updates.h"

namespace latchwork::LATCHWORK_ISA {
namespace {

template <class V, class T = typename V::Scalar>
void axpy(T a, const T* x, T* y, Index n) noexcept {
  for_each<V>(n, [=](Index i, auto lanes) { lanes.store(y + i, lanes.load(y + i) + V(a) * lanes.load(x + i)); });
}

template <class V, class T = typename V::Scalar>
void scale(T a, T* x, Index n) noexcept {
  for_each<V>(n, [=](Index i, auto lanes) { lanes.store(x + i, V(a) * lanes.load(x + i)); });
}

template <class V, class T = typename V::Scalar>
void clip(T limit, T* x, Index n) noexcept {
  for_each<V>(n, [=](Index i, auto lanes) { lanes.store(x + i, clamp(lanes.load(x + i), V(-limit), V(limit))); });
}

template <class V, class T = typename V::Scalar>
bool within(T low, T high, const T* x, Index n) noexcept {
  V outside(T(0));
  const auto check = [low, high, &outside](V v) { outside = select(inside(v, low, high), outside, V(T(1))); };
  Index i = 0;
  for (; i + V::kLanes <= n; i += V::kLanes) check(V::load(x + i));
  T lane[V::kLanes];
  outside.store(lane);
  bool result = true;
  for (T value : lane) result = result && value == T(0);
  for (; i < n; ++i) result = result && low <= x[i] && x[i] <= high;
  return result;
}

template <class V, class T = typename V::Scalar>
void dropout(const T* x, const T* mask, T* y, Index n) noexcept {
  for_each<V>(n, [=](Index i, auto lanes) {
    const V m = lanes.load(mask + i);
    lanes.store(y + i, select(m == V(T(0)), V(T(0)), lanes.load(x + i) * m));
  });
}

template <class V, class T = typename V::Scalar>
T sum(const T* x, Index n) noexcept {
  return sum_chunk<V>(n, [=](V total, Index i, auto lanes) { return total + lanes.load(x + i); });
}

template <class V, class T = typename V::Scalar>
T dot(const T* x, const T* y, Index n) noexcept {
  return sum_chunk<V>(n, [=](V total, Index i, auto lanes) { return total + lanes.load(x + i) * lanes.load(y + i); });
}

template <class T, class V = Vec<T>>
constexpr ElementwiseKernels<T> elementwise_table() {
  return {
      .axpy = axpy<V>,
      .scale = scale<V>,
      .clip = clip<V>,
      .within = within<V>,
      .dropout = dropout<V>,
      .softmax = softmax<V>,
      .softmax_backward = softmax_backward<V>,
      .sum = sum<V>,
      .dot = dot<V>,
      .squared_error = squared_error<V>,
      .absolute_error = absolute_error<V>,
      .huber = huber<V>,
      .binary_crossentropy = binary_crossentropy<V>,
      .binary_crossentropy_logits = binary_crossentropy_logits<V>,
      .categorical_crossentropy = categorical_crossentropy<V>,
      .categorical_crossentropy_logits = categorical_crossentropy_logits<V>,
      .sgd = sgd<V>,
      .rmsprop = rmsprop<V>,
      .adam = adam<V>,
  };
}

}  // namespace

extern const ElementwiseKernels<float> elementwise_f32;
extern const ElementwiseKernels<double> elementwise_f64;
constinit const ElementwiseKernels<float> elementwise_f32 = elementwise_table<float>();
constinit const ElementwiseKernels<double> elementwise_f64 = elementwise_table<double>();

}  // namespace latchwork::LATCHWORK_ISA
