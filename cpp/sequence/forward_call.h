// One forward call: what the members of a team share, and the part of one member.
#pragma once

#include <atomic>
#include <limits>

#include "runtime/interrupt.h"
#include "runtime/thread_team.h"
#include "sequence/pass.h"
#include "sequence/run.h"

namespace latchwork {

template <class T>
struct ForwardCall : InPool {
  ForwardCall(const ForwardArgs<T>& args, const Plan& plan, InterruptPoll& interruption);

  const ForwardArgs<T>& args;
  const Plan plan;
  InterruptPoll& interruption;
  // The first step not to run: member 0, interrupted, sets it to the step after its own, which no other has begun when
  // units are split, so that all leave at the same barrier; until there nothing more is computed.
  std::atomic<Index> end = std::numeric_limits<Index>::max();
  const Layout& layout;
  Barrier barrier;
  Buffer<T> zeros;   // [padded], a row for states that start at zero
  Buffer<T> h;       // [2][B][padded] when y is not kept
  Buffer<T> states;  // [states - 1][B][padded] when nothing is saved, and the states before the first step otherwise
  Buffer<T> intermediate;  // [B][padded]
};

template <class T>
class ForwardMember : public InPool {
 public:
  ForwardMember(ForwardCall<T>& call, int index);

  // All steps.
  void run();
  // Steps [begin, end) of a call that has run before: from the states it kept there, into the records again.
  void rerun(Index begin, Index end);

 private:
  void steps(Index end);
  void take_initial_states();
  template <class Copy>
  void each_segment_state(Index t, Copy copy);
  void hoist(Index t, Index end);
  void point_rows(Index t, Index rows);
  void step(Index t, Index rows);
  void finish_rows(Index t);
  void zero_padding();
  void copy_out(Index row, Index state, const T* values);
  T* h_row(Index t, Index row) const;  // the output of step t
  const T* h_before(Index t, Index row) const;
  Rows<T> state_rows(Index t, int state, Index row) const;

  ForwardCall<T>& call_;
  const int index_;
  const ForwardArgs<T>& args_;
  const Layout& layout_;
  const CellInfo& cell_;
  const Batch& batch_;
  const RowShare rows_;
  const BlockShare blocks_;
  const UnitShare units_;
  Index begin_ = 0;  // the first step of this run
  Buffer<const T*> x_, h_previous_, intermediate_;
  Buffer<T*> h_next_;
  Buffer<const T*> hoisted_x_;  // [hoist_steps * rows]
  Buffer<T> hoisted_;           // [hoist_steps * rows][slots]
  StepPass<T> pass_;
  WorkPoll poll_;
};

}  // namespace latchwork
