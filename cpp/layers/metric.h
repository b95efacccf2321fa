// Accuracies: how many predictions are right. Counts, so the order does not matter.
#pragma once

#include "base/types.h"

namespace latchwork {

// Elements where target == (prediction > threshold ? 1 : 0).
template <class T>
Index binary_matches(const T* target, const T* prediction, T threshold, Index n);

// Rows whose largest target stands where the largest prediction stands; the first of equals counts.
template <class T>
Index categorical_matches(const T* target, const T* prediction, Index rows, Index classes);

// Rows whose label is where the largest prediction stands. Throws Error for a label outside [0, classes).
template <class T>
Index sparse_matches(const std::int64_t* label, const T* prediction, Index rows, Index classes);

}  // namespace latchwork
