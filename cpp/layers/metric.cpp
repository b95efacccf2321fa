#include "layers/metric.h"

#include "layers/loss.h"

namespace latchwork {

namespace {

template <class T>
Index largest_at(const T* row, Index n) {
  Index best = 0;
  for (Index i = 1; i < n; ++i) {
    if (row[i] > row[best]) best = i;
  }
  return best;
}

}  // namespace

template <class T>
Index binary_matches(const T* target, const T* prediction, T threshold, Index n) {
  Index matches = 0;
  for (Index i = 0; i < n; ++i) matches += target[i] == (prediction[i] > threshold ? T(1) : T(0));
  return matches;
}

template <class T>
Index categorical_matches(const T* target, const T* prediction, Index rows, Index classes) {
  Index matches = 0;
  for (Index r = 0; r < rows; ++r) {
    matches += largest_at(target + r * classes, classes) == largest_at(prediction + r * classes, classes);
  }
  return matches;
}

template <class T>
Index sparse_matches(const std::int64_t* label, const T* prediction, Index rows, Index classes) {
  require_labels(label, rows, classes);
  Index matches = 0;
  for (Index r = 0; r < rows; ++r) matches += label[r] == largest_at(prediction + r * classes, classes);
  return matches;
}

#define LATCHWORK_INSTANTIATE(T)                                           \
  template Index binary_matches<T>(const T*, const T*, T, Index);          \
  template Index categorical_matches<T>(const T*, const T*, Index, Index); \
  template Index sparse_matches<T>(const std::int64_t*, const T*, Index, Index);
LATCHWORK_INSTANTIATE(float)
LATCHWORK_INSTANTIATE(double)
#undef LATCHWORK_INSTANTIATE

}  // namespace latchwork
