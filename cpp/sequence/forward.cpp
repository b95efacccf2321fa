// The forward time loop. For each step, phase and unit block: products into a strip, then the cell over it, at once.
#include <algorithm>
#include <atomic>
#include <limits>
#include <memory>

#include "runtime/interrupt.h"
#include "runtime/thread_team.h"
#include "sequence/run.h"

namespace latchwork {
namespace {

// What the members of one call share.
template <class T>
struct Shared {
  const ForwardArgs<T>& args;
  const Plan& plan;
  const Layout& layout;
  Barrier barrier;
  Buffer<T> zeros;         // [max(I, H) padded], a row for states that start at zero
  Buffer<T> h;             // [2][B][padded] when y is not kept
  Buffer<T> states;        // [states - 1][B][padded] when nothing is saved, and the states before step 0 otherwise
  Buffer<T> intermediate;  // [B][padded]
  // The first step not to run. An interrupted caller's member sets it to the step after its own, which no other has
  // begun when units are split, so that all leave at the same barrier; until there nothing more is computed.
  std::atomic<Index> end = std::numeric_limits<Index>::max();
  InterruptPoll interrupt{};
};

template <class T>
class Member {
 public:
  Member(Shared<T>& shared, int index);
  void run();

 private:
  bool leaving(Index t, Index work);
  void point_rows(Index t, Index rows);
  void hoist(Index t);
  void step(Index t, Index rows);
  void pass(Index t, int phase, Index block, Index row, Index rows);
  void finish_rows(Index t);
  void zero_padding();
  void copy_out(Index row, Index state, const T* values);
  T* state_row(Index t, Index state, Index row) const;
  T* h_row(Index t, Index row) const;  // the output of step t
  const T* h_before(Index t, Index row) const;

  Shared<T>& s_;
  const int index_;
  const ForwardArgs<T>& args_;
  const Layout& layout_;
  const CellInfo& cell_;
  const Batch& batch_;
  const KernelTable& table_;
  const RowShare rows_;
  const BlockShare blocks_;
  const Index first_unit_, end_unit_;  // real units of the share
  Buffer<const T*> x_, h_previous_, intermediate_;
  Buffer<T*> h_next_;
  Buffer<const T*> hoisted_x_;  // [hoist_steps * rows]
  Buffer<T> strip_, hoisted_;
  Index strip_stride_;  // between the strips of two blocks: 0 unless a later phase reads them again
  Index work_ = 0;      // done since the last look at the interrupt
};

Index end_unit(const Layout& layout, const BlockShare& share) {
  if (share.end == share.first) return 0;
  const Block& last = layout.blocks[static_cast<std::size_t>(share.end - 1)];
  return std::min(layout.hidden, last.unit + last.width);
}

template <class T>
Member<T>::Member(Shared<T>& shared, int index)
    : s_(shared),
      index_(index),
      args_(shared.args),
      layout_(shared.layout),
      cell_(*shared.layout.cell),
      batch_(*shared.args.batch),
      table_(shared.args.weights->table()),
      rows_(row_share(shared.plan, batch_, index)),
      blocks_(block_share(shared.plan, layout_, index)),
      first_unit_(blocks_.end > blocks_.first ? layout_.blocks[static_cast<std::size_t>(blocks_.first)].unit : 0),
      end_unit_(end_unit(layout_, blocks_)),
      x_(rows_.count),
      h_previous_(rows_.count),
      intermediate_(rows_.count),
      h_next_(rows_.count),
      hoisted_x_(shared.plan.hoist_steps * rows_.count) {
  const Index strip_rows = std::min(shared.plan.strip_rows, std::max<Index>(1, rows_.count));
  const Index strip_width = cell_.slots * layout_.panel_columns;
  strip_stride_ = cell_.phases > 1 ? rows_.count * strip_width : 0;
  strip_ = Buffer<T>(strip_stride_ > 0 ? strip_stride_ * (blocks_.end - blocks_.first) : strip_rows * strip_width);
  hoisted_ = Buffer<T>(shared.plan.hoist_steps * rows_.count * layout_.slot_row());
  for (Index i = 0; i < rows_.count; ++i)
    intermediate_[i] =
        shared.intermediate.size() > 0 ? shared.intermediate.data() + rows_.row(i) * layout_.padded_hidden : nullptr;
}

template <class T>
T* Member<T>::h_row(Index t, Index row) const {
  if (args_.y) return args_.y.row(batch_.sequence(row), t);
  return s_.h.data() + ((t & 1) * batch_.size() + row) * layout_.padded_hidden;
}

template <class T>
const T* Member<T>::h_before(Index t, Index row) const {
  if (t > 0) return h_row(t - 1, row);
  return args_.initial[0] ? args_.initial[0] + batch_.sequence(row) * layout_.hidden : s_.zeros.data();
}

// States beyond h: kept step by step in the saved records, or in place.
template <class T>
T* Member<T>::state_row(Index t, Index state, Index row) const {
  if (args_.saved && t >= 0)
    return args_.saved + (batch_.first_record(t) + row) * layout_.record() +
           (cell_.saved + state - 1) * layout_.padded_hidden;
  return s_.states.data() + ((state - 1) * batch_.size() + row) * layout_.padded_hidden;
}

// Whether the call was interrupted; looked at between pieces of work, which are counted in FMAs.
template <class T>
bool Member<T>::leaving(Index t, Index work) {
  if ((work_ += work) < kPollWork) return false;
  if (!s_.interrupt.wanted()) {
    work_ = 0;
    return false;
  }
  if (index_ == 0 && s_.end.load(std::memory_order_relaxed) > t + 1) s_.end.store(t + 1, std::memory_order_relaxed);
  return true;
}

template <class T>
void Member<T>::point_rows(Index t, Index rows) {
  for (Index i = 0; i < rows; ++i) {
    const Index row = rows_.row(i);
    x_[i] = args_.x.row(batch_.sequence(row), t);
    h_previous_[i] = h_before(t, row);
    h_next_[i] = h_row(t, row);
  }
}

// The input products of the coming steps, as one taller product. Rows are [step][own row].
template <class T>
void Member<T>::hoist(Index t) {
  const Index steps = std::min(s_.plan.hoist_steps, batch_.steps() - t);
  Index count = 0;
  for (Index i = 0; i < steps; ++i) {
    const Index rows = rows_.active(batch_.active(t + i));
    for (Index r = 0; r < rows; ++r) hoisted_x_[count++] = args_.x.row(batch_.sequence(rows_.row(r)), t + i);
  }
  const Segment<T> segment{hoisted_x_.data(), 0, layout_.input};
  for (int phase = 0; phase < cell_.phases; ++phase)
    for (Index b = blocks_.first; b < blocks_.end; ++b)
      for (const Panel& panel : layout_.panels_of(phase, b)) {
        const Index column = layout_.block_offset(layout_.blocks[static_cast<std::size_t>(b)]) + panel.in_block;
        table_.of<T>().product.product({.rows = count,
                                        .columns = panel.columns,
                                        .init = args_.weights->bias() + column,
                                        .init_stride = 0,
                                        .weights = args_.weights->forward() + panel.weights,
                                        .segments = &segment,
                                        .segment_count = panel.x_weights > 0 ? 1 : 0,
                                        .out = hoisted_.data() + column,
                                        .out_stride = layout_.slot_row()});
      }
}

// One block of `rows` own rows from `row`: its products, then the cell.
template <class T>
void Member<T>::pass(Index t, int phase, Index b, Index row, Index rows) {
  const Block& block = layout_.blocks[static_cast<std::size_t>(b)];
  const Index strip_row = cell_.slots * block.width;
  T* const strip = strip_.data() + (b - blocks_.first) * strip_stride_ + (strip_stride_ > 0 ? row * strip_row : 0);

  const Index hoist_steps = s_.plan.hoist_steps;
  Index hoisted_row = row;  // [step][own row], steps before t in this chunk shrink with the active rows
  if (hoist_steps > 0)
    for (Index i = t - t % hoist_steps; i < t; ++i) hoisted_row += rows_.active(batch_.active(i));

  for (const Panel& panel : layout_.panels_of(phase, b)) {
    Segment<T> segments[kMaxProducts];
    Index count = 0;
    for (int i = 0; i < panel.product_count; ++i) {
      const Operand operand = cell_.product[panel.products[i]].operand;
      if (operand == Operand::x && hoist_steps > 0) continue;
      const T* const* operand_rows = operand == Operand::x   ? x_.data()
                                     : operand == Operand::h ? h_previous_.data()
                                                             : intermediate_.data();
      segments[count++] = {operand_rows + row, 0, layout_.features(operand)};
    }
    const Index column = layout_.block_offset(block) + panel.in_block;
    const bool hoisted = hoist_steps > 0;
    table_.of<T>().product.product(
        {.rows = rows,
         .columns = panel.columns,
         .init = hoisted ? hoisted_.data() + hoisted_row * layout_.slot_row() + column : args_.weights->bias() + column,
         .init_stride = hoisted ? layout_.slot_row() : 0,
         .weights = args_.weights->forward() + panel.weights + (hoisted ? panel.x_weights : 0),
         .segments = segments,
         .segment_count = count,
         .out = strip + panel.in_block,
         .out_stride = strip_row});
  }

  const Index stride = rows_.stride * layout_.padded_hidden, plan_row = rows_.row(row);
  PointwiseArgs<T> a{};
  a.rows = rows;
  a.unit = block.unit;
  a.units = block.units;
  a.padded_hidden = layout_.padded_hidden;
  a.activation = args_.activation;
  a.recurrent_activation = args_.recurrent_activation;
  a.slots = {strip, strip_row};
  a.slot_stride = block.width;
  a.h_previous = h_previous_.data() + row;
  a.h_next = h_next_.data() + row;
  const Index record = rows_.stride * layout_.record();
  for (int state = 1; state < cell_.states; ++state) {
    a.previous[state] = {state_row(t - 1, state, plan_row), args_.saved && t > 0 ? record : stride};
    a.next[state] = {state_row(t, state, plan_row), args_.saved ? record : stride};
  }
  if (args_.saved) a.saved = {args_.saved + (batch_.first_record(t) + plan_row) * layout_.record(), record};
  if (s_.intermediate.size() > 0) a.intermediate = {s_.intermediate.data() + plan_row * layout_.padded_hidden, stride};
  args_.weights->kernels().forward[phase](a);
}

template <class T>
void Member<T>::step(Index t, Index rows) {
  const Index pass_work = cell_.slots * layout_.panel_columns * (layout_.input + layout_.hidden);
  for (int phase = 0; phase < cell_.phases; ++phase) {
    for (Index b = blocks_.first; b < blocks_.end; ++b)
      for (Index row = 0; row < rows; row += s_.plan.strip_rows) {
        const Index count = std::min(s_.plan.strip_rows, rows - row);
        if (leaving(t, count * pass_work)) continue;
        pass(t, phase, b, row, count);
      }
    if (s_.plan.split == Split::units) s_.barrier.wait();
  }
}

template <class T>
void Member<T>::copy_out(Index row, Index state, const T* values) {
  T* const out = args_.final[state];
  if (!out) return;
  std::copy(values + first_unit_, values + end_unit_, out + batch_.sequence(row) * layout_.hidden + first_unit_);
}

// Rows whose last step was t (t = -1: rows without a step) hand their states out.
template <class T>
void Member<T>::finish_rows(Index t) {
  const Index before = t < 0 ? rows_.count : rows_.active(batch_.active(t));
  for (Index i = rows_.active(batch_.active(t + 1)); i < before; ++i) {
    if (leaving(t + 1, layout_.slot_row())) return;  // others may have begun the step after t
    const Index row = rows_.row(i);
    copy_out(row, 0, t < 0 ? h_before(0, row) : h_row(t, row));
    for (int state = 1; state < cell_.states; ++state) copy_out(row, state, state_row(t, state, row));
  }
}

template <class T>
void Member<T>::zero_padding() {
  if (!args_.y) return;
  for (Index i = 0; i < rows_.count; ++i) {
    const Index row = rows_.row(i), b = batch_.sequence(row);
    for (Index t = batch_.length(row); t < args_.steps; ++t)
      std::fill(args_.y.row(b, t) + first_unit_, args_.y.row(b, t) + end_unit_, T(0));
  }
}

template <class T>
void Member<T>::run() {
  // The states beyond h before step 0; each member copies what it will read.
  for (Index i = 0; i < rows_.count; ++i)
    for (int state = 1; state < cell_.states; ++state) {
      T* const out = state_row(-1, state, rows_.row(i));
      if (!args_.initial[state]) continue;
      const T* const in = args_.initial[state] + batch_.sequence(rows_.row(i)) * layout_.hidden;
      std::copy(in + first_unit_, in + end_unit_, out + first_unit_);
    }
  finish_rows(-1);
  for (Index t = 0; t < batch_.steps() && t < s_.end.load(std::memory_order_relaxed); ++t) {
    const Index rows = rows_.active(batch_.active(t));
    if (rows == 0) break;
    leaving(t, kPollWork);
    if (s_.plan.hoist_steps > 0 && t % s_.plan.hoist_steps == 0) hoist(t);
    point_rows(t, rows);
    step(t, rows);
    finish_rows(t);
  }
  zero_padding();
}

}  // namespace

template <class T>
void run_forward(const ForwardArgs<T>& args, const Plan& plan) {
  const Layout& layout = args.weights->layout();
  const CellInfo& cell = *layout.cell;
  const Index rows = args.batch->size(), padded = layout.padded_hidden;
  if (rows == 0) return;
  Team team(plan.members);
  Plan actual = plan;
  actual.members = team.size();
  if (actual.members == 1) actual.split = Split::rows;
  Shared<T> shared{args,
                   actual,
                   layout,
                   Barrier(actual.members),
                   Buffer<T>(padded),
                   Buffer<T>(args.y ? 0 : 2 * rows * padded),
                   Buffer<T>((cell.states - 1) * rows * padded),
                   Buffer<T>(cell.phases > 1 ? rows * padded : 0)};
  std::fill_n(shared.zeros.data(), padded, T(0));
  std::fill_n(shared.states.data(), shared.states.size(), T(0));
  std::vector<std::unique_ptr<Member<T>>> members;
  for (int i = 0; i < actual.members; ++i) members.push_back(std::make_unique<Member<T>>(shared, i));
  team.run([&](int index) { members[static_cast<std::size_t>(index)]->run(); });
  shared.interrupt.check();
}

template void run_forward<float>(const ForwardArgs<float>&, const Plan&);
template void run_forward<double>(const ForwardArgs<double>&, const Plan&);

}  // namespace latchwork
