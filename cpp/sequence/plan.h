// A plan is data: how a call is shared and staged. Every legal plan gives the same bits; the choice is only speed.
#pragma once

#include <span>
#include <vector>

#include "sequence/batch.h"
#include "sequence/weights.h"

namespace latchwork {

enum class Split : int {
  rows,   // a member takes rows through all steps: no barrier inside a block of steps
  units,  // a member takes unit blocks of every row: one barrier a phase and step
};

struct Plan {
  int members = 1;
  Split split = Split::rows;
  Index strip_rows = 32;  // rows whose pre-activations share a strip
  Index hoist_steps = 0;  // steps whose input product is made at once, ahead; 0: fused into the step's chain
};

// What the choice depends on.
struct PlanShape {
  Index batch, steps;
  const Layout* layout;
  std::size_t element_size;
};

// The choice, by the cost table in plan.cpp. members <= threads.
Plan choose_plan(const PlanShape& shape, int threads);

// What the cost table says that plan takes forward, in FMAs of one core at its peak.
double plan_cost(const PlanShape& shape, int threads);

// Plans for independent calls that run side by side, each on its share of the threads. None: one call after the other,
// on all threads, takes less.
PoolVector<Plan> plans_side_by_side(std::span<const PlanShape> calls, int threads);

// The plans a test walks through: every split, member count, staging and strip height worth telling apart.
std::vector<Plan> legal_plans(const PlanShape& shape, int most_members);

// Rows of one member.
RowShare row_share(const Plan& plan, const Batch& batch, int member);

// Unit blocks of one member: [first, end).
struct BlockShare {
  Index first, end;
};
BlockShare block_share(const Plan& plan, const Layout& layout, int member);

// The real units of those blocks: [first, end).
struct UnitShare {
  Index first = 0, end = 0;
};
UnitShare unit_share(const Layout& layout, const BlockShare& blocks);

// Weight gradients sum groups of whole steps, counted from step 0: of shapes alone, never of a plan.
inline Index group_steps(Index batch) { return ceil_div(256, batch > 0 ? batch : 1); }

}  // namespace latchwork
