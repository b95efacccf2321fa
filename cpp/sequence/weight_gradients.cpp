#include "sequence/weight_gradients.h"

#include <algorithm>

namespace latchwork {
namespace {

// f(product, gate) for each product that fills a slot.
template <class F>
void each_product(const CellInfo& cell, int slot, F f) {
  for (int p = 0; p < cell.products; ++p)
    for (int i = 0; i < cell.product[p].count; ++i)
      if (cell.product[p].slots[i] == slot) f(cell.product[p], cell.product[p].gates[i]);
}

constexpr std::size_t number(Operand operand) { return static_cast<std::size_t>(operand); }

}  // namespace

template <class T>
WeightGradients<T>::WeightGradients(const BackwardArgs<T>& args, SlotGradients<T>& slots)
    : args_(args),
      layout_(args.weights->layout()),
      kernels_(args.weights->table().template of<T>().product),
      slots_(slots) {
  if (!args.d_kernel) return;
  list_features();
  const Index blocks = static_cast<Index>(layout_.blocks.size());
  panels_.reserve(layout_.blocks.size() * static_cast<std::size_t>(layout_.cell->slots));
  for (int slot = 0; slot < layout_.cell->slots; ++slot)
    for (Index block = 0; block < blocks - (layout_.edge() ? 1 : 0); ++block) list_slot(slot, block);
  if (layout_.edge()) list_edge(blocks - 1);
}

template <class T>
void WeightGradients<T>::list_features() {
  const CellInfo& cell = *layout_.cell;
  const Index tile = kernels_.tile_rows;
  Index count = 0;
  for (const Operand operand : {Operand::h, Operand::x, Operand::intermediate}) {
    Range& range = features_[number(operand)];
    for (int p = 0; p < cell.products; ++p) {
      if (cell.product[p].operand != operand) continue;
      range.count = layout_.features(operand);
      range.one |= args_.d_bias && cell.product[p].bias >= 0;
    }
    range.first = count;
    count += range.count + (range.one ? 1 : 0);
  }
  packed_ = Buffer<T>(ceil_div(count, tile) * tile * slots_.capacity());
  for (const Range& range : features_) {
    const Index one = range.first + range.count;
    for (Index k = 0; k < slots_.capacity() && range.one; ++k)
      packed_[(one / tile * slots_.capacity() + k) * tile + one % tile] = T(1);
  }
  edge_ = Buffer<T>(layout_.edge() ? count * cell.slots * layout_.edge()->units : 0);
}

template <class T>
auto WeightGradients<T>::output(const ProductInfo& product, int gate, Index unit) const -> Output {
  const Index columns = layout_.cell->gates * layout_.hidden, column = gate * layout_.hidden + unit;
  T* const weight = product.weight == Weight::kernel ? args_.d_kernel : args_.d_recurrent_kernel;
  return {weight + column,
          args_.d_bias && product.bias >= 0 ? args_.d_bias + product.bias * columns + column : nullptr};
}

template <class T>
void WeightGradients<T>::list_slot(int slot, Index block) {
  const Block& units = layout_.blocks[static_cast<std::size_t>(block)];
  Panel panel{.slots = slots_.row(block, 0) + slot * slots_.slot_stride(block),
              .slots_stride = slots_.row_stride(block),
              .columns = units.units,
              .out_stride = layout_.cell->gates * layout_.hidden};
  each_product(*layout_.cell, slot, [&](const ProductInfo& product, int gate) {
    panel.out[number(product.operand)] = output(product, gate, units.unit);
  });
  add_panel(panel);
}

// Neighbouring slots of the same features share panels.
template <class T>
void WeightGradients<T>::list_edge(Index block) {
  const Index units = layout_.edge()->units, stride = layout_.cell->slots * units;
  std::size_t before = uses_.size();
  for (Index column = 0, end = 0; column < stride; column = end) {
    Panel panel{.slots = slots_.row(block, 0) + column, .slots_stride = slots_.row_stride(block), .out_stride = stride};
    for (end = column; end < stride; end += units) {
      Outputs out = {};
      each_product(*layout_.cell, static_cast<int>(end / units), [&](const ProductInfo& product, int gate) {
        const std::size_t operand = number(product.operand);
        const Range& range = features_[operand];
        T* const first = edge_.data() + range.first * stride + column;
        out[operand] = {first, output(product, gate, 0).bias ? first + range.count * stride : nullptr};
      });
      const std::size_t use = use_of(out);
      if (end == column)
        panel.out = out, before = use;
      else if (use != before)
        break;
    }
    const Index width = end - column;
    for (Index c = 0; c < width; c += layout_.panel_columns) {
      panel.columns = std::min(layout_.panel_columns, width - c);
      add_panel(panel);
      panel.slots += panel.columns;
      for (Output& out : panel.out)
        out = {out.weight ? out.weight + panel.columns : nullptr, out.bias ? out.bias + panel.columns : nullptr};
    }
  }
}

template <class T>
void WeightGradients<T>::add_panel(Panel panel) {
  panel.use = use_of(panel.out);
  panel.cost = 0;
  for (const TilePart& tile : uses_[panel.use].tiles) panel.cost += tile_cost(panel, tile);
  panels_.push_back(panel);
}

// The features that there are outputs for, cut where a tile ends.
template <class T>
std::size_t WeightGradients<T>::use_of(const Outputs& outputs) {
  unsigned wanted = 0;
  for (const Output& out : outputs) wanted = wanted << 2 | (out.weight ? 2u : 0u) | (out.bias ? 1u : 0u);
  for (std::size_t i = 0; i < uses_.size(); ++i)
    if (uses_[i].outputs == wanted) return i;
  Use& use = uses_.emplace_back(Use{wanted, {}});
  const auto take = [&](Index first, Index end) {
    while (first < end) {
      const Index next = std::min(end, round_up(first + 1, kernels_.tile_rows));
      TilePart* const last = use.tiles.empty() ? nullptr : &use.tiles.back();
      if (last && last->first + last->count == first && first % kernels_.tile_rows != 0)
        last->count += next - first;
      else
        use.tiles.push_back({first, next - first});
      first = next;
    }
  };
  for (const Operand operand : {Operand::h, Operand::x, Operand::intermediate}) {
    const Range& range = features_[number(operand)];
    const Output& out = outputs[number(operand)];
    if (out.weight) take(range.first, range.first + range.count + (out.bias ? 1 : 0));
  }
  return uses_.size() - 1;
}

// In multiply-adds of a vector each; a chain of two vectors or less waits for its own additions.
template <class T>
Index WeightGradients<T>::tile_cost(const Panel& panel, const TilePart& tile) const {
  return std::max<Index>(8, tile.count * ceil_div(panel.columns, layout_.lanes));
}

template <class T>
void WeightGradients<T>::pack(Operand operand, const T* const* source, Index rows, Index k, Index stride) {
  const Range& range = features_[number(operand)];
  const Index tile = kernels_.tile_rows;
  if (!args_.d_kernel || range.count == 0) return;
  kernels_.pack_rows({.rows = rows,
                      .features = range.count,
                      .first = range.first % tile,
                      .source = source,
                      .out = packed_.data() + (range.first / tile * slots_.capacity() + k) * tile,
                      .row_stride = stride * tile,
                      .tile_stride = slots_.capacity() * tile});
}

template <class T>
void WeightGradients<T>::add_tile(const Panel& panel, const TilePart& tile, std::span<const Index> counts) {
  T* out[kMostTileRows];
  for (std::size_t i = 0; i < kOperands; ++i) {
    const Range& range = features_[i];
    const Index begin = std::max(tile.first, range.first),
                end = std::min(tile.first + tile.count, range.first + range.count);
    for (Index f = begin; f < end; ++f)
      out[f - tile.first] = panel.out[i].weight + (f - range.first) * panel.out_stride;
    const Index one = range.first + range.count - tile.first;
    if (panel.out[i].bias && one >= 0 && one < tile.count) out[one] = panel.out[i].bias;
  }
  const Index rows = kernels_.tile_rows;
  kernels_.outer({.counts = counts.data(),
                  .groups = static_cast<Index>(counts.size()),
                  .rows = tile.count,
                  .columns = panel.columns,
                  .a = packed_.data() + tile.first / rows * slots_.capacity() * rows + tile.first % rows,
                  .b = panel.slots,
                  .b_stride = panel.slots_stride,
                  .out = out});
}

template <class T>
void WeightGradients<T>::add(std::span<const Index> counts, int member, int members, WorkPoll& poll) {
  Index rows = 0, cost = 0;
  for (const Index count : counts) rows += count;
  for (const Panel& panel : panels_) cost += panel.cost;
  const Index first = cost * member / members, end = cost * (member + 1) / members;
  Index at = 0;
  for (const Panel& panel : panels_) {
    if (at + panel.cost <= first || at >= end) {
      at += panel.cost;
      continue;
    }
    for (const TilePart& tile : uses_[panel.use].tiles) {
      if (at >= first && at < end) {
        if (poll.leaving(rows * kernels_.tile_rows * layout_.panel_columns)) return;
        add_tile(panel, tile, counts);
      }
      at += tile_cost(panel, tile);
    }
  }
}

// Between the caller's arrays and the edge, one member's share of its rows.
template <class T>
void WeightGradients<T>::move_edge(int member, int members, bool back) {
  if (edge_.size() == 0) return;
  const CellInfo& cell = *layout_.cell;
  const Index units = layout_.edge()->units, stride = cell.slots * units, columns = cell.gates * layout_.hidden;
  const auto move = [&](T* edge, T* array) { std::copy_n(back ? edge : array, units, back ? array : edge); };
  for (int slot = 0; slot < cell.slots; ++slot)
    each_product(cell, slot, [&](const ProductInfo& product, int gate) {
      const Range& range = features_[number(product.operand)];
      const Output out = output(product, gate, layout_.edge()->unit);
      T* const edge = edge_.data() + range.first * stride + slot * units;
      for (Index f = range.count * member / members; f < range.count * (member + 1) / members; ++f)
        move(edge + f * stride, out.weight + f * columns);
      if (out.bias && member == 0) move(edge + range.count * stride, out.bias);
    });
}

template class WeightGradients<float>;
template class WeightGradients<double>;

}  // namespace latchwork
