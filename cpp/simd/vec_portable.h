// x86-64 without AVX2: SSE2 alone, 4 floats or 2 doubles. The same bits as the other ISAs, far slower: there is no
// fused multiply-add, so it is emulated exactly.
#pragma once

#include <immintrin.h>

#include "base/types.h"

namespace latchwork::LATCHWORK_ISA {

// a * b + c rounded to odd: truncated, with the last bit set where anything was lost. With 53 bits against the 24 of a
// float, rounding that to float is one rounding of the exact value; rounding to nearest twice would not be. The
// product of two floats is exact in double, the sum's error is TwoSum's. A NaN or infinity has no positive or negative
// error and is left alone.
inline __m128d fma_round_to_odd(__m128d a, __m128d b, __m128d c) {
  const __m128d product = _mm_mul_pd(a, b);
  const __m128d sum = _mm_add_pd(product, c);
  const __m128d c_part = _mm_sub_pd(sum, product);
  const __m128d error = _mm_add_pd(_mm_sub_pd(product, _mm_sub_pd(sum, c_part)), _mm_sub_pd(c, c_part));
  const __m128d zero = _mm_setzero_pd();
  const __m128d inexact = _mm_or_pd(_mm_cmplt_pd(error, zero), _mm_cmplt_pd(zero, error));
  // Even and inexact: the odd neighbour is one step towards the error, up in magnitude if its sign is the sum's.
  const __m128i step = _mm_and_si128(_mm_andnot_si128(_mm_castpd_si128(sum), _mm_set1_epi64x(1)),  //
                                     _mm_castpd_si128(inexact));
  const __m128i signs = _mm_srai_epi32(_mm_castpd_si128(_mm_xor_pd(sum, error)), 31);
  const __m128i down = _mm_shuffle_epi32(signs, _MM_SHUFFLE(3, 3, 1, 1));
  const __m128i signed_step = _mm_sub_epi64(_mm_xor_si128(step, down), down);
  return _mm_castsi128_pd(_mm_add_epi64(_mm_castpd_si128(sum), signed_step));
}

template <>
struct Vec<float> {
  using Scalar = float;
  static constexpr int kLanes = 4;
  struct Mask {
    __m128 bits;
    friend Mask operator&(Mask a, Mask b) { return {_mm_and_ps(a.bits, b.bits)}; }
    friend Mask operator|(Mask a, Mask b) { return {_mm_or_ps(a.bits, b.bits)}; }
    friend Mask operator!(Mask a) { return {_mm_xor_ps(a.bits, _mm_castsi128_ps(_mm_set1_epi32(-1)))}; }
  };

  __m128 v;

  Vec() = default;
  Vec(__m128 x) : v(x) {}
  Vec(float x) : v(_mm_set1_ps(x)) {}

  static Vec load(const float* p) { return _mm_loadu_ps(p); }
  static Vec load_partial(const float* p, Index n) {
    float lanes[kLanes] = {};
    for (Index i = 0; i < kLanes; ++i) {
      if (i < n) lanes[i] = p[i];
    }
    return _mm_loadu_ps(lanes);
  }
  void store(float* p) const { _mm_storeu_ps(p, v); }
  void store_partial(float* p, Index n) const {
    float lanes[kLanes];
    _mm_storeu_ps(lanes, v);
    for (Index i = 0; i < kLanes; ++i) {
      if (i < n) p[i] = lanes[i];
    }
  }

  friend Vec operator+(Vec a, Vec b) { return _mm_add_ps(a.v, b.v); }
  friend Vec operator-(Vec a, Vec b) { return _mm_sub_ps(a.v, b.v); }
  friend Vec operator*(Vec a, Vec b) { return _mm_mul_ps(a.v, b.v); }
  friend Vec operator/(Vec a, Vec b) { return _mm_div_ps(a.v, b.v); }
  friend Vec operator-(Vec a) { return _mm_xor_ps(a.v, _mm_set1_ps(-0.0f)); }
  friend Mask operator<(Vec a, Vec b) { return {_mm_cmplt_ps(a.v, b.v)}; }
  friend Mask operator<=(Vec a, Vec b) { return {_mm_cmple_ps(a.v, b.v)}; }
  friend Mask operator==(Vec a, Vec b) { return {_mm_cmpeq_ps(a.v, b.v)}; }
  friend Mask operator!=(Vec a, Vec b) { return {_mm_cmpneq_ps(a.v, b.v)}; }

  static __m128d low(Vec a) { return _mm_cvtps_pd(a.v); }
  static __m128d high(Vec a) { return _mm_cvtps_pd(_mm_movehl_ps(a.v, a.v)); }
  // Not inlined: 25 instructions, three times a kernel's own size.
  [[gnu::noinline]] friend Vec fma(Vec a, Vec b, Vec c) {
    return _mm_movelh_ps(_mm_cvtpd_ps(fma_round_to_odd(low(a), low(b), low(c))),
                         _mm_cvtpd_ps(fma_round_to_odd(high(a), high(b), high(c))));
  }
  friend Vec fnma(Vec a, Vec b, Vec c) { return fma(-a, b, c); }
  friend Vec select(Mask m, Vec a, Vec b) { return _mm_or_ps(_mm_and_ps(m.bits, a.v), _mm_andnot_ps(m.bits, b.v)); }
  friend Vec min(Vec a, Vec b) { return _mm_min_ps(a.v, b.v); }
  friend Vec max(Vec a, Vec b) { return _mm_max_ps(a.v, b.v); }
  friend Vec sqrt(Vec a) { return _mm_sqrt_ps(a.v); }
  friend Vec abs(Vec a) { return _mm_andnot_ps(_mm_set1_ps(-0.0f), a.v); }
  friend Vec copysign(Vec magnitude, Vec sign) {
    const __m128 bit = _mm_set1_ps(-0.0f);
    return _mm_or_ps(_mm_andnot_ps(bit, magnitude.v), _mm_and_ps(bit, sign.v));
  }
  // Beyond 2^23 every float is an integer; below, adding 2^23 leaves no room for a fraction.
  friend Vec round(Vec a) {
    const Vec magnitude = abs(a);
    const Vec rounded = (magnitude + Vec(0x1p23f)) - Vec(0x1p23f);
    return select(magnitude < Vec(0x1p23f), copysign(rounded, a), a);
  }
  friend Vec shift_to_exponent(Vec a) { return _mm_castsi128_ps(_mm_slli_epi32(_mm_castps_si128(a.v), 23)); }
  friend Vec exponent(Vec a) {
    return _mm_cvtepi32_ps(_mm_sub_epi32(_mm_srli_epi32(_mm_castps_si128(a.v), 23), _mm_set1_epi32(127)));
  }
  friend Vec mantissa(Vec a) {
    const __m128i fraction = _mm_and_si128(_mm_castps_si128(a.v), _mm_set1_epi32(0x007fffff));
    return _mm_castsi128_ps(_mm_or_si128(fraction, _mm_set1_epi32(0x3f800000)));
  }
};

template <>
struct Vec<double> {
  using Scalar = double;
  static constexpr int kLanes = 2;
  struct Mask {
    __m128d bits;
    friend Mask operator&(Mask a, Mask b) { return {_mm_and_pd(a.bits, b.bits)}; }
    friend Mask operator|(Mask a, Mask b) { return {_mm_or_pd(a.bits, b.bits)}; }
    friend Mask operator!(Mask a) { return {_mm_xor_pd(a.bits, _mm_castsi128_pd(_mm_set1_epi32(-1)))}; }
  };

  __m128d v;

  Vec() = default;
  Vec(__m128d x) : v(x) {}
  Vec(double x) : v(_mm_set1_pd(x)) {}

  static Vec load(const double* p) { return _mm_loadu_pd(p); }
  static Vec load_partial(const double* p, Index n) {
    if (n >= kLanes) return load(p);
    return n > 0 ? _mm_load_sd(p) : _mm_setzero_pd();
  }
  void store(double* p) const { _mm_storeu_pd(p, v); }
  void store_partial(double* p, Index n) const {
    if (n > 0) _mm_storel_pd(p, v);
    if (n >= kLanes) _mm_storeh_pd(p + 1, v);
  }

  friend Vec operator+(Vec a, Vec b) { return _mm_add_pd(a.v, b.v); }
  friend Vec operator-(Vec a, Vec b) { return _mm_sub_pd(a.v, b.v); }
  friend Vec operator*(Vec a, Vec b) { return _mm_mul_pd(a.v, b.v); }
  friend Vec operator/(Vec a, Vec b) { return _mm_div_pd(a.v, b.v); }
  friend Vec operator-(Vec a) { return _mm_xor_pd(a.v, _mm_set1_pd(-0.0)); }
  friend Mask operator<(Vec a, Vec b) { return {_mm_cmplt_pd(a.v, b.v)}; }
  friend Mask operator<=(Vec a, Vec b) { return {_mm_cmple_pd(a.v, b.v)}; }
  friend Mask operator==(Vec a, Vec b) { return {_mm_cmpeq_pd(a.v, b.v)}; }
  friend Mask operator!=(Vec a, Vec b) { return {_mm_cmpneq_pd(a.v, b.v)}; }

  // libm's fma is exact by definition; this is the one libm call below the bindings.
  [[gnu::noinline]] friend Vec fma(Vec a, Vec b, Vec c) {
    return _mm_set_pd(__builtin_fma(a.v[1], b.v[1], c.v[1]), __builtin_fma(a.v[0], b.v[0], c.v[0]));
  }
  friend Vec fnma(Vec a, Vec b, Vec c) { return fma(-a, b, c); }
  friend Vec select(Mask m, Vec a, Vec b) { return _mm_or_pd(_mm_and_pd(m.bits, a.v), _mm_andnot_pd(m.bits, b.v)); }
  friend Vec min(Vec a, Vec b) { return _mm_min_pd(a.v, b.v); }
  friend Vec max(Vec a, Vec b) { return _mm_max_pd(a.v, b.v); }
  friend Vec sqrt(Vec a) { return _mm_sqrt_pd(a.v); }
  friend Vec abs(Vec a) { return _mm_andnot_pd(_mm_set1_pd(-0.0), a.v); }
  friend Vec copysign(Vec magnitude, Vec sign) {
    const __m128d bit = _mm_set1_pd(-0.0);
    return _mm_or_pd(_mm_andnot_pd(bit, magnitude.v), _mm_and_pd(bit, sign.v));
  }
  friend Vec round(Vec a) {
    const Vec magnitude = abs(a);
    const Vec rounded = (magnitude + Vec(0x1p52)) - Vec(0x1p52);
    return select(magnitude < Vec(0x1p52), copysign(rounded, a), a);
  }
  friend Vec shift_to_exponent(Vec a) { return _mm_castsi128_pd(_mm_slli_epi64(_mm_castpd_si128(a.v), 52)); }
  // The biased exponent as the low bits of a double in [2^52, 2^53), then 2^52 and the bias off.
  friend Vec exponent(Vec a) {
    const Vec base = 0x1p52;
    const __m128i bits = _mm_or_si128(_mm_srli_epi64(_mm_castpd_si128(a.v), 52), _mm_castpd_si128(base.v));
    return Vec(_mm_castsi128_pd(bits)) - Vec(0x1p52 + 1023);
  }
  friend Vec mantissa(Vec a) {
    const __m128i fraction = _mm_and_si128(_mm_castpd_si128(a.v), _mm_set1_epi64x(0x000fffffffffffff));
    return _mm_castsi128_pd(_mm_or_si128(fraction, _mm_set1_epi64x(0x3ff0000000000000)));
  }
};

// 4 x 2: 8 accumulators, of 16 registers; the emulated fma needs the rest.
constexpr int kTileRows = 4;

}  // namespace latchwork::LATCHWORK_ISA
