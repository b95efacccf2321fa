// How a long call learns that its caller wants it to end (Ctrl-C in Python).
#pragma once

#include <pthread.h>

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

// Made by the thread that makes a call, asked by every member of its team between pieces of about a millisecond.
class InterruptPoll {
 public:
  // True from when the call is to end. On the calling thread it asks the check, every 50 ms.
  bool wanted() noexcept {
    return wanted_.load(std::memory_order_relaxed) || (pthread_equal(caller_, pthread_self()) && ask());
  }
  void check() {
    if (wanted()) throw Interrupted();
  }

 private:
  bool ask() noexcept;

  const pthread_t caller_ = pthread_self();
  std::atomic<bool> wanted_ = false;
  std::chrono::steady_clock::time_point last_ = std::chrono::steady_clock::now();
};

}  // namespace latchwork
