// Backward through the steps of a block: pointwise, then what flows on to the step before.
#pragma once

#include "sequence/backward_call.h"
#include "sequence/work_poll.h"

namespace latchwork {

// One member's part of the sweep through a stretch.
template <class T>
class Sweep {
 public:
  Sweep(BackwardCall<T>& call, const Stretch& stretch, int member);

  // The states before step 0, as far as this member reads them.
  void take_states();
  // The records are those of a segment that begins at step t.
  void enter_segment(Index t) { segment_ = t; }
  // Copies the x and h of a block, steps [begin, end), to where the weight gradients want them: this member's share.
  void pack_operands(Index begin, Index end);
  // The steps of a block, last first (not all of them once the call is interrupted): fills its slot gradients.
  void run(Index begin, Index end);
  // What the pass of step t reads, for products of so many stretches before it; null if it is at hand anyway.
  Ahead* ahead(Index t, Index stretches);
  // What has flowed to step 0 is the gradient of the initial states.
  void hand_out_states();

 private:
  void enter_rows(Index t);
  void point_rows(Index t, Index rows, Index k);
  void pack_intermediate(Index rows, Index k);
  void step(Index t, Index rows, Index k);
  void pass(Index t, int phase, Index block, Index rows, Index k);
  void flow(Operand operand, Index rows, Rows<T> out, bool chained, Index next = -1);
  const T* h_before(Index t, Index row) const;
  Rows<T> state_rows(Index t, int state, Index row) const;

  BackwardCall<T>& call_;
  const Split split_;
  const int member_;
  const BackwardArgs<T>& args_;
  const Layout& layout_;
  const CellInfo& cell_;
  const Batch& batch_;
  const ProductKernels<T>& kernels_;
  const RowShare rows_;
  const BlockShare blocks_;
  const UnitShare units_;
  WorkPoll poll_;
  Index segment_ = 0;                 // the first step of whose records there are
  PoolVector<Segment<T>> chains_[3];  // by operand
  Buffer<const T*> h_previous_, h_next_, dy_previous_, intermediate_, packed_;
  Buffer<const T*> slot_rows_, edge_rows_;  // [rows] of block 0, and of the edge
  Buffer<Piece> pieces_;
  Ahead ahead_;
};

}  // namespace latchwork
