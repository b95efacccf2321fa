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
  // Split by rows: the last steps, of so few rows, which the longest sequences have, are split by units all the same.
  Index few_rows = 0;
  Index few_hoist_steps = 0;
};

// Steps [begin, end) of a call that are shared in one way.
struct Stretch {
  Index begin, end;
  Index rows;  // the most that a step has
  Split split;
  Index hoist_steps;
};

// The whole call, or its steps with many rows and then those with few, which begin with a group of steps.
struct Stretches {
  Stretch part[2];
  int count;
};
Stretches stretches(const Plan& plan, const Batch& batch);

// What the choice depends on.
struct PlanShape {
  Index batch, steps;
  const Layout* layout;
  std::size_t element_size;
};

constexpr Index kTallTile = 4;  // below so many rows a tile loads weights more often than it multiplies
constexpr std::size_t kPanelBytes = 128 * 1024;  // a panel beyond this is better read once for more rows

// A plan and what decided for it. Times are what the cost table in plan.cpp says that forward takes, in FMAs of one
// core at its peak.
struct Choice {
  Plan plan = {};
  double time = 0;
  double alone = 0;                  // of one member
  double by_rows = 0, by_units = 0;  // of as many members as can share rows, unit blocks; 0: nobody to share with
  Index rows = 0;                    // of a member: below kTallTile the input product is hoisted
  std::size_t panel_bytes = 0;       // weights of a panel: beyond kPanelBytes the strip is higher
};

// Of independent calls. members <= threads.
struct Choices {
  PoolVector<Choice> calls;
  bool side_by_side = false;        // each call on its share of the threads; else in turn, each on all of them
  double in_turn = 0, at_once = 0;  // what both take; at_once 0: there is one call, or more calls than threads
};

// apart: not side by side. forced: the plan of every call, where it is not null (tests).
Choices choose_plans(std::span<const PlanShape> calls, int threads, bool apart = false, const Plan* forced = nullptr);

// Of one call.
Choice choose_plan(const PlanShape& shape, int threads);

// How many share one step of a stream by units: 1 where it is too short, or of one member.
int step_members(const PlanShape& shape, int threads);

// The plans a test walks through: every split, member count, staging and strip height worth telling apart.
std::vector<Plan> legal_plans(const PlanShape& shape, int most_members);

// Rows of one member.
RowShare row_share(const Stretch& stretch, const Batch& batch, int members, int member);

// Unit blocks of one member: [first, end).
struct BlockShare {
  Index first, end;
};
BlockShare block_share(const Stretch& stretch, const Layout& layout, int members, int member);

// The real units of those blocks: [first, end).
struct UnitShare {
  Index first = 0, end = 0;
};
UnitShare unit_share(const Layout& layout, const BlockShare& blocks);

// Weight gradients sum groups of whole steps, counted from step 0: of shapes alone, never of a plan.
inline Index group_steps(Index batch) { return ceil_div(256, batch > 0 ? batch : 1); }

}  // namespace latchwork
