// Whether a team pays. On CPUs that other programs use, members wait for one that does not run: then work takes longer
// than on its caller's thread alone.
#pragma once

#include <algorithm>
#include <chrono>

namespace latchwork {

class Turnout {
 public:
  using Clock = std::chrono::steady_clock;

  // After a call of `members`: what it took, and what of that its caller spent waiting for them beyond a hand-over.
  void add(int members, Clock::duration waited, Clock::duration total, Clock::time_point now) noexcept {
    alone_ += members * (total - waited);  // what all shares take one after the other, if they are like the caller's
    total_ += total;
    if (total_ < kWindow) return;
    // Not as soon as alone is faster: shares that are not equal are not lateness.
    if (3 * alone_ < 2 * total_) {
      pause_ = std::clamp(2 * pause_, kShortest, kLongest);
      until_ = now + pause_;
    } else {
      pause_ = {};
    }
    alone_ = total_ = {};
  }

  // Callers work alone for a while, then try again.
  bool pays(Clock::time_point now) const noexcept { return now >= until_; }
  bool doubted() const noexcept { return pause_.count() != 0; }  // else there is no need to know the time

 private:
  // A scheduler's slices are some 3 ms; trying costs at most a fifth of the time that is worked alone.
  static constexpr Clock::duration kWindow = std::chrono::milliseconds(4);
  static constexpr Clock::duration kShortest = std::chrono::milliseconds(20);
  static constexpr Clock::duration kLongest = std::chrono::milliseconds(160);

  Clock::duration alone_{}, total_{}, pause_{};
  Clock::time_point until_{};
};

}  // namespace latchwork
