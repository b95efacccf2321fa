// Independent calls on one team: side by side, each on members of its own, or one after the other.
#pragma once

#include <algorithm>
#include <atomic>
#include <memory>
#include <span>

#include "runtime/interrupt.h"
#include "runtime/thread_team.h"
#include "sequence/plan.h"

namespace latchwork {

// The last goes first: the pool hands out what it got last, so that the next call's members, made in order, find their
// memory in the caches of their own cores.
template <class List>
void drop(List& list) {
  while (!list.empty()) list.pop_back();
}

// Shared(args, plan, interruption) is what the members of a call share, its barrier among it; Member(shared, i) is one
// of them, and run() its work; both are InPool.
template <class Shared, class Member>
struct PlacedCall {
  template <class Args>
  PlacedCall(const Args& args, const Plan& plan, InterruptPoll& interruption, int first_member)
      : shared(std::make_unique<Shared>(args, plan, interruption)), first(first_member) {
    members.reserve(static_cast<std::size_t>(plan.members));
    for (int i = 0; i < plan.members; ++i) members.push_back(std::make_unique<Member>(*shared, i));
  }
  PlacedCall(PlacedCall&&) = default;
  ~PlacedCall() { drop(members); }

  std::unique_ptr<Shared> shared;
  PoolVector<std::unique_ptr<Member>> members;
  int first;  // of the team
};

// The work space of one call, in bytes of the pool: what it takes to make its parts.
template <class Shared, class Member, class Args>
std::size_t work_bytes(const Args& args) {
  InterruptPoll interruption;
  const std::size_t before = pool_asked();
  const PlacedCall<Shared, Member> made(args, args.plan, interruption, 0);
  return pool_asked() - before;
}

// A team smaller than all plans together, because another caller holds it, runs the calls in turn; a member goes on to
// the next call without waiting for the others.
template <class Shared, class Member, class Args>
void run_calls(std::span<const Args> calls) {
  using Call = PlacedCall<Shared, Member>;
  int wanted = 0, next = 0;
  for (const Args& args : calls) wanted += args.plan.members;
  Team team(wanted);
  InterruptPoll interruption;
  PoolVector<Call> placed;
  placed.reserve(calls.size());
  std::atomic<int> elsewhere = 0;  // members of calls that the calling thread has no part in
  for (const Args& args : calls) {
    if (args.batch->size() == 0) continue;
    Plan plan = args.plan;
    plan.members = std::min(plan.members, team.size());
    if (plan.members == 1) plan.split = Split::rows;
    const Call& call = placed.emplace_back(args, plan, interruption, team.size() == wanted ? next : 0);
    if (call.first > 0) elsewhere += plan.members;
    next += plan.members;
  }
  team.run([&](int index) {
    for (const Call& call : placed) {
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
  drop(placed);
  interruption.check();
}

}  // namespace latchwork
