// What surrounds computation in every binding.
#pragma once

#include <pybind11/pybind11.h>

#include <chrono>
#include <cstdint>

#include "cpu/float_env.h"

namespace latchwork {

// Of this thread, in Compute scopes, since it began. What a call takes beyond that is Python's share of it.
std::int64_t compute_nanoseconds() noexcept;

// Computation: the GIL released, the kernels' floating-point environment set, the time counted (two readings of the
// clock, 40 ns).
class Compute {
 public:
  Compute();
  Compute(const Compute&) = delete;
  Compute& operator=(const Compute&) = delete;
  ~Compute();

 private:
  pybind11::gil_scoped_release release_;
  FloatScope scope_;
  std::chrono::steady_clock::time_point start_;
};

}  // namespace latchwork
