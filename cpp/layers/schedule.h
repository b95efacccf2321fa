// What learning-rate schedules need of real functions, in float64: libm's have other bits on other machines.
#pragma once

namespace latchwork {

// base^exponent for base >= 0, |exponent| < 2^53, else Error. Whole exponents up to 64 by squaring (powers of two are
// exact), halves by the root; any other as exp(exponent * log(base)), |log| of the result times 3 eps at most.
double power(double base, double exponent);

// (1 + cos(pi x)) / 2 for x in [0, 1], else Error: within 2 ULP, also near 0 at x = 1, where the sum would cancel.
double half_cosine(double x);

}  // namespace latchwork
