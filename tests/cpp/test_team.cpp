// The thread team: every member runs once a call, callers share, barriers hold, buffers come back, forks wait.
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <thread>

#include "check.h"
#include "latchwork/error.h"
#include "runtime/buffer.h"
#include "runtime/fork_mutex.h"
#include "runtime/thread_team.h"

namespace latchwork::test {
namespace {

void members_run_once() {
  for (const int threads : {1, 2, 3, 8, 16}) {
    set_num_threads(threads);
    for (int call = 0; call < 200; ++call) {
      Team team(threads);
      check(team.size() == threads, "size");
      std::vector<std::atomic<int>> ran(static_cast<std::size_t>(threads));
      team.run([&](int member) { ran[static_cast<std::size_t>(member)]++; });
      bool once = true;
      for (const auto& count : ran) once = once && count == 1;
      check(once, "every member once");
    }
  }
}

void barriers_hold() {
  constexpr int kSteps = 500;
  Team team(4);
  Barrier barrier(team.size());
  std::vector<std::atomic<int>> step(static_cast<std::size_t>(team.size()));
  std::atomic<int> broken = 0;
  team.run([&](int member) {
    for (int i = 1; i <= kSteps; ++i) {
      step[static_cast<std::size_t>(member)] = i;
      barrier.wait();
      for (const auto& other : step)
        if (other < i) broken++;
      barrier.wait();
    }
  });
  check(broken == 0, "nobody passes a barrier early");
}

// Several callers at once: one holds the team, the others work alone; the sums are the same.
void callers_share() {
  std::atomic<int> wrong = 0;
  std::vector<std::thread> callers;
  for (int c = 0; c < 6; ++c)
    callers.emplace_back([&] {
      for (int i = 0; i < 200; ++i) {
        std::atomic<Index> sum = 0;
        parallel_for(1000, 10, [&](Index begin, Index end) { sum += end - begin; });
        if (sum != 1000) wrong++;
      }
    });
  for (std::thread& caller : callers) caller.join();
  check(wrong == 0, "concurrent callers");
}

void nested_calls_run_alone() {
  Team team(2);
  std::atomic<int> inner = 0;
  team.run([&](int) {
    Team mine(2);
    mine.run([&](int) { inner++; });
  });
  check(inner == team.size(), "a call inside a call is a team of one");
}

// A team that keeps its caller waiting is left alone for a while that doubles, then tried again.
void late_teams_sit_out() {
  using std::chrono::milliseconds;
  const Turnout::Clock::time_point start{std::chrono::hours(1)};
  Turnout turnout;
  turnout.add(2, milliseconds(3), milliseconds(3), start);
  check(turnout.pays(start), "a short call tells nothing");
  turnout.add(2, milliseconds(0), milliseconds(3), start);
  check(turnout.pays(start) && !turnout.doubted(), "half the time is not late");
  turnout.add(2, milliseconds(4), milliseconds(5), start);
  check(!turnout.pays(start + milliseconds(19)) && turnout.pays(start + milliseconds(20)), "out for 20 ms");
  turnout.add(2, milliseconds(4), milliseconds(5), start);
  check(!turnout.pays(start + milliseconds(39)) && turnout.pays(start + milliseconds(40)), "late again: for 40 ms");
  for (int i = 0; i < 10; ++i) turnout.add(2, milliseconds(4), milliseconds(5), start);
  check(turnout.pays(start + milliseconds(160)), "never more than 160 ms");
  turnout.add(2, milliseconds(1), milliseconds(5), start);
  check(!turnout.doubted(), "back in time: nothing is held against it");
  turnout.add(16, milliseconds(9), milliseconds(10), start);
  check(!turnout.doubted(), "sixteen do more in a tenth of the time than one in all of it");
  turnout.add(16, milliseconds(97), milliseconds(100), start);
  check(turnout.doubted(), "but not in a thirtieth");
}

// A member that sleeps in every call: after some milliseconds its caller works alone.
void callers_of_late_teams_work_alone() {
  set_num_threads(2);
  tolerate_late_teams(false);
  bool alone = false;
  for (int call = 0; call < 20 && !alone; ++call) {
    Team team(2);
    alone = team.size() == 1;
    team.run([&](int member) {
      if (member == 1) std::this_thread::sleep_for(std::chrono::milliseconds(2));
    });
  }
  check(alone, "a late team sits out");
  tolerate_late_teams(true);
  check(Team(2).size() == 2, "where nobody minds, it does not");
}

void buffers_return() {
  void* const first = Buffer<float>(100000).data();
  void* const again = Buffer<float>(100000).data();
  check(first == again, "the pool gives the same block again");
  bool thrown = false;
  try {
    checked_bytes((Index{1} << 62), 8);
  } catch (const Error&) {
    thrown = true;
  }
  check(thrown, "sizes are checked");
  check(checked_product(Index{1} << 31, Index{1} << 31) == Index{1} << 62, "2^31 squared fits");
  pool_trim();
}

// A thread that holds one mutex takes another while a fork waits for it.
void holders_take_more() {
  ForkMutex first, second;
  std::atomic<bool> holds = false;
  std::thread holder([&] {
    const std::lock_guard outer(first);
    holds = true;
    std::this_thread::sleep_for(std::chrono::milliseconds(100));  // the fork has begun
    const std::lock_guard inner(second);
  });
  spin_until([&] { return holds.load(); });
  const pid_t child = fork();
  if (child == 0) {
    alarm(20);
    const std::lock_guard outer(first);
    const std::lock_guard inner(second);
    _exit(0);
  }
  holder.join();
  int status = -1;
  check(waitpid(child, &status, 0) == child && status == 0, "a fork waits for those who take a second ForkMutex");
}

// Another thread holds the mutex most of the time, half done, with memory from the pool; no child may find it so.
void forks_wait() {
  ForkMutex mutex;
  std::atomic<bool> stop = false;
  bool whole = true;
  std::thread holder([&] {
    while (!stop) {
      const std::lock_guard lock(mutex);
      whole = false;
      for (int i = 0; i < 20; ++i) Buffer<float>(1000 + i);
      whole = true;
    }
  });
  int unharmed = 0;
  constexpr int kForks = 50;
  for (int i = 0; i < kForks && unharmed == i; ++i) {
    const pid_t child = fork();
    if (child == 0) {
      alarm(20);  // ends a child that waits for ever
      const std::lock_guard lock(mutex);
      _exit(whole && Buffer<float>(1000).data() ? 0 : 1);
    }
    int status = -1;
    unharmed += waitpid(child, &status, 0) == child && status == 0;
  }
  stop = true;
  holder.join();
  check(unharmed == kForks, "a fork waits for those who hold a ForkMutex");
}

}  // namespace
}  // namespace latchwork::test

int main() {
  using namespace latchwork::test;
  latchwork::tolerate_late_teams(true);
  members_run_once();
  barriers_hold();
  callers_share();
  nested_calls_run_alone();
  late_teams_sit_out();
  callers_of_late_teams_work_alone();
  buffers_return();
  forks_wait();
  holders_take_more();
  return report("team");
}
