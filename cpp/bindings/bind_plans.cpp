// What calls will be like: the plan and why, which there are, one forced on every call (tests), the cost table; bytes.
#include "bindings/plans.h"

#include <optional>
#include <tuple>
#include <utility>

#include "bindings/compute.h"
#include "bindings/recurrent_weights.h"
#include "bindings/sequences.h"
#include "cpu/float_env.h"
#include "layers/recurrent_bytes.h"
#include "runtime/thread_team.h"

namespace latchwork {
namespace {

constexpr Index kMostMembers = 1024, kMostRows = 65536;  // of a plan that a test asks for
constexpr Index kMostSteps = Index(1) << 24;

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

// A shape's weights, their layout without their values.
template <class T>
Weights<T> laid_out(const std::string& cell, Index input, Index hidden) {
  require_within(input, 1, kMostRows, "input");
  require_within(hidden, 1, kMostRows, "hidden");
  Weights<T> weights(cell_of(cell), input, hidden, {});
  weights.lay_out();
  return weights;
}

template <class T>
py::dict bytes_of_call(const std::string& cell, const Indices& lengths, Index input, Index hidden, bool sequences) {
  const FloatScope scope;  // segments are chosen by a root
  for (const Index length : lengths) require_within(length, 0, kMostSteps, "lengths");
  const Weights<T> weights = laid_out<T>(cell, input, hidden);
  const Batch batch(lengths);
  py::dict modes;
  for (const Memory memory : {Memory::store, Memory::recompute, Memory::checkpoint}) {
    const RecurrentBytes bytes = recurrent_bytes(memory, weights, batch, sequences);
    modes[kMemoryNames[static_cast<int>(memory)]] = py::make_tuple(bytes.kept, bytes.forward, bytes.backward);
  }
  return modes;
}

template <class T>
std::size_t bytes_of_packs(const std::string& cell, Index input, Index hidden) {
  const std::size_t before = pool_asked();
  const Weights<T> weights = laid_out<T>(cell, input, hidden);
  return pool_asked() - before + pool_rounded(checked_bytes(weights.layout().backward_size, sizeof(T)));
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

py::dict answer(const Choice& choice, const Choices& choices, const RecurrentBytes& bytes, const Layout& layout,
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
  std::vector<RecurrentWeights*> given;
  std::vector<const Weights<T>*> all;
  std::vector<Batch> batches;
  std::vector<PlanShape> shapes;
  std::vector<RecurrentBytes> bytes;
  Choices choices;
  for (const auto& [weights, batch, steps, sequences, memory] : asked) {
    require_within(batch, 1, kMostSteps, "batch");
    require_within(steps, 0, kMostSteps, "steps");
    if (weights->holds_double() != std::is_same_v<T, double>) throw Error("weights must all be of one dtype");
    memory_of(memory);
    given.push_back(weights);
  }
  {
    const Compute compute;
    all = RecurrentWeights::prepared<T>(given, training);
    for (const auto& [weights, batch, steps, sequences, memory] : asked) {
      batches.emplace_back(Indices(static_cast<std::size_t>(batch), steps));
      shapes.push_back({batch, steps, &all[shapes.size()]->layout(), sizeof(T)});
    }
    choices = choose_plans(shapes, num_threads(), false, forced_plan());
    for (std::size_t i = 0; i < asked.size(); ++i)
      bytes.push_back(recurrent_bytes(memory_of(std::get<4>(asked[i])), *all[i], batches[i], std::get<3>(asked[i]),
                                      choices.calls[i].plan, training));
  }
  py::list answers;
  for (std::size_t i = 0; i < asked.size(); ++i)
    answers.append(answer(choices.calls[i], choices, bytes[i], all[i]->layout(), sizeof(T)));
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
  return py::make_tuple(plan.members, plan.split == Split::rows ? "rows" : "units", plan.strip_rows, plan.hoist_steps,
                        plan.few_rows, plan.few_hoist_steps);
}

const Plan* forced_plan() { return forced ? &*forced : nullptr; }

void bind_plans(py::module_& m) {
  m.def("explain_calls", &explain_calls, py::arg("calls"), py::arg("training"),
        "Of independent calls (weights, batch, steps, sequences, memory): plan, what the cost table says, bytes.");
  m.def("pool_size", &pool_rounded, py::arg("bytes"),
        "What the core's memory pool takes for an array of so many bytes.");
  m.def("legal_plans", &legal, py::arg("cell"), py::arg("float64"), py::arg("batch"), py::arg("steps"),
        py::arg("input"), py::arg("hidden"), py::arg("threads"),
        "For tests: (members, split, strip_rows, hoist_steps, few_rows, few_hoist_steps) of every plan a call of this "
        "size may use.");
  m.def("plan_costs", &costs, py::arg("cell"), py::arg("float64"), py::arg("batch"), py::arg("steps"), py::arg("input"),
        py::arg("hidden"), py::arg("threads"),
        "Of a forward call on 1, 2, ... threads by the plan's cost table, in multiply-adds of one core at its peak.");
  m.def(
      "recurrent_bytes",
      [](const std::string& cell, bool is_float64, const py::object& lengths, Index input, Index hidden,
         bool sequences) {
        const Indices steps = integers(lengths, "lengths");
        return is_float64 ? bytes_of_call<double>(cell, steps, input, hidden, sequences)
                          : bytes_of_call<float>(cell, steps, input, hidden, sequences);
      },
      py::arg("cell"), py::arg("float64"), py::arg("lengths"), py::arg("input"), py::arg("hidden"),
      py::arg("sequences"),
      "What a training call on sequences of these lengths takes, for each mode of `memory`: bytes kept from forward "
      "to\n"
      "backward, work space of forward, work space of backward; as `pool_bytes` counts them, beside x, y, their\n"
      "gradients, the weights and their packs. sequences: y of every step is the caller's, else it is kept.");
  m.def(
      "packed_bytes",
      [](const std::string& cell, bool is_float64, Index input, Index hidden) {
        return is_float64 ? bytes_of_packs<double>(cell, input, hidden) : bytes_of_packs<float>(cell, input, hidden);
      },
      py::arg("cell"), py::arg("float64"), py::arg("input"), py::arg("hidden"),
      "What the packed weights of forward and backward take, as `pool_bytes` counts them.");
  m.def(
      "force_plan",
      [](const std::optional<std::tuple<int, std::string, Index, Index, Index, Index>>& p) {
        if (!p) {
          forced.reset();
          return;
        }
        const auto& [members, split, strip_rows, hoist_steps, few_rows, few_hoist_steps] = *p;
        if (split != "rows" && split != "units") throw Error("plan: the split must be rows or units, got " + split);
        require_within(members, 1, kMostMembers, "plan: members");
        require_within(strip_rows, 1, kMostRows, "plan: strip_rows");
        require_within(hoist_steps, 0, kMostRows, "plan: hoist_steps");
        require_within(few_rows, 0, kMostRows, "plan: few_rows");
        require_within(few_hoist_steps, 0, kMostRows, "plan: few_hoist_steps");
        forced = Plan{members,        split == "rows" ? Split::rows : Split::units, strip_rows, hoist_steps, few_rows,
                      few_hoist_steps};
      },
      py::arg("plan"), "For tests: every later call uses this plan; None: the library chooses again.");
}

}  // namespace latchwork
