#include "layers/recurrent_bytes.h"

#include <algorithm>
#include <string>

#include "latchwork/error.h"

namespace latchwork {

KeptSizes::KeptSizes(Memory memory, const Layout& layout, const Batch& batch, bool given_y)
    : segment(segment_steps(memory, layout, batch)),
      outputs(given_y ? 0 : checked_product(batch.records(), layout.hidden)),
      records(segment > 0 ? 0 : checked_product(batch.records(), layout.record())),
      states(segment > 0 ? SegmentStates<float>::size(layout, batch.size(), batch.steps(), segment) : 0) {}

// The parts of both calls are made as the calls make them, and none of them run: no formula to keep in step.
template <class T>
RecurrentBytes recurrent_bytes(Memory memory, const Weights<T>& weights, const Batch& batch, bool given_y,
                               const Plan& plan, bool training) {
  const Layout& layout = weights.layout();
  const KeptSizes sizes(memory, layout, batch, given_y);
  RecurrentBytes bytes{};
  if (training) {
    for (const Index size : {sizes.outputs, sizes.records, sizes.states})
      bytes.kept += pool_rounded(checked_bytes(size, sizeof(T)));
    const std::size_t before = pool_asked();
    const Batch copy(batch);
    bytes.kept += pool_asked() - before;
  }
  if (batch.size() == 0) return bytes;

  T nothing{};  // stands for arrays that are there
  ForwardArgs<T> forward{};
  forward.plan = plan;
  forward.weights = &weights;
  forward.batch = &batch;
  if (given_y || training) forward.y.data = &nothing;
  if (training && sizes.segment == 0) forward.records = {&nothing, &layout, &batch};
  bytes.forward = forward_bytes(forward);
  if (!training) return bytes;

  Buffer<T> gradient(layout.cell->gates * layout.hidden * std::max<Index>(1, layout.cell->biases));
  BackwardArgs<T> backward{};
  backward.plan = forward.plan;
  backward.weights = &weights;
  backward.batch = &batch;
  backward.records = forward.records;
  if (sizes.segment > 0) backward.segments = {&nothing, sizes.segment, &layout, batch.size()};
  backward.dx.data = &nothing;
  backward.d_kernel = backward.d_recurrent_kernel = backward.d_bias = gradient.data();
  bytes.backward = backward_bytes(backward);
  return bytes;
}

template <class T>
RecurrentBytes recurrent_bytes(Memory memory, const Weights<T>& weights, const Batch& batch, bool given_y) {
  const PlanShape shape{batch.size(), batch.steps(), &weights.layout(), sizeof(T)};
  return recurrent_bytes(memory, weights, batch, given_y, choose_plan(shape, num_threads()).plan);
}

template <class T>
Memory memory_within(Index budget, const Weights<T>& weights, const Batch& batch, bool given_y) {
  std::size_t least = PTRDIFF_MAX;
  for (const Memory memory : {Memory::store, Memory::recompute, Memory::checkpoint}) {  // the fastest first
    const std::size_t bytes = recurrent_bytes(memory, weights, batch, given_y).most();
    if (bytes <= static_cast<std::size_t>(budget)) return memory;
    least = std::min(least, bytes);
  }
  throw Error("memory of " + std::to_string(budget) + " bytes is too little for this call: it takes at least " +
              std::to_string(least));
}

#define LATCHWORK_INSTANTIATE(T)                                                                             \
  template RecurrentBytes recurrent_bytes(Memory, const Weights<T>&, const Batch&, bool, const Plan&, bool); \
  template RecurrentBytes recurrent_bytes(Memory, const Weights<T>&, const Batch&, bool);                    \
  template Memory memory_within(Index, const Weights<T>&, const Batch&, bool);
LATCHWORK_INSTANTIATE(float)
LATCHWORK_INSTANTIATE(double)
#undef LATCHWORK_INSTANTIATE

}  // namespace latchwork
