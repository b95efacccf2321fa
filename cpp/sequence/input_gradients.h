// dx, a block of steps at a time: its slot gradients times the kernel.
#pragma once

#include "sequence/backward_call.h"
#include "sequence/work_poll.h"

namespace latchwork {

// One member's share of a stretch: its own rows (rows split) or of all in turn (units split).
template <class T>
class InputGradients {
 public:
  InputGradients(BackwardCall<T>& call, const Stretch& stretch, int member);
  void run(Index begin, Index end);

 private:
  Index list_rows(Index begin, Index end);
  void panel(Index count, Index column, Index width, const T* weights);

  BackwardCall<T>& call_;
  const Split split_;
  const int member_;
  const BackwardProduct* product_;  // null: dx is not wanted
  const RowShare rows_;
  PoolVector<Segment<T>> chain_;
  Buffer<const T*> slot_rows_, edge_rows_;
  Buffer<T*> dx_;
  Buffer<T> strip_;
  WorkPoll poll_;
};

}  // namespace latchwork
