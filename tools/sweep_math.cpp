// Measures exp, expm1, tanh, sigmoid, log and log1p: every float32, and samples of float64.
//
//   sweep_math [isa] [million float64 samples per function, default 100] [function, default all]
//
// Prints, as the table of docs/math.md, the largest error in ULP with its argument, and how often f falls where the
// argument rises. Exits 1 if an error is over 3 ULP, a result is wrong beyond the normal numbers, or f is not monotone.
// All float32 take about 2 minutes on 2 cores.
#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <limits>
#include <random>
#include <string>
#include <thread>
#include <type_traits>
#include <vector>

#include "cpu/dispatch.h"
#include "cpu/float_env.h"

namespace {

using latchwork::Activation;
using latchwork::FloatScope;
using latchwork::Index;
using latchwork::kernels;

constexpr double kBound = 3;
constexpr int kBlock = 4096;

// Wide holds the exact result well enough: double for float, 64-bit mantissas for double.
template <class T>
using Wide = std::conditional_t<sizeof(T) == 4, double, long double>;

template <class T>
struct Function {
  const char* name;
  void (*run)(const T* x, T* y, Index n);
  Wide<T> (*exact)(Wide<T> x);
};

template <class T, Activation kind>
void run_activation(const T* x, T* y, Index n) {
  kernels().of<T>().unary.activation(kind, x, y, n);
}

// libm is slow where it has nothing to do; these two ends are most of all floats.
template <class W>
W exact_tanh(W x) {
  if (std::fabs(x) < W(1e-5)) return x - x * x * x / 3;
  return std::fabs(x) > 50 ? std::copysign(W(1), x) : std::tanh(x);
}

template <class W>
W exact_sigmoid(W x) {
  return 1 / (1 + std::exp(-x));
}

template <class T>
std::vector<Function<T>> functions() {
  using W = Wide<T>;
  return {
      {"exp", [](const T* x, T* y, Index n) { kernels().of<T>().unary.exp(x, y, n); }, [](W x) { return std::exp(x); }},
      {"expm1", [](const T* x, T* y, Index n) { kernels().of<T>().unary.expm1(x, y, n); },
       [](W x) { return std::expm1(x); }},
      {"tanh", run_activation<T, Activation::tanh>, exact_tanh<W>},
      {"sigmoid", run_activation<T, Activation::sigmoid>, exact_sigmoid<W>},
      {"log", [](const T* x, T* y, Index n) { kernels().of<T>().unary.log(x, y, n); }, [](W x) { return std::log(x); }},
      {"log1p", [](const T* x, T* y, Index n) { kernels().of<T>().unary.log1p(x, y, n); },
       [](W x) { return std::log1p(x); }},
  };
}

template <class T>
struct Result {
  double error = 0;
  T worst = 0;
  std::int64_t falls = 0, wrong = 0, count = 0;
  T first_fall = 0, first_wrong = 0;

  void merge(const Result& o) {
    if (o.error > error) error = o.error, worst = o.worst;
    if (o.falls && !falls) first_fall = o.first_fall;
    if (o.wrong && !wrong) first_wrong = o.first_wrong;
    falls += o.falls, wrong += o.wrong, count += o.count;
  }
};

// The distance of two neighbouring Ts around a normal number.
template <class T>
Wide<T> ulp_of(Wide<T> exact) {
  if constexpr (sizeof(T) == 4) {  // from the exponent's bits: ilogb is most of a sweep's time
    return std::bit_cast<double>(std::bit_cast<std::uint64_t>(exact) & 0x7ff0000000000000u) * 0x1p-23;
  } else {
    return std::ldexp(Wide<T>(1), std::ilogb(exact) + 1 - std::numeric_limits<T>::digits);
  }
}

// y against the exact value: in ULP where that is normal; NaN, infinities and what is beyond must agree.
template <class T>
void check(T x, T y, Wide<T> exact, Result<T>& r) {
  constexpr Wide<T> kSmallest = std::numeric_limits<T>::min(), kLargest = std::numeric_limits<T>::max();
  ++r.count;
  const auto wrong = [&] {
    if (r.wrong++ == 0) r.first_wrong = x;
  };
  if (std::isnan(exact) || std::isnan(y)) {
    if (!(std::isnan(exact) && std::isnan(y))) wrong();
  } else if (std::isinf(exact)) {
    if (y != static_cast<T>(exact)) wrong();
  } else if (std::fabs(exact) > kLargest) {  // infinite, or the largest number within the bound
    if (!std::isinf(y) && std::fabs(y) < kLargest * (1 - std::numeric_limits<T>::epsilon())) wrong();
  } else if (std::fabs(exact) < kSmallest) {  // flushed, or rounded up to the smallest
    if (std::fabs(y) > kSmallest) wrong();
  } else {
    const auto error = static_cast<double>(std::fabs(static_cast<Wide<T>>(y) - exact) / ulp_of<T>(exact));
    if (error > r.error) r.error = error, r.worst = x;
  }
}

// Consecutive, rising arguments; NaN counts as no value.
template <class T>
void check_run(const Function<T>& f, const std::vector<T>& x, Result<T>& r) {
  std::vector<T> y(x.size());
  {
    const FloatScope scope;
    f.run(x.data(), y.data(), static_cast<Index>(x.size()));
  }
  for (std::size_t i = 0; i < x.size(); ++i) {
    const bool subnormal = x[i] != 0 && std::fabs(x[i]) < std::numeric_limits<T>::min();
    check(x[i], y[i], f.exact(subnormal ? std::copysign(T(0), x[i]) : x[i]), r);
    if (i > 0 && y[i] < y[i - 1] && r.falls++ == 0) r.first_fall = x[i];
  }
}

// Runs work(thread, threads, result) on the machine's threads.
template <class T, class F>
Result<T> on_threads(F work) {
  const unsigned threads = std::max(1u, std::thread::hardware_concurrency());
  std::vector<Result<T>> results(threads);
  std::vector<std::thread> team;
  for (unsigned t = 0; t < threads; ++t) team.emplace_back([&, t] { work(t, threads, results[t]); });
  for (std::thread& t : team) t.join();
  Result<T> all;
  for (const Result<T>& r : results) all.merge(r);
  return all;
}

// All 2^32 bit patterns in rising order of value within a sign; each block begins with the last of the one before.
Result<float> sweep_all(const Function<float>& f) {
  return on_threads<float>([&](unsigned thread, unsigned threads, Result<float>& r) {
    std::vector<float> x(kBlock + 1);
    for (std::uint64_t block = thread; block < (1ull << 32) / kBlock; block += threads) {
      const auto first = static_cast<std::uint32_t>(block * kBlock);
      const std::uint32_t sign = first & 0x80000000u;
      for (std::uint32_t i = 0; i <= kBlock; ++i) {
        const std::uint32_t magnitude = (first & 0x7fffffffu) + i;
        const std::uint32_t at = sign ? kBlock - i : i;  // negative numbers rise as their bits fall
        x[at] = std::bit_cast<float>(sign | std::min(magnitude, 0x7fffffffu));
      }
      check_run(f, x, r);
    }
  });
}

std::vector<double> neighbours(double centre, int each_side) {
  std::vector<double> x;
  double at = centre;
  for (int i = 0; i < each_side; ++i) at = std::nextafter(at, -std::numeric_limits<double>::infinity());
  for (int i = 0; i <= 2 * each_side; ++i, at = std::nextafter(at, std::numeric_limits<double>::infinity()))
    x.push_back(at);
  return x;
}

// Every seam between two pieces: odd multiples of ln(2)/2 (exp, sigmoid) and ln(2)/4 (tanh), sqrt(2) 2^e (log, log1p),
// zero, one, and where results begin to overflow or vanish.
std::vector<double> seams() {
  std::vector<double> at = {0, 1, -1, 708.396418532264, 709.782712893384, 709, 710, 18.7149738751185, 19.0615474653985};
  for (int n = -2150; n <= 2150; ++n) at.push_back(n * 0.34657359027997264 / 2);
  for (int e = -1022; e <= 1023; ++e) at.push_back(std::ldexp(1.4142135623730951, e));
  for (int e = -60; e <= 1023; ++e) at.push_back(std::ldexp(1.4142135623730951, e) - 1);
  const std::size_t n = at.size();
  for (std::size_t i = 0; i < n; ++i) at.push_back(-at[i]);
  return at;
}

// Runs of 16 neighbours from random places: half uniform over what is interesting, half over all bit patterns.
Result<double> sample(const Function<double>& f, std::int64_t samples) {
  const std::vector<double> special = seams();
  return on_threads<double>([&](unsigned thread, unsigned threads, Result<double>& r) {
    for (std::size_t i = thread; i < special.size(); i += threads) check_run(f, neighbours(special[i], 64), r);
    std::mt19937_64 bits(thread + 1);
    std::uniform_real_distribution<double> wide(-40, 40), narrow(-2, 2), log_magnitude(-30, 9.4);
    for (std::int64_t i = 0; i < samples / 16 / threads; ++i) {
      double centre = std::bit_cast<double>(bits());
      if (i % 4 == 1) centre = wide(bits);
      if (i % 4 == 2) centre = narrow(bits);
      if (i % 4 == 3) centre = std::copysign(std::exp2(log_magnitude(bits)), centre);
      if (!std::isnan(centre)) check_run(f, neighbours(centre, 8), r);
    }
  });
}

template <class T>
bool report(const char* name, const char* type, const Result<T>& r) {
  std::printf("| %s | %s | %lld | %.3f | %.17g | %lld | %lld |\n", name, type, static_cast<long long>(r.count), r.error,
              static_cast<double>(r.worst), static_cast<long long>(r.falls), static_cast<long long>(r.wrong));
  if (r.falls)
    std::printf("  falls first at %.17g (%a)\n", static_cast<double>(r.first_fall), static_cast<double>(r.first_fall));
  if (r.wrong)
    std::printf("  wrong first at %.17g (%a)\n", static_cast<double>(r.first_wrong),
                static_cast<double>(r.first_wrong));
  std::fflush(stdout);
  return r.error <= kBound && r.falls == 0 && r.wrong == 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc > 1) latchwork::use_isa(argv[1]);
  const std::int64_t samples = (argc > 2 ? std::atoll(argv[2]) : 100) * 1000000;
  std::printf(
      "ISA %s\n\n| function | type | arguments | largest error, ULP | at | falls | wrong "
      "|\n|---|---|---|---|---|---|---|\n",
      kernels().isa);
  bool good = true;
  const std::string only = argc > 3 ? argv[3] : "";
  for (const auto& f : functions<float>()) {
    if (only.empty() || only == f.name) good = report(f.name, "float32, all", sweep_all(f)) && good;
  }
  for (const auto& f : functions<double>()) {
    if (only.empty() || only == f.name) good = report(f.name, "float64", sample(f, samples)) && good;
  }
  return good ? 0 : 1;
}
