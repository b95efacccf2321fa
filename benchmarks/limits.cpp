// What this machine can do at most: GFLOP/s of float32 fused multiply-adds, GB/s read from each level of memory, and
// how many ns a line takes from one core to another.
//
//   limits THREADS L1 L2 L3      bytes of the caches: of one core, one core, and of all
//
// Prints one line of JSON. Compiled by limits.py for this processor (or for another instruction set); every share and
// floor that compare.py prints is of these figures, measured in its own run.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <thread>
#include <vector>

#if defined(__AVX512F__)
constexpr int kBytes = 64;
#elif defined(__AVX__)
constexpr int kBytes = 32;
#else
constexpr int kBytes = 16;
#endif
typedef float Vec __attribute__((vector_size(kBytes)));
constexpr int kLanes = kBytes / 4;
constexpr int kChains = 12;  // two units of four cycles need 8; more hides the loop
constexpr double kSeconds = 0.04;

using Clock = std::chrono::steady_clock;

static double since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

// Floating point operations a second of one thread; `sink` keeps them from being left out.
static double multiply_add(float* sink) {
  Vec sum[kChains] = {};
  Vec a = {}, b = {};
  for (int lane = 0; lane < kLanes; ++lane) {
    a[lane] = 0.999f;
    b[lane] = 0.001f;
  }
  const auto start = Clock::now();
  double operations = 0;
  do {
    for (int i = 0; i < 20000; ++i) {
      for (int chain = 0; chain < kChains; ++chain) sum[chain] = sum[chain] * a + b;
    }
    operations += 2.0 * 20000 * kChains * kLanes;
  } while (since(start) < kSeconds);
  const double elapsed = since(start);
  for (int chain = 1; chain < kChains; ++chain) sum[0] += sum[chain];
  *sink = sum[0][0];
  return operations / elapsed;
}

// Bytes a second of one thread reading `bytes` of its own, again and again.
static double read(std::size_t bytes, float* sink) {
  constexpr std::size_t kAtOnce = 8;
  const std::size_t count = std::max(kAtOnce, bytes / kBytes / kAtOnce * kAtOnce);
  Vec* const data = static_cast<Vec*>(std::aligned_alloc(64, count * kBytes));
  std::fill_n(reinterpret_cast<float*>(data), count * kLanes, 1.0f);
  Vec sum[kAtOnce] = {};
  const auto sweep = [&] {
    for (std::size_t i = 0; i < count; i += kAtOnce)
      for (std::size_t j = 0; j < kAtOnce; ++j) sum[j] += data[i + j];
    __asm__ volatile("" : : "r"(data) : "memory");  // read again the next time
  };
  sweep();
  const auto start = Clock::now();
  double read = 0;
  do {
    const std::size_t sweeps = std::max<std::size_t>(1, 200000 / count);
    for (std::size_t i = 0; i < sweeps; ++i) sweep();
    read += static_cast<double>(sweeps * count * kBytes);
  } while (since(start) < kSeconds);
  const double elapsed = since(start);
  for (std::size_t j = 1; j < kAtOnce; ++j) sum[0] += sum[j];
  *sink = sum[0][0];
  std::free(data);
  return read / elapsed;
}

// The sum of what `work(sink)` gives on each of so many threads at once.
template <class Work>
static double together(int threads, Work work) {
  std::vector<double> rates(threads);
  std::vector<float> sinks(threads);
  std::vector<std::thread> team;
  for (int t = 0; t < threads; ++t) team.emplace_back([&, t] { rates[t] = work(&sinks[t]); });
  for (auto& thread : team) thread.join();
  double sum = 0;
  for (double rate : rates) sum += rate;
  return sum;
}

// Seconds that a cache line takes from one core to another: two threads hand it back and forth.
static double hand_over() {
  std::atomic<bool> done = false;
  alignas(128) std::atomic<unsigned> turn = 0;
  std::thread other([&] {
    for (unsigned mine = 1; !done.load(std::memory_order_relaxed);)
      if (turn.load(std::memory_order_acquire) == mine) {
        turn.store(mine + 1, std::memory_order_release);
        mine += 2;
      }
  });
  unsigned rounds = 0;
  const auto start = Clock::now();
  for (; since(start) < kSeconds; ++rounds) {
    turn.store(2 * rounds + 1, std::memory_order_release);
    while (turn.load(std::memory_order_acquire) != 2 * rounds + 2) {
    }
  }
  const double elapsed = since(start);
  done = true;
  other.join();
  return elapsed / (2.0 * rounds);
}

int main(int argc, char** argv) {
  if (argc != 2 && argc != 5) return 2;
  const int threads = std::atoi(argv[1]);
  if (argc == 2) return std::printf("{\"line\": %.1f}\n", threads > 1 ? hand_over() * 1e9 : 0.0) < 0;
  const std::size_t l1 = std::atoll(argv[2]), l2 = std::atoll(argv[3]), l3 = std::atoll(argv[4]);
  const auto reading = [&](std::size_t bytes) {
    return together(threads, [bytes](float* sink) { return read(bytes, sink); }) / 1e9;
  };
  std::printf("{\"fma\": %.1f, ", together(threads, multiply_add) / 1e9);
  if (threads > 1) std::printf("\"line\": %.1f, ", hand_over() * 1e9);
  std::printf("\"L1\": %.1f, \"L2\": %.1f, ", reading(l1 / 2), reading(l2 / 2));
  // Of the shared cache what the private ones cannot hold; of memory what no cache can.
  std::printf("\"L3\": %.1f, \"memory\": %.1f}\n", reading(std::max(2 * l2, l3 / 4 / threads)),
              reading(4 * l3 / threads));
}
