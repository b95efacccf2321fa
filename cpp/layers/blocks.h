// Work in blocks that need room of their own: the team may not allocate, so each of its members is given some.
#pragma once

#include <algorithm>

#include "latchwork/cpu.h"
#include "runtime/buffer.h"
#include "runtime/thread_team.h"

namespace latchwork {

// f(begin, end, scratch) over [0, n) in blocks; `each`: blocks that a thread is worth waking for.
template <class F>
void in_blocks(Index n, Index block, Index each, Index scratch, F f) {
  const Index blocks = ceil_div(n, block);
  const Index parts = std::min<Index>(num_threads(), ceil_div(blocks, each));
  if (parts == 0) return;
  Buffer<double> own(checked_product(parts, scratch));
  const Index share = ceil_div(blocks, parts) * block;
  InterruptPoll poll;
  parallel_for(parts, 1, [&](Index first, Index last) {
    for (Index part = first; part < last; ++part) {
      const Index stop = std::min(n, (part + 1) * share);
      for (Index i = part * share; i < stop && !poll.wanted(); i += block) {
        f(i, std::min(stop, i + block), own.data() + part * scratch);
      }
    }
  });
  poll.check();
}

}  // namespace latchwork
