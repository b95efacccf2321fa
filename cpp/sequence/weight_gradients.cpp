#include "sequence/weight_gradients.h"

#include <algorithm>
#include <numeric>

namespace latchwork {

template <class T>
WeightGradients<T>::WeightGradients(const BackwardArgs<T>& args, SlotGradients<T>& slots)
    : layout_(args.weights->layout()), kernels_(args.weights->table().template of<T>().product), slots_(slots) {
  if (!args.d_kernel) return;
  operands_.reserve(layout_.backward.size());  // panels point to them
  for (const BackwardProduct& product : layout_.backward) {
    const Index tiles = ceil_div(layout_.features(product.operand), kernels_.tile_rows);
    operands_.push_back({product.operand, tiles, Buffer<T>(tiles * slots.capacity() * kernels_.tile_rows)});
  }
  panels_.reserve(layout_.blocks.size() * static_cast<std::size_t>(layout_.cell->slots * (layout_.cell->products + 1)));
  for (Index block = 0; block < static_cast<Index>(layout_.blocks.size()); ++block)
    for (int slot = 0; slot < layout_.cell->slots; ++slot) list_panels(args, slot, block);
}

template <class T>
void WeightGradients<T>::list_panels(const BackwardArgs<T>& args, int slot, Index block) {
  const CellInfo& cell = *layout_.cell;
  for (int p = 0; p < cell.products; ++p) {
    const ProductInfo& product = cell.product[p];
    T* const d_weight = product.weight == Weight::kernel ? args.d_kernel : args.d_recurrent_kernel;
    for (int i = 0; i < product.count; ++i) {
      if (product.slots[i] != slot) continue;
      const Index column = product.gates[i] * layout_.hidden + layout_.blocks[static_cast<std::size_t>(block)].unit;
      for (const PackedOperand& packed : operands_)
        if (packed.operand == product.operand)
          panels_.push_back({&packed, slot, block, d_weight + column, packed.tiles});
      if (args.d_bias && product.bias >= 0)
        panels_.push_back({nullptr, slot, block, args.d_bias + product.bias * cell.gates * layout_.hidden + column, 1});
    }
  }
}

template <class T>
void WeightGradients<T>::pack(Operand operand, const T* const* source, Index rows, Index k, Index stride) {
  for (PackedOperand& packed : operands_)
    if (packed.operand == operand)
      kernels_.pack_rows({.rows = rows,
                          .features = layout_.features(operand),
                          .source = source,
                          .out = packed.rows.data() + k * kernels_.tile_rows,
                          .row_stride = stride * kernels_.tile_rows,
                          .tile_stride = slots_.capacity() * kernels_.tile_rows});
}

template <class T>
void WeightGradients<T>::add_tile(const Panel& panel, Index tile, std::span<const Index> counts) {
  const Index columns = layout_.cell->gates * layout_.hidden, tile_rows = kernels_.tile_rows;
  OuterArgs<T> a{};
  a.counts = counts.data();
  a.groups = static_cast<Index>(counts.size());
  a.columns = layout_.blocks[static_cast<std::size_t>(panel.block)].units;
  a.b = slots_.row(panel.block, 0) + panel.slot * slots_.slot_stride();
  a.b_stride = layout_.panel_columns;
  a.out = panel.out + tile * tile_rows * columns;
  a.out_stride = columns;
  if (!panel.operand) return kernels_.column_sums(a);
  a.rows = std::min(tile_rows, layout_.features(panel.operand->operand) - tile * tile_rows);
  a.a = panel.operand->rows.data() + tile * slots_.capacity() * tile_rows;
  kernels_.outer(a);
}

template <class T>
void WeightGradients<T>::add(std::span<const Index> counts, int member, int members, WorkPoll& poll) {
  const Index rows = std::accumulate(counts.begin(), counts.end(), Index(0));
  Index tiles = 0;
  for (const Panel& panel : panels_) tiles += panel.tiles;
  const Index first = tiles * member / members, end = tiles * (member + 1) / members;
  Index base = 0;
  for (const Panel& panel : panels_) {
    for (Index tile = std::max<Index>(0, first - base); tile < std::min(panel.tiles, end - base); ++tile) {
      if (poll.leaving(rows * kernels_.tile_rows * layout_.panel_columns)) return;
      add_tile(panel, tile, counts);
    }
    base += panel.tiles;
  }
}

template class WeightGradients<float>;
template class WeightGradients<double>;

}  // namespace latchwork
