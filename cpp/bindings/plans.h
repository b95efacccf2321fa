// What recurrent calls are run under.
#pragma once

#include <pybind11/pybind11.h>

#include <string>

#include "sequence/plan.h"
#include "sequence/records.h"

namespace latchwork {

// The plan that a test forces on every call; null: the library chooses.
const Plan* forced_plan();

// (members, "rows" or "units", strip_rows, hoist_steps, few_rows, few_hoist_steps)
pybind11::tuple plan_tuple(const Plan& plan);

// Throws Error unless it is the name of one.
Memory memory_of(const std::string& name);

}  // namespace latchwork
