// Checks of the arrays a recurrent call is given: shape, dtype and how their rows lie.
#pragma once

#include <optional>

#include "bindings/ndarray.h"
#include "kernels/cell_table.h"

namespace latchwork {

using OptionalArray = std::optional<py::array>;
using Arrays = std::vector<OptionalArray>;

inline void require_shape(const py::array& a, const std::vector<Index>& shape, const char* name) {
  bool equal = a.ndim() == static_cast<py::ssize_t>(shape.size());
  for (std::size_t i = 0; equal && i < shape.size(); ++i) equal = a.shape(static_cast<py::ssize_t>(i)) == shape[i];
  if (!equal) {
    std::string expected;
    for (const Index extent : shape) expected += (expected.empty() ? "" : ", ") + std::to_string(extent);
    throw Error(std::string(name) + " must have shape (" + expected + (shape.size() == 1 ? ",)" : ")") + ", got " +
                shape_text(a));
  }
}

// Raises unless `a` has exactly this shape and dtype, C-contiguous.
template <class T>
const T* checked(const py::array& a, const std::vector<Index>& shape, const char* name) {
  require_shape(a, shape, name);
  return data_of<T>(a, name);
}

template <class T>
T* checked_output(py::array& a, const std::vector<Index>& shape, const char* name) {
  require_shape(a, shape, name);
  return mutable_data_of<T>(a, name);
}

// Elements from one row of `a` to the next, where rows of T with feature stride 1 lie evenly; else an error.
template <class T>
Index width_of(const py::array& a, const char* name) {
  const py::ssize_t rank = a.ndim(), size = sizeof(T);
  bool even =
      a.strides(rank - 1) == size && a.strides(rank - 2) % size == 0 && a.strides(rank - 2) >= a.shape(rank - 1) * size;
  for (py::ssize_t i = 0; i + 2 < rank; ++i) even = even && a.strides(i) == a.strides(i + 1) * a.shape(i + 1);
  if (a.size() > 0 && !even && !is_contiguous(a))
    throw Error(std::string(name) + " must have rows of feature stride 1, evenly spaced");
  return even ? a.strides(rank - 2) / size : a.shape(rank - 1);
}

// Data of an array of exactly this shape whose rows lie evenly.
template <class T>
const T* checked_rows(const py::array& a, const std::vector<Index>& shape, const char* name, Index& width) {
  require_shape(a, shape, name);
  require_dtype<T>(a, name);
  if (!is_aligned(a)) throw Error(std::string(name) + " must be aligned to its elements");
  width = width_of<T>(a, name);
  return static_cast<const T*>(a.data());
}

template <class T>
void check_states(const Arrays& states, const CellInfo& info, Index batch, Index hidden, const char* name,
                  const T** out) {
  if (states.empty()) return;
  if (static_cast<int>(states.size()) != info.states)
    throw Error(std::string(name) + " must have " + std::to_string(info.states) + " arrays, got " +
                std::to_string(states.size()));
  for (int i = 0; i < info.states; ++i)
    if (const OptionalArray& state = states[static_cast<std::size_t>(i)])
      out[i] = checked<T>(*state, {batch, hidden}, (std::string(name) + "[" + std::to_string(i) + "]").c_str());
}

}  // namespace latchwork
