// AVX2 + FMA + F16C: 8 floats or 4 doubles.
#pragma once

#include <immintrin.h>

#include "base/types.h"

namespace latchwork::LATCHWORK_ISA {

alignas(64) constexpr int kFirst32[16] = {-1, -1, -1, -1, -1, -1, -1, -1, 0, 0, 0, 0, 0, 0, 0, 0};
alignas(64) constexpr long long kFirst64[8] = {-1, -1, -1, -1, 0, 0, 0, 0};

template <>
struct Vec<float> {
  using Scalar = float;
  static constexpr int kLanes = 8;
  struct Mask {
    __m256 bits;
    friend Mask operator&(Mask a, Mask b) { return {_mm256_and_ps(a.bits, b.bits)}; }
    friend Mask operator|(Mask a, Mask b) { return {_mm256_or_ps(a.bits, b.bits)}; }
    friend Mask operator!(Mask a) { return {_mm256_xor_ps(a.bits, _mm256_castsi256_ps(_mm256_set1_epi32(-1)))}; }
  };

  __m256 v;

  Vec() = default;
  Vec(__m256 x) : v(x) {}
  Vec(float x) : v(_mm256_set1_ps(x)) {}

  static __m256i first(Index n) { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(kFirst32 + 8 - n)); }
  static Vec load(const float* p) { return _mm256_loadu_ps(p); }
  static Vec load_partial(const float* p, Index n) { return _mm256_maskload_ps(p, first(n)); }
  void store(float* p) const { _mm256_storeu_ps(p, v); }
  void store_partial(float* p, Index n) const { _mm256_maskstore_ps(p, first(n), v); }

  friend Vec operator+(Vec a, Vec b) { return _mm256_add_ps(a.v, b.v); }
  friend Vec operator-(Vec a, Vec b) { return _mm256_sub_ps(a.v, b.v); }
  friend Vec operator*(Vec a, Vec b) { return _mm256_mul_ps(a.v, b.v); }
  friend Vec operator/(Vec a, Vec b) { return _mm256_div_ps(a.v, b.v); }
  friend Vec operator-(Vec a) { return _mm256_xor_ps(a.v, _mm256_set1_ps(-0.0f)); }
  friend Mask operator<(Vec a, Vec b) { return {_mm256_cmp_ps(a.v, b.v, _CMP_LT_OQ)}; }
  friend Mask operator<=(Vec a, Vec b) { return {_mm256_cmp_ps(a.v, b.v, _CMP_LE_OQ)}; }
  friend Mask operator==(Vec a, Vec b) { return {_mm256_cmp_ps(a.v, b.v, _CMP_EQ_OQ)}; }
  friend Mask operator!=(Vec a, Vec b) { return {_mm256_cmp_ps(a.v, b.v, _CMP_NEQ_UQ)}; }

  friend Vec fma(Vec a, Vec b, Vec c) { return _mm256_fmadd_ps(a.v, b.v, c.v); }
  friend Vec fnma(Vec a, Vec b, Vec c) { return _mm256_fnmadd_ps(a.v, b.v, c.v); }
  friend Vec select(Mask m, Vec a, Vec b) { return _mm256_blendv_ps(b.v, a.v, m.bits); }
  friend Vec min(Vec a, Vec b) { return _mm256_min_ps(a.v, b.v); }
  friend Vec max(Vec a, Vec b) { return _mm256_max_ps(a.v, b.v); }
  friend Vec sqrt(Vec a) { return _mm256_sqrt_ps(a.v); }
  friend Vec abs(Vec a) { return _mm256_andnot_ps(_mm256_set1_ps(-0.0f), a.v); }
  friend Vec copysign(Vec magnitude, Vec sign) {
    const __m256 bit = _mm256_set1_ps(-0.0f);
    return _mm256_or_ps(_mm256_andnot_ps(bit, magnitude.v), _mm256_and_ps(bit, sign.v));
  }
  friend Vec round(Vec a) { return _mm256_round_ps(a.v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
  friend Vec shift_to_exponent(Vec a) { return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_castps_si256(a.v), 23)); }
  friend Vec exponent(Vec a) {
    return _mm256_cvtepi32_ps(
        _mm256_sub_epi32(_mm256_srli_epi32(_mm256_castps_si256(a.v), 23), _mm256_set1_epi32(127)));
  }
  friend Vec mantissa(Vec a) {
    return _mm256_castsi256_ps(_mm256_or_si256(
        _mm256_and_si256(_mm256_castps_si256(a.v), _mm256_set1_epi32(0x007fffff)), _mm256_set1_epi32(0x3f800000)));
  }
};

template <>
struct Vec<double> {
  using Scalar = double;
  static constexpr int kLanes = 4;
  struct Mask {
    __m256d bits;
    friend Mask operator&(Mask a, Mask b) { return {_mm256_and_pd(a.bits, b.bits)}; }
    friend Mask operator|(Mask a, Mask b) { return {_mm256_or_pd(a.bits, b.bits)}; }
    friend Mask operator!(Mask a) { return {_mm256_xor_pd(a.bits, _mm256_castsi256_pd(_mm256_set1_epi32(-1)))}; }
  };

  __m256d v;

  Vec() = default;
  Vec(__m256d x) : v(x) {}
  Vec(double x) : v(_mm256_set1_pd(x)) {}

  static __m256i first(Index n) { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(kFirst64 + 4 - n)); }
  static Vec load(const double* p) { return _mm256_loadu_pd(p); }
  static Vec load_partial(const double* p, Index n) { return _mm256_maskload_pd(p, first(n)); }
  void store(double* p) const { _mm256_storeu_pd(p, v); }
  void store_partial(double* p, Index n) const { _mm256_maskstore_pd(p, first(n), v); }

  friend Vec operator+(Vec a, Vec b) { return _mm256_add_pd(a.v, b.v); }
  friend Vec operator-(Vec a, Vec b) { return _mm256_sub_pd(a.v, b.v); }
  friend Vec operator*(Vec a, Vec b) { return _mm256_mul_pd(a.v, b.v); }
  friend Vec operator/(Vec a, Vec b) { return _mm256_div_pd(a.v, b.v); }
  friend Vec operator-(Vec a) { return _mm256_xor_pd(a.v, _mm256_set1_pd(-0.0)); }
  friend Mask operator<(Vec a, Vec b) { return {_mm256_cmp_pd(a.v, b.v, _CMP_LT_OQ)}; }
  friend Mask operator<=(Vec a, Vec b) { return {_mm256_cmp_pd(a.v, b.v, _CMP_LE_OQ)}; }
  friend Mask operator==(Vec a, Vec b) { return {_mm256_cmp_pd(a.v, b.v, _CMP_EQ_OQ)}; }
  friend Mask operator!=(Vec a, Vec b) { return {_mm256_cmp_pd(a.v, b.v, _CMP_NEQ_UQ)}; }

  friend Vec fma(Vec a, Vec b, Vec c) { return _mm256_fmadd_pd(a.v, b.v, c.v); }
  friend Vec fnma(Vec a, Vec b, Vec c) { return _mm256_fnmadd_pd(a.v, b.v, c.v); }
  friend Vec select(Mask m, Vec a, Vec b) { return _mm256_blendv_pd(b.v, a.v, m.bits); }
  friend Vec min(Vec a, Vec b) { return _mm256_min_pd(a.v, b.v); }
  friend Vec max(Vec a, Vec b) { return _mm256_max_pd(a.v, b.v); }
  friend Vec sqrt(Vec a) { return _mm256_sqrt_pd(a.v); }
  friend Vec abs(Vec a) { return _mm256_andnot_pd(_mm256_set1_pd(-0.0), a.v); }
  friend Vec copysign(Vec magnitude, Vec sign) {
    const __m256d bit = _mm256_set1_pd(-0.0);
    return _mm256_or_pd(_mm256_andnot_pd(bit, magnitude.v), _mm256_and_pd(bit, sign.v));
  }
  friend Vec round(Vec a) { return _mm256_round_pd(a.v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
  friend Vec shift_to_exponent(Vec a) { return _mm256_castsi256_pd(_mm256_slli_epi64(_mm256_castpd_si256(a.v), 52)); }
  friend Vec exponent(Vec a) {
    const __m256i bits = _mm256_or_si256(_mm256_srli_epi64(_mm256_castpd_si256(a.v), 52),
                                         _mm256_castpd_si256(_mm256_set1_pd(4503599627370496.0)));
    return _mm256_sub_pd(_mm256_castsi256_pd(bits), _mm256_set1_pd(4503599627370496.0 + 1023.0));
  }
  friend Vec mantissa(Vec a) {
    return _mm256_castsi256_pd(
        _mm256_or_si256(_mm256_and_si256(_mm256_castpd_si256(a.v), _mm256_set1_epi64x(0x000fffffffffffffLL)),
                        _mm256_set1_epi64x(0x3ff0000000000000LL)));
  }
};

// 6 x 2: 12 accumulators, 2 weights, 1 broadcast, of 16 registers.
constexpr int kTileRows = 6;

}  // namespace latchwork::LATCHWORK_ISA
