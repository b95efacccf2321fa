// This ISA's kernel table: everything below, gathered.
#include "kernels/table.h"

#include "simd/vec.h"

namespace latchwork::LATCHWORK_ISA {

#define LATCHWORK_CELL(cell)                  \
  extern const CellKernels<float> cell##_f32; \
  extern const CellKernels<double> cell##_f64;
#include "cell_list.inc"
#undef LATCHWORK_CELL

extern const ProductKernels<float> product_f32;
extern const ProductKernels<double> product_f64;
extern const ElementwiseKernels<float> elementwise_f32;
extern const ElementwiseKernels<double> elementwise_f64;
extern const UnaryKernels<float> unary_f32;
extern const UnaryKernels<double> unary_f64;

namespace {
#define LATCHWORK_CELL(cell) &cell##_f32,
const CellKernels<float>* const cells_f32[] = {
#include "cell_list.inc"
};
#undef LATCHWORK_CELL
#define LATCHWORK_CELL(cell) &cell##_f64,
const CellKernels<double>* const cells_f64[] = {
#include "cell_list.inc"
};
#undef LATCHWORK_CELL

#define LATCHWORK_TEXT(x) #x
#define LATCHWORK_NAME(x) LATCHWORK_TEXT(x)
}  // namespace

// A function, not an object: the parts are constants of other files, and a static initialiser here would run ISA code
// at load.
KernelTable kernel_table() noexcept {
  return {LATCHWORK_NAME(LATCHWORK_ISA),
          {product_f32, elementwise_f32, unary_f32, cells_f32},
          {product_f64, elementwise_f64, unary_f64, cells_f64}};
}

}  // namespace latchwork::LATCHWORK_ISA
