// What the members of one backward call share.
#pragma once

#include <atomic>
#include <memory>

#include "sequence/forward_call.h"
#include "sequence/slot_gradients.h"
#include "sequence/weight_gradients.h"

namespace latchwork {

// A forward call that makes the records of one segment at a time again.
template <class T>
struct Rerun : InPool {
  Rerun(const BackwardArgs<T>& args, const Plan& plan, InterruptPoll& interruption);

  Buffer<T> values;
  ForwardArgs<T> args;
  ForwardCall<T> call;
};

template <class T>
struct BackwardCall : InPool {
  BackwardCall(const BackwardArgs<T>& args, const Plan& plan, InterruptPoll& interruption);

  const BackwardArgs<T>& args;
  const Plan plan;
  const Stretches stretches;
  InterruptPoll& interruption;
  std::atomic<Index> last = -1;  // first step of the block after which all leave, interrupted
  const Layout& layout;
  Barrier barrier;
  SlotGradients<T> slots;
  WeightGradients<T> weights;
  std::unique_ptr<Rerun<T>> rerun;  // null: all records are there
  Records<T> records;
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
