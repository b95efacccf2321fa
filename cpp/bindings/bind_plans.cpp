// Plans: which one a call takes and why, which there are, one forced on every call, what the cost table says.
#include "bindings/plans.h"

#include <optional>
#include <tuple>
#include <utility>

#include "bindings/compute.h"
#include "bindings/recurrent_weights.h"
#include "layers/recurrent.h"
#include "runtime/thread_team.h"

namespace latchwork {
namespace {

constexpr Index kMostMembers = 1024, kMostRows = 65536;  // of a plan that a test asks for
constexpr Index kMostSteps = 1 << 24;                    // and sequences, of a call that is explained

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
    plans.append(plan_tuple(p));
  return plans;
}

py::list costs(const std::string& cell, bool is_float64, Index batch, Index steps, Index input, Index hidden,
               int threads) {
  require_within(threads, 1, kMostMembers, "threads");
  const Layout layout = layout_of(cell, is_float64, input, hidden);
  py::list each;
  for (int n = 1; n <= threads; ++n)
    each.append(choose_plan({batch, steps, &layout, is_float64 ? sizeof(double) : sizeof(float)}, n).time);
  return each;
}

// A call that is asked about: weights, sequences, steps, whether it gives y of every step, memory.
using AskedCall = std::tuple<RecurrentWeights*, Index, Index, bool, std::string>;

// [rows] operand · weight, of one step: where the operand comes from, its features, columns of the weight.
py::list products_of(const CellInfo& cell, const Layout& layout) {
  constexpr const char* kNames[] = {"x", "h", "intermediate"};
  py::list products;
  for (int p = 0; p < cell.products; ++p) {
    const ProductInfo& product = cell.product[p];
    products.append(py::make_tuple(kNames[static_cast<int>(product.operand)], layout.features(product.operand),
                                   product.count * layout.hidden));
  }
  return products;
}

py::dict answer(const Choice& choice, const Choices& choices, const CallBytes& bytes, const Layout& layout,
                std::size_t element_size) {
  py::dict d;
  d["products"] = products_of(*layout.cell, layout);
  d["plan"] = plan_tuple(choice.plan);
  d["forced"] = forced_plan() != nullptr;
  d["side_by_side"] = choices.side_by_side;
  const auto packs = static_cast<std::size_t>(layout.forward_size + layout.backward_size + layout.slot_row());
  for (const auto& [name, value] :
       {std::pair{"tall_tile", static_cast<std::size_t>(kTallTile)}, std::pair{"most_panel_bytes", kPanelBytes},
        std::pair{"rows", static_cast<std::size_t>(choice.rows)}, std::pair{"panel_bytes", choice.panel_bytes},
        std::pair{"kept_bytes", bytes.kept}, std::pair{"forward_bytes", bytes.forward},
        std::pair{"backward_bytes", bytes.backward}, std::pair{"pack_bytes", packs * element_size}})
    d[name] = value;
  for (const auto& [name, value] : {std::pair{"cost", choice.time}, std::pair{"alone", choice.alone},
                                    std::pair{"by_rows", choice.by_rows}, std::pair{"by_units", choice.by_units},
                                    std::pair{"in_turn", choices.in_turn}, std::pair{"at_once", choices.at_once}})
    d[name] = value;
  return d;
}

template <class T>
py::list explain(const std::vector<AskedCall>& asked, bool training) {
  std::vector<RecurrentCall<T>> calls;
  std::vector<PlanShape> shapes;
  std::vector<CallBytes> bytes;
  Choices choices;
  for (const auto& [weights, batch, steps, sequences, memory] : asked) {
    require_within(batch, 1, kMostSteps, "batch");
    require_within(steps, 0, kMostSteps, "steps");
    if (weights->holds_double() != std::is_same_v<T, double>) throw Error("weights must all be of one dtype");
    RecurrentCall<T> call{};
    call.arrangement.batch = batch, call.arrangement.steps = steps;
    call.memory = memory_of(memory);
    calls.push_back(std::move(call));
  }
  {
    const Compute compute;
    for (std::size_t i = 0; i < asked.size(); ++i) {
      RecurrentCall<T>& call = calls[i];
      call.weights = &std::get<0>(asked[i])->template prepared<T>(training);
      call.arrangement.lengths.assign(static_cast<std::size_t>(call.arrangement.batch), call.arrangement.steps);
      if (std::get<3>(asked[i])) call.y = const_cast<T*>(call.weights->parameters().kernel);  // none is written
      shapes.push_back({call.arrangement.batch, call.arrangement.steps, &call.weights->layout(), sizeof(T)});
    }
    choices = choose_plans(shapes, num_threads(), false, forced_plan());
    for (std::size_t i = 0; i < calls.size(); ++i)
      bytes.push_back(call_bytes(calls[i], choices.calls[i].plan, training));
  }
  py::list answers;
  for (std::size_t i = 0; i < calls.size(); ++i)
    answers.append(answer(choices.calls[i], choices, bytes[i], calls[i].weights->layout(), sizeof(T)));
  return answers;
}

py::list explain_calls(const std::vector<AskedCall>& calls, bool training) {
  for (const AskedCall& call : calls)
    if (!std::get<0>(call)) throw Error("weights must be RecurrentWeights, got None");
  const bool is_double = !calls.empty() && std::get<0>(calls.front())->holds_double();
  return is_double ? explain<double>(calls, training) : explain<float>(calls, training);
}

}  // namespace

py::tuple plan_tuple(const Plan& plan) {
  return py::make_tuple(plan.members, plan.split == Split::rows ? "rows" : "units", plan.strip_rows, plan.hoist_steps);
}

const Plan* forced_plan() { return forced ? &*forced : nullptr; }

void bind_plans(py::module_& m) {
  m.def("explain_calls", &explain_calls, py::arg("calls"), py::arg("training"),
        "Of independent calls (weights, batch, steps, sequences, memory): plan, what the cost table says, bytes.");
  m.def("pool_size", &pool_size, py::arg("bytes"), "What the core's memory pool takes for an array of so many bytes.");
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
