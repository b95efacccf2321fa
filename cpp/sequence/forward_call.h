// One forward call: what the members of a team share, and the part of one member.
#pragma once

#include <atomic>
#include <limits>
#include <optional>

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
  const Stretches stretches;
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

// One member's part of a stretch.
template <class T>
class ForwardStretch {
 public:
  ForwardStretch(ForwardCall<T>& call, const Stretch& stretch, int index);

  const Stretch& stretch() const { return stretch_; }
  // Before step 0: the initial states, and what they are to sequences without a step.
  void take_initial_states();
  // Before a step from which a call is run again: the states it kept there.
  void take_segment_states(Index begin);
  // Steps [from, end) of a run that began at step `begin`.
  void run(Index begin, Index from, Index end);
  // y beyond the lengths.
  void zero_padding();

 private:
  template <class Copy>
  void each_segment_state(Index t, Copy copy);
  void hoist(Index t, Index end);
  void point_rows(Index t, Index rows);
  void step(Index t, Index rows);
  void finish_rows(Index t);
  void copy_out(Index row, Index state, const T* values);
  T* h_row(Index t, Index row) const;  // the output of step t
  const T* h_before(Index t, Index row) const;
  Rows<T> state_rows(Index t, int state, Index row) const;

  ForwardCall<T>& call_;
  const Stretch stretch_;
  const int index_;
  const ForwardArgs<T>& args_;
  const Layout& layout_;
  const CellInfo& cell_;
  const Batch& batch_;
  const RowShare rows_;
  const BlockShare blocks_;
  const UnitShare units_;
  Index begin_ = 0;  // the first step of this run ...
  Index from_ = 0;   // ... and of this stretch in it
  Buffer<const T*> x_, h_previous_, intermediate_;
  Buffer<T*> h_next_;
  Buffer<const T*> hoisted_x_;  // [hoist_steps * rows]
  Buffer<T> hoisted_;           // [hoist_steps * rows][slots]
  StepPass<T> pass_;
  WorkPoll poll_;
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
  void steps(Index begin, Index end);

  ForwardCall<T>& call_;
  std::optional<ForwardStretch<T>> parts_[2];
};

}  // namespace latchwork
