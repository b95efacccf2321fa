// Random arrays as pure functions of (seed, stream) or (seed, counter): the same bits for any number of threads, on any
// ISA. Counter layout: runtime/philox.h.
#pragma once

#include "base/types.h"
#include "runtime/philox.h"

namespace latchwork {

// Element i of a numbered stream; low <= value < high before rounding to T.
template <class T>
void uniform(std::uint64_t seed, std::uint32_t stream, double low, double high, T* out, Index n);

struct NormalShape {
  double mean = 0;
  double deviation = 1;
  bool truncated = false;  // to mean +- 2 deviations; the deviation named is that before truncation, as in Keras
};
// By inversion, one draw an element.
template <class T>
void normal(std::uint64_t seed, std::uint32_t stream, const NormalShape& shape, T* out, Index n);

// gain * Q, [rows, columns]: orthonormal columns, or rows if there are fewer. Q of the QR decomposition of a normal
// matrix, R's diagonal made positive, so that Q is uniform over orthogonal matrices (F. Mezzadri, "How to generate
// random matrices from the classical compact groups", 2007). Computed in float64.
template <class T>
void orthogonal(std::uint64_t seed, std::uint32_t stream, Index rows, Index columns, double gain, T* out);

// A uniformly drawn order of 0 .. n - 1 (Fisher-Yates, unbiased draws). n < 2^32.
void permutation(std::uint64_t seed, std::uint32_t epoch, Index n, std::int64_t* out);

// What a stream feeds back after one step of a roll-out, on one of its paths.
struct RollOutStep {
  std::uint64_t seed;
  std::uint32_t step;
  std::uint32_t path;
  std::uint32_t stream;
};
constexpr Index kMostRollOutDraws = Index(1) << 22;  // of one step
// Uniform in [0, 1).
double roll_out_uniform(const RollOutStep& at) noexcept;
// n <= kMostRollOutDraws standard normal numbers, by inversion.
void roll_out_normal(const RollOutStep& at, double* out, Index n) noexcept;

// What a layer draws for an array [samples, times, units].
struct DrawArgs {
  std::uint64_t seed;
  std::uint32_t step;
  std::uint32_t layer;
  std::uint32_t first_sample;  // of this call, in the whole batch of the step
  Index samples;
  Index times;
  Index units;
};
// rate in [0, 1): a unit is dropped if its 16-bit draw is below round(rate * 65536). mask 0 or 1 / (1 - rate),
// y = x * mask (0 where the mask is).
template <class T>
void dropout(const DrawArgs& args, double rate, const T* x, T* y, T* mask);
template <class T>
void dropout_backward(const T* dy, const T* mask, T* dx, Index n);

// y = x + deviation * a normal number, by inversion of a draw of 32 bits.
template <class T>
void gaussian_noise(const DrawArgs& args, double deviation, const T* x, T* y);

}  // namespace latchwork
