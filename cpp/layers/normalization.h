// Rows and columns brought to a mean and a deviation: layer and batch normalization. All arrays are [rows, columns].
#pragma once

#include "base/types.h"

namespace latchwork {

// normalized = (x - mean of the row) * inverse, inverse [rows] = 1 / sqrt(variance of the row + epsilon); both may be
// of use to the backward. A row's sums are long sums (statistics.h). inverse null: not wanted; normalized may be x.
template <class T>
void normalize_rows(const T* x, Index rows, Index columns, double epsilon, T* normalized, T* inverse);

// The same on the calling thread, within a FloatScope.
template <class T>
void normalize_rows_alone(const T* x, Index rows, Index columns, double epsilon, T* normalized, T* inverse) noexcept;

// dx = inverse * (g - mean(g) - normalized * mean(g * normalized)) of each row, g = dy * gamma; gamma null: ones.
template <class T>
void normalize_rows_backward(const T* dy, const T* normalized, const T* inverse, const T* gamma, Index rows,
                             Index columns, T* dx);

// What happens to each column; null: nothing.
template <class T>
struct Affine {
  const T* center = nullptr;
  const T* factor = nullptr;
  const T* shift = nullptr;
};
// y = (x - center) * factor + shift; y may be x.
template <class T>
void affine_columns(const T* x, const Affine<T>& affine, Index rows, Index columns, T* y);
template <class T>
void affine_columns_alone(const T* x, const Affine<T>& affine, Index rows, Index columns, T* y) noexcept;

// sums [columns] of a, and of a * b; one chain of float64 over the rows, so that rows of zeros change nothing.
template <class T>
void column_sums(const T* a, const T* b, Index rows, Index columns, double* sums, double* products);

// dx = factor * (dy - d_mean - normalized * d_deviation) by columns; where real is given and false, dx = factor * dy:
// that row had no part in the mean.
template <class T>
struct BatchNormGradient {
  const T* factor;
  const T* d_mean;
  const T* d_deviation;
  const bool* real;  // [rows], or null
};
template <class T>
void batch_norm_backward(const T* dy, const T* normalized, const BatchNormGradient<T>& gradient, Index rows,
                         Index columns, T* dx);

}  // namespace latchwork
