// Gradients by central differences of a float64 function: independent of how a backward was derived.
#pragma once

#include <functional>
#include <vector>

namespace latchwork::test {

// d(f)/d(x), f of all of x; x is as before afterwards.
inline std::vector<double> differences(std::vector<double>& x, const std::function<double()>& f) {
  std::vector<double> found(x.size());
  for (std::size_t i = 0; i < x.size(); ++i) {
    const double kept = x[i], step = 1e-5;
    x[i] = kept + step;
    const double above = f();
    x[i] = kept - step;
    found[i] = (above - f()) / (2 * step);
    x[i] = kept;
  }
  return found;
}

template <class T>
std::vector<T> narrowed(const std::vector<double>& x) {
  std::vector<T> made;
  for (const double value : x) made.push_back(static_cast<T>(value));
  return made;
}

// Differences are good to 1e-9 or so; float32 keeps 1e-6.
template <class T>
constexpr double kClose = sizeof(T) == 4 ? 2e-5 : 1e-8;

}  // namespace latchwork::test
