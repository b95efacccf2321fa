// Products: chains of fused multiply-adds over packed weights. They know no cell.
// T time, B batch, I input, H hidden, K terms of a chain; "panel": the columns one tile computes, kPanelVectors vectors
// wide.
#pragma once

#include "base/types.h"

namespace latchwork {

// One stretch of a chain: rows[r][offset .. offset + count). Null rows: ProductArgs::operand.
template <class T>
struct Segment {
  const T* const* rows;
  Index offset;
  Index count;
};

// The columns of one panel: where their chains start, their weights, and where they go.
template <class T>
struct ProductPanel {
  const T* init;     // [rows or 1, columns]; null starts the chains from zero
  const T* weights;  // [sum of counts, columns], packed
  T* out;            // [rows, out_stride]
};

// Memory that the caller reads next, to be brought closer while products run: some lines at each stretch of a chain.
// Asked for at once they would fill the buffers of outstanding misses, and the product would wait for them.
struct Piece {
  const void* data;
  Index bytes;
};
struct Ahead {
  const Piece* pieces = nullptr;
  Index count = 0;
  Index lines = 0;  // at a stretch
  Index done = 0;   // bytes of the first piece
};

// out[r][c] = (init[r][c]) + sum over segments, over k: operand[r][k] * weights[k][c], one FMA chain in that order,
// for r in [0, rows) and c in [0, columns), for each panel.
template <class T>
struct ProductArgs {
  Index rows;
  Index columns = 0;  // of each panel: a whole number of vectors, at most panel_columns
  const ProductPanel<T>* panels = nullptr;
  Index panel_count = 0;
  Index init_stride = 0;  // 0: one row for all
  Index out_stride = 0;
  const Segment<T>* segments;
  Index segment_count;
  const T* const* operand = nullptr;  // [rows] of the segments that name none
  Ahead* ahead = nullptr;
};

// out[r][c] += sum over k: a[k][r] * b[k][c], group by group: a group's sum is one FMA chain from zero, k ascending,
// then one addition. Parameter gradients accumulate: this is where.
template <class T>
struct OuterArgs {
  const Index* counts;  // [groups] K of each
  Index groups;
  Index rows;     // at most tile_rows
  Index columns;  // real columns, at most one panel
  const T* a;     // [sum of K, tile_rows]
  const T* b;     // [sum of K, b_stride], read in whole vectors
  Index b_stride;
  T* const* out;  // [rows], in the caller's own arrays
};

// Copies a matrix into panels. element(k, c) = source[k * k_stride + c * c_stride]; columns beyond `columns` become 0.
template <class T>
struct PackArgs {
  const T* source;
  Index k_stride;
  Index c_stride;
  Index count;    // K
  Index columns;  // real columns
  Index width;    // of the packed rows, >= columns
  T* out;         // [K, out_stride], the first `width` of each row
  Index out_stride;
};

// Lays rows side by side for `outer`, in tiles [K, tile_rows]: feature f is column first + f, counted through the
// tiles.
template <class T>
struct PackRowsArgs {
  Index rows;
  Index features;
  Index first;             // below tile_rows
  const T* const* source;  // [rows] pointers to `features` values
  T* out;                  // row 0 of tile 0
  Index row_stride;        // distance between packed rows, in elements
  Index tile_stride;       // distance between tiles
};

constexpr int kMostTileRows = 8;  // of any ISA

template <class T>
struct ProductKernels {
  int tile_rows;      // rows of an outer tile, and of `a`
  int panel_columns;  // columns of a full panel: two vectors
  int lanes;
  void (*product)(const ProductArgs<T>&) noexcept;
  void (*outer)(const OuterArgs<T>&) noexcept;
  void (*pack)(const PackArgs<T>&) noexcept;
  void (*pack_rows)(const PackRowsArgs<T>&) noexcept;
};

}  // namespace latchwork
