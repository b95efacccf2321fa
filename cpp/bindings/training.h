// What the bindings of training share.
#pragma once

#include "bindings/compute.h"
#include "bindings/ndarray.h"

namespace latchwork {

// f(T()) for the dtype of an array.
template <class F>
auto by_dtype(const py::array& a, const char* name, F f) {
  return is_double(a, name) ? f(double()) : f(float());
}

inline void require_shape(const py::array& a, const char* name, const py::array& like, const char* like_name) {
  if (!std::equal(a.shape(), a.shape() + a.ndim(), like.shape(), like.shape() + like.ndim())) {
    throw Error(std::string(name) + " must have the shape of " + like_name + ", " + shape_text(like) + ", got " +
                shape_text(a));
  }
}

// C of [..., C].
inline Index classes_of(const py::array& a, const char* name) {
  if (a.ndim() < 1 || a.shape(a.ndim() - 1) < 1) {
    throw Error(std::string(name) + " must be [..., classes] with at least one class, got " + shape_text(a));
  }
  return a.shape(a.ndim() - 1);
}

}  // namespace latchwork
