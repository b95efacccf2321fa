#include "runtime/interrupt.h"

#include <atomic>

namespace latchwork {
namespace {
std::atomic<InterruptCheck> installed = nullptr;
}

void set_interrupt_check(InterruptCheck check) noexcept { installed.store(check); }

bool InterruptPoll::wanted() noexcept {
  const auto now = std::chrono::steady_clock::now();
  if (now - last_ < std::chrono::milliseconds(50)) return false;
  last_ = now;
  const InterruptCheck check = installed.load();
  return check && check();
}

}  // namespace latchwork
