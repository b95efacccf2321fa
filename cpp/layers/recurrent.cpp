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

void Arrangement::set_mask(const bool* mask) {
  first_real.assign(1, 0);
  lengths.clear();
  const RowMap<const bool> map = row_map(mask, 1, unmasked(), false);
  for (Index b = 0; b < batch; ++b) {
    const auto i = static_cast<std::size_t>(b);
    const Index extent = ragged() ? offsets[i + 1] - offsets[i] : steps;
    for (Index t = 0; t < extent; ++t)
      if (*map.row(b, t)) real.push_back(t);
    first_real.push_back(static_cast<Index>(real.size()));
    lengths.push_back(first_real[i + 1] - first_real[i]);
  }
}

Arrangement Arrangement::unmasked() const {
  Arrangement all{.batch = batch, .steps = steps, .time_major = time_major, .offsets = offsets, .lengths = {}};
  for (std::size_t b = 0; b < static_cast<std::size_t>(batch); ++b)
    all.lengths.push_back(ragged() ? offsets[b + 1] - offsets[b] : steps);
  return all;
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
    if (a.masked())
      map.real.push_back(a.real.data() + a.first_real[i] + (reversed && a.lengths[i] > 0 ? a.lengths[i] - 1 : 0));
    else if (reversed && a.lengths[i] > 0)
      offset += (a.lengths[i] - 1) * map.step;
  }
  if (reversed) (a.masked() ? map.next : map.step) *= -1;
  return map;
}

namespace {

template <class T>
Plan plan_for(const RecurrentCall<T>& call, const Batch& batch, const Plan* forced) {
  if (forced) return *forced;
  return choose_plan({batch.size(), batch.steps(), &call.weights->layout(), sizeof(T)}, num_threads());
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

}  // namespace

template <class T>
std::unique_ptr<RecurrentContext<T>> recurrent_forward(const RecurrentCall<T>& call, T* y, T* const* final,
                                                       bool training, const Plan* plan) {
  const Layout& layout = call.weights->layout();
  auto context = std::make_unique<RecurrentContext<T>>(call, Batch(call.arrangement.lengths));
  const Batch& batch = context->batch_;
  const Arrangement& a = context->call_.arrangement;  // row maps point into it
  if (y) {
    context->y_ = output_map(y, or_else(call.output.width, layout.hidden), a, call.reversed, call.output.align);
  } else if (training) {
    context->outputs_ = Buffer<T>(checked_product(batch.records(), layout.hidden));
    context->y_ = row_map(context->outputs_.data(), layout.hidden, compacted(a), false);
  }
  if (training) context->saved_ = Buffer<T>(checked_product(batch.records(), layout.record()));

  ForwardArgs<T> args{};
  args.weights = call.weights;
  args.batch = &batch;
  const bool aligned = call.reversed && call.output.align;  // then zeros do not lie behind the outputs
  args.steps = y && !a.ragged() && !a.masked() && !aligned ? a.steps : 0;
  args.activation = call.activation;
  args.recurrent_activation = call.recurrent_activation;
  args.x = row_map(call.x, layout.input, a, call.reversed);
  args.y = context->y_;
  args.saved = training ? context->saved_.data() : nullptr;
  std::copy_n(call.initial, kMaxStates, args.initial);
  std::copy_n(final, kMaxStates, args.final);
  run_forward(args, plan_for(call, batch, plan));
  if (y && a.masked())
    fill_masked(y, layout.hidden, call);
  else if (y && aligned)
    zero_after_lengths(y, layout.hidden, or_else(call.output.width, layout.hidden), a);
  return context;
}

template <class T>
void recurrent_backward(RecurrentContext<T>& context, const RecurrentGradients<T>& g, const Plan* plan) {
  const RecurrentCall<T>& call = context.call_;
  const Arrangement& a = call.arrangement;
  const Layout& layout = call.weights->layout();
  BackwardArgs<T> args{};
  args.weights = call.weights;
  args.batch = &context.batch_;
  args.activation = call.activation;
  args.recurrent_activation = call.recurrent_activation;
  args.x = row_map(call.x, layout.input, a, call.reversed);
  args.y = {context.y_.data, context.y_.offset, context.y_.step, context.y_.real, context.y_.next};
  args.saved = context.saved_.data();
  std::copy_n(call.initial, kMaxStates, args.initial);
  Buffer<T> gathered;
  const Index dy_width = or_else(g.dy_width, layout.hidden);
  if (g.dy && a.masked() && call.output.hold) {
    gathered = Buffer<T>(checked_product(context.batch_.records(), layout.hidden));
    gather_held(g.dy, layout.hidden, dy_width, call, gathered.data());
    args.dy = row_map<const T>(gathered.data(), layout.hidden, compacted(a), false);
  } else if (g.dy) {
    args.dy = output_map(g.dy, dy_width, a, call.reversed, call.output.align);
  }
  std::copy_n(g.d_final, kMaxStates, args.d_final);
  if (g.dx) {
    zero_unread(g.dx, layout.input, a);
    args.dx = row_map(g.dx, layout.input, a, call.reversed);
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
