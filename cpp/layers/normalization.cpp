#include "layers/normalization.h"

#include <algorithm>
#include <cmath>

#include "layers/statistics.h"

namespace latchwork {
namespace {

Index row_grain(Index columns) { return ceil_div(kElementGrain, std::max<Index>(1, columns)); }

// A long sum over one row, on the calling thread.
template <class F>
double row_sum(Index columns, F chunk) noexcept {
  double total = 0;
  for (Index start = 0; start < columns; start += kSumChunk)
    total += static_cast<double>(chunk(start, std::min(kSumChunk, columns - start)));
  return total;
}

}  // namespace

template <class T>
void normalize_rows_alone(const T* x, Index rows, Index columns, double epsilon, T* normalized, T* inverse) noexcept {
  const auto& k = kernels().of<T>().elementwise;
  const auto count = static_cast<double>(columns);
  for (Index row = 0; row < rows; ++row, x += columns, normalized += columns) {
    const T mean = static_cast<T>(row_sum(columns, [&](Index i, Index n) { return k.sum(x + i, n); }) / count);
    for (Index c = 0; c < columns; ++c) normalized[c] = x[c] - mean;
    const double squares = row_sum(columns, [&](Index i, Index n) { return k.dot(normalized + i, normalized + i, n); });
    const T factor = static_cast<T>(1 / std::sqrt(squares / count + epsilon));
    k.scale(factor, normalized, columns);
    if (inverse) inverse[row] = factor;
  }
}

template <class T>
void normalize_rows(const T* x, Index rows, Index columns, double epsilon, T* normalized, T* inverse) {
  interruptible_for(rows, row_grain(columns), [=](Index begin, Index end) {
    normalize_rows_alone(x + begin * columns, end - begin, columns, epsilon, normalized + begin * columns,
                         inverse ? inverse + begin : nullptr);
  });
}

template <class T>
void normalize_rows_backward(const T* dy, const T* normalized, const T* inverse, const T* gamma, Index rows,
                             Index columns, T* dx) {
  const auto& k = kernels().of<T>().elementwise;
  const auto count = static_cast<double>(columns);
  interruptible_for(rows, row_grain(columns), [=, &k](Index begin, Index end) {
    for (Index row = begin; row < end; ++row) {
      const T* const hat = normalized + row * columns;
      T* const g = dx + row * columns;
      for (Index c = 0; c < columns; ++c) g[c] = gamma ? dy[row * columns + c] * gamma[c] : dy[row * columns + c];
      const auto mean = static_cast<T>(row_sum(columns, [&](Index i, Index n) { return k.sum(g + i, n); }) / count);
      const auto slope =
          static_cast<T>(row_sum(columns, [&](Index i, Index n) { return k.dot(g + i, hat + i, n); }) / count);
      for (Index c = 0; c < columns; ++c) g[c] = inverse[row] * (g[c] - mean - hat[c] * slope);
    }
  });
}

template <class T>
void affine_columns_alone(const T* x, const Affine<T>& affine, Index rows, Index columns, T* y) noexcept {
  const auto [center, factor, shift] = affine;
  for (Index row = 0; row < rows; ++row, x += columns, y += columns)
    for (Index c = 0; c < columns; ++c) {
      T value = center ? x[c] - center[c] : x[c];
      if (factor) value *= factor[c];
      y[c] = shift ? value + shift[c] : value;
    }
}

template <class T>
void affine_columns(const T* x, const Affine<T>& affine, Index rows, Index columns, T* y) {
  interruptible_for(rows, row_grain(columns), [=, &affine](Index begin, Index end) {
    affine_columns_alone(x + begin * columns, affine, end - begin, columns, y + begin * columns);
  });
}

template <class T>
void column_sums(const T* a, const T* b, Index rows, Index columns, double* sums, double* products) {
  std::fill_n(sums, columns, 0.0);
  std::fill_n(products, columns, 0.0);
  // Threads share columns, at least a cache line of them each.
  const Index grain = round_up(ceil_div(kElementGrain, std::max<Index>(1, rows)), kUnitPadding);
  InterruptPoll poll;
  interruptible_for(columns, grain, poll, [=, &poll](Index begin, Index end) {
    for (Index row = 0; row < rows; ++row) {
      if (row % 4096 == 0 && poll.wanted()) return;
      const T *const u = a + row * columns, *const v = b + row * columns;
      for (Index c = begin; c < end; ++c) {
        sums[c] += static_cast<double>(u[c]);
        products[c] += static_cast<double>(u[c]) * static_cast<double>(v[c]);
      }
    }
  });
}

template <class T>
void batch_norm_backward(const T* dy, const T* normalized, const BatchNormGradient<T>& gradient, Index rows,
                         Index columns, T* dx) {
  interruptible_for(rows, row_grain(columns), [=](Index begin, Index end) {
    for (Index row = begin; row < end; ++row) {
      const Index start = row * columns;
      if (gradient.real && !gradient.real[row])
        for (Index c = 0; c < columns; ++c) dx[start + c] = gradient.factor[c] * dy[start + c];
      else
        for (Index c = 0; c < columns; ++c)
          dx[start + c] = gradient.factor[c] *
                          (dy[start + c] - gradient.d_mean[c] - normalized[start + c] * gradient.d_deviation[c]);
    }
  });
}

#define LATCHWORK_INSTANTIATE(T)                                                                   \
  template void normalize_rows(const T*, Index, Index, double, T*, T*);                            \
  template void normalize_rows_alone(const T*, Index, Index, double, T*, T*) noexcept;             \
  template void normalize_rows_backward(const T*, const T*, const T*, const T*, Index, Index, T*); \
  template void affine_columns(const T*, const Affine<T>&, Index, Index, T*);                      \
  template void affine_columns_alone(const T*, const Affine<T>&, Index, Index, T*) noexcept;       \
  template void column_sums(const T*, const T*, Index, Index, double*, double*);                   \
  template void batch_norm_backward(const T*, const T*, const BatchNormGradient<T>&, Index, Index, T*);
LATCHWORK_INSTANTIATE(float)
LATCHWORK_INSTANTIATE(double)
#undef LATCHWORK_INSTANTIATE

}  // namespace latchwork
