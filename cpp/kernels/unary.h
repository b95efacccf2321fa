// Elementwise functions of one argument over arrays, and probes by which tests see every vector operation.
#pragma once

#include "base/activation.h"
#include "base/types.h"

namespace latchwork {

template <class T>
struct UnaryKernels {
  // y[i] = f(x[i]); x and y may be the same array. tanh and sigmoid are activations.
  void (*exp)(const T* x, T* y, Index n) noexcept;
  void (*expm1)(const T* x, T* y, Index n) noexcept;
  void (*log)(const T* x, T* y, Index n) noexcept;
  void (*log1p)(const T* x, T* y, Index n) noexcept;
  void (*activation)(Activation kind, const T* x, T* y, Index n) noexcept;
  // dx[i] = dy[i] * f'(x[i]), the derivative written from y = f(x); dx and dy may be the same array.
  void (*activation_backward)(Activation kind, const T* y, const T* dy, T* dx, Index n) noexcept;
  // out[i] = operation(a[i], b[i], c[i]) by the operation's number: for tests of the vector vocabulary.
  int probe_count;
  const char* const* probe_names;
  void (*probe)(int operation, const T* a, const T* b, const T* c, T* out, Index n) noexcept;
};

}  // namespace latchwork
