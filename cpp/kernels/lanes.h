// Loops over arrays whose length is no multiple of the vector: whole vectors, then the first few lanes of one.
// And the one order of a sum: see kSumChunk in elementwise.h.
#pragma once

#include "kernels/elementwise.h"
#include "simd/vec.h"

namespace latchwork::LATCHWORK_ISA {
namespace {

template <class V>
struct All {
  using T = typename V::Scalar;
  V load(const T* p) const { return V::load(p); }
  void store(T* p, V v) const { v.store(p); }
  V keep(V v) const { return v; }
};

template <class V>
struct First {
  using T = typename V::Scalar;
  Index n;
  V load(const T* p) const { return V::load_partial(p, n); }
  void store(T* p, V v) const { v.store_partial(p, n); }
  V keep(V v) const {  // zeros beyond
    T lanes[V::kLanes];
    v.store(lanes);
    return V::load_partial(lanes, n);
  }
};

// f(i, lanes): elements i, i + 1, ... of as many lanes as there are.
template <class V, class F>
inline void for_each(Index n, F f) {
  Index i = 0;
  for (; i + V::kLanes <= n; i += V::kLanes) f(i, All<V>{});
  if (i < n) f(i, First<V>{n - i});
}

// add(sum, i, lanes) returns sum + the terms of elements i, i + 1, ...; beyond the last element it must add zeros.
template <class V, class F>
inline typename V::Scalar sum_chunk(Index n, F add) {
  using T = typename V::Scalar;
  constexpr int kParts = kSumLanes / V::kLanes;
  V part[kParts];
  for (V& p : part) p = V(T(0));
  Index i = 0;
  for (; i + kSumLanes <= n; i += kSumLanes) {
    for (int j = 0; j < kParts; ++j) part[j] = add(part[j], i + j * V::kLanes, All<V>{});
  }
  for (int j = 0; j < kParts && i < n; ++j, i += V::kLanes) {
    if (n - i >= V::kLanes) {
      part[j] = add(part[j], i, All<V>{});
    } else {
      part[j] = add(part[j], i, First<V>{n - i});
    }
  }
  T lane[kSumLanes];
  for (int j = 0; j < kParts; ++j) part[j].store(lane + j * V::kLanes);
  for (int width = kSumLanes / 2; width > 0; width /= 2) {
    for (int j = 0; j < width; ++j) lane[j] = lane[j] + lane[j + width];
  }
  return lane[0];
}

// A row of any length: chunk sums added in order in float64.
template <class V, class F>
inline typename V::Scalar sum_row(Index n, F add) {
  double total = 0;
  for (Index start = 0; start < n; start += kSumChunk) {
    const Index count = n - start < kSumChunk ? n - start : kSumChunk;
    total += static_cast<double>(
        sum_chunk<V>(count, [&](V sum, Index i, auto lanes) { return add(sum, start + i, lanes); }));
  }
  return static_cast<typename V::Scalar>(total);
}

// The largest element; NaN is passed over, and the zero's sign is left open (no caller's result depends on either).
template <class V>
inline typename V::Scalar largest(const typename V::Scalar* x, Index n) {
  using T = typename V::Scalar;
  V best(x[0]);
  Index i = 0;
  for (; i + V::kLanes <= n; i += V::kLanes) best = max(V::load(x + i), best);
  T lane[V::kLanes];
  best.store(lane);
  T result = x[0];
  for (T value : lane) result = value > result ? value : result;
  for (; i < n; ++i) result = x[i] > result ? x[i] : result;
  return result;
}

}  // namespace
}  // namespace latchwork::LATCHWORK_ISA
