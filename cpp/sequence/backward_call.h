// What the members of one backward call share.
#pragma once

#include <atomic>

#include "runtime/interrupt.h"
#include "runtime/thread_team.h"
#include "sequence/run.h"
#include "sequence/slot_gradients.h"
#include "sequence/weight_gradients.h"

namespace latchwork {

template <class T>
struct BackwardCall {
  BackwardCall(const BackwardArgs<T>& args, const Plan& plan, Interruption& interruption);

  const BackwardArgs<T>& args;
  const Plan plan;
  Interruption& interruption;
  std::atomic<Index> last = -1;  // first step of the block after which all leave, interrupted
  const Layout& layout;
  Barrier barrier;
  SlotGradients<T> slots;
  WeightGradients<T> weights;
  Buffer<T> zeros;
  Buffer<T> states;          // [states - 1][B][padded] before step 0
  Buffer<T> d_states;        // [2][states][B][padded]
  Buffer<T> intermediate;    // [B][padded]
  Buffer<T> d_intermediate;  // [B][padded]

  T* d_state(Index parity, Index state, Index row) {
    return d_states.data() + ((parity * layout.cell->states + state) * args.batch->size() + row) * layout.padded_hidden;
  }
};

}  // namespace latchwork
