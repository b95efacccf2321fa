// One array of two: how Bidirectional merges its directions.
#pragma once

#include "base/types.h"

namespace latchwork {

enum class Merge { sum, mul, ave };
constexpr const char* kMergeNames[] = {"sum", "mul", "ave"};
constexpr int kMergeCount = 3;

// y[i] = a[i] + b[i], a[i] * b[i] or (a[i] + b[i]) / 2. On the calling thread, within a FloatScope; y may be a or b.
template <class T>
void merge(Merge mode, const T* a, const T* b, T* y, Index n) noexcept;

}  // namespace latchwork
