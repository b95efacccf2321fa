// Whether a call was interrupted, looked at between pieces of work.
#pragma once

#include "base/types.h"
#include "runtime/interrupt.h"

namespace latchwork {

// One member's. Work is counted in FMAs; under a millisecond of it, a tenth of that with AVX-512, between two looks.
class WorkPoll {
 public:
  explicit WorkPoll(InterruptPoll* interrupt) : interrupt_(interrupt) {}

  // Called before a piece of work: true from when the call is to end.
  bool leaving(Index work) noexcept {
    if ((done_ += work) < kBetweenLooks || !interrupt_) return false;
    if (interrupt_->wanted()) return true;
    done_ = 0;
    return false;
  }

 private:
  static constexpr Index kBetweenLooks = Index(1) << 23;

  InterruptPoll* interrupt_;  // null: the work is short
  Index done_ = 0;
};

}  // namespace latchwork
