#include "sequence/plan.h"

#include <algorithm>

namespace latchwork {
namespace {

// The cost table. Times in FMAs of one core at its peak; measured on Zen 5 and rounded, since only comparisons matter.
constexpr double kShareCost = 60e3;    // handing a call to another thread and joining it: about 1 us
constexpr double kBarrierCost = 15e3;  // one barrier: 0.15-0.3 us
constexpr Index kTallTile = 4;         // below so many rows a tile loads weights more often than it multiplies
// Splitting rows makes every member stream all weights each step. LSTM(1024), 33 MB, forward, two members: 73 ms by
// rows, 64 by units; at 8 MB (LSTM(512)) no difference.
constexpr std::size_t kStreamBytes = 16u << 20;
constexpr std::size_t kPanelBytes = 128 * 1024;  // a panel beyond this is better read once for more rows
constexpr std::size_t kHoistBytes = 256 * 1024;  // a quarter of a 1 MB L2

double step_cost(const PlanShape& s) {
  const Layout& layout = *s.layout;
  return static_cast<double>(s.batch) * static_cast<double>(layout.slot_row()) *
         static_cast<double>(layout.input + layout.hidden + 24);  // 24: the pointwise pass, as chain terms
}

Index hoist_steps(const PlanShape& s, Index rows) {
  const auto bytes = static_cast<std::size_t>(std::max<Index>(1, rows * s.layout->slot_row())) * s.element_size;
  return std::clamp<Index>(static_cast<Index>(kHoistBytes / bytes), 1, 64);
}

}  // namespace

Plan choose_plan(const PlanShape& s, int threads) {
  Plan plan;
  const double work = step_cost(s);
  const double all = work * static_cast<double>(s.steps);
  const auto blocks = static_cast<int>(s.layout->blocks.size());

  const int by_rows = static_cast<int>(std::min<Index>(threads, std::max<Index>(1, s.batch)));
  const int by_units = std::min(threads, blocks);
  // A member's rows stream all weights every step: with few rows it waits for them, and so does it when they leave L2.
  const double row_waste = s.batch / by_rows < kTallTile ? 2.0 : 1.0;
  const double rows_time = by_rows == 1 ? all : all / by_rows * row_waste + kShareCost;
  const double units_time = by_units == 1 ? all
                                          : all / by_units + kShareCost +
                                                kBarrierCost * static_cast<double>(s.steps * s.layout->cell->phases);
  if (std::min(rows_time, units_time) < all) {
    plan.split = rows_time <= units_time ? Split::rows : Split::units;
    plan.members = plan.split == Split::rows ? by_rows : by_units;
    if (static_cast<std::size_t>(s.layout->forward_size) * s.element_size > kStreamBytes && by_units == plan.members)
      plan.split = Split::units;
  }
  const Index terms = s.layout->input + s.layout->hidden;
  if (static_cast<std::size_t>(terms * s.layout->panel_columns) * s.element_size > kPanelBytes) plan.strip_rows = 128;
  const Index rows = plan.split == Split::rows ? ceil_div(s.batch, plan.members) : s.batch;
  if (rows < kTallTile && s.steps > 1) plan.hoist_steps = std::min(s.steps, hoist_steps(s, rows));
  return plan;
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
    }
  return plans;
}

RowShare row_share(const Plan& plan, const Batch& batch, int member) {
  if (plan.split == Split::units) return {0, 1, batch.size()};
  // Equal lengths: neighbours, which share cache lines. Else dealt out one by one: every member gets long and short.
  if (batch.equal_lengths()) {
    const Index share = ceil_div(batch.size(), plan.members), first = std::min(batch.size(), member * share);
    return {first, 1, std::min(share, batch.size() - first)};
  }
  return {member, plan.members, member < batch.size() ? ceil_div(batch.size() - member, plan.members) : 0};
}

BlockShare block_share(const Plan& plan, const Layout& layout, int member) {
  const auto blocks = static_cast<Index>(layout.blocks.size());
  if (plan.split == Split::rows) return {0, blocks};
  return {blocks * member / plan.members, blocks * (member + 1) / plan.members};
}

}  // namespace latchwork
