// A model of Python's, described and weighed by Python, as C++ has it.
#pragma once

#include "bindings/ndarray.h"
#include "latchwork/model.h"

namespace latchwork {

using NamedArrays = std::vector<std::pair<std::string, py::array>>;

// where: what messages begin with.
Model model_in_memory(const py::object& description, const NamedArrays& weights, const char* where);

}  // namespace latchwork
