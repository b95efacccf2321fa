#include "runtime/interrupt.h"

namespace latchwork {
namespace {
std::atomic<InterruptCheck> installed = nullptr;
}

void set_interrupt_check(InterruptCheck check) noexcept { installed.store(check); }

bool InterruptPoll::ask() noexcept {
  const auto now = std::chrono::steady_clock::now();
  if (now - last_ < std::chrono::milliseconds(50)) return false;
  last_ = now;
  const InterruptCheck interrupted = installed.load();
  if (!interrupted || !interrupted()) return false;
  wanted_.store(true, std::memory_order_relaxed);
  return true;
}

}  // namespace latchwork
