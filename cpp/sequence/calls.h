// Independent calls on one team: side by side, each on members of its own, or one after the other.
#pragma once

#include <algorithm>
#include <atomic>
#include <memory>
#include <span>
#include <vector>

#include "runtime/buffer.h"
#include "runtime/interrupt.h"
#include "runtime/thread_team.h"
#include "sequence/plan.h"

namespace latchwork {

// A call on its members. Shared(args, plan, interruption) is what the members of a call share, its barrier among it;
// Member(shared, i) is one of them, and run() its work.
template <class Shared, class Member>
struct PlacedCall {
  template <class Args>
  [[gnu::noinline]] PlacedCall(const Args& args, const Plan& plan, InterruptPoll& interruption, int first_of_team)
      : shared(std::make_unique<Shared>(args, plan, interruption)), first(first_of_team) {
    for (int i = 0; i < plan.members; ++i) members.push_back(std::make_unique<Member>(*shared, i));
  }

  std::unique_ptr<Shared> shared;
  std::vector<std::unique_ptr<Member>> members;
  int first;  // of the team
};

// Bytes of work space that a call takes: those of one that is made and not run.
template <class Shared, class Member, class Args>
[[gnu::cold]] std::size_t work_bytes(const Args& args) {
  const std::size_t before = acquired_by_this_thread();
  InterruptPoll interruption;
  const PlacedCall<Shared, Member> call(args, args.plan, interruption, 0);
  return acquired_by_this_thread() - before;
}

// A team smaller than all plans together, because another caller holds it, runs the calls in turn; a member goes on to
// the next call without waiting for the others.
template <class Shared, class Member, class Args>
void run_calls(std::span<const Args> calls) {
  int wanted = 0, next = 0;
  for (const Args& args : calls) wanted += args.plan.members;
  Team team(wanted);
  InterruptPoll interruption;
  std::vector<PlacedCall<Shared, Member>> placed;
  std::atomic<int> elsewhere = 0;  // members of calls that the calling thread has no part in
  for (const Args& args : calls) {
    if (args.batch->size() == 0) continue;
    Plan plan = args.plan;
    plan.members = std::min(plan.members, team.size());
    if (plan.members == 1) plan.split = Split::rows;
    placed.emplace_back(args, plan, interruption, team.size() == wanted ? next : 0);
    if (placed.back().first > 0) elsewhere += plan.members;
    next += plan.members;
  }
  team.run([&](int index) {
    for (const auto& call : placed) {
      const int member = index - call.first;
      if (member < 0 || member >= static_cast<int>(call.members.size())) continue;
      call.members[static_cast<std::size_t>(member)]->run();
      if (call.first > 0) elsewhere.fetch_sub(1, std::memory_order_release);
    }
    // Only the calling thread hears of Ctrl-C: it goes on asking while the other calls run.
    if (index == 0)
      spin_until([&] {
        interruption.wanted();
        return elsewhere.load(std::memory_order_acquire) == 0;
      });
  });
  interruption.check();
}

}  // namespace latchwork
