// The vector vocabulary. Each ISA defines it once, in vec_<isa>.h, inside `namespace latchwork::LATCHWORK_ISA`;
// CMake compiles kernels/ once per ISA with LATCHWORK_ISA and LATCHWORK_VEC_HEADER set. Everything a kernel file
// emits lives in that namespace (an inline symbol shared between ISAs would crash older CPUs).
//
// V = Vec<float> or Vec<double>. Every operation is defined bit for bit, and tests compare the ISAs:
//   V::kLanes, V::Scalar, V::Mask
//   V(scalar)                         broadcast; implicit, so that `V(1) - f` and `0.5f * x` read as written
//   V::load(p)  v.store(p)            unaligned, kLanes elements
//   V::load_partial(p, n)             first n lanes (0 <= n <= kLanes), zeros beyond; reads nothing past p + n
//   v.store_partial(p, n)             first n lanes; writes nothing past p + n
//   a + b, a - b, a * b, a / b, -a    one rounding each; -a flips the sign bit
//   fma(a, b, c)                      a * b + c, one rounding
//   fnma(a, b, c)                     c - a * b, one rounding (exactly fma(-a, b, c))
//   a < b, a <= b, a == b             Mask; false where either is NaN
//   a != a                            Mask of NaN lanes (a != b is true where either is NaN)
//   m & n, m | n, !m                  Mask logic
//   select(m, a, b)                   m ? a : b, lane by lane
//   min(a, b), max(a, b)              a < b ? a : b; a > b ? a : b: b where either is NaN, b for equal zeros
//   clamp(x, lo, hi)                  min(hi, max(lo, x)): NaN in x passes
//   abs(a), copysign(magnitude, sign) bit operations
//   sqrt(a)                           correctly rounded
//   round(a)                          nearest integer, ties to even; round(-0.3) is -0; infinities and NaN pass
//   shift_to_exponent(a)              a's bits shifted left by 23 (float), 52 (double): low bits become an exponent
//   pow2(n)                           2^n for integral n in the normal exponent range, 0 for one below it
//   exponent(a), mantissa(a)          a = mantissa * 2^exponent for normal positive a, mantissa in [1, 2), both as V
//
// No reciprocal estimates, no horizontal reductions (a sum's order belongs to the caller: store, then add).
#pragma once

#include "base/types.h"

#ifndef LATCHWORK_VEC_HEADER
#error "simd/vec.h is compiled once per ISA: use latchwork_add_isa in CMake"
#endif

namespace latchwork::LATCHWORK_ISA {
template <class T>
struct Vec;

// a + kExponentShift<T> rounds |a| < 2^22 (2^51) to the nearest integer n, ties to even, and holds n plus the exponent
// bias in its lowest bits: the sum of both worlds, n = t - kExponentShift and 2^n = shift_to_exponent(t).
template <class T>
constexpr T kExponentShift = sizeof(T) == 4 ? T(0x1.8p23 + 127) : T(0x1.8p52 + 1023);
}  // namespace latchwork::LATCHWORK_ISA

#include LATCHWORK_VEC_HEADER

namespace latchwork::LATCHWORK_ISA {

template <class V>
inline V clamp(V x, V lo, V hi) {
  return min(hi, max(lo, x));
}

template <class V>
inline V pow2(V n) {
  return shift_to_exponent(n + V(kExponentShift<typename V::Scalar>));
}

}  // namespace latchwork::LATCHWORK_ISA
