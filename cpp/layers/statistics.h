// Long sums, in the one order: chunks of kSumChunk elements, their sums added in order in float64.
#pragma once

#include "cpu/dispatch.h"
#include "runtime/buffer.h"
#include "runtime/thread_team.h"

namespace latchwork {

// chunk(start, count) returns the sum of elements [start, start + count), count <= kSumChunk; must not throw.
template <class F>
double sum_chunks(Index n, F chunk) {
  if (n <= kSumChunk) return n > 0 ? static_cast<double>(chunk(Index(0), n)) : 0.0;
  const Index chunks = ceil_div(n, kSumChunk);
  Buffer<double> sums(chunks);
  // 4 chunks a thread at least: 16,384 elements outweigh the fork.
  interruptible_for(chunks, 4, [&](Index begin, Index end) {
    for (Index i = begin; i < end; ++i) {
      const Index start = i * kSumChunk;
      sums[i] = static_cast<double>(chunk(start, n - start < kSumChunk ? n - start : kSumChunk));
    }
  });
  double total = 0;
  for (Index i = 0; i < chunks; ++i) total += sums[i];
  return total;
}

template <class T>
double sum(const T* x, Index n);

template <class T>
double sum_squares(const T* x, Index n);

// The same order on the calling thread, for use inside a team.
double dot_alone(const double* x, const double* y, Index n) noexcept;

template <class T>
bool all_finite(const T* x, Index n);

// Mean and population standard deviation of every column of a [rows, columns], in float64, two passes. rows >= 1.
template <class T>
void mean_std(const T* a, Index rows, Index columns, double* mean, double* deviation);

// The grain of passes whose elements do not depend on each other: 64 KB of float32.
constexpr Index kElementGrain = 16384;

template <class T>
void axpy(T a, const T* x, T* y, Index n);
template <class T>
void scale(T factor, T* x, Index n);
template <class T>
void clip_value(T limit, T* x, Index n);
template <class T>
void softmax(const T* x, T* y, Index rows, Index columns);
template <class T>
void softmax_backward(const T* y, const T* dy, T* dx, Index rows, Index columns);

}  // namespace latchwork
