#include "layers/random.h"

#include <cmath>
#include <utility>

#include "layers/orthogonal.h"
#include "layers/statistics.h"

namespace latchwork {

namespace {

// 5 ns an element, 20 with the inversion. Even: a block holds two elements.
constexpr Index kDrawGrain = 2048;

// f(i, 64 random bits) for elements begin .. end - 1 of a stream, begin even.
template <class F>
void for_each_draw(std::uint64_t seed, std::uint32_t stream, Index begin, Index end, F f) {
  for (Index i = begin; i < end; i += 2) {
    const PhiloxBlock w = sequence_block(seed, Purpose::initialize, stream, static_cast<std::uint64_t>(i / 2));
    f(i, w[0] | static_cast<std::uint64_t>(w[1]) << 32);
    if (i + 1 < end) f(i + 1, w[2] | static_cast<std::uint64_t>(w[3]) << 32);
  }
}

// (k + 1/2) / 2^52 for 52 random bits k: inside (0, 1), 1 - u exact.
double open_unit(std::uint64_t bits) { return (static_cast<double>(bits >> 12) + 0.5) * 0x1p-52; }
// In [0, 1).
double unit(std::uint64_t bits) { return static_cast<double>(bits >> 11) * 0x1p-53; }

template <std::size_t N>
double polynomial(const double (&coefficients)[N], double x) {
  double value = coefficients[N - 1];
  for (std::size_t i = N - 1; i-- > 0;) value = value * x + coefficients[i];
  return value;
}

// The normal quantile: algorithm PPND16 of M. J. Wichura, "The percentage points of the normal distribution", Applied
// Statistics 37 (1988), AS 241; about 1e-16 relative. Central: |p - 1/2| <= 0.425, no logarithm.
double central_quantile(double q) {
  static constexpr double kA[] = {3.3871328727963666080e0,  1.3314166789178437745e+2, 1.9715909503065514427e+3,
                                  1.3731693765509461125e+4, 4.5921953931549871457e+4, 6.7265770927008700853e+4,
                                  3.3430575583588128105e+4, 2.5090809287301226727e+3};
  static constexpr double kB[] = {1.0,
                                  4.2313330701600911252e+1,
                                  6.8718700749205790830e+2,
                                  5.3941960214247511077e+3,
                                  2.1213794301586595867e+4,
                                  3.9307895800092710610e+4,
                                  2.8729085735721942674e+4,
                                  5.2264952788528545610e+3};
  const double r = 0.180625 - q * q;
  return q * polynomial(kA, r) / polynomial(kB, r);
}

// Tails: r = sqrt(-log(min(p, 1 - p))).
double tail_quantile(double r) {
  static constexpr double kC[] = {1.42343711074968357734e0,  4.63033784615654529590e0, 5.76949722146069140550e0,
                                  3.64784832476320460504e0,  1.27045825245236838258e0, 2.41780725177450611770e-1,
                                  2.27238449892691845833e-2, 7.74545014278341407640e-4};
  static constexpr double kD[] = {1.0,
                                  2.05319162663775882187e0,
                                  1.67638483018380384940e0,
                                  6.89767334985100004550e-1,
                                  1.48103976427480074590e-1,
                                  1.51986665636164571966e-2,
                                  5.47593808499534494600e-4,
                                  1.05075007164441684324e-9};
  static constexpr double kE[] = {6.65790464350110377720e0,  5.46378491116411436990e0,  1.78482653991729133580e0,
                                  2.96560571828504891230e-1, 2.65321895265761230930e-2, 1.24266094738807843860e-3,
                                  2.71155556874348757815e-5, 2.01033439929228813265e-7};
  static constexpr double kF[] = {1.0,
                                  5.99832206555887937690e-1,
                                  1.36929880922735805310e-1,
                                  1.48753612908506148525e-2,
                                  7.86869131145613259100e-4,
                                  1.84631831751005468180e-5,
                                  1.42151175831644588870e-7,
                                  2.04426310338993978564e-15};
  if (r <= 5) return polynomial(kC, r - 1.6) / polynomial(kD, r - 1.6);
  return polynomial(kE, r - 5) / polynomial(kF, r - 5);
}

// p in (0, 1) becomes its quantile, at most kBlock of them; the logarithm is the kernels' own.
constexpr Index kBlock = 256;
void quantiles(void (*log)(const double*, double*, Index) noexcept, double* p, Index n) {
  double logs[kBlock];
  for (Index i = 0; i < n; ++i) logs[i] = p[i] < 0.5 ? p[i] : 1 - p[i];
  log(logs, logs, n);
  for (Index i = 0; i < n; ++i) {
    const double q = p[i] - 0.5;
    if (std::abs(q) <= 0.425) {
      p[i] = central_quantile(q);
    } else {
      const double tail = tail_quantile(std::sqrt(-logs[i]));
      p[i] = q < 0 ? -tail : tail;
    }
  }
}

}  // namespace

template <class T>
void uniform(std::uint64_t seed, std::uint32_t stream, double low, double high, T* out, Index n) {
  interruptible_for(n, kDrawGrain, [=](Index begin, Index end) {
    for_each_draw(seed, stream, begin, end,
                  [=](Index i, std::uint64_t bits) { out[i] = static_cast<T>(low + (high - low) * unit(bits)); });
  });
}

template <class T>
void normal(std::uint64_t seed, std::uint32_t stream, const NormalShape& shape, T* out, Index n) {
  constexpr double kBelow = 0.0227501319481792072;  // the normal distribution at -2
  const double low = shape.truncated ? kBelow : 0.0;
  const auto log = kernels().of<double>().unary.log;
  interruptible_for(n, kDrawGrain, [=](Index begin, Index end) {
    double values[kBlock];
    for (Index start = begin; start < end; start += kBlock) {
      const Index count = end - start < kBlock ? end - start : kBlock;
      for_each_draw(seed, stream, start, start + count,
                    [&](Index i, std::uint64_t bits) { values[i - start] = low + (1 - 2 * low) * open_unit(bits); });
      quantiles(log, values, count);
      for (Index i = 0; i < count; ++i) out[start + i] = static_cast<T>(shape.mean + shape.deviation * values[i]);
    }
  });
}

namespace {

// Draw i of a step: half of a block.
std::uint64_t roll_out_bits(const RollOutStep& at, Index i) noexcept {
  const auto word = static_cast<std::uint32_t>(i / 2) | static_cast<std::uint32_t>(Purpose::roll_out) << 21;
  const PhiloxBlock w = philox(at.seed, {word, at.step, at.path, at.stream});
  return i % 2 ? w[2] | static_cast<std::uint64_t>(w[3]) << 32 : w[0] | static_cast<std::uint64_t>(w[1]) << 32;
}

}  // namespace

double roll_out_uniform(const RollOutStep& at) noexcept { return unit(roll_out_bits(at, 0)); }

void roll_out_normal(const RollOutStep& at, double* out, Index n) noexcept {
  for (Index i = 0; i < n; ++i) out[i] = open_unit(roll_out_bits(at, i));
  const auto log = kernels().of<double>().unary.log;
  for (Index i = 0; i < n; i += kBlock) quantiles(log, out + i, n - i < kBlock ? n - i : kBlock);
}

template <class T>
void orthogonal(std::uint64_t seed, std::uint32_t stream, Index rows, Index columns, double gain, T* out) {
  const bool wide = rows < columns;
  const Index length = wide ? columns : rows;  // of an orthonormal vector
  const Index count = wide ? rows : columns;
  Buffer<double> vectors(checked_product(count, length));
  normal(seed, stream, {}, vectors.data(), count * length);
  orthonormalize(vectors.data(), count, length);
  for (Index r = 0; r < rows; ++r) {
    for (Index c = 0; c < columns; ++c) {
      out[r * columns + c] = static_cast<T>(gain * (wide ? vectors[r * length + c] : vectors[c * length + r]));
    }
  }
}

namespace {

// 32-bit words of a stream, one after another.
class Words {
 public:
  Words(std::uint64_t seed, std::uint32_t stream) : seed_(seed), stream_(stream) {}
  std::uint32_t next() noexcept {
    if (position_ % 4 == 0) block_ = sequence_block(seed_, Purpose::shuffle, stream_, position_ / 4);
    return block_[position_++ % 4];
  }

  // Uniform in [0, bound): the high word of word * bound, redrawn where the low word would favour some values
  // (D. Lemire, "Fast random integer generation in an interval", 2019).
  std::uint32_t below(std::uint32_t bound) noexcept {
    const std::uint32_t reject = -bound % bound;
    for (;;) {
      const std::uint64_t product = static_cast<std::uint64_t>(next()) * bound;
      if (static_cast<std::uint32_t>(product) >= reject) return static_cast<std::uint32_t>(product >> 32);
    }
  }

 private:
  std::uint64_t seed_;
  std::uint32_t stream_;
  std::uint64_t position_ = 0;
  PhiloxBlock block_{};
};

}  // namespace

void permutation(std::uint64_t seed, std::uint32_t epoch, Index n, std::int64_t* out) {
  constexpr Index kPollEvery = 65536;  // elements
  InterruptPoll poll;
  for (Index i = 0; i < n; ++i) {
    if (i % kPollEvery == 0) poll.check();
    out[i] = i;
  }
  Words words(seed, epoch);
  for (Index i = n - 1; i > 0; --i) {
    if (i % kPollEvery == 0) poll.check();
    std::swap(out[i], out[words.below(static_cast<std::uint32_t>(i + 1))]);
  }
}

template <class T>
void dropout(const DrawArgs& args, double rate, const T* x, T* y, T* mask) {
  const auto& k = kernels().of<T>().elementwise;
  const auto threshold = static_cast<std::uint32_t>(rate * 65536 + 0.5);
  // Chosen by index: a branch on random bits is guessed wrong, 4 ns an element.
  const T values[2] = {static_cast<T>(1 / (1 - rate)), T(0)};
  const Index row = args.times * args.units;
  if (row == 0) return;
  interruptible_for(args.samples, ceil_div(kDrawGrain, row), [&](Index begin, Index end) {
    MaskCounter counter{Purpose::dropout, args.step, 0, 0, args.layer, 0, 0};
    for (Index r = begin * args.times; r < end * args.times; ++r) {
      counter.sample = args.first_sample + static_cast<std::uint32_t>(r / args.times);
      counter.time = static_cast<std::uint32_t>(r % args.times);
      T* const own = mask + r * args.units;
      for (Index unit = 0; unit < args.units; unit += 8) {
        const PhiloxBlock block = philox(args.seed, counter.at(static_cast<std::uint32_t>(unit / 8)));
        T kept[8];
        for (unsigned j = 0; j < 8; ++j) kept[j] = values[mask_draw(block, j) < threshold];
        const Index count = args.units - unit < 8 ? args.units - unit : 8;
        for (Index j = 0; j < count; ++j) own[unit + j] = kept[j];
      }
    }
    k.dropout(x + begin * row, mask + begin * row, y + begin * row, (end - begin) * row);
  });
}

template <class T>
void dropout_backward(const T* dy, const T* mask, T* dx, Index n) {
  const auto& k = kernels().of<T>().elementwise;
  interruptible_for(n, kElementGrain,
                    [&](Index begin, Index end) { k.dropout(dy + begin, mask + begin, dx + begin, end - begin); });
}

template <class T>
void gaussian_noise(const DrawArgs& args, double deviation, const T* x, T* y) {
  const auto log = kernels().of<double>().unary.log;
  const Index row = args.times * args.units;
  if (row == 0) return;
  interruptible_for(args.samples, ceil_div(kDrawGrain, row), [=, &args](Index begin, Index end) {
    MaskCounter counter{Purpose::noise, args.step, 0, 0, args.layer, 0, 0};
    double values[kBlock];
    for (Index r = begin * args.times; r < end * args.times; ++r) {
      counter.sample = args.first_sample + static_cast<std::uint32_t>(r / args.times);
      counter.time = static_cast<std::uint32_t>(r % args.times);
      for (Index start = 0; start < args.units; start += kBlock) {
        const Index count = args.units - start < kBlock ? args.units - start : kBlock;
        PhiloxBlock block{};
        for (Index i = 0; i < count; ++i) {
          if (i % 4 == 0) block = philox(args.seed, counter.at(static_cast<std::uint32_t>((start + i) / 4)));
          values[i] = (static_cast<double>(block[static_cast<std::size_t>(i % 4)]) + 0.5) * 0x1p-32;
        }
        quantiles(log, values, count);
        const T* const in = x + r * args.units + start;
        T* const out = y + r * args.units + start;
        for (Index i = 0; i < count; ++i) out[i] = in[i] + static_cast<T>(deviation * values[i]);
      }
    }
  });
}

#define LATCHWORK_INSTANTIATE(T)                                                        \
  template void uniform<T>(std::uint64_t, std::uint32_t, double, double, T*, Index);    \
  template void normal<T>(std::uint64_t, std::uint32_t, const NormalShape&, T*, Index); \
  template void orthogonal<T>(std::uint64_t, std::uint32_t, Index, Index, double, T*);  \
  template void dropout<T>(const DrawArgs&, double, const T*, T*, T*);                  \
  template void gaussian_noise<T>(const DrawArgs&, double, const T*, T*);               \
  template void dropout_backward<T>(const T*, const T*, T*, Index);
LATCHWORK_INSTANTIATE(float)
LATCHWORK_INSTANTIATE(double)
#undef LATCHWORK_INSTANTIATE

}  // namespace latchwork
