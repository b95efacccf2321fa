// What training calls take, foreseen: bytes as the pool counts them, beside the caller's arrays.
#pragma once

#include "sequence/run.h"

namespace latchwork {

// What a forward keeps until backward, in elements.
struct KeptSizes {
  // given_y: the caller keeps the outputs.
  KeptSizes(Memory memory, const Layout& layout, const Batch& batch, bool given_y);

  Index segment;  // steps of one; 0: records are kept
  Index outputs, records, states;
};

struct RecurrentBytes {
  std::size_t kept, forward, backward;  // from forward until backward; the work space of each

  std::size_t most() const { return kept + (forward > backward ? forward : backward); }
};

// Of one call under a plan, which when training computes every gradient; weights are laid out.
template <class T>
RecurrentBytes recurrent_bytes(Memory memory, const Weights<T>& weights, const Batch& batch, bool given_y,
                               const Plan& plan, bool training = true);
// On all threads.
template <class T>
RecurrentBytes recurrent_bytes(Memory memory, const Weights<T>& weights, const Batch& batch, bool given_y);

// The fastest mode whose bytes are within the budget. Throws Error that says the least that would do.
template <class T>
Memory memory_within(Index budget, const Weights<T>& weights, const Batch& batch, bool given_y);

}  // namespace latchwork
