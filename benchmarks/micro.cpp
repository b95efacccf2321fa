// The library's pieces by themselves, in C++: product tiles, a streaming step, a barrier, handing work to the team.
//
//   micro MODEL...        prints one object of JSON; benchmarks/micro.py makes the models and prints tables
//
// Built with -DLATCHWORK_TOOLS=ON. Every figure is the best of several samples: what the piece can do when left alone.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <vector>

#include "cpu/dispatch.h"
#include "cpu/float_env.h"
#include "latchwork/model.h"
#include "runtime/buffer.h"
#include "runtime/thread_team.h"

namespace latchwork {
namespace {

constexpr double kSample = 0.01;  // seconds
constexpr int kSamples = 7;

// Seconds of one call of f: the best sample's.
template <class F>
double seconds_of(F f) {
  using Clock = std::chrono::steady_clock;
  const auto run = [&](int calls) {
    const auto start = Clock::now();
    for (int i = 0; i < calls; ++i) f();
    return std::chrono::duration<double>(Clock::now() - start).count();
  };
  int calls = 1;
  while (run(calls) < kSample) calls *= 2;
  double best = 1e30;
  for (int sample = 0; sample < kSamples; ++sample) best = std::min(best, run(calls) / calls);
  return best;
}

Buffer<float> filled(Index n, float value) {
  Buffer<float> made(n);
  std::fill_n(made.data(), n, value);
  return made;
}

// GFLOP/s of so many panels' products at once: [rows, terms] x [terms, panels * panel].
double product(Index rows, Index terms, Index panels) {
  const ProductKernels<float>& kernel = kernels().f32.product;
  const Index columns = kernel.panel_columns;
  const Buffer<float> operand = filled(rows * terms, 0.5f), weights = filled(panels * terms * columns, 0.25f);
  Buffer<float> out(panels * rows * columns);
  std::vector<const float*> row_pointers;
  for (Index r = 0; r < rows; ++r) row_pointers.push_back(operand.data() + r * terms);
  std::vector<ProductPanel<float>> each;
  for (Index p = 0; p < panels; ++p)
    each.push_back({nullptr, weights.data() + p * terms * columns, out.data() + p * rows * columns});
  const Segment<float> segment{row_pointers.data(), 0, terms};
  ProductArgs<float> args{};
  args.rows = rows, args.columns = args.out_stride = columns;
  args.panels = each.data(), args.panel_count = panels;
  args.segments = &segment, args.segment_count = 1;
  return 2e-9 * static_cast<double>(panels * rows * columns * terms) / seconds_of([&] { kernel.product(args); });
}

// GFLOP/s of one tile of a weight gradient: `terms` rows of a step's gradients summed.
double outer(Index terms) {
  const ProductKernels<float>& kernel = kernels().f32.product;
  const Index rows = kernel.tile_rows, columns = kernel.panel_columns;
  const Buffer<float> a = filled(terms * rows, 0.5f), b = filled(terms * columns, 0.25f);
  Buffer<float> out = filled(rows * columns, 0.0f);
  std::vector<float*> out_rows;
  for (Index r = 0; r < rows; ++r) out_rows.push_back(out.data() + r * columns);
  const OuterArgs<float> args{&terms, 1, rows, columns, a.data(), b.data(), columns, out_rows.data()};
  return 2e-9 * static_cast<double>(rows * columns * terms) / seconds_of([&] { kernel.outer(args); });
}

// Microseconds of one step of a saved model's single stream.
double step(const char* path) {
  const Model model = Model::load(path);
  Session<float> session = model.session<float>();
  const Buffer<float> x = filled(session.features(), 0.5f);
  Buffer<float> y(session.outputs());
  return 1e6 * seconds_of([&] { session.step(x.data(), y.data()); });
}

// Microseconds of a barrier of two members, and of handing two members nothing to do while they spin.
double barrier() {
  constexpr int kWaits = 1000;
  Team team(2);
  Barrier meeting(team.size());
  return 1e6 / kWaits * seconds_of([&] {
           team.run([&](int) {
             for (int i = 0; i < kWaits; ++i) meeting.wait();
           });
         });
}

double fork_join() {
  Team team(2);
  return 1e6 * seconds_of([&] { team.run([](int) {}); });
}

}  // namespace
}  // namespace latchwork

int main(int argc, char** argv) {
  using namespace latchwork;
  const FloatScope scope;
  set_num_threads(2);
  const auto separator = [](bool none) { return none ? "" : ", "; };
  std::printf("{\"isa\": \"%s\", \"products\": [", kernels().isa);
  bool first = true;
  for (const Index terms : {32, 128, 512})
    for (const Index panels : {1, 4})
      for (const Index rows : {1, 2, 4, 8, 16, 32, 64}) {
        std::printf("%s{\"rows\": %d, \"terms\": %d, \"panels\": %d, \"gflops\": %.2f}", separator(first),
                    static_cast<int>(rows), static_cast<int>(terms), static_cast<int>(panels),
                    product(rows, terms, panels));
        first = false;
      }
  std::printf("], \"outers\": [");
  for (const Index terms : {64, 256, 1024})
    std::printf("%s{\"terms\": %d, \"gflops\": %.2f}", separator(terms == 64), static_cast<int>(terms), outer(terms));
  std::printf("], \"steps_us\": [");
  for (int i = 1; i < argc; ++i) std::printf("%s%.3f", separator(i == 1), step(argv[i]));
  std::printf("], \"barrier_us\": %.3f, \"fork_join_us\": %.3f}\n", barrier(), fork_join());
}
