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

Layout layout_of(const std::string& cell, bool is_float64, Index input, Index hidden) {
  require_within(input, 0, kMostRows, "input");
  require_within(hidden, 1, kMostRows, "hidden");
  const auto of = [&](const auto& k) {
    return Layout(*k.cells[cell_of(cell)]->info, input, hidden, k.product.panel_columns, k.product.lanes);
  };
  return is_float64 ? of(kernels().f64) : of(kernels().f32);
}

py::list legal(const std::string& cell, bool is_float64, Index batch, Index steps, Index input, Index hidden,
               int threads) {
  require_within(threads, 1, kMostMembers, "threads");
  const Layout layout = layout_of(cell, is_float64, input, hidden);
  py::list plans;
  for (const Plan& p : legal_plans({batch, steps, &layout, is_float64 ? sizeof(double) : sizeof(float)}, threads))
    plans.append(py::make_tuple(p.members, p.split == Split::rows ? "rows" : "units", p.strip_rows, p.hoist_steps));
  return plans;
}

py::list costs(const std::string& cell, bool is_float64, Index batch, Index steps, Index input, Index hidden,
               int threads) {
  require_within(threads, 1, kMostMembers, "threads");
  const Layout layout = layout_of(cell, is_float64, input, hidden);
  py::list each;
  for (int n = 1; n <= threads; ++n)
    each.append(plan_cost({batch, steps, &layout, is_float64 ? sizeof(double) : sizeof(float)}, n));
  return each;
}

}  // namespace

const Plan* forced_plan() { return forced ? &*forced : nullptr; }

void bind_plans(py::module_& m) {
  m.def("legal_plans", &legal, py::arg("cell"), py::arg("float64"), py::arg("batch"), py::arg("steps"),
        py::arg("input"), py::arg("hidden"), py::arg("threads"),
        "For tests: (members, split, strip_rows, hoist_steps) of every plan a call of this size may use.");
  m.def("plan_costs", &costs, py::arg("cell"), py::arg("float64"), py::arg("batch"), py::arg("steps"), py::arg("input"),
        py::arg("hidden"), py::arg("threads"),
        "Of a forward call on 1, 2, ... threads by the plan's cost table, in multiply-adds of one core at its peak.");
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
