#include "layers/recurrent.h"

#include <algorithm>
#include <string>

#include "latchwork/error.h"

namespace latchwork {

void check_arrangement(const Arrangement& a, Index rows) {
  if (a.ragged()) {
    if (a.offsets.front() != 0 || a.offsets.back() != rows)
      throw Error("offsets must run from 0 to " + std::to_string(rows) + " (rows of values), got " +
                  std::to_string(a.offsets.front()) + " to " + std::to_string(a.offsets.back()));
    for (std::size_t i = 0; i + 1 < a.offsets.size(); ++i)
      if (a.offsets[i + 1] < a.offsets[i])
        throw Error("offsets must not decrease, got " + std::to_string(a.offsets[i]) + " before " +
                    std::to_string(a.offsets[i + 1]));
    return;
  }
  if (static_cast<Index>(a.lengths.size()) != a.batch)
    throw Error("lengths must have " + std::to_string(a.batch) + " entries (the batch), got " +
                std::to_string(a.lengths.size()));
  for (std::size_t b = 0; b < a.lengths.size(); ++b)
    if (a.lengths[b] < 0 || a.lengths[b] > a.steps)
      throw Error("lengths must lie within [0, " + std::to_string(a.steps) + "], got " + std::to_string(a.lengths[b]) +
                  " for sequence " + std::to_string(b));
}

template <class T>
RowMap<T> row_map(T* data, Index features, const Arrangement& a, bool reversed) {
  RowMap<T> map;
  map.data = data;
  map.step = (a.time_major ? a.batch : 1) * features;
  map.offset.resize(static_cast<std::size_t>(a.batch));
  for (Index b = 0; b < a.batch; ++b) {
    const auto i = static_cast<std::size_t>(b);
    Index& offset = map.offset[i];
    offset = a.ragged() ? a.offsets[i] * features : a.time_major ? b * features : b * a.steps * features;
    if (reversed && a.lengths[i] > 0) offset += (a.lengths[i] - 1) * map.step;
  }
  if (reversed) map.step = -map.step;
  return map;
}

namespace {

template <class T>
Plan plan_for(const RecurrentCall<T>& call, const Batch& batch, const Plan* forced) {
  if (forced) return *forced;
  return choose_plan({batch.size(), batch.steps(), &call.weights->layout(), sizeof(T)}, num_threads());
}

// Zero rows from a sequence's length on are written through an unreversed map.
template <class T>
void zero_after_lengths(T* data, Index features, const Arrangement& a) {
  if (a.ragged()) return;
  const RowMap<T> map = row_map(data, features, a, false);
  for (Index b = 0; b < a.batch; ++b)
    for (Index t = a.lengths[static_cast<std::size_t>(b)]; t < a.steps; ++t) std::fill_n(map.row(b, t), features, T(0));
}

}  // namespace

template <class T>
std::unique_ptr<RecurrentContext<T>> recurrent_forward(const RecurrentCall<T>& call, T* y, T* const* final,
                                                       bool training, const Plan* plan) {
  const Layout& layout = call.weights->layout();
  auto context = std::make_unique<RecurrentContext<T>>(call, Batch(call.arrangement.lengths));
  const Batch& batch = context->batch_;
  if (y) {
    context->y_ = row_map(y, layout.hidden, call.arrangement, false);
  } else if (training) {
    // Compact: sequences one after the other, real steps only.
    context->outputs_ = Buffer<T>(checked_product(batch.records(), layout.hidden));
    Arrangement compact{.batch = call.arrangement.batch, .offsets = {0}, .lengths = call.arrangement.lengths};
    for (const Index length : compact.lengths) compact.offsets.push_back(compact.offsets.back() + length);
    context->y_ = row_map(context->outputs_.data(), layout.hidden, compact, false);
  }
  if (training) context->saved_ = Buffer<T>(checked_product(batch.records(), layout.record()));

  ForwardArgs<T> args{};
  args.weights = call.weights;
  args.batch = &batch;
  args.steps = y && !call.arrangement.ragged() ? call.arrangement.steps : 0;
  args.activation = call.activation;
  args.recurrent_activation = call.recurrent_activation;
  args.x = row_map(call.x, layout.input, call.arrangement, call.reversed);
  args.y = context->y_;
  args.saved = training ? context->saved_.data() : nullptr;
  std::copy_n(call.initial, kMaxStates, args.initial);
  std::copy_n(final, kMaxStates, args.final);
  run_forward(args, plan_for(call, batch, plan));
  return context;
}

template <class T>
void recurrent_backward(RecurrentContext<T>& context, const RecurrentGradients<T>& g, const Plan* plan) {
  const RecurrentCall<T>& call = context.call_;
  const Layout& layout = call.weights->layout();
  BackwardArgs<T> args{};
  args.weights = call.weights;
  args.batch = &context.batch_;
  args.activation = call.activation;
  args.recurrent_activation = call.recurrent_activation;
  args.x = row_map(call.x, layout.input, call.arrangement, call.reversed);
  args.y = {context.y_.data, context.y_.offset, context.y_.step};
  args.saved = context.saved_.data();
  std::copy_n(call.initial, kMaxStates, args.initial);
  if (g.dy) args.dy = row_map(g.dy, layout.hidden, call.arrangement, false);
  std::copy_n(g.d_final, kMaxStates, args.d_final);
  if (g.dx) {
    zero_after_lengths(g.dx, layout.input, call.arrangement);
    args.dx = row_map(g.dx, layout.input, call.arrangement, call.reversed);
  }
  std::copy_n(g.d_initial, kMaxStates, args.d_initial);
  args.d_kernel = g.d_kernel;
  args.d_recurrent_kernel = g.d_recurrent_kernel;
  args.d_bias = g.d_bias;
  run_backward(args, plan_for(call, context.batch_, plan));
}

#define LATCHWORK_INSTANTIATE(T)                                                                                \
  template RowMap<T> row_map(T*, Index, const Arrangement&, bool);                                              \
  template RowMap<const T> row_map(const T*, Index, const Arrangement&, bool);                                  \
  template std::unique_ptr<RecurrentContext<T>> recurrent_forward(const RecurrentCall<T>&, T*, T* const*, bool, \
                                                                  const Plan*);                                 \
  template void recurrent_backward(RecurrentContext<T>&, const RecurrentGradients<T>&, const Plan*);
LATCHWORK_INSTANTIATE(float)
LATCHWORK_INSTANTIATE(double)
#undef LATCHWORK_INSTANTIATE

}  // namespace latchwork
