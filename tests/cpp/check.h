// The tests' few tools: checks that count, every ISA in turn, and inputs from the library's own generator.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <string>
#include <vector>

#include "latchwork/cpu.h"
#include "runtime/philox.h"

namespace latchwork::test {

inline int failed = 0;
inline int passed = 0;

inline bool check(bool holds, const std::string& what) {
  (holds ? passed : failed)++;
  if (!holds && failed <= 20) std::fprintf(stderr, "FAILED %s\n", what.c_str());
  return holds;
}

inline int report(const char* subject) {
  std::printf("%s: %d passed, %d failed\n", subject, passed, failed);
  return failed > 0;
}

template <class F>
void on_every_isa(F f) {
  const std::string before = isa();
  for (const std::string& name : supported_isas()) {
    use_isa(name);
    f(name);
  }
  use_isa(before);
}

// n values in (-scale, scale), multiples of 2^-12 * scale: no subnormals, and the same in float and double.
template <class T>
std::vector<T> values(std::uint32_t stream, std::int64_t n, double scale) {
  std::vector<T> out(static_cast<std::size_t>(n));
  for (std::size_t i = 0; i < out.size(); ++i) {
    const std::uint32_t draw = sequence_block(7, Purpose::initialize, stream, i / 4)[i % 4];
    out[i] = static_cast<T>((static_cast<double>(draw >> 19) - 4095.5) / 4096.0 * scale);
  }
  return out;
}

template <class T>
bool same_bits(const std::vector<T>& a, const std::vector<T>& b) {
  return a.size() == b.size() && (a.empty() || std::memcmp(a.data(), b.data(), a.size() * sizeof(T)) == 0);
}

// The largest difference, relative to the largest value.
template <class T>
double distance(const std::vector<T>& got, const std::vector<double>& expected) {
  double most = 0, largest = 1e-300;
  for (std::size_t i = 0; i < expected.size(); ++i) {
    const double d = std::fabs(static_cast<double>(got[i]) - expected[i]);
    if (!(d <= most)) most = std::isnan(d) ? INFINITY : d;
    largest = std::fmax(largest, std::fabs(expected[i]));
  }
  return most / largest;
}

}  // namespace latchwork::test
