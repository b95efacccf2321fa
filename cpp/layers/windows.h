// Windows over the steps of sequences: what convolutions read, and what pools reduce.
#pragma once

#include <span>

#include "base/types.h"

namespace latchwork {

// Window t of a sequence reads its steps t * stride - before + k * dilation, k = 0 .. size - 1; steps outside the
// sequence, and rows that are not real, are not there. Rows of all sequences lie one after the other.
struct Windows {
  std::span<const Index> x_offsets;  // [B + 1] where each sequence's steps begin
  std::span<const Index> y_offsets;  // [B + 1] where its windows do
  const bool* real = nullptr;        // [rows of x]; null: all are
  Index size = 1, stride = 1, dilation = 1, before = 0;

  Index rows() const { return x_offsets.back(); }
  Index outputs() const { return y_offsets.back(); }
};

enum class Padding { valid, same, causal };
constexpr const char* kPaddingNames[] = {"valid", "same", "causal"};
constexpr int kPaddingCount = 3;

// Of a sequence of `steps`: how many windows it has, and how far the first begins before it.
struct Frame {
  Index outputs, before;
};
Frame frame_of(Padding padding, Index steps, Index size, Index stride, Index dilation);

// out [windows, size, features]: copies; what is not there is 0.
template <class T>
void gather_windows(const Windows& windows, const T* x, Index features, T* out);
// Its reverse: dx of a step is the sum over k, ascending, of what read it.
template <class T>
void scatter_windows(const Windows& windows, const T* d_out, Index features, T* dx);

// y [windows, features]: the largest of each window, the first of several, NaN where there is one, and which k it was
// (null: not wanted). A window without a step gives 0 (which: -1).
template <class T>
void max_windows(const Windows& windows, const T* x, Index features, T* y, std::int32_t* which);
template <class T>
void max_windows_backward(const Windows& windows, const T* dy, const std::int32_t* which, Index features, T* dx);

// The mean of what is there, added up in float64, k ascending; 0 of nothing.
template <class T>
void mean_windows(const Windows& windows, const T* x, Index features, T* y);
template <class T>
void mean_windows_backward(const Windows& windows, const T* dy, Index features, T* dx);

}  // namespace latchwork
