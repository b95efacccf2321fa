#include "layers/recurrent.h"
#include "layers/recurrent_bytes.h"

#include <algorithm>
#include <functional>

namespace latchwork {

namespace {

// Plans the calls and runs them. apart: not side by side.
template <class Args>
void plan_and_run(PoolVector<Args>& calls, const Plan* forced, bool apart, void (*run)(std::span<const Args>)) {
  PoolVector<PlanShape> shapes;
  shapes.reserve(calls.size());
  for (const Args& call : calls)
    shapes.push_back({call.batch->size(), call.batch->steps(), &call.weights->layout(), sizeof(*call.x.data)});
  const Choices choices = choose_plans(shapes, num_threads(), apart, forced);
  for (std::size_t i = 0; i < calls.size(); ++i) {
    calls[i].plan = choices.calls[i].plan;
    if (!choices.side_by_side) run({&calls[i], 1});
  }
  if (choices.side_by_side) run(calls);
}

Index or_else(Index width, Index features) { return width > 0 ? width : features; }

// Zero rows from a sequence's length on are written through an unreversed map. Rows are `width` elements apart.
template <class T>
void zero_after_lengths(T* data, Index features, Index width, const Arrangement& a) {
  if (a.ragged()) return;
  const RowMap<T> map = row_map(data, width, a, false);
  for (Index b = 0; b < a.batch; ++b)
    for (Index t = a.lengths[static_cast<std::size_t>(b)]; t < a.steps; ++t) std::fill_n(map.row(b, t), features, T(0));
}

// Where the outputs lie. Masked and reversed, the order read counts masked steps too: step t lies at extent - 1 - t.
template <class T>
RowMap<T> output_map(T* y, Index width, const Arrangement& a, bool reversed, bool align) {
  if (!reversed || align || !a.masked()) return row_map(y, width, a, reversed && align);
  RowMap<T> map = row_map(y, width, a, true);
  map.offset = row_map(y, width, a.unmasked(), true).offset;
  map.step = -map.step;
  return map;
}

// visit(b, k, row) for every step of a masked array in the order read; k: which real step it is, -1 for a masked one.
template <class T, class Visit>
void each_step(T* data, Index width, const Arrangement& a, bool reversed, bool align, Visit visit) {
  const Arrangement all = a.unmasked();
  const RowMap<T> every = row_map(data, width, all, reversed && align);
  const RowMap<T> outputs = output_map(data, width, a, reversed, align);
  for (Index b = 0; b < a.batch; ++b) {
    const auto i = static_cast<std::size_t>(b);
    Index k = 0;
    for (Index t = 0; t < all.lengths[i]; ++t) {
      T* const row = every.row(b, t);
      const bool is_real = k < a.lengths[i] && outputs.row(b, k) == row;
      visit(b, is_real ? k++ : Index{-1}, row);
    }
  }
}

// y where there is no output.
template <class T>
void fill_masked(T* y, Index features, const RecurrentCall<T>& call) {
  const T* held = nullptr;
  Index sequence = -1;
  const Index width = or_else(call.output.width, features);
  each_step(y, width, call.arrangement, call.reversed, call.output.align, [&](Index b, Index k, T* row) {
    if (b != sequence) held = nullptr;
    sequence = b;
    if (k >= 0)
      held = row;
    else if (call.output.hold && held)
      std::copy_n(held, features, row);
    else
      std::fill_n(row, features, T(0));
  });
}

// The gradient of held outputs [real steps, H]: what reached the copies is added to the step that made them, in the
// order read.
template <class T>
void gather_held(const T* dy, Index features, Index width, const RecurrentCall<T>& call, T* gathered) {
  const Arrangement& a = call.arrangement;
  T* sum = nullptr;
  Index sequence = -1;
  each_step(dy, width, a, call.reversed, call.output.align, [&](Index b, Index k, const T* row) {
    if (b != sequence) sum = nullptr;
    sequence = b;
    if (k >= 0) {
      sum = gathered + (a.first_real[static_cast<std::size_t>(b)] + k) * features;
      std::copy_n(row, features, sum);
    } else if (sum) {
      for (Index u = 0; u < features; ++u) sum[u] += row[u];
    }
  });
}

// Real steps only, one sequence after the other.
Arrangement compacted(const Arrangement& a) {
  Arrangement compact{.batch = a.batch, .offsets = {0}, .lengths = a.lengths};
  for (const Index length : a.lengths) compact.offsets.push_back(compact.offsets.back() + length);
  return compact;
}

// dx of steps that were not read is zero.
template <class T>
void zero_unread(T* dx, Index features, const Arrangement& a) {
  if (!a.masked()) return zero_after_lengths(dx, features, features, a);
  each_step(dx, features, a, false, false, [&](Index, Index k, T* row) {
    if (k < 0) std::fill_n(row, features, T(0));
  });
}

// Whether gradients of parameters of two calls meet in memory.
template <class T>
bool add_to_one_array(const PoolVector<BackwardArgs<T>>& calls) {
  if (calls.size() < 2) return false;
  struct Array {
    const T *begin, *end;
    const void* call;
  };
  PoolVector<Array> arrays;
  arrays.reserve(3 * calls.size());
  for (const BackwardArgs<T>& call : calls) {
    const Layout& layout = call.weights->layout();
    const Index columns = layout.cell->gates * layout.hidden;
    const auto add = [&](const T* data, Index rows) {
      if (data) arrays.push_back({data, data + rows * columns, &call});
    };
    add(call.d_kernel, layout.input);
    add(call.d_recurrent_kernel, layout.hidden);
    add(call.d_bias, layout.cell->biases);
  }
  const std::less<const T*> before;
  for (const Array& a : arrays)
    for (const Array& b : arrays)
      if (a.call != b.call && before(a.begin, b.end) && before(b.begin, a.end)) return true;
  return false;
}

}  // namespace

// What the call keeps, in today's layout: backward may run on another ISA than forward.
template <class T>
template <class Args>
void RecurrentContext<T>::keep(Args& args) {
  const Layout& layout = call_.weights->layout();
  if (segment_ > 0)
    args.segments = {states_.data(), segment_, &layout, batch_.size()};
  else
    args.records = {saved_.data(), &layout, &batch_};
}

template <class T>
ForwardArgs<T> RecurrentContext<T>::prepare_forward(bool training) {
  const Layout& layout = call_.weights->layout();
  const Arrangement& a = call_.arrangement;  // row maps point into it
  if (training) {
    memory_ = call_.budget > 0 ? memory_within(call_.budget, *call_.weights, batch_, call_.y != nullptr) : call_.memory;
    const KeptSizes kept(memory_, layout, batch_, call_.y != nullptr);
    segment_ = kept.segment;
    outputs_ = Buffer<T>(kept.outputs), saved_ = Buffer<T>(kept.records), states_ = Buffer<T>(kept.states);
  }
  if (call_.y)
    y_ = output_map(call_.y, or_else(call_.output.width, layout.hidden), a, call_.reversed, call_.output.align);
  else if (training)
    y_ = row_map(outputs_.data(), layout.hidden, compacted(a), false);

  ForwardArgs<T> args{};
  args.weights = call_.weights;
  args.batch = &batch_;
  const bool aligned = call_.reversed && call_.output.align;  // then zeros do not lie behind the outputs
  args.steps = call_.y && !a.ragged() && !a.masked() && !aligned ? a.steps : 0;
  args.activation = call_.activation;
  args.recurrent_activation = call_.recurrent_activation;
  args.x = row_map(call_.x, layout.input, a, call_.reversed);
  args.y = y_;
  if (training) keep(args);
  std::copy_n(call_.initial, kMaxStates, args.initial);
  std::copy_n(call_.final, kMaxStates, args.final);
  return args;
}

// y where the time loop wrote none.
template <class T>
void RecurrentContext<T>::finish_forward() {
  const Index hidden = call_.weights->hidden();
  if (!call_.y) return;
  if (call_.arrangement.masked())
    fill_masked(call_.y, hidden, call_);
  else if (call_.reversed && call_.output.align)
    zero_after_lengths(call_.y, hidden, or_else(call_.output.width, hidden), call_.arrangement);
}

template <class T>
BackwardArgs<T> RecurrentContext<T>::prepare_backward(const RecurrentGradients<T>& g) {
  const Arrangement& a = call_.arrangement;
  const Layout& layout = call_.weights->layout();
  BackwardArgs<T> args{};
  args.weights = call_.weights;
  args.batch = &batch_;
  args.activation = call_.activation;
  args.recurrent_activation = call_.recurrent_activation;
  args.x = row_map(call_.x, layout.input, a, call_.reversed);
  args.y = {y_.data, y_.offset, y_.step, y_.real, y_.next};
  keep(args);
  std::copy_n(call_.initial, kMaxStates, args.initial);
  const Index dy_width = or_else(g.dy_width, layout.hidden);
  if (g.dy && a.masked() && call_.output.hold) {
    gathered_ = Buffer<T>(checked_product(batch_.records(), layout.hidden));
    gather_held(g.dy, layout.hidden, dy_width, call_, gathered_.data());
    args.dy = row_map<const T>(gathered_.data(), layout.hidden, compacted(a), false);
  } else if (g.dy) {
    args.dy = output_map(g.dy, dy_width, a, call_.reversed, call_.output.align);
  }
  std::copy_n(g.d_final, kMaxStates, args.d_final);
  if (g.dx) {
    zero_unread(g.dx, layout.input, a);
    args.dx = row_map(g.dx, layout.input, a, call_.reversed);
  }
  std::copy_n(g.d_initial, kMaxStates, args.d_initial);
  args.d_kernel = g.d_kernel;
  args.d_recurrent_kernel = g.d_recurrent_kernel;
  args.d_bias = g.d_bias;
  return args;
}

template <class T>
PoolVector<std::unique_ptr<RecurrentContext<T>>> recurrent_forward(std::span<const RecurrentCall<T>> calls,
                                                                   bool training, const Plan* plan) {
  PoolVector<std::unique_ptr<RecurrentContext<T>>> contexts;
  PoolVector<ForwardArgs<T>> args;
  contexts.reserve(calls.size()), args.reserve(calls.size());
  for (const RecurrentCall<T>& call : calls) {
    contexts.push_back(std::make_unique<RecurrentContext<T>>(call));
    args.push_back(contexts.back()->prepare_forward(training));
  }
  plan_and_run(args, plan, false, &run_forward<T>);
  for (std::size_t i = 0; i < contexts.size(); ++i) {
    contexts[i]->finish_forward();
    contexts[i]->note_plan(args[i].plan);
  }
  return contexts;
}

template <class T>
void recurrent_backward(std::span<const RecurrentGradients<T>> calls, const Plan* plan) {
  PoolVector<BackwardArgs<T>> args;
  args.reserve(calls.size());
  for (const RecurrentGradients<T>& g : calls) args.push_back(g.context->prepare_backward(g));
  plan_and_run(args, plan, add_to_one_array(args), &run_backward<T>);
}

#define LATCHWORK_INSTANTIATE(T)                                                                                       \
  template class RecurrentContext<T>;                                                                                  \
  template PoolVector<std::unique_ptr<RecurrentContext<T>>> recurrent_forward(std::span<const RecurrentCall<T>>, bool, \
                                                                              const Plan*);                            \
  template void recurrent_backward(std::span<const RecurrentGradients<T>>, const Plan*);
LATCHWORK_INSTANTIATE(float)
LATCHWORK_INSTANTIATE(double)
#undef LATCHWORK_INSTANTIATE

}  // namespace latchwork
