#include "sequence/batch.h"

#include <algorithm>
#include <numeric>

namespace latchwork {

Batch::Batch(const Indices& lengths) : order_(lengths.size()), length_(lengths.size()) {
  std::iota(order_.begin(), order_.end(), Index{0});
  const auto at = [&](Index b) { return lengths[static_cast<std::size_t>(b)]; };
  // Ties by number, as a stable sort has them; that one would ask the system for memory.
  std::sort(order_.begin(), order_.end(), [&](Index a, Index b) { return at(a) != at(b) ? at(a) > at(b) : a < b; });
  std::transform(order_.begin(), order_.end(), length_.begin(), at);
  const Index steps = lengths.empty() ? 0 : length_.front();
  active_.resize(static_cast<std::size_t>(steps));
  first_.resize(static_cast<std::size_t>(steps) + 1, 0);
  Index rows = size();
  for (Index t = 0; t < steps; ++t) {
    while (rows > 0 && length(rows - 1) <= t) --rows;
    active_[static_cast<std::size_t>(t)] = rows;
    first_[static_cast<std::size_t>(t) + 1] = first_[static_cast<std::size_t>(t)] + rows;
  }
}

}  // namespace latchwork
