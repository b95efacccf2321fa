#include "sequence/weights.h"

#include <algorithm>
#include <string>

#include "cpu/float_env.h"
#include "latchwork/error.h"
#include "runtime/thread_team.h"

namespace latchwork {
namespace {

// Products that fill a slot, in the order of its chain. No vector: the team's members ask, and may not allocate.
struct Products {
  int count = 0;
  int number[kMaxProducts] = {};

  const int* begin() const { return number; }
  const int* end() const { return number + count; }
  bool operator==(const Products&) const = default;
};

Products products_of(const CellInfo& cell, int slot) {
  Products products;
  for (int p = 0; p < cell.products; ++p)
    for (int i = 0; i < cell.product[p].count; ++i)
      if (cell.product[p].slots[i] == slot) products.number[products.count++] = p;
  return products;
}

// The number of a slot's chain in the list, where it is added if it is new.
int chain_of(std::vector<Chain>& chains, const CellInfo& cell, int slot) {
  const Products products = products_of(cell, slot);
  const auto same = [&](const Chain& c) {
    return std::equal(products.begin(), products.end(), c.products, c.products + c.product_count);
  };
  const auto found = std::find_if(chains.begin(), chains.end(), same);
  const auto number = static_cast<int>(found - chains.begin());
  if (found != chains.end()) return number;
  Chain& chain = chains.emplace_back(Chain{products.count, {}});
  std::copy(products.begin(), products.end(), chain.products);
  return number;
}

// Neighbouring slots of a phase that one chain fills.
struct Run {
  int chain, first, end;
};

std::vector<Run> runs_of(const CellInfo& cell, int phase, std::vector<Chain>& chains) {
  std::vector<Run> runs;
  const int first = cell.phase[phase].first_slot, end = first + cell.phase[phase].slot_count;
  for (int slot = first; slot < end; ++slot) {
    const int chain = chain_of(chains, cell, slot);
    if (runs.empty() || runs.back().chain != chain) runs.push_back({chain, slot, slot});
    runs.back().end = slot + 1;
  }
  return runs;
}

int gate_of(const ProductInfo& product, int slot) {
  for (int i = 0; i < product.count; ++i)
    if (product.slots[i] == slot) return product.gates[i];
  return -1;
}

// What the contract can say and no cell has needed yet (docs/cells.md) arrives with the first cell that does.
void check_built(const CellInfo& cell) {
  bool heads = false, projected = false, statistics = false, twice = false;
  for (int slot = 0; slot < cell.slots; ++slot) {
    bool filled[kOperands] = {};
    for (const int p : products_of(cell, slot)) {
      bool& from = filled[static_cast<std::size_t>(cell.product[p].operand)];
      twice |= from;
      from = true;
    }
  }
  for (int p = 0; p < cell.products; ++p) heads |= cell.product[p].heads;
  for (int s = 0; s < cell.states; ++s) projected |= cell.state[s].width != Width::hidden;
  for (int p = 0; p < cell.phases; ++p) statistics |= cell.phase[p].statistics > 0;
  const char* const missing = heads                 ? "heads"
                              : projected           ? "projected widths"
                              : statistics          ? "statistics"
                              : cell.vectors > 0    ? "vectors"
                              : cell.row_inputs > 0 ? "row inputs"
                              : twice               ? "two products of one operand in a slot"
                                                    : nullptr;
  if (missing)
    throw Error(std::string("cell '") + cell.name + "' needs " + missing + ", which the driver does not have yet");
}

}  // namespace

Layout::Layout(const CellInfo& c, Index input_size, Index hidden_size, Index columns, Index vector_lanes)
    : cell(&c),
      input(input_size),
      hidden(hidden_size),
      padded_hidden(round_up(hidden_size, kUnitPadding)),
      panel_columns(columns),
      lanes(vector_lanes),
      forward_size(0),
      backward_size(0) {
  check_built(c);
  for (Index unit = 0; unit < hidden; unit += panel_columns) {
    const Index width = std::min(panel_columns, padded_hidden - unit);
    blocks.push_back({unit, width, std::min(panel_columns, hidden - unit), width});
  }
  if (Block& last = blocks.back(); packs_dense(last)) last.slot_stride = last.units;

  for (int phase = 0; phase < cell->phases; ++phase) {
    std::vector<Chain>& of_phase = chains.emplace_back();
    for (const Block& block : blocks) {
      std::vector<Panel>& list = panels.emplace_back();
      for (const Run& run : runs_of(*cell, phase, of_phase)) {
        const Index end = run.end * block.slot_stride;
        for (Index column = run.first * block.slot_stride; column < end; column += panel_columns) {
          Panel panel{run.chain, panel_width(end - column, 0), column, end, forward_size, 0};
          const Chain& chain = of_phase[static_cast<std::size_t>(run.chain)];
          for (int i = 0; i < chain.product_count; ++i) {
            const Operand operand = cell->product[chain.products[i]].operand;
            const Index length = features(operand) * panel.columns;
            forward_size += length;
            if (operand == Operand::x) panel.x_weights = length;
          }
          list.push_back(panel);
        }
      }
    }
  }

  for (const Operand operand : {Operand::x, Operand::h, Operand::intermediate}) {
    BackwardProduct product{operand, features(operand), 0, backward_size, {}};
    for (int slot = 0; slot < cell->slots; ++slot)
      for (const int p : products_of(*cell, slot))
        if (cell->product[p].operand == operand) product.slots.push_back(slot);
    if (product.slots.empty()) continue;
    product.terms = static_cast<Index>(product.slots.size()) * hidden;
    for (Index panel = 0; panel * panel_columns < product.columns; ++panel)
      backward_size += product.terms * panel_width(product.columns, panel);
    backward.push_back(std::move(product));
  }
}

// Whether the slots of a block without padding take fewer vectors: 13 instead of 16 for all of LSTM(50), which took
// 14 % off forward (AVX-512). Chains run in their order, so a run's last vector may reach into the slots of the next
// one.
bool Layout::packs_dense(const Block& block) const {
  Index padded = 0, dense = 0;
  bool in_order = true;
  for (int phase = 0; phase < cell->phases; ++phase) {
    std::vector<Chain> of_phase;
    int chain = -1;
    for (const Run& run : runs_of(*cell, phase, of_phase)) {
      padded += ceil_div((run.end - run.first) * block.width, lanes);
      dense += ceil_div((run.end - run.first) * block.units, lanes);
      in_order &= run.chain > chain;
      chain = run.chain;
    }
  }
  return in_order && dense < padded && cell->slots * block.units + lanes <= cell->slots * block.width;
}

Index Layout::panel_width(Index columns, Index panel) const {
  return std::min(panel_columns, round_up(columns - panel * panel_columns, lanes));
}

const BackwardProduct* Layout::backward_of(Operand operand) const {
  for (const BackwardProduct& product : backward)
    if (product.operand == operand) return &product;
  return nullptr;
}

template <class T>
Weights<T>::Weights(int cell, Index input, Index hidden, Parameters<T> parameters)
    : cell_(latchwork::kernels().of<T>().cells[cell]->info),
      cell_index_(cell),
      input_(input),
      hidden_(hidden),
      parameters_(parameters) {}

template <class T>
void Weights<T>::lay_out() {
  const KernelTable& now = latchwork::kernels();
  if (table_ == &now) return;
  const CellInfo& cell = *now.of<T>().cells[cell_index_]->info;
  const ProductKernels<T>& product = now.of<T>().product;
  auto layout = std::make_unique<Layout>(cell, input_, hidden_, product.panel_columns, product.lanes);
  Buffer<T> forward(layout->forward_size), bias(layout->slot_row());
  touch();  // from here on nothing throws
  table_ = &now;
  cell_ = &cell;
  layout_ = std::move(layout);
  forward_ = std::move(forward);
  bias_ = std::move(bias);
  backward_ = Buffer<T>();
}

template <class T>
Index Weights<T>::stale(bool backward) {
  lay_out();
  const bool stale_backward = backward && !backward_fresh_;
  if (stale_backward && backward_.size() == 0) backward_ = Buffer<T>(layout_->backward_size);
  return (forward_fresh_ ? 0 : layout_->forward_size) + (stale_backward ? layout_->backward_size : 0);
}

template <class T>
void Weights<T>::pack(bool backward, Index part, Index parts) noexcept {
  if (!forward_fresh_) {
    const Index panels = static_cast<Index>(layout_->panels.size());
    if (part == 0) pack_bias();
    pack_panels(panels * part / parts, panels * (part + 1) / parts);
  }
  if (!backward || backward_fresh_) return;
  Index panels = 0;
  for (const BackwardProduct& product : layout_->backward) panels += ceil_div(product.columns, layout_->panel_columns);
  pack_backward(panels * part / parts, panels * (part + 1) / parts);
}

template <class T>
void Weights<T>::pack_bias() noexcept {
  const Index columns = cell_->gates * hidden_;
  std::fill_n(bias_.data(), bias_.size(), T(0));
  for (const Block& block : layout_->blocks)
    for (int slot = 0; slot < cell_->slots && parameters_.bias; ++slot) {
      T* const out = bias_.data() + layout_->block_offset(block) + slot * block.slot_stride;
      bool first = true;
      for (const int p : products_of(*cell_, slot)) {
        const ProductInfo& product = cell_->product[p];
        if (product.bias < 0) continue;
        const T* const bias = parameters_.bias + product.bias * columns + gate_of(product, slot) * hidden_ + block.unit;
        for (Index u = 0; u < block.units; ++u) out[u] = first ? bias[u] : out[u] + bias[u];
        first = false;
      }
    }
}

// begin, end: of [phase * blocks + block].
template <class T>
void Weights<T>::pack_panels(Index begin, Index end) noexcept {
  const Index columns = cell_->gates * hidden_;
  const auto pack = table_->of<T>().product.pack;
  for (Index task = begin; task < end; ++task) {
    const auto phase = static_cast<int>(static_cast<std::size_t>(task) / layout_->blocks.size());
    const Block& block = layout_->blocks[static_cast<std::size_t>(task) % layout_->blocks.size()];
    for (const Panel& panel : layout_->panels[static_cast<std::size_t>(task)]) {
      T* out = forward_.data() + panel.weights;
      const Chain& chain = layout_->chains_of(phase)[static_cast<std::size_t>(panel.chain)];
      for (int i = 0; i < chain.product_count; ++i) {
        const ProductInfo& product = cell_->product[chain.products[i]];
        const Index terms = layout_->features(product.operand);
        for (Index c = 0, width; c < panel.columns; c += width) {  // the part of a slot
          const Index column = panel.in_block + c, unit = column % block.slot_stride;
          const bool last = column - unit + block.slot_stride >= panel.end;
          width = last ? panel.columns - c : std::min(block.slot_stride - unit, panel.columns - c);
          pack({.source = matrix(product.weight) +
                          gate_of(product, static_cast<int>(column / block.slot_stride)) * hidden_ + block.unit + unit,
                .k_stride = columns,
                .c_stride = 1,
                .count = terms,
                .columns = std::clamp<Index>(block.units - unit, 0, width),
                .width = width,
                .out = out + c,
                .out_stride = panel.columns});
        }
        out += terms * panel.columns;
      }
    }
  }
}

// begin, end: of the panels of all products, one after the other.
template <class T>
void Weights<T>::pack_backward(Index begin, Index end) noexcept {
  const Index stride = cell_->gates * hidden_;
  const auto pack = table_->of<T>().product.pack;
  Index number = 0;
  for (const BackwardProduct& product : layout_->backward) {
    T* out = backward_.data() + product.weights;
    for (Index column = 0; column < product.columns; column += layout_->panel_columns, ++number) {
      const Index width = layout_->panel_width(product.columns, column / layout_->panel_columns);
      if (number < begin || number >= end) {
        out += product.terms * width;
        continue;
      }
      for (const int slot : product.slots)
        for (const int p : products_of(*cell_, slot)) {
          const ProductInfo& info = cell_->product[p];
          if (info.operand != product.operand) continue;
          pack({.source = matrix(info.weight) + column * stride + gate_of(info, slot) * hidden_,
                .k_stride = 1,
                .c_stride = stride,
                .count = hidden_,
                .columns = std::min(width, product.columns - column),
                .width = width,
                .out = out,
                .out_stride = width});
          out += hidden_ * width;
        }
    }
  }
}

template <class T>
void prepare(std::span<Weights<T>* const> weights, bool backward) {
  // About so many elements keep a thread busy longer than handing them over takes.
  constexpr Index kGrain = 32768;
  const FloatScope scope;  // biases are added, whatever the caller rounds like
  PoolVector<Weights<T>*> stale;
  Index elements = 0;
  for (Weights<T>* const each : weights) {
    const Index found = each->stale(backward);
    if (found == 0 || std::find(stale.begin(), stale.end(), each) != stale.end()) continue;
    stale.push_back(each);
    elements += found;
  }
  if (stale.empty()) return;
  Team team(static_cast<int>(std::min<Index>(ceil_div(elements, kGrain), 1024)));
  const Index members = team.size(), count = static_cast<Index>(stale.size());
  team.run([&](int member) {
    for (Index i = 0; i < count; ++i) {
      const Index first = i * members / count, end = std::max(first + 1, (i + 1) * members / count);
      if (member >= first && member < end)
        stale[static_cast<std::size_t>(i)]->pack(backward, member - first, end - first);
    }
  });
  for (Weights<T>* const each : stale) each->packed(backward);
}

template void prepare<float>(std::span<Weights<float>* const>, bool);
template void prepare<double>(std::span<Weights<double>* const>, bool);
template class Weights<float>;
template class Weights<double>;

}  // namespace latchwork
