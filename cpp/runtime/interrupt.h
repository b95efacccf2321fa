// How a long call learns that its caller wants it to end (Ctrl-C in Python).
#pragma once

#include <atomic>
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

// What the members of a team know of it: the calling thread asks the check every 50 ms, the others learn its answer.
class Interruption {
 public:
  bool wanted(bool calling_thread) noexcept;
  bool wanted() const noexcept { return wanted_.load(std::memory_order_relaxed); }

 private:
  std::chrono::steady_clock::time_point last_ = std::chrono::steady_clock::now();  // the calling thread's
  std::atomic<bool> wanted_ = false;
};

}  // namespace latchwork
