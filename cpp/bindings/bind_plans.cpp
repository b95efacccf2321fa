// Plans, for tests and benchmarks: which there are, one forced on every call, what the cost table says.
#include "bindings/plans.h"

#include <optional>
#include <tuple>

#include "bindings/recurrent_weights.h"

namespace latchwork {
namespace {

constexpr Index kMostMembers = 1024, kMostRows = 65536;  // of a plan that a test asks for

std::optional<Plan> forced;

void require_within(Index value, Index least, Index most, const char* name) {
  if (value < least || value > most)
    throw Error(std::string(name) + " must be within [" + std::to_string(least) + ", " + std::to_string(most) +
                "], got " + std::to_string(value));
}

void require_sizes(Index input, Index hidden, int threads) {
  require_within(threads, 1, kMostMembers, "threads");
  require_within(input, 0, kMostRows, "input");
  require_within(hidden, 1, kMostRows, "hidden");
}

template <class T>
py::list legal(int cell, Index batch, Index steps, Index input, Index hidden, int threads) {
  const Kernels<T>& k = kernels().of<T>();
  const Layout layout(*k.cells[cell]->info, input, hidden, k.product.panel_columns, k.product.lanes);
  py::list plans;
  for (const Plan& p : legal_plans({batch, steps, &layout, sizeof(T)}, threads))
    plans.append(py::make_tuple(p.members, p.split == Split::rows ? "rows" : "units", p.strip_rows, p.hoist_steps));
  return plans;
}

}  // namespace

const Plan* forced_plan() { return forced ? &*forced : nullptr; }

void bind_plans(py::module_& m) {
  m.def(
      "legal_plans",
      [](const std::string& cell, bool is_float64, Index batch, Index steps, Index input, Index hidden, int threads) {
        require_sizes(input, hidden, threads);
        return is_float64 ? legal<double>(cell_of(cell), batch, steps, input, hidden, threads)
                          : legal<float>(cell_of(cell), batch, steps, input, hidden, threads);
      },
      py::arg("cell"), py::arg("float64"), py::arg("batch"), py::arg("steps"), py::arg("input"), py::arg("hidden"),
      py::arg("threads"),
      "For tests: (members, split, strip_rows, hoist_steps) of every plan a call of this size may use.");
  m.def(
      "plan_cost",
      [](const std::string& cell, Index batch, Index steps, Index input, Index hidden, int threads) {
        require_sizes(input, hidden, threads);
        const Kernels<float>& k = kernels().f32;
        const Layout layout(*k.cells[cell_of(cell)]->info, input, hidden, k.product.panel_columns, k.product.lanes);
        return plan_cost({batch, steps, &layout, sizeof(float)}, threads);
      },
      py::arg("cell"), py::arg("batch"), py::arg("steps"), py::arg("input"), py::arg("hidden"), py::arg("threads"),
      "Of a float32 forward call by the plan's cost table, in multiply-adds of one core at its peak.");
  m.def(
      "force_plan",
      [](const std::optional<std::tuple<int, std::string, Index, Index>>& p) {
        if (!p) {
          forced.reset();
          return;
        }
        const auto& [members, split, strip_rows, hoist_steps] = *p;
        if (split != "rows" && split != "units") throw Error("plan: the split must be rows or units, got " + split);
        require_within(members, 1, kMostMembers, "plan: members");
        require_within(strip_rows, 1, kMostRows, "plan: strip_rows");
        require_within(hoist_steps, 0, kMostRows, "plan: hoist_steps");
        forced = Plan{members, split == "rows" ? Split::rows : Split::units, strip_rows, hoist_steps};
      },
      py::arg("plan"), "For tests: every later call uses this plan; None: the library chooses again.");
}

}  // namespace latchwork
