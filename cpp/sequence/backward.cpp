// The backward time loop, in blocks of whole groups of steps: sweep the block by rows (or units), then the weight
// gradients of the block by output tiles while its slot gradients are hot.
#include <algorithm>
#include <atomic>
#include <memory>

#include "runtime/interrupt.h"
#include "runtime/thread_team.h"
#include "sequence/run.h"

namespace latchwork {
namespace {

constexpr Index kRowsAtOnce =
    256;  // of a product whose weights come from L2 or beyond, between two looks at interrupts

// Where an operand's rows lie packed for `outer`: [tile][K of the block][tile_rows].
template <class T>
struct PackedOperand {
  Operand operand;
  Index tiles;
  Buffer<T> rows;
};

// One column of output tiles: the gradient of one weight's gate for the units of one block.
template <class T>
struct GradientPanel {
  const PackedOperand<T>* operand;  // null: a bias
  int slot;
  Index block;
  T* out;
  Index tiles;
};

template <class T>
struct Shared {
  const BackwardArgs<T>& args;
  const Plan& plan;
  const Layout& layout;
  Index group;     // steps
  Index capacity;  // K: rows of a block, at most
  Barrier barrier;
  Buffer<T> zeros;
  Buffer<T> states;          // [states - 1][B][padded] before step 0
  Buffer<T> d_states;        // [2][states][B][padded]
  Buffer<T> intermediate;    // [B][padded]
  Buffer<T> d_intermediate;  // [B][padded]
  Buffer<T> slots;           // gradients: [slot][block][K][panel columns]
  std::vector<PackedOperand<T>> operands;
  std::vector<GradientPanel<T>> panels;
  std::vector<std::vector<Segment<T>>> segments;  // by layout.backward
  // The block (its first step) after which all leave: set by an interrupted caller's member before a barrier of that
  // block; until there nothing more is computed.
  std::atomic<Index> last_block = -1;
  InterruptPoll interrupt{};

  T* d_state(Index parity, Index state, Index row) {
    return d_states.data() + ((parity * layout.cell->states + state) * args.batch->size() + row) * layout.padded_hidden;
  }
  T* slot_row(Index block, Index k) { return slots.data() + (block * capacity + k) * layout.panel_columns; }
  Index slot_stride() const { return static_cast<Index>(layout.blocks.size()) * capacity * layout.panel_columns; }
};

template <class T>
class Member {
 public:
  Member(Shared<T>& shared, int index);
  void run();

 private:
  bool leaving(Index work);
  void sweep(Index begin, Index end);
  void enter_rows(Index t);
  void point_rows(Index t, Index rows, Index k);
  void pack_operands(Index rows, Index k);
  void step(Index t, Index rows, Index k);
  void pass(Index t, int phase, Index block, Index rows, Index k);
  void product(const BackwardProduct& product, Index rows, Index k, Rows<T> out, bool chained);
  void input_gradients(Index begin, Index end);
  void weight_gradients(Index count);
  void hand_out_states();
  const T* h_before(Index t, Index row) const;
  const T* state_row(Index t, Index state, Index row) const;

  Shared<T>& s_;
  const int index_;
  const BackwardArgs<T>& args_;
  const Layout& layout_;
  const CellInfo& cell_;
  const Batch& batch_;
  const Kernels<T>& kernels_;
  const RowShare rows_;
  const BlockShare blocks_;
  Index first_unit_, end_unit_;
  Buffer<const T*> x_, h_previous_, h_next_, dy_previous_, intermediate_, slot_rows_;
  Buffer<T*> dx_;
  Buffer<T> strip_;
  Index block_ = 0;  // the first step of the block at hand
  Index work_ = 0;   // done since the last look at the interrupt
};

template <class T>
Member<T>::Member(Shared<T>& shared, int index)
    : s_(shared),
      index_(index),
      args_(shared.args),
      layout_(shared.layout),
      cell_(*shared.layout.cell),
      batch_(*shared.args.batch),
      kernels_(shared.args.weights->table().template of<T>()),
      rows_(row_share(shared.plan, batch_, index)),
      blocks_(block_share(shared.plan, layout_, index)),
      first_unit_(0),
      end_unit_(0),
      x_(rows_.count),
      h_previous_(rows_.count),
      h_next_(rows_.count),
      dy_previous_(rows_.count),
      intermediate_(rows_.count),
      slot_rows_(std::max(rows_.count, shared.capacity)),
      dx_(shared.args.dx ? shared.capacity : 0),
      strip_(shared.args.dx ? shared.plan.strip_rows * layout_.panel_columns : 0) {
  if (blocks_.end > blocks_.first) {
    const Block& last = layout_.blocks[static_cast<std::size_t>(blocks_.end - 1)];
    first_unit_ = layout_.blocks[static_cast<std::size_t>(blocks_.first)].unit;
    end_unit_ = std::min(layout_.hidden, last.unit + last.width);
  }
  for (Index i = 0; i < rows_.count; ++i)
    intermediate_[i] = cell_.phases > 1 ? shared.intermediate.data() + rows_.row(i) * layout_.padded_hidden : nullptr;
}

template <class T>
const T* Member<T>::h_before(Index t, Index row) const {
  const Index b = batch_.sequence(row);
  if (t > 0) return args_.y.row(b, t - 1);
  return args_.initial[0] ? args_.initial[0] + b * layout_.hidden : s_.zeros.data();
}

// The state beyond h after step t; t = -1: the initial one.
template <class T>
const T* Member<T>::state_row(Index t, Index state, Index row) const {
  if (t < 0) return s_.states.data() + ((state - 1) * batch_.size() + row) * layout_.padded_hidden;
  return args_.saved + (batch_.first_record(t) + row) * layout_.record() +
         (cell_.saved + state - 1) * layout_.padded_hidden;
}

// Rows whose last step is t start from the gradients of their outputs and final states: dh = dy + dstate.
// Whether the call was interrupted; looked at between pieces of work, which are counted in FMAs.
template <class T>
bool Member<T>::leaving(Index work) {
  if ((work_ += work) < kPollWork) return false;
  if (!s_.interrupt.wanted()) {
    work_ = 0;
    return false;
  }
  if (index_ == 0) s_.last_block.store(block_, std::memory_order_relaxed);
  return true;
}

template <class T>
void Member<T>::enter_rows(Index t) {
  for (Index i = rows_.active(batch_.active(t + 1)); i < rows_.active(batch_.active(t)); ++i) {
    if (leaving(layout_.slot_row())) return;
    const Index row = rows_.row(i), b = batch_.sequence(row);
    for (int state = 0; state < cell_.states; ++state) {
      T* const out = s_.d_state(t & 1, state, row);
      const T* const from_state = args_.d_final[state] ? args_.d_final[state] + b * layout_.hidden : nullptr;
      const T* const from_output = state == 0 && args_.dy ? args_.dy.row(b, t) : nullptr;
      for (Index u = first_unit_; u < end_unit_; ++u) {
        const T d = from_output ? from_output[u] : T(0);
        out[u] = from_state ? d + from_state[u] : d;
      }
    }
  }
}

template <class T>
void Member<T>::point_rows(Index t, Index rows, Index k) {
  for (Index i = 0; i < rows; ++i) {
    const Index row = rows_.row(i), b = batch_.sequence(row);
    x_[i] = args_.x.row(b, t);
    h_previous_[i] = h_before(t, row);
    h_next_[i] = args_.y.row(b, t);
    if (args_.dy && t > 0) dy_previous_[i] = args_.dy.row(b, t - 1);
    slot_rows_[i] = s_.slot_row(0, k + row);
  }
}

// Copies this step's operands to where `outer` wants them. With units split, members take turns by operand row.
template <class T>
void Member<T>::pack_operands(Index rows, Index k) {
  const Index tile_rows = kernels_.product.tile_rows;
  const bool by_rows = s_.plan.split == Split::rows;
  const Index begin = by_rows ? 0 : rows * index_ / s_.plan.members,
              end = by_rows ? rows : rows * (index_ + 1) / s_.plan.members;
  for (PackedOperand<T>& packed : s_.operands) {
    const Buffer<const T*>& source = packed.operand == Operand::x   ? x_
                                     : packed.operand == Operand::h ? h_previous_
                                                                    : intermediate_;
    const Index features = layout_.features(packed.operand);
    for (Index row = begin; row < end; row += kRowsAtOnce) {
      const Index count = std::min(kRowsAtOnce, end - row);
      if (leaving(count * features)) return;
      kernels_.product.pack_rows({.rows = count,
                                  .features = features,
                                  .source = source.data() + row,
                                  .out = packed.rows.data() + (k + rows_.row(row)) * tile_rows,
                                  .row_stride = rows_.stride * tile_rows,
                                  .tile_stride = s_.capacity * tile_rows});
    }
  }
}

// out (+)= d_slots · weights^T over the member's columns; `chained`: the chain starts from what out holds.
template <class T>
void Member<T>::product(const BackwardProduct& p, Index rows, Index k, Rows<T> out, bool chained) {
  for (Index i = 0; i < rows; ++i) slot_rows_[i] = s_.slot_row(0, k + rows_.row(i));
  const std::size_t which = static_cast<std::size_t>(&p - layout_.backward.data());
  Index weights = p.weights;
  for (Index panel = 0; panel * layout_.panel_columns < p.columns; ++panel) {
    const Index width = layout_.panel_width(p.columns, panel);
    for (Index row = 0; row < rows && panel >= blocks_.first && panel < blocks_.end; row += kRowsAtOnce) {
      const Index count = std::min(kRowsAtOnce, rows - row);
      if (leaving(count * p.terms * width)) return;
      T* const columns = out.data + row * out.stride + panel * layout_.panel_columns;
      kernels_.product.product({.rows = count,
                                .columns = width,
                                .init = chained ? columns : nullptr,
                                .init_stride = out.stride,
                                .weights = args_.weights->backward() + weights,
                                .segments = s_.segments[which].data(),
                                .segment_count = static_cast<Index>(s_.segments[which].size()),
                                .operand = slot_rows_.data() + row,
                                .out = columns,
                                .out_stride = out.stride});
    }
    weights += p.terms * width;
  }
}

template <class T>
void Member<T>::pass(Index t, int phase, Index b, Index rows, Index k) {
  const Block& block = layout_.blocks[static_cast<std::size_t>(b)];
  const Index first = rows_.row(0), stride = rows_.stride * layout_.padded_hidden,
              record = rows_.stride * layout_.record();
  PointwiseArgs<T> a{};
  a.rows = rows;
  a.unit = block.unit;
  a.units = block.units;
  a.padded_hidden = layout_.padded_hidden;
  a.activation = args_.activation;
  a.recurrent_activation = args_.recurrent_activation;
  a.slots = {s_.slot_row(b, k + first), rows_.stride * layout_.panel_columns};
  a.slot_stride = s_.slot_stride();
  a.h_previous = h_previous_.data();
  a.h_next = const_cast<T* const*>(h_next_.data());  // backward reads it
  for (int state = 0; state < cell_.states; ++state) {
    a.d_next[state] = {s_.d_state(t & 1, state, first), stride};
    a.d_previous[state] = {s_.d_state((t & 1) ^ 1, state, first), stride};
    if (state == 0) continue;
    a.previous[state] = {const_cast<T*>(state_row(t - 1, state, first)), t > 0 ? record : stride};
    a.next[state] = {const_cast<T*>(state_row(t, state, first)), record};
  }
  a.saved = {const_cast<T*>(args_.saved) + (batch_.first_record(t) + first) * layout_.record(), record};
  if (cell_.phases > 1) {
    a.intermediate = {s_.intermediate.data() + first * layout_.padded_hidden, stride};
    a.d_intermediate = {s_.d_intermediate.data() + first * layout_.padded_hidden, stride};
  }
  if (phase == 0 && args_.dy && t > 0) a.dy_previous = dy_previous_.data();
  args_.weights->kernels().backward[phase](a);
}

template <class T>
void Member<T>::step(Index t, Index rows, Index k) {
  const Index first = rows_.row(0), stride = rows_.stride * layout_.padded_hidden;
  for (int phase = cell_.phases - 1; phase >= 0; --phase) {
    for (Index b = blocks_.first; b < blocks_.end; ++b)
      if (!leaving(rows * cell_.slots * layout_.panel_columns)) pass(t, phase, b, rows, k);
    if (s_.plan.split == Split::units) s_.barrier.wait();
    if (phase > 0)
      product(*layout_.backward_of(Operand::intermediate), rows, k,
              {s_.d_intermediate.data() + first * layout_.padded_hidden, stride}, false);
  }
  if (const BackwardProduct* h = layout_.backward_of(Operand::h))
    product(*h, rows, k, {s_.d_state((t & 1) ^ 1, 0, first), stride}, true);
  pack_operands(rows, k);
}

template <class T>
void Member<T>::sweep(Index begin, Index end) {
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

// dx of the block's own rows (rows split) or of a share of all (units split).
template <class T>
void Member<T>::input_gradients(Index begin, Index end) {
  const BackwardProduct* const p = layout_.backward_of(Operand::x);
  if (!args_.dx || !p) return;
  const bool by_rows = s_.plan.split == Split::rows;
  Index count = 0, k = 0;
  for (Index t = end - 1; t >= begin; --t) {
    const Index rows = rows_.active(batch_.active(t));
    for (Index i = 0; i < rows; ++i) {
      if (!by_rows && (k + i) % s_.plan.members != index_) continue;
      const Index row = rows_.row(i);
      slot_rows_[count] = s_.slot_row(0, k + row);
      dx_[count++] = args_.dx.row(batch_.sequence(row), t);
    }
    k += batch_.active(t);
  }
  const std::vector<Segment<T>>& segments = s_.segments[static_cast<std::size_t>(p - layout_.backward.data())];
  Index weights = p->weights;
  for (Index panel = 0; panel * layout_.panel_columns < p->columns; ++panel) {
    const Index width = layout_.panel_width(p->columns, panel), column = panel * layout_.panel_columns;
    for (Index row = 0; row < count; row += s_.plan.strip_rows) {
      const Index rows = std::min(s_.plan.strip_rows, count - row);
      if (leaving(rows * p->terms * width)) return;
      kernels_.product.product({.rows = rows,
                                .columns = width,
                                .init = nullptr,
                                .init_stride = 0,
                                .weights = args_.weights->backward() + weights,
                                .segments = segments.data(),
                                .segment_count = static_cast<Index>(segments.size()),
                                .operand = slot_rows_.data() + row,
                                .out = strip_.data(),
                                .out_stride = width});
      for (Index r = 0; r < rows; ++r)
        std::copy_n(strip_.data() + r * width, std::min(width, p->columns - column), dx_[row + r] + column);
    }
    weights += p->terms * width;
  }
}

// The member's share of the block's output tiles, counted along the panels.
template <class T>
void Member<T>::weight_gradients(Index count) {
  Index tiles = 0;
  for (const GradientPanel<T>& panel : s_.panels) tiles += panel.tiles;
  const Index first = tiles * index_ / s_.plan.members, end = tiles * (index_ + 1) / s_.plan.members;
  const Index columns = cell_.gates * layout_.hidden, tile_rows = kernels_.product.tile_rows;
  Index base = 0;
  for (const GradientPanel<T>& panel : s_.panels) {
    for (Index tile = std::max<Index>(0, first - base); tile < std::min(panel.tiles, end - base); ++tile) {
      if (leaving(count * tile_rows * layout_.panel_columns)) return;
      OuterArgs<T> a{};
      a.count = count;
      a.columns = layout_.blocks[static_cast<std::size_t>(panel.block)].units;
      a.b = s_.slot_row(panel.block, 0) + panel.slot * s_.slot_stride();
      a.b_stride = layout_.panel_columns;
      a.out = panel.out + tile * tile_rows * columns;
      a.out_stride = columns;
      if (panel.operand) {
        a.rows = std::min(tile_rows, layout_.features(panel.operand->operand) - tile * tile_rows);
        a.a = panel.operand->rows.data() + tile * s_.capacity * tile_rows;
        kernels_.product.outer(a);
      } else {
        kernels_.product.column_sums(a);
      }
    }
    base += panel.tiles;
  }
}

// What has flowed to step 0 is the gradient of the initial states; a sequence without steps passes it through.
template <class T>
void Member<T>::hand_out_states() {
  for (Index i = 0; i < rows_.count; ++i) {
    const Index row = rows_.row(i), b = batch_.sequence(row);
    for (int state = 0; state < cell_.states; ++state) {
      if (!args_.d_initial[state]) continue;
      T* const out = args_.d_initial[state] + b * layout_.hidden;
      const T* in = s_.d_state(1, state, row);
      if (batch_.length(row) == 0)
        in = args_.d_final[state] ? args_.d_final[state] + b * layout_.hidden : s_.zeros.data();
      std::copy(in + first_unit_, in + end_unit_, out + first_unit_);
    }
  }
}

template <class T>
void Member<T>::run() {
  for (int state = 1; state < cell_.states; ++state)
    for (Index i = 0; i < rows_.count && args_.initial[state]; ++i) {
      const Index row = rows_.row(i);
      const T* const in = args_.initial[state] + batch_.sequence(row) * layout_.hidden;
      std::copy(in + first_unit_, in + end_unit_,
                s_.states.data() + ((state - 1) * batch_.size() + row) * layout_.padded_hidden + first_unit_);
    }
  const Index steps = batch_.steps();
  for (Index begin = (ceil_div(steps, s_.group) - 1) * s_.group; begin >= 0; begin -= s_.group) {
    const Index end = std::min(steps, begin + s_.group);
    block_ = begin;
    leaving(kPollWork);
    sweep(begin, end);
    if (s_.plan.split == Split::units) s_.barrier.wait();
    input_gradients(begin, end);
    s_.barrier.wait();
    weight_gradients(batch_.first_record(end) - batch_.first_record(begin));
    s_.barrier.wait();
    if (s_.last_block.load(std::memory_order_relaxed) == begin) return;
  }
  hand_out_states();
}

// The chain over (slot, unit) in canonical order, as segments of the slot gradients.
template <class T>
std::vector<Segment<T>> chain_segments(const Shared<T>& shared, const BackwardProduct& product) {
  std::vector<Segment<T>> segments;
  const Index block_stride = shared.capacity * shared.layout.panel_columns;
  for (const int slot : product.slots)
    for (std::size_t b = 0; b < shared.layout.blocks.size(); ++b)
      segments.push_back(
          {nullptr, slot * shared.slot_stride() + static_cast<Index>(b) * block_stride, shared.layout.blocks[b].units});
  return segments;
}

template <class T>
void list_gradients(Shared<T>& shared) {
  const BackwardArgs<T>& args = shared.args;
  const CellInfo& cell = *shared.layout.cell;
  if (!args.d_kernel) return;
  const Index hidden = shared.layout.hidden, columns = cell.gates * hidden;
  const Index tile_rows = args.weights->table().template of<T>().product.tile_rows;
  for (const BackwardProduct& product : shared.layout.backward) {
    const Index tiles = ceil_div(shared.layout.features(product.operand), tile_rows);
    shared.operands.push_back({product.operand, tiles, Buffer<T>(tiles * shared.capacity * tile_rows)});
  }
  for (std::size_t b = 0; b < shared.layout.blocks.size(); ++b) {
    const Block& block = shared.layout.blocks[b];
    for (int slot = 0; slot < cell.slots; ++slot)
      for (int p = 0; p < cell.products; ++p) {
        const ProductInfo& product = cell.product[p];
        for (int i = 0; i < product.count; ++i) {
          if (product.slots[i] != slot) continue;
          const Index column = product.gates[i] * hidden + block.unit;
          for (const PackedOperand<T>& packed : shared.operands)
            if (packed.operand == product.operand)
              shared.panels.push_back(
                  {&packed, slot, static_cast<Index>(b),
                   (product.weight == Weight::kernel ? args.d_kernel : args.d_recurrent_kernel) + column,
                   packed.tiles});
          if (args.d_bias && product.bias >= 0)
            shared.panels.push_back(
                {nullptr, slot, static_cast<Index>(b), args.d_bias + product.bias * columns + column, 1});
        }
      }
  }
}

}  // namespace

template <class T>
void run_backward(const BackwardArgs<T>& args, const Plan& plan) {
  const Layout& layout = args.weights->layout();
  const CellInfo& cell = *layout.cell;
  const Index rows = args.batch->size(), padded = layout.padded_hidden;
  if (rows == 0) return;
  Team team(plan.members);
  Plan actual = plan;
  actual.members = team.size();
  if (actual.members == 1) actual.split = Split::rows;
  const Index group = group_steps(rows), capacity = std::min(group, std::max<Index>(1, args.batch->steps())) * rows;
  const Index later = cell.phases > 1 ? rows * padded : 0;
  Shared<T> shared{args,
                   actual,
                   layout,
                   group,
                   capacity,
                   Barrier(actual.members),
                   Buffer<T>(padded),
                   Buffer<T>((cell.states - 1) * rows * padded),
                   Buffer<T>(2 * cell.states * rows * padded),
                   Buffer<T>(later),
                   Buffer<T>(later),
                   Buffer<T>(cell.slots * static_cast<Index>(layout.blocks.size()) * capacity * layout.panel_columns),
                   {},
                   {},
                   {}};
  std::fill_n(shared.zeros.data(), padded, T(0));
  std::fill_n(shared.states.data(), shared.states.size(), T(0));
  std::fill_n(shared.d_states.data(), shared.d_states.size(), T(0));
  list_gradients(shared);
  for (const BackwardProduct& product : layout.backward) shared.segments.push_back(chain_segments(shared, product));
  std::vector<std::unique_ptr<Member<T>>> members;
  for (int i = 0; i < actual.members; ++i) members.push_back(std::make_unique<Member<T>>(shared, i));
  team.run([&](int index) { members[static_cast<std::size_t>(index)]->run(); });
  shared.interrupt.check();
}

template void run_backward<float>(const BackwardArgs<float>&, const Plan&);
template void run_backward<double>(const BackwardArgs<double>&, const Plan&);

}  // namespace latchwork
