// AVX-512 (F + BW + DQ + VL + CD): 16 floats or 8 doubles.
#pragma once

// GCC 12 takes the undefined operands inside its own AVX-512 intrinsics for uninitialised variables.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC diagnostic ignored "-Wuninitialized"
#include <immintrin.h>
#pragma GCC diagnostic pop

#include "base/types.h"

namespace latchwork::LATCHWORK_ISA {

template <>
struct Vec<float> {
  using Scalar = float;
  static constexpr int kLanes = 16;
  struct Mask {
    __mmask16 bits;
    friend Mask operator&(Mask a, Mask b) { return {static_cast<__mmask16>(a.bits & b.bits)}; }
    friend Mask operator|(Mask a, Mask b) { return {static_cast<__mmask16>(a.bits | b.bits)}; }
    friend Mask operator!(Mask a) { return {static_cast<__mmask16>(~a.bits)}; }
  };

  __m512 v;

  Vec() = default;
  Vec(__m512 x) : v(x) {}
  Vec(float x) : v(_mm512_set1_ps(x)) {}

  static __mmask16 first(Index n) { return static_cast<__mmask16>((1u << n) - 1u); }
  static Vec load(const float* p) { return _mm512_loadu_ps(p); }
  static Vec load_partial(const float* p, Index n) { return _mm512_maskz_loadu_ps(first(n), p); }
  void store(float* p) const { _mm512_storeu_ps(p, v); }
  void store_partial(float* p, Index n) const { _mm512_mask_storeu_ps(p, first(n), v); }

  friend Vec operator+(Vec a, Vec b) { return _mm512_add_ps(a.v, b.v); }
  friend Vec operator-(Vec a, Vec b) { return _mm512_sub_ps(a.v, b.v); }
  friend Vec operator*(Vec a, Vec b) { return _mm512_mul_ps(a.v, b.v); }
  friend Vec operator/(Vec a, Vec b) { return _mm512_div_ps(a.v, b.v); }
  friend Vec operator-(Vec a) { return _mm512_xor_ps(a.v, _mm512_set1_ps(-0.0f)); }
  friend Mask operator<(Vec a, Vec b) { return {_mm512_cmp_ps_mask(a.v, b.v, _CMP_LT_OQ)}; }
  friend Mask operator<=(Vec a, Vec b) { return {_mm512_cmp_ps_mask(a.v, b.v, _CMP_LE_OQ)}; }
  friend Mask operator==(Vec a, Vec b) { return {_mm512_cmp_ps_mask(a.v, b.v, _CMP_EQ_OQ)}; }
  friend Mask operator!=(Vec a, Vec b) { return {_mm512_cmp_ps_mask(a.v, b.v, _CMP_NEQ_UQ)}; }

  friend Vec fma(Vec a, Vec b, Vec c) { return _mm512_fmadd_ps(a.v, b.v, c.v); }
  friend Vec fnma(Vec a, Vec b, Vec c) { return _mm512_fnmadd_ps(a.v, b.v, c.v); }
  friend Vec select(Mask m, Vec a, Vec b) { return _mm512_mask_blend_ps(m.bits, b.v, a.v); }
  friend Vec min(Vec a, Vec b) { return _mm512_min_ps(a.v, b.v); }
  friend Vec max(Vec a, Vec b) { return _mm512_max_ps(a.v, b.v); }
  friend Vec sqrt(Vec a) { return _mm512_sqrt_ps(a.v); }
  friend Vec abs(Vec a) {
    return _mm512_castsi512_ps(_mm512_and_si512(_mm512_castps_si512(a.v), _mm512_set1_epi32(0x7fffffff)));
  }
  friend Vec copysign(Vec magnitude, Vec sign) {
    const __m512i keep = _mm512_set1_epi32(0x7fffffff);  // 0xca: keep ? magnitude : sign, in one instruction
    return _mm512_castsi512_ps(
        _mm512_ternarylogic_epi32(keep, _mm512_castps_si512(magnitude.v), _mm512_castps_si512(sign.v), 0xca));
  }
  friend Vec round(Vec a) { return _mm512_roundscale_ps(a.v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
  friend Vec shift_to_exponent(Vec a) { return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_castps_si512(a.v), 23)); }
  friend Vec exponent(Vec a) {
    return _mm512_cvtepi32_ps(
        _mm512_sub_epi32(_mm512_srli_epi32(_mm512_castps_si512(a.v), 23), _mm512_set1_epi32(127)));
  }
  friend Vec mantissa(Vec a) {
    return _mm512_castsi512_ps(_mm512_or_si512(
        _mm512_and_si512(_mm512_castps_si512(a.v), _mm512_set1_epi32(0x007fffff)), _mm512_set1_epi32(0x3f800000)));
  }
};

template <>
struct Vec<double> {
  using Scalar = double;
  static constexpr int kLanes = 8;
  struct Mask {
    __mmask8 bits;
    friend Mask operator&(Mask a, Mask b) { return {static_cast<__mmask8>(a.bits & b.bits)}; }
    friend Mask operator|(Mask a, Mask b) { return {static_cast<__mmask8>(a.bits | b.bits)}; }
    friend Mask operator!(Mask a) { return {static_cast<__mmask8>(~a.bits)}; }
  };

  __m512d v;

  Vec() = default;
  Vec(__m512d x) : v(x) {}
  Vec(double x) : v(_mm512_set1_pd(x)) {}

  static __mmask8 first(Index n) { return static_cast<__mmask8>((1u << n) - 1u); }
  static Vec load(const double* p) { return _mm512_loadu_pd(p); }
  static Vec load_partial(const double* p, Index n) { return _mm512_maskz_loadu_pd(first(n), p); }
  void store(double* p) const { _mm512_storeu_pd(p, v); }
  void store_partial(double* p, Index n) const { _mm512_mask_storeu_pd(p, first(n), v); }

  friend Vec operator+(Vec a, Vec b) { return _mm512_add_pd(a.v, b.v); }
  friend Vec operator-(Vec a, Vec b) { return _mm512_sub_pd(a.v, b.v); }
  friend Vec operator*(Vec a, Vec b) { return _mm512_mul_pd(a.v, b.v); }
  friend Vec operator/(Vec a, Vec b) { return _mm512_div_pd(a.v, b.v); }
  friend Vec operator-(Vec a) { return _mm512_xor_pd(a.v, _mm512_set1_pd(-0.0)); }
  friend Mask operator<(Vec a, Vec b) { return {_mm512_cmp_pd_mask(a.v, b.v, _CMP_LT_OQ)}; }
  friend Mask operator<=(Vec a, Vec b) { return {_mm512_cmp_pd_mask(a.v, b.v, _CMP_LE_OQ)}; }
  friend Mask operator==(Vec a, Vec b) { return {_mm512_cmp_pd_mask(a.v, b.v, _CMP_EQ_OQ)}; }
  friend Mask operator!=(Vec a, Vec b) { return {_mm512_cmp_pd_mask(a.v, b.v, _CMP_NEQ_UQ)}; }

  friend Vec fma(Vec a, Vec b, Vec c) { return _mm512_fmadd_pd(a.v, b.v, c.v); }
  friend Vec fnma(Vec a, Vec b, Vec c) { return _mm512_fnmadd_pd(a.v, b.v, c.v); }
  friend Vec select(Mask m, Vec a, Vec b) { return _mm512_mask_blend_pd(m.bits, b.v, a.v); }
  friend Vec min(Vec a, Vec b) { return _mm512_min_pd(a.v, b.v); }
  friend Vec max(Vec a, Vec b) { return _mm512_max_pd(a.v, b.v); }
  friend Vec sqrt(Vec a) { return _mm512_sqrt_pd(a.v); }
  friend Vec abs(Vec a) {
    return _mm512_castsi512_pd(_mm512_and_si512(_mm512_castpd_si512(a.v), _mm512_set1_epi64(0x7fffffffffffffffLL)));
  }
  friend Vec copysign(Vec magnitude, Vec sign) {
    const __m512i keep = _mm512_set1_epi64(0x7fffffffffffffffLL);
    return _mm512_castsi512_pd(
        _mm512_ternarylogic_epi64(keep, _mm512_castpd_si512(magnitude.v), _mm512_castpd_si512(sign.v), 0xca));
  }
  friend Vec round(Vec a) { return _mm512_roundscale_pd(a.v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
  friend Vec shift_to_exponent(Vec a) { return _mm512_castsi512_pd(_mm512_slli_epi64(_mm512_castpd_si512(a.v), 52)); }
  friend Vec exponent(Vec a) {
    return _mm512_cvtepi64_pd(
        _mm512_sub_epi64(_mm512_srli_epi64(_mm512_castpd_si512(a.v), 52), _mm512_set1_epi64(1023)));
  }
  friend Vec mantissa(Vec a) {
    return _mm512_castsi512_pd(
        _mm512_or_si512(_mm512_and_si512(_mm512_castpd_si512(a.v), _mm512_set1_epi64(0x000fffffffffffffLL)),
                        _mm512_set1_epi64(0x3ff0000000000000LL)));
  }
};

// 8 x 2: 16 accumulators, 2 weights, 1 broadcast, of 32 registers.
constexpr int kTileRows = 8;

}  // namespace latchwork::LATCHWORK_ISA
