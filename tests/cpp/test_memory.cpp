// Records made again, segment by segment: the same bits as records that were kept, whatever the plan.
#include "layer.h"

namespace latchwork::test {
namespace {

template <class T>
void memories(const std::string& where, const std::string& cell, long B, long T_, bool plans) {
  const Problem p = problem(cell, B, T_, 3, 40);
  const Kernels<T>& k = kernels().of<T>();
  const Layout layout(*k.cells[find_cell(cell)]->info, p.I, p.H, k.product.panel_columns, k.product.lanes);
  const Result<T> stored = run<T>(cell, p);
  for (const Memory memory : {Memory::recompute, Memory::checkpoint}) {
    const std::string name = where + (memory == Memory::recompute ? " recompute" : " checkpoint");
    check(equal(stored, run<T>(cell, p, nullptr, memory)), name);
    if (!plans) continue;
    for (const Plan& plan : legal_plans({p.B, p.T, &layout, sizeof(T)}, 3))
      if (plan.strip_rows == 5) check(equal(stored, run<T>(cell, p, &plan, memory)), name + " under a plan");
  }
}

// Segments are whole groups of ceil(256 / B) steps; none where one would be everything.
void segments() {
  const CellInfo& lstm = *kernels().f32.cells[find_cell("lstm")]->info;
  const Layout layout(lstm, 8, 32, 32, 16);
  const auto steps = [&](Memory memory, std::size_t B, Index T) {
    return segment_steps(memory, layout, Batch(Indices(B, T)));
  };
  check(steps(Memory::store, 64, 1000) == 0, "all records are kept");
  check(steps(Memory::recompute, 64, 1000) == 4, "recompute: a group");
  check(steps(Memory::checkpoint, 64, 1000) == 16, "checkpoint: 14.1 steps are best, 16 are whole groups");
  check(steps(Memory::checkpoint, 256, 1000) == 14, "checkpoint: groups of one step");
  check(steps(Memory::recompute, 1, 256) == 0 && steps(Memory::recompute, 1, 257) == 256, "one group is everything");
  check(steps(Memory::recompute, 0, 0) == 0, "no rows");
}

}  // namespace
}  // namespace latchwork::test

int main() {
  using namespace latchwork::test;
  latchwork::set_num_threads(3);
  segments();
  on_every_isa([](const std::string& isa) {
    for (const std::string& cell : recurrent_cells()) {
      memories<float>(cell + " " + isa + " float", cell, 130, 13, false);
      memories<double>(cell + " " + isa + " double", cell, 130, 13, false);
    }
  });
  for (const std::string& cell : recurrent_cells()) memories<float>(cell + " plans", cell, 130, 33, true);
  return report("memory");
}
