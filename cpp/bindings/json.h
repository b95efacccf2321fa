// Plain Python data as JSON.
#pragma once

#include "bindings/ndarray.h"
#include "model/json.h"

namespace latchwork {

// None, bool, int, float, str, and lists, tuples and dicts of them. Throws Error for anything else.
Json as_json(const py::handle& value, int depth = 0);

}  // namespace latchwork
