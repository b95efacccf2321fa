// The forward time loop: the steps of one member, and where their rows lie.
#include <algorithm>

#include "sequence/calls.h"
#include "sequence/forward_call.h"

namespace latchwork {

template <class T>
ForwardCall<T>::ForwardCall(const ForwardArgs<T>& a, const Plan& p, InterruptPoll& i)
    : args(a),
      plan(p),
      stretches(latchwork::stretches(p, *a.batch)),
      interruption(i),
      layout(a.weights->layout()),
      barrier(p.members),
      zeros(layout.padded_hidden),
      h(a.y ? 0 : 2 * a.batch->size() * layout.padded_hidden),
      states((layout.cell->states - 1) * a.batch->size() * layout.padded_hidden),
      intermediate(layout.cell->phases > 1 ? a.batch->size() * layout.padded_hidden : 0) {
  for (Buffer<T>* const buffer : {&zeros, &states}) std::fill_n(buffer->data(), buffer->size(), T(0));
}

template <class T>
ForwardStretch<T>::ForwardStretch(ForwardCall<T>& call, const Stretch& stretch, int index)
    : call_(call),
      stretch_(stretch),
      index_(index),
      args_(call.args),
      layout_(call.layout),
      cell_(*call.layout.cell),
      batch_(*call.args.batch),
      rows_(row_share(stretch, batch_, call.plan.members, index)),
      blocks_(block_share(stretch, layout_, call.plan.members, index)),
      units_(unit_share(layout_, blocks_)),
      x_(rows_.count),
      h_previous_(rows_.count),
      intermediate_(rows_.count),
      h_next_(rows_.count),
      hoisted_x_(stretch.hoist_steps * rows_.count),
      hoisted_(stretch.hoist_steps * rows_.count * layout_.slot_row()),
      pass_(*args_.weights, args_.activation, args_.recurrent_activation, blocks_, rows_.count, call.plan.strip_rows,
            &call.interruption),
      poll_(&call.interruption) {
  for (Index i = 0; i < rows_.count; ++i)
    intermediate_[i] =
        call.intermediate.size() > 0 ? call.intermediate.data() + rows_.row(i) * layout_.padded_hidden : nullptr;
}

template <class T>
T* ForwardStretch<T>::h_row(Index t, Index row) const {
  if (args_.y) return args_.y.row(batch_.sequence(row), t);
  return call_.h.data() + ((t & 1) * batch_.size() + row) * layout_.padded_hidden;
}

template <class T>
const T* ForwardStretch<T>::h_before(Index t, Index row) const {
  if (t > begin_) return h_row(t - 1, row);
  const Index b = batch_.sequence(row);
  if (t > 0) return args_.h.row(b, t - 1);
  return args_.initial[0] ? args_.initial[0] + b * layout_.hidden : call_.zeros.data();
}

// States beyond h after step t: kept step by step in the records, or in place.
template <class T>
Rows<T> ForwardStretch<T>::state_rows(Index t, int state, Index row) const {
  if (args_.records && t >= begin_) return args_.records.state_rows(begin_, t, state, row, rows_.stride);
  const Index padded = layout_.padded_hidden;
  return {call_.states.data() + ((state - 1) * batch_.size() + row) * padded, rows_.stride * padded};
}

template <class T>
void ForwardStretch<T>::point_rows(Index t, Index rows) {
  for (Index i = 0; i < rows; ++i) {
    const Index row = rows_.row(i);
    x_[i] = args_.x.row(batch_.sequence(row), t);
    h_previous_[i] = h_before(t, row);
    h_next_[i] = h_row(t, row);
  }
}

// The input products of the coming steps, as one taller product. Rows are [step][own row].
template <class T>
void ForwardStretch<T>::hoist(Index t, Index end) {
  const Index steps = std::min(stretch_.hoist_steps, end - t);
  Index count = 0;
  for (Index i = 0; i < steps; ++i) {
    const Index rows = rows_.active(batch_.active(t + i));
    for (Index r = 0; r < rows; ++r) hoisted_x_[count++] = args_.x.row(batch_.sequence(rows_.row(r)), t + i);
  }
  const auto product = args_.weights->table().template of<T>().product.product;
  const Segment<T> segment{hoisted_x_.data(), 0, layout_.input};
  for (int phase = 0; phase < cell_.phases; ++phase)
    for (Index b = blocks_.first; b < blocks_.end; ++b)
      for (const Panel& panel : layout_.panels_of(phase, b)) {
        const Index column = layout_.block_offset(layout_.blocks[static_cast<std::size_t>(b)]) + panel.in_block;
        const ProductPanel<T> out{args_.weights->bias() + column, args_.weights->forward() + panel.weights,
                                  hoisted_.data() + column};
        product({.rows = count,
                 .columns = panel.columns,
                 .panels = &out,
                 .panel_count = 1,
                 .init_stride = 0,
                 .out_stride = layout_.slot_row(),
                 .segments = &segment,
                 .segment_count = panel.x_weights > 0 ? 1 : 0});
      }
}

template <class T>
void ForwardStretch<T>::step(Index t, Index rows) {
  const Index first = rows_.row(0), padded = layout_.padded_hidden;
  StepRows<T> at{.x = x_.data(), .h_previous = h_previous_.data(), .h_next = h_next_.data()};
  for (int state = 1; state < cell_.states; ++state) {
    at.previous[state] = state_rows(t - 1, state, first);
    at.next[state] = state_rows(t, state, first);
  }
  if (args_.records) at.record = args_.records.rows(begin_, t, first, rows_.stride);
  if (cell_.phases > 1) at.intermediate = {call_.intermediate.data() + first * padded, rows_.stride * padded};
  at.intermediate_rows = intermediate_.data();
  if (const Index chunk = stretch_.hoist_steps; chunk > 0) {
    Index row = 0;  // [step of the chunk][own row]: those of the steps before t, which may have had more rows
    for (Index i = t - (t - from_) % chunk; i < t; ++i) row += rows_.active(batch_.active(i));
    at.hoisted = hoisted_.data() + row * layout_.slot_row();
  }
  for (int phase = 0; phase < cell_.phases; ++phase) {
    pass_.run(phase, at, 0, rows);
    if (stretch_.split == Split::units) call_.barrier.wait();
  }
}

template <class T>
void ForwardStretch<T>::copy_out(Index row, Index state, const T* values) {
  T* const out = args_.final[state];
  if (!out) return;
  std::copy(values + units_.first, values + units_.end, out + batch_.sequence(row) * layout_.hidden + units_.first);
}

// Rows whose last step was t (t = -1: rows without a step) hand their states out.
template <class T>
void ForwardStretch<T>::finish_rows(Index t) {
  const Index before = t < 0 ? rows_.count : rows_.active(batch_.active(t));
  for (Index i = rows_.active(batch_.active(t + 1)); i < before; ++i) {
    if (poll_.leaving(layout_.slot_row())) return;
    const Index row = rows_.row(i);
    copy_out(row, 0, t < 0 ? h_before(0, row) : h_row(t, row));
    for (int state = 1; state < cell_.states; ++state) copy_out(row, state, state_rows(t, state, row).data);
  }
}

template <class T>
void ForwardStretch<T>::zero_padding() {
  if (!args_.y) return;
  for (Index i = 0; i < rows_.count; ++i) {
    const Index row = rows_.row(i), b = batch_.sequence(row);
    for (Index t = batch_.length(row); t < args_.steps; ++t)
      std::fill(args_.y.row(b, t) + units_.first, args_.y.row(b, t) + units_.end, T(0));
  }
}

template <class T>
void ForwardStretch<T>::take_initial_states() {
  for (Index i = 0; i < rows_.count; ++i)
    for (int state = 1; state < cell_.states; ++state) {
      if (!args_.initial[state]) continue;
      const T* const in = args_.initial[state] + batch_.sequence(rows_.row(i)) * layout_.hidden;
      std::copy(in + units_.first, in + units_.end, state_rows(-1, state, rows_.row(i)).data + units_.first);
    }
  finish_rows(-1);
}

// copy(rows of the call, rows of the segment) for the states before step t, which begins a segment.
template <class T>
template <class Copy>
void ForwardStretch<T>::each_segment_state(Index t, Copy copy) {
  for (Index i = 0; i < rows_.active(batch_.active(t)); ++i)
    for (int state = 1; state < cell_.states; ++state)
      copy(state_rows(t - 1, state, rows_.row(i)).data, args_.segments.rows(t, state, rows_.row(i), 1).data);
}

template <class T>
void ForwardStretch<T>::take_segment_states(Index begin) {
  begin_ = begin;
  each_segment_state(
      begin, [&](T* state, const T* kept) { std::copy(kept + units_.first, kept + units_.end, state + units_.first); });
}

template <class T>
void ForwardStretch<T>::run(Index begin, Index from, Index end) {
  begin_ = begin, from_ = from;
  for (Index t = from; t < end && t < call_.end.load(std::memory_order_relaxed); ++t) {
    const Index rows = rows_.active(batch_.active(t));
    if (rows == 0) break;
    if (index_ == 0 && call_.interruption.wanted()) call_.end.store(t + 1, std::memory_order_relaxed);
    if (stretch_.hoist_steps > 0 && (t - from) % stretch_.hoist_steps == 0) hoist(t, end);
    if (!args_.records && args_.segments.begins_at(t))
      each_segment_state(t, [&](const T* state, T* kept) {
        std::copy(state + units_.first, state + units_.end, kept + units_.first);
      });
    point_rows(t, rows);
    step(t, rows);
    finish_rows(t);
  }
}

template <class T>
ForwardMember<T>::ForwardMember(ForwardCall<T>& call, int index) : call_(call) {
  for (int i = 0; i < call.stretches.count; ++i) parts_[i].emplace(call, call.stretches.part[i], index);
}

template <class T>
void ForwardMember<T>::steps(Index begin, Index end) {
  for (std::optional<ForwardStretch<T>>& part : parts_) {
    if (!part) break;
    const Index from = std::max(begin, part->stretch().begin), to = std::min(end, part->stretch().end);
    if (from >= to) continue;
    if (&part != parts_) call_.barrier.wait();  // other members have what was this one's
    part->run(begin, from, to);
  }
}

template <class T>
void ForwardMember<T>::run() {
  parts_[0]->take_initial_states();
  steps(0, call_.args.batch->steps());
  parts_[0]->zero_padding();
}

template <class T>
void ForwardMember<T>::rerun(Index begin, Index end) {
  const bool in_first = begin < parts_[0]->stretch().end;
  parts_[in_first ? 0 : 1]->take_segment_states(begin);
  steps(begin, end);
}

template <class T>
void run_forward(std::span<const ForwardArgs<T>> calls) {
  run_calls<ForwardCall<T>, ForwardMember<T>>(calls);
}

template <class T>
std::size_t forward_bytes(const ForwardArgs<T>& args) {
  return work_bytes<ForwardCall<T>, ForwardMember<T>>(args);
}

#define LATCHWORK_INSTANTIATE(T)                              \
  template struct ForwardCall<T>;                             \
  template class ForwardStretch<T>;                           \
  template class ForwardMember<T>;                            \
  template void run_forward(std::span<const ForwardArgs<T>>); \
  template std::size_t forward_bytes(const ForwardArgs<T>&);
LATCHWORK_INSTANTIATE(float)
LATCHWORK_INSTANTIATE(double)
#undef LATCHWORK_INSTANTIATE

}  // namespace latchwork
