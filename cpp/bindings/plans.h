// The plan that a test forces on every recurrent call.
#pragma once

#include "sequence/plan.h"

namespace latchwork {

// Null: the library chooses.
const Plan* forced_plan();

}  // namespace latchwork
