#include "runtime/interrupt.h"

namespace latchwork {
namespace {
std::atomic<InterruptCheck> installed = nullptr;
}

void set_interrupt_check(InterruptCheck check) noexcept { installed.store(check); }

bool Interruption::wanted(bool calling_thread) noexcept {
  if (!calling_thread || wanted()) return wanted();
  const auto now = std::chrono::steady_clock::now();
  if (now - last_ < std::chrono::milliseconds(50)) return false;
  last_ = now;
  const InterruptCheck check = installed.load();
  if (check && check()) wanted_.store(true, std::memory_order_relaxed);
  return wanted();
}

}  // namespace latchwork
