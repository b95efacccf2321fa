// What one ISA offers to the floors above: plain structs of function pointers, one table per ISA, filled in table.cpp.
#pragma once

#include "kernels/cell_table.h"
#include "kernels/elementwise.h"
#include "kernels/product.h"
#include "kernels/unary.h"

namespace latchwork {

template <class T>
struct Kernels {
  ProductKernels<T> product;
  ElementwiseKernels<T> elementwise;
  UnaryKernels<T> unary;
  const CellKernels<T>* const* cells;  // [kCellCount], in the order of the cell list
};

struct KernelTable {
  const char* isa;
  Kernels<float> f32;
  Kernels<double> f64;

  template <class T>
  const Kernels<T>& of() const;
};

template <>
inline const Kernels<float>& KernelTable::of<float>() const {
  return f32;
}
template <>
inline const Kernels<double>& KernelTable::of<double>() const {
  return f64;
}

}  // namespace latchwork
