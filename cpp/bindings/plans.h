// What recurrent calls are run under.
#pragma once

#include <string>

#include "sequence/plan.h"
#include "sequence/records.h"

namespace latchwork {

// The plan that a test forces on every call; null: the library chooses.
const Plan* forced_plan();

inline const char* split_name(const Plan& plan) { return plan.split == Split::rows ? "rows" : "units"; }

// Throws Error unless it is the name of one.
Memory memory_of(const std::string& name);

}  // namespace latchwork
