#include "sequence/records.h"

#include <algorithm>
#include <cmath>

#include "sequence/plan.h"

namespace latchwork {

// Segments of s steps keep T / s states and s records of a row: least at s = sqrt(T * states / record).
Index segment_steps(Memory memory, const Layout& layout, const Batch& batch) {
  if (memory == Memory::store || batch.size() == 0 || layout.record() == 0) return 0;
  const Index group = group_steps(batch.size());
  Index groups = 1;
  if (memory == Memory::checkpoint) {
    const double states = static_cast<double>((layout.cell->states - 1) * layout.padded_hidden);
    const double least = std::sqrt(static_cast<double>(batch.steps()) * states / static_cast<double>(layout.record()));
    groups = std::max<Index>(1, std::llround(least / static_cast<double>(group)));
  }
  return groups * group < batch.steps() ? groups * group : 0;
}

}  // namespace latchwork
