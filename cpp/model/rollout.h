// Roll-outs: a model's steps, its own outputs fed back.
#pragma once

#include <algorithm>
#include <span>

#include "cpu/float_env.h"
#include "latchwork/error.h"
#include "model/steps.h"
#include "runtime/interrupt.h"

namespace latchwork {

constexpr Index kMostRollOut = Index(1) << 32;  // streams, steps, paths: counters of draws have 32 bits
constexpr std::uint32_t draw_number(Index i) noexcept { return static_cast<std::uint32_t>(i); }

// Throws Error: "`expected`, got `got`".
[[noreturn]] void refuse(const std::string& expected, Index got);
[[noreturn]] void refuse(const std::string& expected, double got);

// Where each of the sequences laid end to end begins. Throws Error unless each has a step.
std::vector<Index> starts_of(const Ragged& lengths, const char* name);
void require_threads_and_steps(int threads, Index steps, const char* name);

// The steps of some streams, of one input and one output: x is written between them, and which streams take part.
template <class T>
class RollOut {
 public:
  explicit RollOut(Steps<T>& steps)
      : steps_(steps), x_(steps.streams * steps.inputs[0].features), real_(steps.streams) {
    std::fill_n(x_.data(), x_.size(), T(0));
    std::fill_n(real_.data(), real_.size(), true);
  }

  Index streams() const noexcept { return steps_.streams; }
  T* x(Index stream) noexcept { return x_.data() + stream * steps_.inputs[0].features; }
  const T* y(Index stream) const noexcept { return steps_.y(0) + stream * steps_.outputs[0].size; }
  bool& real(Index stream) noexcept { return real_[stream]; }

  void step() {
    poll_.check();
    const FloatScope scope;
    const T* const x = x_.data();
    steps_.run(&x, real_.data());
  }

  // Reads the histories; write(stream, t, row) puts step t of a stream into its row of x. All end at the same step, the
  // shorter ones begin later.
  template <class F>
  void read(std::span<const Index> lengths, F write) {
    const Index longest = lengths.empty() ? 0 : *std::max_element(lengths.begin(), lengths.end());
    for (Index t = -longest; t < 0; ++t) {
      for (Index stream = 0; stream < streams(); ++stream) {
        const Index at = lengths[static_cast<std::size_t>(stream)] + t;
        real(stream) = at >= 0;
        if (at >= 0) write(stream, at, x(stream));
      }
      step();
    }
  }

 private:
  Steps<T>& steps_;
  Buffer<T> x_;
  Buffer<bool> real_;
  InterruptPoll poll_;
};

}  // namespace latchwork
