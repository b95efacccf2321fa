// Normalization of rows and columns against plain loops in float64; gradients by differences.
#include "layers/normalization.h"

#include <algorithm>
#include <cmath>

#include "check.h"
#include "cpu/float_env.h"
#include "differences.h"

namespace latchwork::test {
namespace {

constexpr double kEpsilon = 1e-3;

std::vector<double> naive_rows(const std::vector<double>& x, long rows, long columns) {
  std::vector<double> y(x.size());
  for (long r = 0; r < rows; ++r) {
    const auto row = x.begin() + r * columns;
    double mean = 0, variance = 0;
    for (long c = 0; c < columns; ++c) mean += row[c] / static_cast<double>(columns);
    for (long c = 0; c < columns; ++c) variance += (row[c] - mean) * (row[c] - mean) / static_cast<double>(columns);
    for (long c = 0; c < columns; ++c)
      y[static_cast<std::size_t>(r * columns + c)] = (row[c] - mean) / std::sqrt(variance + kEpsilon);
  }
  return y;
}

// Batch normalization of the real rows by their own mean and deviation, the others by the same numbers.
std::vector<double> naive_columns(const std::vector<double>& x, const std::vector<char>& real, long columns) {
  std::vector<double> y(x.size());
  const long rows = static_cast<long>(real.size());
  const auto count = static_cast<double>(std::count(real.begin(), real.end(), 1));
  const auto at = [&](long r, long c) { return static_cast<std::size_t>(r * columns + c); };
  for (long c = 0; c < columns; ++c) {
    double mean = 0, variance = 0;
    for (long r = 0; r < rows; ++r)
      if (real[static_cast<std::size_t>(r)]) mean += x[at(r, c)] / count;
    for (long r = 0; r < rows; ++r)
      if (real[static_cast<std::size_t>(r)]) variance += (x[at(r, c)] - mean) * (x[at(r, c)] - mean) / count;
    for (long r = 0; r < rows; ++r) y[at(r, c)] = (x[at(r, c)] - mean) / std::sqrt(variance + kEpsilon);
  }
  return y;
}

double product(const std::vector<double>& a, const std::vector<double>& b) {
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) sum += a[i] * b[i];
  return sum;
}

template <class T>
using Parts = std::vector<std::vector<T>>;

template <class T>
Parts<T> run_rows(const std::vector<double>& x_, const std::vector<double>& dy_, const std::vector<double>& gamma_,
                  Index rows, Index columns) {
  const std::vector<T> x = narrowed<T>(x_), dy = narrowed<T>(dy_), gamma = narrowed<T>(gamma_);
  std::vector<T> y(x.size()), alone(x.size()), inverse(static_cast<std::size_t>(rows)), dx(x.size());
  const FloatScope scope;
  normalize_rows(x.data(), rows, columns, kEpsilon, y.data(), inverse.data());
  normalize_rows_alone<T>(x.data(), rows, columns, kEpsilon, alone.data(), nullptr);
  check(same_bits(alone, y), "rows alone");
  normalize_rows_backward(dy.data(), y.data(), inverse.data(), gamma.data(), rows, columns, dx.data());
  return {y, dx};
}

template <class T>
Parts<T> run_columns(const std::vector<double>& x_, const std::vector<double>& dy_, const std::vector<char>& real,
                     Index rows, Index columns) {
  const auto size = static_cast<std::size_t>(columns);
  const std::vector<T> x = narrowed<T>(x_), dy = narrowed<T>(dy_);
  std::vector<T> of_real = x;  // rows of zeros change no sum
  for (std::size_t i = 0; i < x.size(); ++i)
    if (!real[i / size]) of_real[i] = 0;
  std::vector<double> sums(size), products(size);
  const FloatScope scope;
  column_sums<T>(of_real.data(), of_real.data(), rows, columns, sums.data(), products.data());
  const auto count = static_cast<double>(std::count(real.begin(), real.end(), 1));
  std::vector<T> mean(size), factor(size);
  for (std::size_t c = 0; c < size; ++c) {
    const double m = sums[c] / count;
    mean[c] = static_cast<T>(m);
    factor[c] = static_cast<T>(1 / std::sqrt(products[c] / count - m * m + kEpsilon));
  }
  std::vector<T> y(x.size()), alone(x.size()), dx(x.size()), d_mean(size), d_deviation(size);
  affine_columns<T>(x.data(), {mean.data(), factor.data(), nullptr}, rows, columns, y.data());
  affine_columns_alone<T>(x.data(), {mean.data(), factor.data(), nullptr}, rows, columns, alone.data());
  check(same_bits(alone, y), "columns alone");
  column_sums<T>(dy.data(), y.data(), rows, columns, sums.data(), products.data());
  for (std::size_t c = 0; c < size; ++c) {
    d_mean[c] = static_cast<T>(sums[c] / count);
    d_deviation[c] = static_cast<T>(products[c] / count);
  }
  const auto* const is_real = reinterpret_cast<const bool*>(real.data());
  batch_norm_backward<T>(dy.data(), y.data(), {factor.data(), d_mean.data(), d_deviation.data(), is_real}, rows,
                         columns, dx.data());
  return {y, dx};
}

template <class T, class F>
void compare(const std::string& name, const Parts<double>& expected, F run) {
  Parts<T> first;
  on_every_isa([&](const std::string& isa) {
    for (const int threads : {1, 2}) {
      set_num_threads(threads);
      const Parts<T> found = run();
      const std::string where = name + " " + isa + " " + std::to_string(threads) + " " + std::to_string(sizeof(T));
      if (first.empty()) {
        first = found;
        for (std::size_t i = 0; i < found.size(); ++i)
          check(distance(found[i], expected[i]) < kClose<T>, where + (i ? " dx" : " y"));
      }
      for (std::size_t i = 0; i < found.size(); ++i) check(same_bits(found[i], first[i]), where + " bits");
    }
  });
}

template <class T>
void compare_all(long rows, long columns) {
  const std::string name = std::to_string(rows) + " x " + std::to_string(columns);
  std::vector<double> x = values<double>(1, rows * columns, 2);
  const std::vector<double> dy = values<double>(2, rows * columns, 1), gamma = values<double>(3, columns, 1);
  std::vector<double> g = dy;
  for (std::size_t i = 0; i < g.size(); ++i) g[i] *= gamma[i % gamma.size()];
  const auto rows_dx = differences(x, [&] { return product(naive_rows(x, rows, columns), g); });
  compare<T>("rows " + name, {naive_rows(x, rows, columns), rows_dx},
             [&] { return run_rows<T>(x, dy, gamma, rows, columns); });
  std::vector<char> real;
  for (long r = 0; r < rows; ++r) real.push_back(r % 3 != 1);
  const auto columns_dx = differences(x, [&] { return product(naive_columns(x, real, columns), dy); });
  compare<T>("columns " + name, {naive_columns(x, real, columns), columns_dx},
             [&] { return run_columns<T>(x, dy, real, rows, columns); });
}

}  // namespace
}  // namespace latchwork::test

int main() {
  using namespace latchwork::test;
  for (const auto& [rows, columns] : {std::pair<long, long>{4, 3}, {7, 33}, {30, 16}}) {
    compare_all<float>(rows, columns);
    compare_all<double>(rows, columns);
  }
  return report("normalization");
}
