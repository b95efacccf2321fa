// The peak of fused multiply-adds of this machine, single precision: GFLOP/s of THREADS threads for about SECONDS.
// Compiled by compare.py with -O3 -march=native; every share of peak that it prints is of this figure, measured in its
// run.
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

// Returns the floating point operations done; `sink` keeps them from being left out.
static double burn(double seconds, float* sink) {
  Vec sum[kChains] = {};
  Vec a = {}, b = {};
  for (int lane = 0; lane < kLanes; ++lane) {
    a[lane] = 0.999f;
    b[lane] = 0.001f;
  }
  const auto start = std::chrono::steady_clock::now();
  double operations = 0;
  do {
    for (int i = 0; i < 20000; ++i) {
      for (int chain = 0; chain < kChains; ++chain) sum[chain] = sum[chain] * a + b;
    }
    operations += 2.0 * 20000 * kChains * kLanes;
  } while (std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count() < seconds);
  for (int chain = 1; chain < kChains; ++chain) sum[0] += sum[chain];
  *sink = sum[0][0];
  return operations;
}

int main(int argc, char** argv) {
  const int threads = argc > 1 ? std::atoi(argv[1]) : 1;
  const double seconds = argc > 2 ? std::atof(argv[2]) : 0.2;
  std::vector<double> operations(threads);
  std::vector<float> sinks(threads * 64);
  const auto start = std::chrono::steady_clock::now();
  std::vector<std::thread> team;
  for (int t = 0; t < threads; ++t) {
    team.emplace_back([&, t] { operations[t] = burn(seconds, &sinks[t * 64]); });
  }
  for (auto& thread : team) thread.join();
  const double elapsed = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  double total = 0;
  for (double o : operations) total += o;
  std::printf("%.1f\n", total / elapsed / 1e9);
}
