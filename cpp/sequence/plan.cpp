#include "sequence/plan.h"

#include <algorithm>
#include <utility>

namespace latchwork {
namespace {

// The cost table. Times in FMAs of one core at its peak; measured on Zen 5 and rounded, since only comparisons matter.
constexpr double kShareCost = 60e3;    // handing a call to another thread and joining it: about 1 us
constexpr double kBarrierCost = 15e3;  // one barrier: 0.15-0.3 us
// Members that split rows stream all weights each, every step, and so do calls side by side. LSTM(1024), 33 MB,
// forward, two members: 73 ms by rows, 64 by units; at 8 MB (LSTM(512)) no difference.
constexpr std::size_t kStreamBytes = 16u << 20;
constexpr double kStreamCost = 1.15;
constexpr std::size_t kHoistBytes = 256 * 1024;    // of a hoisted product: a quarter of a 1 MB L2, or more where ...
constexpr std::size_t kMostHoistBytes = 4u << 20;  // ... that is little beside the weights it saves: an eighth of them

// One row's step.
double row_cost(const PlanShape& s) {
  const Layout& layout = *s.layout;
  return static_cast<double>(layout.slot_row()) *
         static_cast<double>(layout.input + layout.hidden + 24);  // 24: the pointwise pass, as chain terms
}

std::size_t input_weight_bytes(const PlanShape& s) {
  return static_cast<std::size_t>(s.layout->input * s.layout->slot_row()) * s.element_size;
}

Index hoist_steps(const PlanShape& s, Index rows) {
  const auto bytes = static_cast<std::size_t>(std::max<Index>(1, rows * s.layout->slot_row())) * s.element_size;
  const std::size_t most = std::clamp(input_weight_bytes(s) / 8, kHoistBytes, kMostHoistBytes);
  return std::clamp<Index>(static_cast<Index>(most / bytes), 1, 64);
}

// So many rows take as long as this many of a tall tile: a low tile waits for its weights.
double tall_rows(Index rows) {
  return rows < kTallTile ? static_cast<double>(rows + kTallTile) / 2 : static_cast<double>(rows);
}

// The most rows of a step that members split by units: up to there none takes less split by rows.
Index few_rows(const PlanShape& s, int members) {
  const double row = row_cost(s), barriers = kBarrierCost * static_cast<double>(s.layout->cell->phases);
  Index rows = 0;
  while (rows < s.batch &&
         tall_rows(rows + 1) * row / members + barriers < tall_rows(ceil_div(rows + 1, members)) * row)
    ++rows;
  return rows;
}

std::size_t weight_bytes(const PlanShape& s) {
  return static_cast<std::size_t>(s.layout->forward_size) * s.element_size;
}

double stream_cost(std::size_t bytes) { return bytes > kStreamBytes ? kStreamCost : 1.0; }

}  // namespace

Choice choose_plan(const PlanShape& s, int threads) {
  const double all = row_cost(s) * static_cast<double>(s.batch) * static_cast<double>(s.steps);
  Choice best{.time = all, .alone = all};
  Plan& plan = best.plan;
  const auto consider = [&](Split split, int members, double time) {
    if (members < 2) return;
    (split == Split::rows ? best.by_rows : best.by_units) = time;
    if (time < best.time) plan.members = members, plan.split = split, best.time = time;
  };
  const auto by_rows = static_cast<int>(std::min<Index>(threads, std::max<Index>(1, s.batch)));
  const int by_units = std::min(threads, static_cast<int>(s.layout->blocks.size()));
  // With few rows a member waits for the weights it streams every step.
  const double row_waste = s.batch / by_rows < kTallTile ? 2.0 : 1.0;
  consider(Split::rows, by_rows, all / by_rows * row_waste * stream_cost(weight_bytes(s)) + kShareCost);
  consider(Split::units, by_units,
           all / by_units + kShareCost + kBarrierCost * static_cast<double>(s.steps * s.layout->cell->phases));

  const Index terms = s.layout->input + s.layout->hidden;
  best.panel_bytes = static_cast<std::size_t>(terms * s.layout->panel_columns) * s.element_size;
  if (best.panel_bytes > kPanelBytes) plan.strip_rows = 128;
  best.rows = plan.split == Split::rows ? ceil_div(s.batch, plan.members) : s.batch;
  // Weights that come from memory are better read once for several steps, too. LSTM(1760), B 16, forward: 3.0 ms a step
  // fused, 2.4 with 9 steps; LSTM(1024), B 64: no difference.
  const bool streams = input_weight_bytes(s) > kStreamBytes && 8 * best.rows <= s.layout->input;
  if ((best.rows < kTallTile || streams) && s.steps > 1)
    plan.hoist_steps = std::min(s.steps, hoist_steps(s, best.rows));
  if (plan.members > 1 && plan.split == Split::rows && by_units == plan.members) {
    plan.few_rows = few_rows(s, plan.members);
    if (plan.few_rows > 0 && s.steps > 1) plan.few_hoist_steps = std::min(s.steps, hoist_steps(s, plan.few_rows));
  }
  return best;
}

Choices choose_plans(std::span<const PlanShape> calls, int threads, bool apart, const Plan* forced) {
  const int share = calls.size() > 1 && !apart ? threads / static_cast<int>(calls.size()) : 0;
  Choices choices;
  if (forced) {
    choices.calls.assign(calls.size(), Choice{.plan = *forced});
    choices.side_by_side = calls.size() > 1 && !apart;
    return choices;
  }
  PoolVector<Choice> sharing;
  double longest = 0;
  std::size_t bytes = 0;
  for (const PlanShape& call : calls) {
    choices.calls.push_back(choose_plan(call, threads));
    choices.in_turn += choices.calls.back().time;
    if (share == 0) continue;
    sharing.push_back(choose_plan(call, share));
    longest = std::max(longest, sharing.back().time);
    bytes += weight_bytes(call);
  }
  if (share > 0) choices.at_once = longest * stream_cost(bytes) + kShareCost;
  choices.side_by_side = share > 0 && choices.at_once <= choices.in_turn;
  if (choices.side_by_side) choices.calls = std::move(sharing);
  return choices;
}

// A stream's caller comes and goes: sharing is to save several times what it costs.
int step_members(const PlanShape& s, int threads) {
  const int members = std::min(threads, static_cast<int>(s.layout->blocks.size()));
  const double alone = tall_rows(s.batch) * row_cost(s), phases = static_cast<double>(s.layout->cell->phases);
  return alone - alone / members > 3 * kShareCost + kBarrierCost * (phases - 1) ? members : 1;
}

std::vector<Plan> legal_plans(const PlanShape& s, int most_members) {
  std::vector<Plan> plans;
  for (int members = 1; members <= most_members; ++members)
    for (const Split split : {Split::rows, Split::units}) {
      const Index most = split == Split::rows ? s.batch : static_cast<Index>(s.layout->blocks.size());
      if (members > most || (members == 1 && split == Split::units)) continue;
      for (const Index strip : {1, 5, 32})
        for (const Index hoist : {0, 1, 3})
          plans.push_back({.members = members, .split = split, .strip_rows = strip, .hoist_steps = hoist});
      if (members == 1 || split == Split::units) continue;
      for (const Index few : {1, 3})
        for (const Index hoist : {0, 2})
          plans.push_back({.members = members, .few_rows = few, .few_hoist_steps = hoist});
    }
  return plans;
}

Stretches stretches(const Plan& plan, const Batch& batch) {
  const Index steps = batch.steps(), group = group_steps(batch.size());
  Index few_from = steps;
  if (plan.split == Split::rows && plan.few_rows > 0) {
    while (few_from > 0 && batch.active(few_from - 1) <= plan.few_rows) --few_from;
    few_from = ceil_div(few_from, group) * group;
  }
  const Stretch many{0, std::min(few_from, steps), batch.size(), plan.split, plan.hoist_steps};
  const Stretch few{few_from, steps, few_from > 0 ? batch.active(few_from) : batch.size(), Split::units,
                    plan.few_hoist_steps};
  if (few_from >= steps) return {{many, {}}, 1};
  if (few_from == 0) return {{few, {}}, 1};
  return {{many, few}, 2};
}

RowShare row_share(const Stretch& stretch, const Batch& batch, int members, int member) {
  if (stretch.split == Split::units) return {0, 1, stretch.rows};
  // Equal lengths: neighbours, which share cache lines. Else dealt out one by one: every member gets long and short.
  if (batch.equal_lengths()) {
    const Index share = ceil_div(batch.size(), members), first = std::min(batch.size(), member * share);
    return {first, 1, std::min(share, batch.size() - first)};
  }
  return {member, members, member < batch.size() ? ceil_div(batch.size() - member, members) : 0};
}

BlockShare block_share(const Stretch& stretch, const Layout& layout, int members, int member) {
  const auto blocks = static_cast<Index>(layout.blocks.size());
  if (stretch.split == Split::rows) return {0, blocks};
  return {blocks * member / members, blocks * (member + 1) / members};
}

UnitShare unit_share(const Layout& layout, const BlockShare& blocks) {
  if (blocks.end == blocks.first) return {};
  const Block& last = layout.blocks[static_cast<std::size_t>(blocks.end - 1)];
  return {layout.blocks[static_cast<std::size_t>(blocks.first)].unit, last.unit + last.units};
}

}  // namespace latchwork
