// Product tiles against the chain written out with std::fma: equal bits, every ISA, every tile height and tail.
#include <numeric>

#include "check.h"
#include "cpu/dispatch.h"
#include "cpu/float_env.h"

namespace latchwork::test {
namespace {

constexpr double kCanary = 12345.0;

template <class T>
void products_of(const std::string& where, Index rows, Index columns, Index panel_count, Index first, Index second) {
  const ProductKernels<T>& k = kernels().of<T>().product;
  const Index stride = 40, out_stride = panel_count * columns + 3, terms = first + second;
  const auto a = values<T>(1, rows * stride, 1), b = values<T>(2, rows * stride, 1);
  const auto w = values<T>(3, panel_count * terms * columns, 1), init = values<T>(4, rows * out_stride, 1);
  std::vector<const T*> a_rows, b_rows;
  for (Index r = 0; r < rows; ++r) {
    a_rows.push_back(a.data() + r * stride);
    b_rows.push_back(b.data() + (rows - 1 - r) * stride);  // rows anywhere
  }
  const Segment<T> segments[] = {{a_rows.data(), 2, first}, {nullptr, 1, second}};
  for (const int start : {0, 1, 2}) {  // from zero, one row for all, a row each
    std::vector<T> out(static_cast<std::size_t>(rows * out_stride), T(kCanary)), expected = out;
    const Index init_stride = start == 2 ? out_stride : 0;
    std::vector<ProductPanel<T>> panels;
    for (Index p = 0; p < panel_count; ++p) {  // weights of neighbours need not lie in order
      const T* const weights = w.data() + (panel_count - 1 - p) * terms * columns;
      panels.push_back({start == 0 ? nullptr : init.data() + p * columns, weights, out.data() + p * columns});
      for (Index r = 0; r < rows; ++r)
        for (Index c = 0; c < columns; ++c) {
          T sum = start == 0 ? T(0) : panels.back().init[r * init_stride + c];
          for (Index i = 0; i < terms; ++i) {
            const T x = i < first ? a_rows[static_cast<std::size_t>(r)][2 + i]
                                  : b_rows[static_cast<std::size_t>(r)][1 + i - first];
            sum = std::fma(x, weights[i * columns + c], sum);
          }
          expected[static_cast<std::size_t>(r * out_stride + p * columns + c)] = sum;
        }
    }
    k.product({.rows = rows,
               .columns = columns,
               .panels = panels.data(),
               .panel_count = panel_count,
               .init_stride = init_stride,
               .out_stride = out_stride,
               .segments = segments,
               .segment_count = 2,
               .operand = b_rows.data()});
    check(same_bits(out, expected), where + " product rows " + std::to_string(rows) + " columns " +
                                        std::to_string(columns) + " panels " + std::to_string(panel_count));
  }
}

template <class T>
void products(const std::string& where) {
  const ProductKernels<T>& k = kernels().of<T>().product;
  for (Index rows = 0; rows <= 2 * k.tile_rows + 1; ++rows)
    for (const Index columns : {Index{k.lanes}, Index{k.panel_columns}})
      for (const Index panels : {1, 2, 3, 4, 7})
        for (const Index first : {0, 1, 7})
          for (const Index second : {0, 1, 33}) products_of<T>(where, rows, columns, panels, first, second);
}

template <class T>
void outers(const std::string& where) {
  const ProductKernels<T>& k = kernels().of<T>().product;
  const Index tile = k.tile_rows, panel = k.panel_columns;
  for (Index rows = 1; rows <= tile; ++rows)
    for (Index columns = 1; columns <= panel; ++columns)
      for (const std::vector<Index>& counts : {std::vector<Index>{}, {0}, {1}, {37}, {1, 3}, {4, 0, 9}}) {
        const Index count = std::accumulate(counts.begin(), counts.end(), Index(0)), stride = panel + 5;
        const auto a = values<T>(5, count * tile, 1), b = values<T>(6, count * panel, 1),
                   start = values<T>(8, rows * stride, 1);
        std::vector<T> out = start, expected = start;
        std::vector<T*> out_rows;  // in no order
        for (Index r = 0; r < rows; ++r) out_rows.push_back(out.data() + (r + 1) % rows * stride);
        const OuterArgs<T> args{
            counts.data(),  static_cast<Index>(counts.size()), rows, columns, a.data(), b.data(), panel,
            out_rows.data()};
        k.outer(args);
        for (Index c = 0; c < columns; ++c)
          for (Index group = 0, first = 0; group < args.groups; first += counts[static_cast<std::size_t>(group++)]) {
            const Index end = first + counts[static_cast<std::size_t>(group)];
            for (Index r = 0; r < rows; ++r) {
              T sum = 0;
              for (Index i = first; i < end; ++i)
                sum = std::fma(a[static_cast<std::size_t>(i * tile + r)], b[static_cast<std::size_t>(i * panel + c)],
                               sum);
              expected[static_cast<std::size_t>((r + 1) % rows * stride + c)] += sum;
            }
          }
        const std::string what = where + " outer " + std::to_string(rows) + " x " + std::to_string(columns);
        check(same_bits(out, expected), what);
      }
}

template <class T>
void packs(const std::string& where) {
  const ProductKernels<T>& k = kernels().of<T>().product;
  const Index count = 5, columns = 3, width = 8;
  const auto source = values<T>(9, 1000, 1);
  for (const bool transposed : {false, true}) {
    std::vector<T> out(static_cast<std::size_t>(count * width), T(kCanary)), expected = out;
    const Index k_stride = transposed ? 1 : 20, c_stride = transposed ? 30 : 1;
    k.pack({source.data(), k_stride, c_stride, count, columns, 4, out.data(), width});
    for (Index i = 0; i < count; ++i)
      for (Index c = 0; c < 4; ++c)
        expected[static_cast<std::size_t>(i * width + c)] =
            c < columns ? source[static_cast<std::size_t>(i * k_stride + c * c_stride)] : T(0);
    check(same_bits(out, expected), where + " pack");
  }
  for (Index features = 1; features <= 4 * k.tile_rows + 1; ++features)
    for (Index begin = 0; begin < k.tile_rows; ++begin) {
      const Index rows = 3, tiles = ceil_div(begin + features, k.tile_rows), tile_stride = 7 * k.tile_rows,
                  row_stride = 2 * k.tile_rows;
      std::vector<const T*> pointers;
      for (Index r = 0; r < rows; ++r) pointers.push_back(source.data() + r * 50);
      std::vector<T> out(static_cast<std::size_t>(tiles * tile_stride), T(kCanary)), expected = out;
      k.pack_rows({rows, features, begin, pointers.data(), out.data(), row_stride, tile_stride});
      for (Index r = 0; r < rows; ++r)
        for (Index f = 0; f < features; ++f)
          expected[static_cast<std::size_t>((begin + f) / k.tile_rows * tile_stride + r * row_stride +
                                            (begin + f) % k.tile_rows)] = pointers[static_cast<std::size_t>(r)][f];
      check(same_bits(out, expected), where + " pack_rows " + std::to_string(features));
    }
}

}  // namespace
}  // namespace latchwork::test

int main() {
  using namespace latchwork::test;
  const latchwork::FloatScope scope;
  on_every_isa([](const std::string& name) {
    products<float>(name + " float");
    products<double>(name + " double");
    outers<float>(name + " float");
    outers<double>(name + " double");
    packs<float>(name + " float");
    packs<double>(name + " double");
  });
  return report("product");
}
