// How the sequences of a call lie: lengths, offsets and masks as Python gives them.
#pragma once

#include "bindings/ndarray.h"
#include "layers/recurrent.h"

namespace latchwork {

struct SequenceOptions {
  py::object lengths, offsets, mask;  // None where not given
  bool time_major, reverse, hold, align;
  bool rowwise;  // no recurrence: x may have any axes between the first and the last, and they are its steps
};

// Whole numbers [n] of any integer dtype.
Indices integers(const py::object& values, const char* name);

// Throws Error naming the argument unless all fit x, [B, T, I] or as the options say.
Arrangement arrangement_of(const py::array& x, Index input, const SequenceOptions& o);

}  // namespace latchwork
