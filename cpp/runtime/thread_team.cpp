#include "runtime/thread_team.h"

#include <pthread.h>
#include <sched.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <mutex>
#include <set>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "cpu/float_env.h"
#include "latchwork/error.h"

namespace latchwork {
namespace {

// "max 100000" or "150000 100000": cgroup v2's quota and period in microseconds.
int cgroup_quota() {
  std::ifstream v2("/sys/fs/cgroup/cpu.max");
  std::string quota;
  double period = 0;
  if (v2 >> quota >> period && quota != "max" && period > 0)
    return std::max(1, static_cast<int>(std::stod(quota) / period + 0.5));
  std::ifstream q1("/sys/fs/cgroup/cpu/cpu.cfs_quota_us"), p1("/sys/fs/cgroup/cpu/cpu.cfs_period_us");
  double q = 0, p = 0;
  if (q1 >> q && p1 >> p && q > 0 && p > 0) return std::max(1, static_cast<int>(q / p + 0.5));
  return 1 << 20;
}

// Physical cores this process may run on: hyperthreads of one core share its FMA units.
int physical_cores() {
  cpu_set_t allowed;
  CPU_ZERO(&allowed);
  if (sched_getaffinity(0, sizeof(allowed), &allowed) != 0) return 1;
  std::set<std::string> cores;
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (!CPU_ISSET(cpu, &allowed)) continue;
    std::ifstream file("/sys/devices/system/cpu/cpu" + std::to_string(cpu) + "/topology/thread_siblings_list");
    std::string siblings;
    if (!(file >> siblings)) siblings = std::to_string(cpu);
    cores.insert(siblings);
  }
  return std::max(1, static_cast<int>(cores.size()));
}

int default_threads() {
  if (const char* text = std::getenv("LATCHWORK_NUM_THREADS"); text && *text) {
    char* end = nullptr;
    const long n = std::strtol(text, &end, 10);
    if (*end != '\0' || n < 1 || n > 1024)
      throw Error("LATCHWORK_NUM_THREADS must be a whole number from 1 to 1024, got '" + std::string(text) + "'");
    return static_cast<int>(n);
  }
  return std::min({physical_cores(), cgroup_quota(), 1024});
}

std::atomic<int> thread_limit = 0;  // 0: not asked yet

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

  void grow(int count) {
    while (static_cast<int>(threads_.size()) < count) {
      const int member = static_cast<int>(threads_.size()) + 1;
      threads_.emplace_back([this, member, seen = call_.load()] { work(member, seen); });
      threads_.back().detach();  // parked threads end with the process
    }
  }

  void run(int size, void (*function)(void*, int), void* context) {
    function_ = function;
    context_ = context;
    caller_cpu_ = sched_getcpu();
    running_.store(size - 1, std::memory_order_relaxed);
    const std::uint64_t number = (call_.load(std::memory_order_relaxed) >> kSizeBits) + 1;
    call_.store(number << kSizeBits | static_cast<std::uint64_t>(size), std::memory_order_seq_cst);
    if (parked_.load(std::memory_order_seq_cst) > 0) call_.notify_all();
    function(context, 0);
    spin_until([&] { return running_.load(std::memory_order_acquire) == 0; });
  }

 private:
  // About 50 us: a training step's calls follow each other closely, and waking a parked thread costs as much.
  static constexpr auto kSpin = std::chrono::microseconds(50);
  static constexpr int kSizeBits = 16;

  std::uint64_t await(std::uint64_t seen) noexcept {
    const auto start = std::chrono::steady_clock::now();
    do {
      for (int i = 0; i < 64; ++i) {
        const std::uint64_t now = call_.load(std::memory_order_acquire);
        if (now != seen) return now;
        spin_pause();
      }
    } while (std::chrono::steady_clock::now() - start < kSpin);
    parked_.fetch_add(1, std::memory_order_seq_cst);
    call_.wait(seen, std::memory_order_seq_cst);
    parked_.fetch_sub(1, std::memory_order_seq_cst);
    return call_.load(std::memory_order_acquire);
  }

  // The team's size travels in the word itself: a worker outside the call must not read what the next call writes.
  void work(int member, std::uint64_t seen) noexcept {
    const FloatScope scope;
    const Placement placement;
    for (;;) {
      seen = await(seen);
      const int size = static_cast<int>(seen & ((1u << kSizeBits) - 1));
      if (member >= size) continue;
      placement.avoid(caller_cpu_, size);
      function_(context_, member);
      running_.fetch_sub(1, std::memory_order_release);
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
  holds_ = true;
  try {
    team.grow(size_ - 1);
  } catch (const std::system_error&) {  // no more threads to be had: the caller does the work alone
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
