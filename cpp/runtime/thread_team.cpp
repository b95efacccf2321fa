#include "runtime/thread_team.h"

#include <pthread.h>
#include <sched.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "cpu/float_env.h"
#include "latchwork/error.h"
#include "runtime/cpu_limits.h"

namespace latchwork {
namespace {

std::atomic<int> thread_limit = 0;  // 0: not asked yet
std::atomic<bool> late_tolerated = false;

// Keeps a worker off its caller's CPU. A scheduler that wakes a worker beside its caller may leave the two there, on
// one of two idle CPUs, for hundreds of milliseconds (seen on a 2-CPU virtual machine: calls took 7.6 ms instead
// of 4.1).
class Placement {
 public:
  Placement() noexcept {
    CPU_ZERO(&allowed_);
    known_ = sched_getaffinity(0, sizeof(allowed_), &allowed_) == 0;
  }
  // Not with more members than CPUs: then the caller's is needed too.
  void avoid(int cpu, int members) const noexcept {
    if (!known_ || cpu < 0 || cpu != sched_getcpu() || members > CPU_COUNT(&allowed_)) return;
    cpu_set_t others = allowed_;
    CPU_CLR(cpu, &others);
    sched_setaffinity(0, sizeof(others), &others);
  }

 private:
  cpu_set_t allowed_;
  bool known_;
};

// Workers wait for the call word to change, then run their member of the call.
class Workers {
 public:
  std::atomic<bool> busy = false;  // held by the caller whose work the team does
  Turnout turnout;                 // of those who hold it

  void grow(int count) {
    while (static_cast<int>(threads_.size()) < count) {
      const int member = static_cast<int>(threads_.size()) + 1;
      threads_.emplace_back([this, member, seen = call_.load()] { work(member, seen); });
      threads_.back().detach();  // parked threads end with the process
    }
  }

  void run(int size, void (*function)(void*, int), void* context) {
    const auto start = Turnout::Clock::now();
    const auto waited = LongWait::waited();
    function_ = function;
    context_ = context;
    caller_cpu_ = sched_getcpu();
    running_.store(size - 1, std::memory_order_relaxed);
    const std::uint64_t number = (call_.load(std::memory_order_relaxed) >> kSizeBits) + 1;
    call_.store(number << kSizeBits | static_cast<std::uint64_t>(size), std::memory_order_seq_cst);
    if (parked_.load(std::memory_order_seq_cst) > 0) call_.notify_all();
    function(context, 0);
    spin_until([&] { return running_.load(std::memory_order_acquire) == 0; });
    const auto end = Turnout::Clock::now();
    turnout.add(size, LongWait::waited() - waited, end - start, end);
  }

 private:
  // Python takes up to 100 us between the last call of a training step and the first of the next; a member found parked
  // comes late by as much. At 50 us the steps of examples/vowels.py took 7 % longer, at 100 us 3 %.
  static constexpr auto kSpin = std::chrono::microseconds(200);
  static constexpr int kSizeBits = 16;

  // since: when the worker's last work ended. Others' calls do not make it spin anew: fourteen workers beside a team of
  // two took its CPUs, on a machine of two.
  std::uint64_t await(std::uint64_t seen, Turnout::Clock::time_point since) noexcept {
    do {
      for (int i = 0; i < 64; ++i) {
        const std::uint64_t now = call_.load(std::memory_order_acquire);
        if (now != seen) return now;
        spin_pause();
      }
    } while (Turnout::Clock::now() - since < kSpin);
    parked_.fetch_add(1, std::memory_order_seq_cst);
    call_.wait(seen, std::memory_order_seq_cst);
    parked_.fetch_sub(1, std::memory_order_seq_cst);
    return call_.load(std::memory_order_acquire);
  }

  // The team's size travels in the word itself: a worker outside the call must not read what the next call writes.
  void work(int member, std::uint64_t seen) noexcept {
    const FloatScope scope;
    const Placement placement;
    Turnout::Clock::time_point since = Turnout::Clock::now();
    for (;;) {
      seen = await(seen, since);
      const int size = static_cast<int>(seen & ((1u << kSizeBits) - 1));
      if (member >= size) continue;
      placement.avoid(caller_cpu_, size);
      function_(context_, member);
      running_.fetch_sub(1, std::memory_order_release);
      since = Turnout::Clock::now();
    }
  }

  std::atomic<std::uint64_t> call_ = 0;  // number of the call << kSizeBits | its size
  std::atomic<int> parked_ = 0;
  std::atomic<int> running_ = 0;
  void (*function_)(void*, int) = nullptr;
  void* context_ = nullptr;
  int caller_cpu_ = -1;
  std::vector<std::thread> threads_;
};

// The child of a fork has no workers: it forgets the parent's and makes its own.
// Never destroyed: a thread may still compute while the process exits.
std::atomic<Workers*> shared = nullptr;

Workers& workers() {
  static std::once_flag registered;
  std::call_once(registered, [] { pthread_atfork(nullptr, nullptr, [] { shared.store(nullptr); }); });
  Workers* team = shared.load(std::memory_order_acquire);
  if (team) return *team;
  auto made = std::make_unique<Workers>();
  if (shared.compare_exchange_strong(team, made.get())) return *made.release();
  return *team;
}

}  // namespace

thread_local Turnout::Clock::duration LongWait::waited_{};

void Barrier::wait() noexcept {
  if (members_ == 1) return;
  const unsigned generation = generation_.load(std::memory_order_acquire);
  if (arrived_.fetch_add(1, std::memory_order_acq_rel) + 1 == members_) {
    arrived_.store(0, std::memory_order_relaxed);
    generation_.store(generation + 1, std::memory_order_release);
    return;
  }
  spin_until([&] { return generation_.load(std::memory_order_acquire) != generation; });
}

Team::Team(int wanted) : size_(std::min(wanted, num_threads())), holds_(false) {
  if (size_ <= 1) {
    size_ = 1;
    return;
  }
  Workers& team = workers();
  if (team.busy.exchange(true, std::memory_order_acquire)) {
    size_ = 1;
    return;
  }
  if (team.turnout.doubted() && !late_tolerated.load(std::memory_order_relaxed) &&
      !team.turnout.pays(Turnout::Clock::now())) {
    team.busy.store(false, std::memory_order_release);
    size_ = 1;
    return;
  }
  holds_ = true;
  try {
    team.grow(size_ - 1);
  } catch (...) {  // no more threads, or no memory for one: the caller does the work alone
    team.busy.store(false, std::memory_order_release);
    holds_ = false;
    size_ = 1;
  }
}

Team::~Team() {
  if (holds_) workers().busy.store(false, std::memory_order_release);
}

void Team::run_members(Function function, void* context) {
  const FloatScope scope;
  if (size_ == 1)
    function(context, 0);
  else
    workers().run(size_, function, context);
}

void tolerate_late_teams(bool tolerated) noexcept { late_tolerated.store(tolerated, std::memory_order_relaxed); }

int num_threads() {
  int limit = thread_limit.load(std::memory_order_relaxed);
  if (limit == 0) {
    limit = default_threads();
    thread_limit.store(limit, std::memory_order_relaxed);
  }
  return limit;
}

void set_num_threads(int threads) {
  if (threads < 1 || threads > 1024) throw Error("threads must be from 1 to 1024, got " + std::to_string(threads));
  thread_limit.store(threads, std::memory_order_relaxed);
}

}  // namespace latchwork
