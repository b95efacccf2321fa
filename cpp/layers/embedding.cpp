#include "layers/embedding.h"

#include <algorithm>

#include "runtime/thread_team.h"

namespace latchwork {

constexpr Index kGrain = 32768;  // elements of a thread's share at least: about 10 us of copying

template <class T>
void gather_rows(const T* table, Index width, const Index* numbers, Index count, T* out) {
  interruptible_for(count, std::max<Index>(1, kGrain / std::max<Index>(1, width)), [=](Index begin, Index end) {
    for (Index n = begin; n < end; ++n) std::copy_n(table + numbers[n] * width, width, out + n * width);
  });
}

// Threads share columns, so that each element has one chain.
template <class T>
void scatter_add_rows(const T* d_rows, Index width, const Index* numbers, Index count, T* d_table) {
  const Index columns = round_up(std::max<Index>(1, kGrain / std::max<Index>(1, count)), kUnitPadding);
  InterruptPoll poll;
  interruptible_for(width, columns, poll, [=, &poll](Index begin, Index end) {
    for (Index n = 0; n < count; ++n) {
      if (n % 4096 == 0 && poll.wanted()) return;
      const T* const in = d_rows + n * width;
      T* const out = d_table + numbers[n] * width;
      for (Index i = begin; i < end; ++i) out[i] += in[i];
    }
  });
}

template void gather_rows<float>(const float*, Index, const Index*, Index, float*);
template void gather_rows<double>(const double*, Index, const Index*, Index, double*);
template void scatter_add_rows<float>(const float*, Index, const Index*, Index, float*);
template void scatter_add_rows<double>(const double*, Index, const Index*, Index, double*);

}  // namespace latchwork
