#include "layers/schedule.h"

#include <cmath>
#include <string>

#include "cpu/dispatch.h"
#include "latchwork/error.h"

namespace latchwork {
namespace {

constexpr double kMostSquared = 64;  // by squaring errors add up to exponent / 2 eps, by exp to those of the logarithm

double whole_power(double base, double exponent) {
  double result = 1;
  for (auto left = static_cast<int>(std::fabs(exponent)); left > 0; left /= 2) {
    if (left % 2 == 1) result *= base;
    base *= base;
  }
  return exponent < 0 ? 1 / result : result;
}

double exp_of_log(double base, double exponent) {
  const auto& unary = kernels().of<double>().unary;
  double value = base;
  unary.log(&value, &value, 1);
  value *= exponent;
  unary.exp(&value, &value, 1);
  return value;
}

double square(double x) { return x * x; }

// sin(pi / 2 x) on [-1/2, 1/2]: Taylor's series, whose next term is below 2^-63 of the first. pi / 2 is a sum of two.
double quarter_sine(double x) {
  constexpr double kHigh = 0x1.921fb54442d18p+0, kLow = 0x1.1a62633145c07p-54;
  constexpr double kTaylor[] = {-0x1.4abbce625be53p-1,  0x1.466bc6775aae2p-4,   -0x1.32d2cce62bd86p-8,
                                0x1.50783487ee782p-13,  -0x1.e3074fde8871fp-19, 0x1.e8f434d018d63p-25,
                                -0x1.6fadb9f155744p-31, 0x1.aaec32af93359p-38};
  const double x2 = square(x);
  double sum = 0;
  for (int i = 7; i >= 0; --i) sum = (sum + kTaylor[i]) * x2;
  return std::fma(x, kHigh, x * (sum + kLow));  // one rounding where it counts, once a training step
}

}  // namespace

double power(double base, double exponent) {
  if (!(base >= 0) || !(std::fabs(exponent) < 0x1p53))
    throw Error("base must be 0 or more and exponent within 2^53, got " + std::to_string(base) + " and " +
                std::to_string(exponent));
  if (exponent == 0.5) return std::sqrt(base);
  const bool whole = std::floor(exponent) == exponent;
  return whole && std::fabs(exponent) <= kMostSquared ? whole_power(base, exponent) : exp_of_log(base, exponent);
}

double half_cosine(double x) {
  if (!(0 <= x && x <= 1)) throw Error("x must be in [0, 1], got " + std::to_string(x));
  // By 1 - sin^2, 1 + sin and sin^2 of at most pi / 4: nothing cancels, and 1/2 is 1/2.
  if (x < 0.25) return 1 - square(quarter_sine(x));
  if (x <= 0.75) return 0.5 * (1 + quarter_sine(1 - 2 * x));
  return square(quarter_sine(1 - x));
}

}  // namespace latchwork
