// Product tiles. Units lie along the lanes, so every chain is its own lane and no tile shape can change a bit.
#include "kernels/product.h"

#include "simd/vec.h"

namespace latchwork::LATCHWORK_ISA {
namespace {

constexpr int kPanelVectors = 2;
static_assert(kTileRows <= kMostTileRows);

// Tile loops must unroll completely, or gcc 12 keeps the accumulators on the stack around the chain.
#define LATCHWORK_UNROLL _Pragma("GCC unroll 8")

void fetch(Ahead& ahead) noexcept {
  for (Index i = 0; i < ahead.lines && ahead.count > 0; ++i) {
    __builtin_prefetch(static_cast<const char*>(ahead.pieces->data) + ahead.done);
    ahead.done += static_cast<Index>(kAlignment);
    if (ahead.done < ahead.pieces->bytes) continue;
    ++ahead.pieces, --ahead.count;
    ahead.done = 0;
  }
}

// R rows x N vectors of each of P panels: the accumulators live in registers through the whole chain.
template <class V, int R, int P, int N>
void product_tile(const ProductArgs<typename V::Scalar>& a, const ProductPanel<typename V::Scalar>* panels,
                  Index row) noexcept {
  using T = typename V::Scalar;
  V sum[R][P][N];
  const T* weights[P];
  LATCHWORK_UNROLL
  for (int p = 0; p < P; ++p) {
    weights[p] = panels[p].weights;
    const T* const init = panels[p].init;
    LATCHWORK_UNROLL
    for (int r = 0; r < R; ++r) LATCHWORK_UNROLL
    for (int v = 0; v < N; ++v)
      sum[r][p][v] = init ? V::load(init + (row + r) * a.init_stride + v * V::kLanes) : V(T(0));
  }
  for (Index s = 0; s < a.segment_count; ++s) {
    const Segment<T>& segment = a.segments[s];
    const T* const* const rows = segment.rows ? segment.rows : a.operand;
    const T* operand[R];
    LATCHWORK_UNROLL
    for (int r = 0; r < R; ++r) operand[r] = rows[row + r] + segment.offset;
    const Index count = segment.count;
    if (a.ahead) fetch(*a.ahead);
    for (Index k = 0; k < count; ++k) {
      V x[R];
      if constexpr (P > 1) LATCHWORK_UNROLL
      for (int r = 0; r < R; ++r) x[r] = V(operand[r][k]);
      LATCHWORK_UNROLL
      for (int p = 0; p < P; ++p) {
        V w[N];
        LATCHWORK_UNROLL
        for (int v = 0; v < N; ++v) w[v] = V::load(weights[p] + v * V::kLanes);
        weights[p] += N * V::kLanes;
        LATCHWORK_UNROLL
        for (int r = 0; r < R; ++r) {
          if constexpr (P == 1) x[r] = V(operand[r][k]);  // one broadcast at a time, or gcc 12 spills at 8 rows
          LATCHWORK_UNROLL
          for (int v = 0; v < N; ++v) sum[r][p][v] = fma(x[r], w[v], sum[r][p][v]);
        }
      }
    }
  }
  LATCHWORK_UNROLL
  for (int p = 0; p < P; ++p) LATCHWORK_UNROLL
  for (int r = 0; r < R; ++r) LATCHWORK_UNROLL
  for (int v = 0; v < N; ++v) sum[r][p][v].store(panels[p].out + (row + r) * a.out_stride + v * V::kLanes);
}

template <class T>
using ProductTile = void (*)(const ProductArgs<T>&, const ProductPanel<T>*, Index) noexcept;

// The tiles of one width by height: [R - 1].
template <class V, int N, int R = kTileRows>
constexpr ProductTile<typename V::Scalar> product_tile_of(int rows) {
  if constexpr (R == 1)
    return product_tile<V, 1, 1, N>;
  else
    return rows == R ? product_tile<V, R, 1, N> : product_tile_of<V, N, R - 1>(rows);
}

// Heights differ by at most one: 17 rows are 6 + 6 + 5, not 8 + 8 + 1.
template <class V, int N>
void tall_product(const ProductArgs<typename V::Scalar>& a) noexcept {
  const Index tiles = ceil_div(a.rows, kTileRows);
  const Index height = a.rows / (tiles > 0 ? tiles : 1);
  const Index taller = a.rows - height * tiles;
  for (Index p = 0; p < a.panel_count; ++p) {
    Index row = 0;
    for (Index tile = 0; tile < tiles; ++tile) {
      const Index rows = height + (tile < taller ? 1 : 0);
      product_tile_of<V, N>(static_cast<int>(rows))(a, a.panels + p, row);
      row += rows;
    }
  }
}

// With few rows the chains of one panel wait for each other's additions: 4 cycles each, two started a cycle. Panels
// side by side fill the gaps: a step of one row takes 3.0 us instead of 4.4 at Elman(256), 3.5 instead of 4.2 at
// LSTM(128) (Zen 5).
constexpr int panels_of_short(int rows) { return 4 * rows <= kTileRows ? 4 : 2; }

template <class V, int R, int P = panels_of_short(R)>
void short_product(const ProductArgs<typename V::Scalar>& a, Index panel = 0) noexcept {
  for (; panel + P <= a.panel_count; panel += P) product_tile<V, R, P, kPanelVectors>(a, a.panels + panel, 0);
  if constexpr (P > 1)
    if (panel < a.panel_count) short_product<V, R, P / 2>(a, panel);
}

template <class V, int R = kTileRows / 2>
void short_product_of(const ProductArgs<typename V::Scalar>& a) noexcept {
  if constexpr (R > 1)
    if (a.rows < R) return short_product_of<V, R - 1>(a);
  short_product<V, R>(a);
}

template <class V>
void product(const ProductArgs<typename V::Scalar>& a) noexcept {
  if (a.columns != kPanelVectors * V::kLanes)
    tall_product<V, 1>(a);
  else if (a.panel_count > 1 && a.rows > 0 && a.rows <= kTileRows / 2)
    short_product_of<V>(a);
  else
    tall_product<V, kPanelVectors>(a);
}

template <class V>
V load_columns(const typename V::Scalar* p, Index columns) {
  return columns >= V::kLanes ? V::load(p) : V::load_partial(p, columns < 0 ? 0 : columns);
}

template <class V>
void store_columns(V value, typename V::Scalar* p, Index columns) {
  if (columns >= V::kLanes)
    value.store(p);
  else if (columns > 0)
    value.store_partial(p, columns);
}

template <class V, int R, int N>
void outer_tile(const OuterArgs<typename V::Scalar>& args) noexcept {
  using T = typename V::Scalar;
  // The gradient of a large weight comes from memory: asked for now, it is there when the chain ends.
  LATCHWORK_UNROLL
  for (int r = 0; r < R; ++r) LATCHWORK_UNROLL
  for (int v = 0; v < N; ++v) __builtin_prefetch(args.out[r] + v * V::kLanes, 1);
  const T* a = args.a;
  const T* b = args.b;
  const Index b_stride = args.b_stride;
  for (Index group = 0; group < args.groups; ++group) {
    V sum[R][N];
    LATCHWORK_UNROLL
    for (int r = 0; r < R; ++r) LATCHWORK_UNROLL
    for (int v = 0; v < N; ++v) sum[r][v] = V(T(0));
    for (Index k = 0; k < args.counts[group]; ++k, a += kTileRows, b += b_stride) {
      V column[N];
      LATCHWORK_UNROLL
      for (int v = 0; v < N; ++v) column[v] = V::load(b + v * V::kLanes);
      LATCHWORK_UNROLL
      for (int r = 0; r < R; ++r) {
        const V row(a[r]);
        LATCHWORK_UNROLL
        for (int v = 0; v < N; ++v) sum[r][v] = fma(row, column[v], sum[r][v]);
      }
    }
    LATCHWORK_UNROLL
    for (int r = 0; r < R; ++r) LATCHWORK_UNROLL
    for (int v = 0; v < N; ++v) {
      T* const out = args.out[r] + v * V::kLanes;
      const Index columns = args.columns - v * V::kLanes;
      store_columns(load_columns<V>(out, columns) + sum[r][v], out, columns);
    }
  }
}

template <class T>
using OuterTile = void (*)(const OuterArgs<T>&) noexcept;

template <class V, int N, int R = kTileRows>
constexpr OuterTile<typename V::Scalar> outer_tile_of(int rows) {
  if constexpr (R == 1)
    return outer_tile<V, 1, N>;
  else
    return rows == R ? outer_tile<V, R, N> : outer_tile_of<V, N, R - 1>(rows);
}

template <class V>
void outer(const OuterArgs<typename V::Scalar>& args) noexcept {
  const int rows = static_cast<int>(args.rows);
  if (args.columns > V::kLanes)
    outer_tile_of<V, kPanelVectors>(rows)(args);
  else
    outer_tile_of<V, 1>(rows)(args);
}

// Rows of the source are read a stretch at a time: columns of a weight lie a power of two apart, and element by
// element each would push the others out of the cache.
template <class T>
void pack(const PackArgs<T>& a) noexcept {
  constexpr Index kStretch = 16;
  for (Index k = 0; k < a.count; k += kStretch) {
    const Index count = a.count - k < kStretch ? a.count - k : kStretch;
    T* const out = a.out + k * a.out_stride;
    const T* const source = a.source + k * a.k_stride;
    if (a.c_stride == 1)
      for (Index i = 0; i < count; ++i)
        for (Index c = 0; c < a.columns; ++c) out[i * a.out_stride + c] = source[i * a.k_stride + c];
    else
      for (Index c = 0; c < a.columns; ++c)
        for (Index i = 0; i < count; ++i) out[i * a.out_stride + c] = source[i * a.k_stride + c * a.c_stride];
    for (Index i = 0; i < count; ++i)
      for (Index c = a.columns; c < a.width; ++c) out[i * a.out_stride + c] = T(0);
  }
}

// Two tiles at a time (a line of floats), a strip of rows: both rows of a sequence and tiles may lie a power of two
// apart, and would push each other out of the cache before a line is used up.
template <class T>
void pack_rows(const PackRowsArgs<T>& a) noexcept {
  constexpr Index kStrip = 32, kPair = 2 * kTileRows;
  const Index head = kTileRows - a.first < a.features ? kTileRows - a.first : a.features;
  for (Index row = 0; row < a.rows; row += kStrip) {
    const Index rows = a.rows - row < kStrip ? a.rows - row : kStrip;
    const T* const* const source = a.source + row;
    T* out = a.out + row * a.row_stride;
    Index feature = 0;
    if (a.first > 0) {
      for (Index r = 0; r < rows; ++r)
        for (Index i = 0; i < head; ++i) out[r * a.row_stride + a.first + i] = source[r][i];
      feature = head, out += a.tile_stride;
    }
    for (; feature + kPair <= a.features; feature += kPair, out += 2 * a.tile_stride)
      for (Index r = 0; r < rows; ++r) {
        __builtin_memcpy(out + r * a.row_stride, source[r] + feature, kTileRows * sizeof(T));
        __builtin_memcpy(out + r * a.row_stride + a.tile_stride, source[r] + feature + kTileRows,
                         kTileRows * sizeof(T));
      }
    for (; feature < a.features; feature += kTileRows, out += a.tile_stride)
      for (Index r = 0; r < rows; ++r)
        for (Index i = 0; i < kTileRows && feature + i < a.features; ++i)
          out[r * a.row_stride + i] = source[r][feature + i];
  }
}

template <class T>
constexpr ProductKernels<T> product_kernels() {
  using V = Vec<T>;
  return {kTileRows, kPanelVectors * V::kLanes, V::kLanes, product<V>, outer<V>, pack<T>, pack_rows<T>};
}

}  // namespace

extern constexpr ProductKernels<float> product_f32 = product_kernels<float>();
extern constexpr ProductKernels<double> product_f64 = product_kernels<double>();

}  // namespace latchwork::LATCHWORK_ISA
