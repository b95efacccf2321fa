// One persistent team of threads for the process: work is handed out by a spin, then by a futex.
#pragma once

#include <sched.h>

#include <atomic>
#include <memory>
#include <type_traits>

#include "base/types.h"
#include "cpu/float_env.h"
#include "latchwork/cpu.h"
#include "runtime/interrupt.h"
#include "runtime/turnout.h"

namespace latchwork {

// A wait that is longer than a hand-over between running threads; each thread counts its own.
class LongWait {
 public:
  LongWait() noexcept : start_(Turnout::Clock::now()) {}
  ~LongWait() { waited_ += Turnout::Clock::now() - start_; }
  LongWait(const LongWait&) = delete;
  LongWait& operator=(const LongWait&) = delete;
  static Turnout::Clock::duration waited() noexcept { return waited_; }

 private:
  static thread_local Turnout::Clock::duration waited_;
  const Turnout::Clock::time_point start_;
};

// Spins until `ready`, then yields.
template <class Ready>
void spin_until(Ready ready) noexcept {
  for (int spins = 0; spins < 2000; ++spins) {
    if (ready()) return;
    spin_pause();
  }
  const LongWait wait;
  while (!ready()) sched_yield();
}

// A barrier for the members of one team run. Spins, then yields (a team may be larger than the machine).
class Barrier {
 public:
  explicit Barrier(int members) noexcept : members_(members) {}
  void wait() noexcept;

 private:
  const int members_;
  std::atomic<int> arrived_ = 0;
  std::atomic<unsigned> generation_ = 0;
};

// Holds the team for one call. A caller that finds it busy, or late for some milliseconds (turnout.h), gets a team of
// one, itself: bits do not depend on it.
class Team {
 public:
  // Asks for at most `wanted` members, at most num_threads(); work too small to share asks for 1.
  explicit Team(int wanted);
  ~Team();
  Team(const Team&) = delete;
  Team& operator=(const Team&) = delete;

  int size() const noexcept { return size_; }

  // Runs f(member) for member in [0, size); returns when all have. f must not throw. The kernels' float scope is set.
  template <class F>
  void run(F&& f) {
    using Callable = std::remove_reference_t<F>;
    run_members([](void* context, int member) { (*static_cast<Callable*>(context))(member); },
                const_cast<void*>(static_cast<const void*>(&f)));
  }

 private:
  using Function = void (*)(void* context, int member);
  void run_members(Function function, void* context);
  int size_;
  bool holds_;
};

// For tests, which count on their teams on machines of any load: late ones are given work all the same.
void tolerate_late_teams(bool tolerated) noexcept;

// f(begin, end) over [0, n) in pieces of a multiple of `grain`. For work whose result has no order.
template <class F>
void parallel_for(Index n, Index grain, F&& f) {
  const Index pieces = ceil_div(n, grain);
  Team team(static_cast<int>(pieces < 1024 ? pieces : 1024));
  const Index share = ceil_div(pieces, team.size()) * grain;
  team.run([&](int member) {
    const Index begin = member * share;
    const Index end = begin + share < n ? begin + share : n;
    if (begin < end) f(begin, end);
  });
}

// The same for work whose result is of no use to anybody before it is whole: an interrupt ends it with Interrupted.
// A grain is some 10 us of work, and 64 of them pass between two looks at the poll.
template <class F>
void interruptible_for(Index n, Index grain, InterruptPoll& poll, F&& f) {
  const Index piece = 64 * grain;
  parallel_for(n, grain, [&](Index begin, Index end) {
    for (; begin < end && !poll.wanted(); begin += piece) f(begin, end - begin < piece ? end : begin + piece);
  });
  poll.check();
}

template <class F>
void interruptible_for(Index n, Index grain, F&& f) {
  InterruptPoll poll;
  interruptible_for(n, grain, poll, f);
}

}  // namespace latchwork
