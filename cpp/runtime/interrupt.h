// How a long call learns that its caller wants it to end (Ctrl-C in Python).
#pragma once

#include <chrono>
#include <exception>

namespace latchwork {

// Thrown by an interrupted call once every thread has left it. Outputs are undefined; everything is usable.
class Interrupted : public std::exception {
 public:
  const char* what() const noexcept override { return "interrupted"; }
};

// Asked on the calling thread; true: end the call. None by default.
using InterruptCheck = bool (*)() noexcept;
void set_interrupt_check(InterruptCheck check) noexcept;

// One call's view: asks the check every 50 ms.
class InterruptPoll {
 public:
  bool wanted() noexcept;

 private:
  std::chrono::steady_clock::time_point last_ = std::chrono::steady_clock::now();
};

}  // namespace latchwork
