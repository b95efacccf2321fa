#include "layers/statistics.h"

#include <atomic>
#include <cmath>
#include <limits>

namespace latchwork {

template <class T>
double sum(const T* x, Index n) {
  const auto& k = kernels().of<T>().elementwise;
  return sum_chunks(n, [&](Index start, Index count) { return k.sum(x + start, count); });
}

template <class T>
double sum_squares(const T* x, Index n) {
  const auto& k = kernels().of<T>().elementwise;
  return sum_chunks(n, [&](Index start, Index count) { return k.dot(x + start, x + start, count); });
}

double dot_alone(const double* x, const double* y, Index n) noexcept {
  const auto& k = kernels().of<double>().elementwise;
  double total = 0;
  for (Index start = 0; start < n; start += kSumChunk) {
    total += k.dot(x + start, y + start, n - start < kSumChunk ? n - start : kSumChunk);
  }
  return total;
}

template <class T>
bool all_finite(const T* x, Index n) {
  const auto& k = kernels().of<T>().elementwise;
  constexpr T kMax = std::numeric_limits<T>::max();
  std::atomic<bool> finite = true;
  interruptible_for(n, 4 * kElementGrain, [&](Index begin, Index end) {
    if (!k.within(-kMax, kMax, x + begin, end - begin)) finite.store(false, std::memory_order_relaxed);
  });
  return finite.load();
}

namespace {

// The sum over rows of one column, of f(element); a chunk is gathered before it is summed.
template <class T, class F>
double sum_column(const T* a, Index rows, Index stride, double* scratch, InterruptPoll& poll, F f) noexcept {
  const auto& k = kernels().of<double>().elementwise;
  double total = 0;
  for (Index start = 0; start < rows && !poll.wanted(); start += kSumChunk) {
    const Index count = rows - start < kSumChunk ? rows - start : kSumChunk;
    for (Index i = 0; i < count; ++i) scratch[i] = f(static_cast<double>(a[(start + i) * stride]));
    total += k.sum(scratch, count);
  }
  return total;
}

}  // namespace

template <class T>
void mean_std(const T* a, Index rows, Index columns, double* mean, double* deviation) {
  const Index length = rows < kSumChunk ? rows : kSumChunk;
  Buffer<double> scratch(checked_product(length, columns));  // a chunk for each column: the team may not allocate
  const auto count = static_cast<double>(rows);
  const Index grain = rows < kElementGrain ? ceil_div(kElementGrain, rows) : 1;  // columns a thread at least
  InterruptPoll poll;
  interruptible_for(columns, grain, poll, [&](Index begin, Index end) {
    for (Index c = begin; c < end; ++c) {
      double* const own = scratch.data() + c * length;
      const double m = sum_column(a + c, rows, columns, own, poll, [](double v) { return v; }) / count;
      const double squares = sum_column(a + c, rows, columns, own, poll, [m](double v) { return (v - m) * (v - m); });
      mean[c] = m;
      deviation[c] = std::sqrt(squares / count);
    }
  });
}

template <class T>
void axpy(T a, const T* x, T* y, Index n) {
  const auto& k = kernels().of<T>().elementwise;
  parallel_for(n, kElementGrain, [&](Index begin, Index end) { k.axpy(a, x + begin, y + begin, end - begin); });
}

template <class T>
void scale(T factor, T* x, Index n) {
  const auto& k = kernels().of<T>().elementwise;
  parallel_for(n, kElementGrain, [&](Index begin, Index end) { k.scale(factor, x + begin, end - begin); });
}

template <class T>
void clip_value(T limit, T* x, Index n) {
  const auto& k = kernels().of<T>().elementwise;
  parallel_for(n, kElementGrain, [&](Index begin, Index end) { k.clip(limit, x + begin, end - begin); });
}

template <class T>
void softmax(const T* x, T* y, Index rows, Index columns) {
  if (columns == 0) return;
  const auto& k = kernels().of<T>().elementwise;
  interruptible_for(rows, ceil_div(kElementGrain / 8, columns), [&](Index begin, Index end) {
    for (Index r = begin; r < end; ++r) k.softmax(x + r * columns, y + r * columns, columns);
  });
}

template <class T>
void softmax_backward(const T* y, const T* dy, T* dx, Index rows, Index columns) {
  if (columns == 0) return;
  const auto& k = kernels().of<T>().elementwise;
  interruptible_for(rows, ceil_div(kElementGrain / 4, columns), [&](Index begin, Index end) {
    for (Index r = begin; r < end; ++r) {
      k.softmax_backward(y + r * columns, dy + r * columns, dx + r * columns, columns);
    }
  });
}

#define LATCHWORK_INSTANTIATE(T)                                       \
  template double sum<T>(const T*, Index);                             \
  template double sum_squares<T>(const T*, Index);                     \
  template bool all_finite<T>(const T*, Index);                        \
  template void mean_std<T>(const T*, Index, Index, double*, double*); \
  template void axpy<T>(T, const T*, T*, Index);                       \
  template void scale<T>(T, T*, Index);                                \
  template void clip_value<T>(T, T*, Index);                           \
  template void softmax<T>(const T*, T*, Index, Index);                \
  template void softmax_backward<T>(const T*, const T*, T*, Index, Index);
LATCHWORK_INSTANTIATE(float)
LATCHWORK_INSTANTIATE(double)
#undef LATCHWORK_INSTANTIATE

}  // namespace latchwork
