// The backward time loop, in blocks of whole groups of steps: sweep the block by rows (or units), then the weight
// gradients of the block by output tiles while its slot gradients are hot.
#include <algorithm>
#include <optional>

#include "sequence/calls.h"
#include "sequence/input_gradients.h"
#include "sequence/sweep.h"

namespace latchwork {
namespace {

template <class T>
ForwardArgs<T> rerun_args(const BackwardArgs<T>& a, T* values) {
  ForwardArgs<T> args{};
  args.weights = a.weights;
  args.batch = a.batch;
  args.activation = a.activation;
  args.recurrent_activation = a.recurrent_activation;
  args.x = a.x;
  std::copy_n(a.initial, kMaxStates, args.initial);
  args.records = {values, &a.weights->layout(), a.batch};
  args.segments = a.segments;
  args.h = a.y;
  return args;
}

}  // namespace

template <class T>
Rerun<T>::Rerun(const BackwardArgs<T>& a, const Plan& plan, InterruptPoll& interruption)
    : values(std::min(a.segments.segment * a.batch->size(), a.batch->records()) * a.weights->layout().record()),
      args(rerun_args(a, values.data())),
      call(args, plan, interruption) {}

template <class T>
BackwardCall<T>::BackwardCall(const BackwardArgs<T>& a, const Plan& p, InterruptPoll& i)
    : args(a),
      plan(p),
      stretches(latchwork::stretches(p, *a.batch)),
      interruption(i),
      layout(a.weights->layout()),
      barrier(p.members),
      slots(layout, std::min(group_steps(a.batch->size()), std::max<Index>(1, a.batch->steps())) * a.batch->size()),
      weights(a, slots),
      rerun(a.segments ? std::make_unique<Rerun<T>>(a, p, i) : nullptr),
      records(rerun ? rerun->args.records : a.records),
      zeros(layout.padded_hidden),
      states((layout.cell->states - 1) * a.batch->size() * layout.padded_hidden),
      d_states(2 * layout.cell->states * a.batch->size() * layout.padded_hidden),
      intermediate(layout.cell->phases > 1 ? a.batch->size() * layout.padded_hidden : 0),
      d_intermediate(intermediate.size()) {
  for (Buffer<T>* const buffer : {&zeros, &states, &d_states}) std::fill_n(buffer->data(), buffer->size(), T(0));
}

namespace {

template <class T>
class Member : public InPool {
 public:
  Member(BackwardCall<T>& call, int index)
      : call_(call), index_(index), counts_(call.slots.capacity()), poll_(&call.interruption) {
    for (int i = 0; i < call.stretches.count; ++i) {
      sweep_[i].emplace(call, call.stretches.part[i], index);
      input_gradients_[i].emplace(call, call.stretches.part[i], index);
    }
    if (call.rerun) forward_.emplace(call.rerun->call, index);
  }

  void run() {
    const Index steps = call_.args.batch->steps();
    sweep_[0]->take_states();
    call_.weights.begin(index_, call_.plan.members);
    for (Index end = steps; end > 0;) {
      const int part = end > call_.stretches.part[0].end ? 1 : 0;
      const Stretch& stretch = call_.stretches.part[part];
      const Index begin = block_begin(stretch, end);
      if (forward_ && (end == steps || call_.args.segments.begins_at(end))) make_records(end);
      sweep_[part]->pack_operands(begin, end);
      sweep_[part]->run(begin, end);
      if (index_ == 0 && call_.interruption.wanted()) call_.last.store(begin, std::memory_order_relaxed);
      if (stretch.split == Split::units) call_.barrier.wait();
      input_gradients_[part]->run(begin, end);
      call_.barrier.wait();
      call_.weights.add(groups(begin, end), index_, call_.plan.members, poll_);
      call_.barrier.wait();
      if (call_.last.load(std::memory_order_relaxed) == begin) return;
      end = begin;
    }
    sweep_[0]->hand_out_states();
    call_.weights.finish(index_, call_.plan.members);
  }

 private:
  // As many groups of one stretch and segment as the slot gradients have room for: late steps have few rows.
  Index block_begin(const Stretch& stretch, Index end) const {
    const Batch& batch = *call_.args.batch;
    const Index group = group_steps(batch.size());
    Index begin = (end - 1) / group * group;
    while (begin > stretch.begin && !call_.args.segments.begins_at(begin) &&
           batch.first_record(end) - batch.first_record(begin - group) <= call_.slots.capacity())
      begin -= group;
    return begin;
  }

  // Rows of the groups of a block, last first.
  std::span<const Index> groups(Index begin, Index end) {
    const Batch& batch = *call_.args.batch;
    const Index group = group_steps(batch.size());
    std::size_t count = 0;
    for (Index first; end > begin; end = first) {
      first = (end - 1) / group * group;
      counts_[static_cast<Index>(count++)] = batch.first_record(end) - batch.first_record(first);
    }
    return {counts_.data(), count};
  }

  // Of the segment that ends before `end`.
  void make_records(Index end) {
    const Index segment = call_.args.segments.segment, begin = (end - 1) / segment * segment;
    forward_->rerun(begin, end);
    for (std::optional<Sweep<T>>& sweep : sweep_)
      if (sweep) sweep->enter_segment(begin);
  }

  BackwardCall<T>& call_;
  const int index_;
  std::optional<ForwardMember<T>> forward_;
  std::optional<Sweep<T>> sweep_[2];  // of each stretch
  std::optional<InputGradients<T>> input_gradients_[2];
  Buffer<Index> counts_;  // a group has at least one row
  WorkPoll poll_;
};

}  // namespace

template <class T>
void run_backward(std::span<const BackwardArgs<T>> calls) {
  run_calls<BackwardCall<T>, Member<T>>(calls);
}

template <class T>
std::size_t backward_bytes(const BackwardArgs<T>& args) {
  return work_bytes<BackwardCall<T>, Member<T>>(args);
}

#define LATCHWORK_INSTANTIATE(T)                                \
  template void run_backward(std::span<const BackwardArgs<T>>); \
  template std::size_t backward_bytes(const BackwardArgs<T>&);
LATCHWORK_INSTANTIATE(float)
LATCHWORK_INSTANTIATE(double)
#undef LATCHWORK_INSTANTIATE

}  // namespace latchwork
