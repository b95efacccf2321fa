#include "layers/merge.h"

namespace latchwork {

template <class T>
void merge(Merge mode, const T* a, const T* b, T* y, Index n) noexcept {
  for (Index i = 0; i < n; ++i) {
    const T sum = a[i] + b[i];
    y[i] = mode == Merge::mul ? a[i] * b[i] : mode == Merge::sum ? sum : sum * T(0.5);
  }
}

template void merge(Merge, const float*, const float*, float*, Index) noexcept;
template void merge(Merge, const double*, const double*, double*, Index) noexcept;

}  // namespace latchwork
