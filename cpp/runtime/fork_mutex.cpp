#include "runtime/fork_mutex.h"

#include <pthread.h>

#include <atomic>

#include "runtime/buffer.h"
#include "runtime/thread_team.h"

namespace latchwork {
namespace {

std::mutex forks;  // one at a time
std::atomic<bool> forking = false;
std::atomic<int> holders = 0;  // and those who wait for one
thread_local int held = 0;     // by this thread

void wait_for_holders() noexcept {
  forks.lock();
  forking.store(true);
  spin_until([] { return holders.load() == 0; });
}

void go_on() noexcept {
  forking.store(false);
  forks.unlock();
}

// When the library is loaded: a fork in the middle of a thread's first lock would leave the child waiting for that
// thread to be done with it.
[[maybe_unused]] const bool registered = [] {
  pool_trim();  // handlers run in the reverse order: the pool's comes after this, as holders take memory from it
  pthread_atfork(wait_for_holders, go_on, go_on);
  return true;
}();

}  // namespace

void ForkMutex::lock() noexcept {
  // A fork under way waits for the holders: one of them may not wait for it with a second lock.
  for (holders.fetch_add(1); held == 0 && forking.load(); holders.fetch_add(1)) {
    holders.fetch_sub(1);
    spin_until([] { return !forking.load(); });
  }
  ++held;
  mutex_.lock();
}

void ForkMutex::unlock() noexcept {
  mutex_.unlock();
  --held;
  holders.fetch_sub(1);
}

}  // namespace latchwork
