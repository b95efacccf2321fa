// A mutex for objects that a fork may meet at work.
#pragma once

#include <mutex>

namespace latchwork {

// A fork waits until no thread of the process holds one: the child would find the lock taken, and what it guards half
// done, by a thread that it does not have. Whoever holds one may not wait for a lock that a forking thread holds, such
// as Python's; it may take another ForkMutex.
class ForkMutex {
 public:
  void lock() noexcept;
  void unlock() noexcept;

 private:
  std::mutex mutex_;
};

}  // namespace latchwork
