#include "bindings/sequences.h"

namespace latchwork {

Indices integers(const py::object& values, const char* name) {
  const auto a = py::array_t<std::int64_t, py::array::c_style>::ensure(values);
  const py::array given = py::array::ensure(values);
  if (!a || !given || given.ndim() != 1 || (given.dtype().kind() != 'i' && given.dtype().kind() != 'u'))
    throw Error(std::string(name) + " must be one-dimensional and of whole numbers" +
                (given ? ", got " + dtype_text(given) + " of shape " + shape_text(given) : ""));
  return {a.data(), a.data() + a.size()};
}

namespace {

// A mask lies as x does, without the features.
void read_mask(Arrangement& a, const py::array& x, const SequenceOptions& o) {
  if (o.mask.is_none()) return;
  if (!o.lengths.is_none()) throw Error("mask and lengths exclude each other: give one of them");
  const py::array mask = py::array::ensure(o.mask);
  std::vector<Index> shape = shape_of(x);
  shape.pop_back();
  if (!mask || mask.dtype().kind() != 'b' || shape_of(mask) != shape || !is_contiguous(mask)) {
    std::string expected;
    for (const Index extent : shape) expected += (expected.empty() ? "" : ", ") + std::to_string(extent);
    throw Error("mask must be bool of shape (" + expected + (shape.size() == 1 ? ",)" : ")") + ", C-contiguous" +
                (mask ? ", got " + dtype_text(mask) + " of shape " + shape_text(mask) : ""));
  }
  a.set_mask(static_cast<const bool*>(mask.data()));
}

}  // namespace

Arrangement arrangement_of(const py::array& x, Index input, const SequenceOptions& o) {
  Arrangement a;
  a.time_major = o.time_major;
  const bool ragged = !o.offsets.is_none();
  const py::ssize_t rank = ragged ? 2 : 3;
  const char* const form = ragged ? "values [N, " : o.time_major ? "[T, B, " : "[B, T, ";
  if ((o.rowwise ? x.ndim() < 2 : x.ndim() != rank) || x.shape(x.ndim() - 1) != input)
    throw Error(std::string("x must be ") + form + std::to_string(input) + "], got " + shape_text(x));
  if (ragged) {
    if (!o.lengths.is_none()) throw Error("lengths must be None for a ragged x, which has its own");
    if (o.time_major) throw Error("time_major must be False for a ragged x");
    a.offsets = integers(o.offsets, "offsets");
    if (a.offsets.empty()) throw Error("offsets must have at least one entry");
    a.batch = static_cast<Index>(a.offsets.size()) - 1;
    check_arrangement(a, x.shape(0));
    for (std::size_t b = 0; b < static_cast<std::size_t>(a.batch); ++b)
      a.lengths.push_back(a.offsets[b + 1] - a.offsets[b]);
    read_mask(a, x, o);
    return a;
  }
  a.batch = x.shape(o.time_major ? 1 : 0);
  a.steps = x.shape(o.time_major ? 0 : 1);
  if (o.rowwise) {
    a.steps = 1;
    for (py::ssize_t axis = 1; axis + 1 < x.ndim(); ++axis) a.steps = checked_product(a.steps, x.shape(axis), "x");
  }
  a.lengths =
      o.lengths.is_none() ? Indices(static_cast<std::size_t>(a.batch), a.steps) : integers(o.lengths, "lengths");
  check_arrangement(a, 0);
  read_mask(a, x, o);
  return a;
}

}  // namespace latchwork
