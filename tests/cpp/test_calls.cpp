// Several calls on one team: side by side, in turn, chosen by cost, interrupted.
#include "sequence/calls.h"

#include <chrono>
#include <mutex>
#include <thread>

#include "check.h"
#include "layer.h"

namespace latchwork::test {
namespace {

using Clock = std::chrono::steady_clock;

// Waits for a flag that another call's member sets; false: it never came.
bool seen(const std::atomic<bool>& flag) {
  for (const auto start = Clock::now(); !flag; std::this_thread::yield())
    if (Clock::now() - start > std::chrono::seconds(20)) return false;
  return true;
}

// A call that only notes who ran it.
struct Log {
  std::mutex mutex;
  std::vector<std::pair<int, std::thread::id>> ran;  // call, by whom
  std::atomic<bool> begun[2] = {false, false};
  bool rendezvous = false, until_interrupted = false;
  std::atomic<bool> failed = false;
};

struct FakeArgs {
  Plan plan;
  const Batch* batch;
  int number;
  Log* log;
};

struct FakeCall {
  FakeCall(const FakeArgs& a, const Plan& p, InterruptPoll& i) : args(a), plan(p), interruption(i) {}
  const FakeArgs& args;
  const Plan plan;
  InterruptPoll& interruption;
};

struct FakeMember {
  FakeMember(FakeCall& c, int) : call(c) {}
  void run() {
    Log& log = *call.args.log;
    const std::lock_guard lock(log.mutex);
    log.ran.emplace_back(call.args.number, std::this_thread::get_id());
  }
  FakeCall& call;
};

// Begins, and waits until the other call has begun too.
struct MeetingMember : FakeMember {
  using FakeMember::FakeMember;
  void run() {
    Log& log = *call.args.log;
    log.begun[call.args.number] = true;
    if (!seen(log.begun[1 - call.args.number])) log.failed = true;
    FakeMember::run();
  }
};

// The call elsewhere goes on until it hears of the interrupt.
struct LastingMember : FakeMember {
  using FakeMember::FakeMember;
  void run() {
    const auto start = Clock::now();
    while (call.args.number == 1 && !call.interruption.wanted())
      if (Clock::now() - start > std::chrono::seconds(20)) return void(call.args.log->failed = true);
  }
};

template <class Member>
void run_two(Log& log, int members) {
  const Batch batch({1});
  const Plan plan{.members = members};
  const FakeArgs args[] = {{plan, &batch, 0, &log}, {plan, &batch, 1, &log}};
  run_calls<FakeCall, Member>(std::span<const FakeArgs>(args));
}

void calls_run_side_by_side() {
  for (const int members : {1, 2}) {
    set_num_threads(2 * members);
    Log log;
    run_two<MeetingMember>(log, members);
    check(!log.failed, "both calls are in flight at once");
    check(log.ran.size() == 2 * static_cast<std::size_t>(members), "every member runs once");
    for (const auto& [call, thread] : log.ran)
      for (const auto& [other, its] : log.ran) check(call == other || thread != its, "calls share no thread");
  }
}

void calls_run_in_turn() {
  set_num_threads(1);
  Log log;
  run_two<FakeMember>(log, 1);
  check(log.ran.size() == 2 && log.ran[0].first == 0 && log.ran[1].first == 1, "in the order given");
  check(log.ran[0].second == std::this_thread::get_id() && log.ran[1].second == std::this_thread::get_id(),
        "by the caller");
}

void interrupts_reach_calls_elsewhere() {
  set_num_threads(2);
  set_interrupt_check([]() noexcept { return true; });
  Log log;
  bool thrown = false;
  try {
    run_two<LastingMember>(log, 1);
  } catch (const Interrupted&) {
    thrown = true;
  }
  set_interrupt_check(nullptr);
  check(thrown && !log.failed, "a call that the calling thread has no part in ends too");
}

// Packs that members share out have the bits of those made one by one, whichever of them were there and how often one
// is asked for.
void packs_are_shared_out() {
  constexpr Index kInput[] = {3, 200, 1, 90}, kHidden[] = {70, 100, 130, 64};
  constexpr const char* kCells[] = {"lstm", "gru", "gru_reset_before", "elman"};
  std::vector<std::vector<float>> values;
  std::vector<std::unique_ptr<Weights<float>>> alone;
  const auto made = [&](std::size_t i) {
    const int cell = find_cell(kCells[i]);
    const CellInfo& info = *kernels().f32.cells[cell]->info;
    const Index columns = info.gates * kHidden[i];
    const float* const kernel = values[i].data();
    const float* const recurrent = kernel + kInput[i] * columns;
    return std::make_unique<Weights<float>>(cell, kInput[i], kHidden[i],
                                            Parameters<float>{kernel, recurrent, recurrent + kHidden[i] * columns});
  };
  set_num_threads(1);
  for (std::size_t i = 0; i < std::size(kCells); ++i) {
    const CellInfo& info = *kernels().f32.cells[find_cell(kCells[i])]->info;
    auto& of_cell = values.emplace_back(info.gates * kHidden[i] * (kInput[i] + kHidden[i] + info.biases));
    for (std::size_t k = 0; k < of_cell.size(); ++k) of_cell[k] = static_cast<float>(k + 1);
    prepare(*alone.emplace_back(made(i)), true);
  }
  for (const int threads : {1, 2, 3, 7})
    for (const std::size_t count : {std::size_t{1}, std::size_t{2}, std::size_t{3}, std::size_t{4}}) {
      set_num_threads(threads);
      std::vector<std::unique_ptr<Weights<float>>> together;
      std::vector<Weights<float>*> asked;
      for (std::size_t i = 0; i < count; ++i) asked.push_back(together.emplace_back(made(i)).get());
      asked.push_back(asked.front());
      if (count == 3) prepare(*asked[1], false);
      prepare<float>(asked, true);
      bool same = true;
      for (std::size_t i = 0; i < count; ++i) {
        const Weights<float>&a = *alone[i], &b = *together[i];
        const auto equal = [&](const float* x, const float* y, Index n) { return std::equal(x, x + n, y); };
        same &= equal(a.forward(), b.forward(), a.layout().forward_size) &&
                equal(a.backward(), b.backward(), a.layout().backward_size) &&
                equal(a.bias(), b.bias(), a.layout().slot_row());
      }
      check(same, std::to_string(count) + " packs by " + std::to_string(threads) + " threads");
    }
}

// Real calls, each pass interrupted in its middle; then the same pass gives the bits of one call alone.
void interrupted_passes() {
  set_num_threads(2);
  const Plan plan{.members = 1};
  const auto interrupted = [](auto pass) {
    set_interrupt_check([]() noexcept { return true; });
    bool thrown = false;
    try {
      pass();
    } catch (const Interrupted&) {
      thrown = true;
    }
    set_interrupt_check(nullptr);
    return thrown;
  };
  bool forward = false, backward = false;
  for (long T = 1 << 12; T <= (1 << 20) && !(forward && backward); T *= 2) {  // until it outlasts the 50 ms of a poll
    const Problem p = problem("lstm", 16, T, 16, 64);
    Runs<float> two("lstm", p, 2);
    forward = interrupted([&] { two.forward(&plan); });
    two.forward(&plan);
    backward = interrupted([&] { two.backward(&plan); });
    two.backward(&plan);
    const Result<float> wanted = run<float>("lstm", p);
    for (const Result<float>& r : two.results) check(equal(r, wanted), "the bits of one call alone");
  }
  check(forward && backward, "interrupted where it was asked to be");
}

PoolVector<Plan> chosen(Index batch, Index steps, Index input, Index hidden, int threads, int calls = 2) {
  const Kernels<float>& k = kernels().f32;
  const Layout layout(*k.cells[find_cell("lstm")]->info, input, hidden, k.product.panel_columns, k.product.lanes);
  const std::vector<PlanShape> shapes(static_cast<std::size_t>(calls), {batch, steps, &layout, 4});
  const Choices choices = choose_plans(shapes, threads);
  PoolVector<Plan> plans;
  for (const Choice& choice : choices.calls)
    if (choices.side_by_side) plans.push_back(choice.plan);
  return plans;
}

void plans_are_chosen_by_cost() {
  const PoolVector<Plan> two = chosen(32, 50, 64, 64, 2);
  check(two.size() == 2 && two[0].members == 1 && two[1].members == 1, "two threads: a direction each");
  const PoolVector<Plan> four = chosen(32, 50, 64, 128, 4);
  check(four.size() == 2 && four[0].members == 2, "four threads: two for each direction");
  check(chosen(32, 50, 64, 64, 1).empty(), "one thread: in turn");
  check(chosen(32, 50, 64, 64, 2, 3).empty(), "more calls than threads: in turn");
  check(chosen(32, 50, 64, 64, 2, 1).empty(), "one call is no group");
  check(chosen(1, 1, 2, 4, 2).empty(), "work too small to hand to another thread");
  check(chosen(64, 50, 64, 1024, 2).empty(), "weights too large to stream twice");
}

}  // namespace
}  // namespace latchwork::test

int main() {
  using namespace latchwork::test;
  packs_are_shared_out();
  calls_run_side_by_side();
  calls_run_in_turn();
  interrupts_reach_calls_elsewhere();
  interrupted_passes();
  plans_are_chosen_by_cost();
  return report("calls");
}
