// AArch64: 4 floats or 2 doubles.
#pragma once

#include <arm_neon.h>

#include "base/types.h"

namespace latchwork::LATCHWORK_ISA {

template <>
struct Vec<float> {
  using Scalar = float;
  static constexpr int kLanes = 4;
  struct Mask {
    uint32x4_t bits;
    friend Mask operator&(Mask a, Mask b) { return {vandq_u32(a.bits, b.bits)}; }
    friend Mask operator|(Mask a, Mask b) { return {vorrq_u32(a.bits, b.bits)}; }
    friend Mask operator!(Mask a) { return {vmvnq_u32(a.bits)}; }
  };

  float32x4_t v;

  Vec() = default;
  Vec(float32x4_t x) : v(x) {}
  Vec(float x) : v(vdupq_n_f32(x)) {}

  static Vec load(const float* p) { return vld1q_f32(p); }
  static Vec load_partial(const float* p, Index n) {
    float lanes[kLanes] = {};
    for (Index i = 0; i < kLanes; ++i) {
      if (i < n) lanes[i] = p[i];
    }
    return vld1q_f32(lanes);
  }
  void store(float* p) const { vst1q_f32(p, v); }
  void store_partial(float* p, Index n) const {
    float lanes[kLanes];
    vst1q_f32(lanes, v);
    for (Index i = 0; i < kLanes; ++i) {
      if (i < n) p[i] = lanes[i];
    }
  }

  friend Vec operator+(Vec a, Vec b) { return vaddq_f32(a.v, b.v); }
  friend Vec operator-(Vec a, Vec b) { return vsubq_f32(a.v, b.v); }
  friend Vec operator*(Vec a, Vec b) { return vmulq_f32(a.v, b.v); }
  friend Vec operator/(Vec a, Vec b) { return vdivq_f32(a.v, b.v); }
  friend Vec operator-(Vec a) { return vnegq_f32(a.v); }
  friend Mask operator<(Vec a, Vec b) { return {vcltq_f32(a.v, b.v)}; }
  friend Mask operator<=(Vec a, Vec b) { return {vcleq_f32(a.v, b.v)}; }
  friend Mask operator==(Vec a, Vec b) { return {vceqq_f32(a.v, b.v)}; }
  friend Mask operator!=(Vec a, Vec b) { return !(a == b); }

  friend Vec fma(Vec a, Vec b, Vec c) { return vfmaq_f32(c.v, a.v, b.v); }
  friend Vec fnma(Vec a, Vec b, Vec c) { return vfmsq_f32(c.v, a.v, b.v); }
  friend Vec select(Mask m, Vec a, Vec b) { return vbslq_f32(m.bits, a.v, b.v); }
  // Not vminq and vmaxq: those return NaN for NaN and order the zeros.
  friend Vec min(Vec a, Vec b) { return select(a < b, a, b); }
  friend Vec max(Vec a, Vec b) { return select(b < a, a, b); }
  friend Vec sqrt(Vec a) { return vsqrtq_f32(a.v); }
  friend Vec abs(Vec a) { return vabsq_f32(a.v); }
  friend Vec copysign(Vec magnitude, Vec sign) { return vbslq_f32(vdupq_n_u32(0x7fffffff), magnitude.v, sign.v); }
  friend Vec round(Vec a) { return vrndnq_f32(a.v); }
  friend Vec shift_to_exponent(Vec a) { return vreinterpretq_f32_u32(vshlq_n_u32(vreinterpretq_u32_f32(a.v), 23)); }
  friend Vec exponent(Vec a) {
    const int32x4_t biased = vreinterpretq_s32_u32(vshrq_n_u32(vreinterpretq_u32_f32(a.v), 23));
    return vcvtq_f32_s32(vsubq_s32(biased, vdupq_n_s32(127)));
  }
  friend Vec mantissa(Vec a) { return vbslq_f32(vdupq_n_u32(0x007fffff), a.v, vdupq_n_f32(1)); }
};

template <>
struct Vec<double> {
  using Scalar = double;
  static constexpr int kLanes = 2;
  struct Mask {
    uint64x2_t bits;
    friend Mask operator&(Mask a, Mask b) { return {vandq_u64(a.bits, b.bits)}; }
    friend Mask operator|(Mask a, Mask b) { return {vorrq_u64(a.bits, b.bits)}; }
    friend Mask operator!(Mask a) { return {veorq_u64(a.bits, vdupq_n_u64(~0ull))}; }
  };

  float64x2_t v;

  Vec() = default;
  Vec(float64x2_t x) : v(x) {}
  Vec(double x) : v(vdupq_n_f64(x)) {}

  static Vec load(const double* p) { return vld1q_f64(p); }
  static Vec load_partial(const double* p, Index n) {
    if (n >= kLanes) return load(p);
    return vsetq_lane_f64(n > 0 ? *p : 0.0, vdupq_n_f64(0), 0);
  }
  void store(double* p) const { vst1q_f64(p, v); }
  void store_partial(double* p, Index n) const {
    if (n > 0) vst1q_lane_f64(p, v, 0);
    if (n >= kLanes) vst1q_lane_f64(p + 1, v, 1);
  }

  friend Vec operator+(Vec a, Vec b) { return vaddq_f64(a.v, b.v); }
  friend Vec operator-(Vec a, Vec b) { return vsubq_f64(a.v, b.v); }
  friend Vec operator*(Vec a, Vec b) { return vmulq_f64(a.v, b.v); }
  friend Vec operator/(Vec a, Vec b) { return vdivq_f64(a.v, b.v); }
  friend Vec operator-(Vec a) { return vnegq_f64(a.v); }
  friend Mask operator<(Vec a, Vec b) { return {vcltq_f64(a.v, b.v)}; }
  friend Mask operator<=(Vec a, Vec b) { return {vcleq_f64(a.v, b.v)}; }
  friend Mask operator==(Vec a, Vec b) { return {vceqq_f64(a.v, b.v)}; }
  friend Mask operator!=(Vec a, Vec b) { return !(a == b); }

  friend Vec fma(Vec a, Vec b, Vec c) { return vfmaq_f64(c.v, a.v, b.v); }
  friend Vec fnma(Vec a, Vec b, Vec c) { return vfmsq_f64(c.v, a.v, b.v); }
  friend Vec select(Mask m, Vec a, Vec b) { return vbslq_f64(m.bits, a.v, b.v); }
  friend Vec min(Vec a, Vec b) { return select(a < b, a, b); }
  friend Vec max(Vec a, Vec b) { return select(b < a, a, b); }
  friend Vec sqrt(Vec a) { return vsqrtq_f64(a.v); }
  friend Vec abs(Vec a) { return vabsq_f64(a.v); }
  friend Vec copysign(Vec magnitude, Vec sign) {
    return vbslq_f64(vdupq_n_u64(0x7fffffffffffffff), magnitude.v, sign.v);
  }
  friend Vec round(Vec a) { return vrndnq_f64(a.v); }
  friend Vec shift_to_exponent(Vec a) { return vreinterpretq_f64_u64(vshlq_n_u64(vreinterpretq_u64_f64(a.v), 52)); }
  friend Vec exponent(Vec a) {
    const int64x2_t biased = vreinterpretq_s64_u64(vshrq_n_u64(vreinterpretq_u64_f64(a.v), 52));
    return vcvtq_f64_s64(vsubq_s64(biased, vdupq_n_s64(1023)));
  }
  friend Vec mantissa(Vec a) { return vbslq_f64(vdupq_n_u64(0x000fffffffffffff), a.v, vdupq_n_f64(1)); }
};

// 8 x 2: 16 accumulators, 2 weights, 1 broadcast, of 32 registers.
constexpr int kTileRows = 8;

}  // namespace latchwork::LATCHWORK_ISA
