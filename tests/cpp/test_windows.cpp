// Windows over steps against plain loops: what convolutions read, and pools of the largest and of the mean.
#include "layers/windows.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "check.h"
#include "cpu/float_env.h"
#include "differences.h"

namespace latchwork::test {
namespace {

struct Case {
  Padding padding;
  Index size, stride, dilation;
  bool masked;
};

constexpr Index kFeatures = 19;

std::size_t at(Index i) { return static_cast<std::size_t>(i); }

// As the field writes it: "same" has ceil(steps / stride) outputs, the padding shared with the odd one behind.
Frame naive_frame(const Case& c, Index steps) {
  const Index reach = (c.size - 1) * c.dilation + 1;
  if (c.padding == Padding::valid) return {steps < reach ? 0 : (steps - reach) / c.stride + 1, 0};
  const Index outputs = (steps + c.stride - 1) / c.stride;
  if (c.padding == Padding::causal) return {outputs, reach - 1};
  return {outputs, std::max<Index>(0, (outputs - 1) * c.stride + reach - steps) / 2};
}

struct Lie {
  std::vector<Index> x{0}, y{0};
  Index before = 0;
  std::vector<char> real;
};

// Sequences of one length: where windows begin may hang on it.
Lie lie_of(const Case& c, const std::string& name) {
  constexpr Index kSteps = 9;
  Lie lie;
  const Frame frame = frame_of(c.padding, kSteps, c.size, c.stride, c.dilation), expected = naive_frame(c, kSteps);
  check(frame.outputs == expected.outputs && frame.before == expected.before, name + " frame");
  lie.before = frame.before;
  for (int b = 0; b < 3; ++b) lie.x.push_back(lie.x.back() + kSteps), lie.y.push_back(lie.y.back() + frame.outputs);
  for (Index i = 0; c.masked && i < lie.x.back(); ++i) lie.real.push_back(i % 5 != 0 && (i < 9 || i > 13));
  return lie;
}

// f(window, k, row of x) for what is there.
template <class F>
void each(const Case& c, const Lie& lie, F f) {
  for (std::size_t b = 0; b + 1 < lie.x.size(); ++b)
    for (Index t = lie.y[b]; t < lie.y[b + 1]; ++t)
      for (Index k = 0; k < c.size; ++k) {
        const Index row = lie.x[b] + (t - lie.y[b]) * c.stride - lie.before + k * c.dilation;
        if (row < lie.x[b] || row >= lie.x[b + 1] || (c.masked && !lie.real[at(row)])) continue;
        f(t, k, row);
      }
}

struct Forward {
  std::vector<double> gathered, most, mean;
};

Forward naive(const Case& c, const Lie& lie, const std::vector<double>& x) {
  const std::size_t size = at(lie.y.back() * kFeatures);
  Forward a{std::vector<double>(size * at(c.size)), std::vector<double>(size), std::vector<double>(size)};
  std::vector<int> count(size);
  each(c, lie, [&](Index t, Index k, Index row) {
    for (Index f = 0; f < kFeatures; ++f) {
      const double value = x[at(row * kFeatures + f)];
      const std::size_t to = at(t * kFeatures + f);
      a.gathered[at((t * c.size + k) * kFeatures + f)] = value;
      a.most[to] = count[to] ? std::max(a.most[to], value) : value;
      a.mean[to] += value;
      ++count[to];
    }
  });
  for (std::size_t i = 0; i < size; ++i)
    if (count[i]) a.mean[i] /= count[i];
  return a;
}

double product(const std::vector<double>& a, const std::vector<double>& b) {
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) sum += a[i] * b[i];
  return sum;
}

template <class T>
using Parts = std::vector<std::vector<T>>;

template <class T>
Parts<T> run(const Case& c, const Lie& lie, const std::vector<double>& x_, const std::vector<double>& d_gathered_,
             const std::vector<double>& dy_) {
  const bool* const real = c.masked ? reinterpret_cast<const bool*>(lie.real.data()) : nullptr;
  const Windows windows{lie.x, lie.y, real, c.size, c.stride, c.dilation, lie.before};
  const std::vector<T> x = narrowed<T>(x_), d_gathered = narrowed<T>(d_gathered_), dy = narrowed<T>(dy_);
  std::vector<T> gathered(d_gathered.size(), 9), most(dy.size(), 9), mean(dy.size(), 9), d0(x.size(), 9),
      d1(x.size(), 9), d2(x.size(), 9);
  std::vector<std::int32_t> which(dy.size());
  const FloatScope scope;
  gather_windows(windows, x.data(), kFeatures, gathered.data());
  scatter_windows(windows, d_gathered.data(), kFeatures, d0.data());
  max_windows(windows, x.data(), kFeatures, most.data(), which.data());
  max_windows_backward(windows, dy.data(), which.data(), kFeatures, d1.data());
  mean_windows(windows, x.data(), kFeatures, mean.data());
  mean_windows_backward(windows, dy.data(), kFeatures, d2.data());
  return {gathered, most, mean, d0, d1, d2};
}

template <class T>
void compare(const Case& c, const std::string& name) {
  const Lie lie = lie_of(c, name);
  const Index size = lie.x.back() * kFeatures;
  std::vector<double> x;  // no two are equal: at a tie the largest has no derivative
  for (Index i = 0; i < size; ++i) x.push_back(static_cast<double>(i * 37 % size) / 100 - 2);
  const std::vector<double> dy = values<double>(2, lie.y.back() * kFeatures, 1),
                            d_gathered = values<double>(3, lie.y.back() * c.size * kFeatures, 1);
  const Forward a = naive(c, lie, x);
  const auto slope = [&](std::vector<double> Forward::* part, const std::vector<double>& d) {
    return differences(x, [&] { return product(naive(c, lie, x).*part, d); });
  };
  const Parts<double> expected{a.gathered,
                               a.most,
                               a.mean,
                               slope(&Forward::gathered, d_gathered),
                               slope(&Forward::most, dy),
                               slope(&Forward::mean, dy)};
  constexpr const char* kParts[] = {"gather", "max", "mean", "scatter", "d max", "d mean"};
  Parts<T> first;
  on_every_isa([&](const std::string& isa) {
    for (const int threads : {1, 2}) {
      set_num_threads(threads);
      const Parts<T> found = run<T>(c, lie, x, d_gathered, dy);
      const std::string where = name + " " + isa + " " + std::to_string(threads) + " " + std::to_string(sizeof(T));
      if (first.empty()) first = found;
      for (std::size_t i = 0; i < found.size(); ++i) {
        check(distance(found[i], expected[i]) < kClose<T>, where + " " + kParts[i]);
        check(same_bits(found[i], first[i]), where + " bits " + kParts[i]);
      }
    }
  });
}

// Of equals the first is it; NaN is the largest; a window without a step gives 0 and takes nothing.
void ties() {
  const std::vector<Index> offsets{0, 3, 6, 8}, one{0, 1, 2, 3};
  const std::vector<float> x{2, 5, 5, 1, NAN, 3, 7, 8};
  const bool real[] = {true, true, true, true, true, true, false, false};
  const Windows windows{offsets, one, real, 3, 1, 1, 0};
  std::vector<float> y(3), dx(8, 9);
  std::vector<std::int32_t> which(3);
  max_windows(windows, x.data(), 1, y.data(), which.data());
  check(y[0] == 5 && std::isnan(y[1]) && y[2] == 0, "ties: y");
  check(which == std::vector<std::int32_t>({1, 1, -1}), "ties: which");
  const std::vector<float> dy{1, 2, 4};
  max_windows_backward(windows, dy.data(), which.data(), 1, dx.data());
  check(dx == std::vector<float>({0, 1, 0, 0, 2, 0, 0, 0}), "ties: dx");
}

}  // namespace
}  // namespace latchwork::test

int main() {
  using namespace latchwork::test;
  using latchwork::Padding;
  for (const Padding padding : {Padding::valid, Padding::same, Padding::causal})
    for (const bool masked : {false, true})
      for (const auto& [size, stride, dilation] : {std::array{3, 1, 1}, {2, 2, 1}, {3, 1, 2}, {4, 3, 1}, {1, 2, 1}}) {
        const Case c{padding, size, stride, dilation, masked};
        const std::string name = std::string(latchwork::kPaddingNames[static_cast<int>(padding)]) + " " +
                                 std::to_string(size) + " " + std::to_string(stride) + " " + std::to_string(dilation) +
                                 (masked ? " masked" : "");
        compare<float>(c, name);
        compare<double>(c, name);
      }
  ties();
  return report("windows");
}
