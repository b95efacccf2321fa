#include "sequence/sweep.h"

#include <algorithm>

#include "sequence/panel_list.h"

namespace latchwork {
namespace {

// Of a product whose weights come from L2 or beyond, between two looks at interrupts.
constexpr Index kRowsAtOnce = 256;

// Records of more bytes than this are no longer in a cache near by when backward comes to them.
constexpr Index kNear = 1 << 20;

}  // namespace

template <class T>
Sweep<T>::Sweep(BackwardCall<T>& call, const Stretch& stretch, int member)
    : call_(call),
      split_(stretch.split),
      member_(member),
      args_(call.args),
      layout_(call.layout),
      cell_(*call.layout.cell),
      batch_(*call.args.batch),
      kernels_(call.args.weights->table().template of<T>().product),
      rows_(row_share(stretch, batch_, call.plan.members, member)),
      blocks_(block_share(stretch, layout_, call.plan.members, member)),
      units_(unit_share(layout_, blocks_)),
      poll_(&call.interruption),
      h_previous_(rows_.count),
      h_next_(rows_.count),
      dy_previous_(rows_.count),
      intermediate_(rows_.count),
      packed_(std::min(kRowsAtOnce, batch_.size())),
      slot_rows_(rows_.count),
      edge_rows_(layout_.edge() ? rows_.count : 0),
      pieces_(batch_.records() * layout_.record() * static_cast<Index>(sizeof(T)) > kNear
                  ? rows_.count * (cell_.saved + cell_.states + 1)
                  : 0) {
  for (const BackwardProduct& product : layout_.backward)
    chains_[static_cast<std::size_t>(product.operand)] = call.slots.chain(product, edge_rows_.data());
  for (Index i = 0; i < rows_.count; ++i)
    intermediate_[i] = cell_.phases > 1 ? call.intermediate.data() + rows_.row(i) * layout_.padded_hidden : nullptr;
}

template <class T>
void Sweep<T>::take_states() {
  for (int state = 1; state < cell_.states; ++state)
    for (Index i = 0; i < rows_.count && args_.initial[state]; ++i) {
      const Index row = rows_.row(i);
      const T* const in = args_.initial[state] + batch_.sequence(row) * layout_.hidden;
      std::copy(in + units_.first, in + units_.end,
                call_.states.data() + ((state - 1) * batch_.size() + row) * layout_.padded_hidden + units_.first);
    }
}

template <class T>
const T* Sweep<T>::h_before(Index t, Index row) const {
  const Index b = batch_.sequence(row);
  if (t > 0) return args_.y.row(b, t - 1);
  return args_.initial[0] ? args_.initial[0] + b * layout_.hidden : call_.zeros.data();
}

// The state beyond h after step t; before the first step of a segment it is not among the records.
template <class T>
Rows<T> Sweep<T>::state_rows(Index t, int state, Index row) const {
  if (t >= segment_) return call_.records.state_rows(segment_, t, state, row, rows_.stride);
  if (args_.segments) return args_.segments.rows(segment_, state, row, rows_.stride);
  const Index padded = layout_.padded_hidden;
  return {call_.states.data() + ((state - 1) * batch_.size() + row) * padded, rows_.stride * padded};
}

// Rows whose last step is t start from the gradients of their outputs and final states: dh = dy + dstate.
template <class T>
void Sweep<T>::enter_rows(Index t) {
  for (Index i = rows_.active(batch_.active(t + 1)); i < rows_.active(batch_.active(t)); ++i) {
    if (poll_.leaving(layout_.slot_row())) return;
    const Index row = rows_.row(i), b = batch_.sequence(row);
    for (int state = 0; state < cell_.states; ++state) {
      T* const out = call_.d_state(t & 1, state, row);
      const T* const from_state = args_.d_final[state] ? args_.d_final[state] + b * layout_.hidden : nullptr;
      const T* const from_output = state == 0 && args_.dy ? args_.dy.row(b, t) : nullptr;
      for (Index u = units_.first; u < units_.end; ++u) {
        const T d = from_output ? from_output[u] : T(0);
        out[u] = from_state ? d + from_state[u] : d;
      }
    }
  }
}

template <class T>
void Sweep<T>::point_rows(Index t, Index rows, Index k) {
  for (Index i = 0; i < rows; ++i) {
    const Index row = rows_.row(i), b = batch_.sequence(row);
    h_previous_[i] = h_before(t, row);
    h_next_[i] = args_.y.row(b, t);
    if (args_.dy && t > 0) dy_previous_[i] = args_.dy.row(b, t - 1);
    slot_rows_[i] = call_.slots.row(0, k + row);
    if (layout_.edge()) edge_rows_[i] = call_.slots.edge_row(k + row);
  }
}

// Operand rows of a block are shared in two stretches, whoever computed them: packed ones are shorter than a cache
// line.
template <class T>
void Sweep<T>::pack_operands(Index begin, Index end) {
  const Index all = batch_.first_record(end) - batch_.first_record(begin);
  const Index first = all * member_ / call_.plan.members, last = all * (member_ + 1) / call_.plan.members;
  Index k = 0;  // of row 0 of the step
  for (Index t = end - 1; t >= begin; k += batch_.active(t--)) {
    const Index active = std::min(batch_.active(t), last - k);
    for (Index row = std::max<Index>(0, first - k); row < active; row += kRowsAtOnce) {
      const Index count = std::min(kRowsAtOnce, active - row);
      if (poll_.leaving(count * (layout_.input + layout_.hidden))) return;
      for (Index i = 0; i < count; ++i) packed_[i] = args_.x.row(batch_.sequence(row + i), t);
      call_.weights.pack(Operand::x, packed_.data(), count, k + row, 1);
      for (Index i = 0; i < count; ++i) packed_[i] = h_before(t, row + i);
      call_.weights.pack(Operand::h, packed_.data(), count, k + row, 1);
    }
  }
}

// Of this step alone; with units split, members take turns by row.
template <class T>
void Sweep<T>::pack_intermediate(Index rows, Index k) {
  const Index first = split_ == Split::rows ? 0 : rows * member_ / call_.plan.members;
  const Index last = split_ == Split::rows ? rows : rows * (member_ + 1) / call_.plan.members;
  for (Index row = first; row < last; row += kRowsAtOnce) {
    const Index count = std::min(kRowsAtOnce, last - row);
    if (poll_.leaving(count * layout_.hidden)) return;
    call_.weights.pack(Operand::intermediate, intermediate_.data() + row, count, k + rows_.row(row), rows_.stride);
  }
}

// Records, h before and dy lie in L3 or memory by now, in pieces that no hardware prefetcher follows.
template <class T>
Ahead* Sweep<T>::ahead(Index t, Index stretches) {
  if (pieces_.size() == 0 || t < segment_) return nullptr;
  const Rows<T> records = call_.records.rows(segment_, t, rows_.row(0), rows_.stride);
  const Index values = cell_.saved + cell_.states - 1, first = units_.first, units = units_.end - first;
  const bool whole = units == layout_.hidden;
  Index count = 0, lines = 0;
  const auto add = [&](const T* data, Index size) {
    const Index bytes = size * static_cast<Index>(sizeof(T));
    pieces_[count++] = {data, bytes};
    lines += ceil_div(bytes, static_cast<Index>(kAlignment));
  };
  for (Index i = 0; i < rows_.active(batch_.active(t)); ++i) {
    const T* const record = records.data + i * records.stride;
    if (whole)
      add(record, layout_.record());
    else
      for (Index v = 0; v < values; ++v) add(record + v * layout_.padded_hidden + first, units);
    if (t == 0) continue;
    const Index b = batch_.sequence(rows_.row(i));
    add(args_.y.row(b, t - 1) + first, units);
    if (args_.dy) add(args_.dy.row(b, t - 1) + first, units);
  }
  ahead_ = {pieces_.data(), count, ceil_div(lines, stretches), 0};
  return &ahead_;
}

// out (+)= d_slots · weights^T over the member's columns; `chained`: the chain starts from what out holds.
// Meanwhile what the pass of step `next` reads is fetched.
template <class T>
void Sweep<T>::flow(Operand operand, Index rows, Rows<T> out, bool chained, Index next) {
  const BackwardProduct* const product = layout_.backward_of(operand);
  if (!product) return;
  PoolVector<Segment<T>>& chain = chains_[static_cast<std::size_t>(operand)];
  const Index tiles = ceil_div(rows, kernels_.tile_rows) * (blocks_.end - blocks_.first);
  Ahead* const fetched = next < 0 ? nullptr : ahead(next, tiles * static_cast<Index>(chain.size()));
  for (Index row = 0; row < rows; row += kRowsAtOnce) {
    const Index count = std::min(kRowsAtOnce, rows - row);
    read_edge(chain, edge_rows_.data() + row);
    PanelList<T> panels(kernels_, {.rows = count,
                                   .init_stride = out.stride,
                                   .segments = chain.data(),
                                   .segment_count = static_cast<Index>(chain.size()),
                                   .operand = slot_rows_.data() + row,
                                   .ahead = fetched});
    const T* weights = args_.weights->backward() + product->weights;
    for (Index panel = 0; panel * layout_.panel_columns < product->columns; ++panel) {
      const Index width = layout_.panel_width(product->columns, panel);
      T* const columns = out.data + row * out.stride + panel * layout_.panel_columns;
      if (panel >= blocks_.first && panel < blocks_.end) {
        if (poll_.leaving(count * product->terms * width)) return;
        panels.add(width, out.stride, {chained ? columns : nullptr, weights, columns});
        if (count > kernels_.tile_rows) panels.run();  // enough work to look up after each
      }
      weights += product->terms * width;
    }
    panels.run();
  }
}

template <class T>
void Sweep<T>::pass(Index t, int phase, Index b, Index rows, Index k) {
  const Block& block = layout_.blocks[static_cast<std::size_t>(b)];
  const Index first = rows_.row(0), stride = rows_.stride * layout_.padded_hidden;
  PointwiseArgs<T> a{};
  a.rows = rows;
  a.unit = block.unit;
  a.units = block.units;
  a.padded_hidden = layout_.padded_hidden;
  a.activation = args_.activation;
  a.recurrent_activation = args_.recurrent_activation;
  a.slots = {call_.slots.row(b, k + first), rows_.stride * call_.slots.row_stride(b)};
  a.slot_stride = call_.slots.slot_stride(b);
  a.h_previous = h_previous_.data();
  a.h_next = const_cast<T* const*>(h_next_.data());  // backward reads it
  for (int state = 0; state < cell_.states; ++state) {
    a.d_next[state] = {call_.d_state(t & 1, state, first), stride};
    a.d_previous[state] = {call_.d_state((t & 1) ^ 1, state, first), stride};
    if (state == 0) continue;
    a.previous[state] = state_rows(t - 1, state, first);
    a.next[state] = state_rows(t, state, first);
  }
  a.saved = call_.records.rows(segment_, t, first, rows_.stride);
  if (cell_.phases > 1) {
    a.intermediate = {call_.intermediate.data() + first * layout_.padded_hidden, stride};
    a.d_intermediate = {call_.d_intermediate.data() + first * layout_.padded_hidden, stride};
  }
  if (phase == 0 && args_.dy && t > 0) a.dy_previous = dy_previous_.data();
  args_.weights->kernels().backward[phase](a);
}

template <class T>
void Sweep<T>::step(Index t, Index rows, Index k) {
  const Index first = rows_.row(0), stride = rows_.stride * layout_.padded_hidden;
  for (int phase = cell_.phases - 1; phase >= 0; --phase) {
    for (Index b = blocks_.first; b < blocks_.end; ++b)
      if (!poll_.leaving(rows * cell_.slots * layout_.panel_columns)) pass(t, phase, b, rows, k);
    if (split_ == Split::units) call_.barrier.wait();
    if (phase > 0)
      flow(Operand::intermediate, rows, {call_.d_intermediate.data() + first * layout_.padded_hidden, stride}, false);
  }
  flow(Operand::h, rows, {call_.d_state((t & 1) ^ 1, 0, first), stride}, true, t - 1);
  if (cell_.phases > 1) pack_intermediate(rows, k);
}

template <class T>
void Sweep<T>::run(Index begin, Index end) {
  Index k = 0;
  for (Index t = end - 1; t >= begin; --t) {
    const Index rows = rows_.active(batch_.active(t));
    if (rows > 0) {
      enter_rows(t);
      point_rows(t, rows, k);
      step(t, rows, k);
    }
    k += batch_.active(t);
  }
}

// A sequence without steps passes its gradients through.
template <class T>
void Sweep<T>::hand_out_states() {
  for (Index i = 0; i < rows_.count; ++i) {
    const Index row = rows_.row(i), b = batch_.sequence(row);
    for (int state = 0; state < cell_.states; ++state) {
      if (!args_.d_initial[state]) continue;
      T* const out = args_.d_initial[state] + b * layout_.hidden;
      const T* in = call_.d_state(1, state, row);
      if (batch_.length(row) == 0)
        in = args_.d_final[state] ? args_.d_final[state] + b * layout_.hidden : call_.zeros.data();
      std::copy(in + units_.first, in + units_.end, out + units_.first);
    }
  }
}

template class Sweep<float>;
template class Sweep<double>;

}  // namespace latchwork
