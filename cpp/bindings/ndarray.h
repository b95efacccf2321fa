// What every binding needs: numpy arrays checked, and results made.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <string>
#include <vector>

#include "base/types.h"
#include "latchwork/error.h"
#include "runtime/buffer.h"

namespace latchwork {

namespace py = pybind11;

inline std::string shape_text(const py::array& a) {
  std::string text = "(";
  for (py::ssize_t i = 0; i < a.ndim(); ++i) text += (i ? ", " : "") + std::to_string(a.shape(i));
  return text + (a.ndim() == 1 ? ",)" : ")");
}

inline std::vector<Index> shape_of(const py::array& a) { return {a.shape(), a.shape() + a.ndim()}; }

inline std::string dtype_text(const py::array& a) { return py::str(a.dtype()); }

// True for native float64, false for native float32; anything else is an error naming the argument.
inline bool is_double(const py::array& a, const char* name) {
  if (a.dtype().is(py::dtype::of<double>()) || a.dtype().equal(py::dtype::of<double>())) return true;
  if (a.dtype().is(py::dtype::of<float>()) || a.dtype().equal(py::dtype::of<float>())) return false;
  throw Error(std::string(name) + " must be float32 or float64 in native byte order, got " + dtype_text(a));
}

inline bool is_contiguous(const py::array& a) { return (a.flags() & py::array::c_style) != 0; }

template <class T>
void require_dtype(const py::array& a, const char* name) {
  if (is_double(a, name) != (sizeof(T) == 8))
    throw Error(std::string(name) + " must be " + (sizeof(T) == 8 ? "float64" : "float32") +
                " like the other arrays, got " + dtype_text(a));
}

// Data of a C-contiguous array of T.
template <class T>
const T* data_of(const py::array& a, const char* name) {
  require_dtype<T>(a, name);
  if (!is_contiguous(a)) throw Error(std::string(name) + " must be C-contiguous");
  return static_cast<const T*>(a.data());
}

// The same for an array written in place.
template <class T>
T* mutable_data_of(py::array& a, const char* name) {
  data_of<T>(a, name);
  if (!a.writeable()) throw Error(std::string(name) + " must be writeable");
  return static_cast<T*>(a.mutable_data());
}

// A new array whose memory comes from, and returns to, the pool: large results do not fault in fresh pages every step.
template <class T>
py::array_t<T> make_array(const std::vector<Index>& shape) {
  Index n = 1;
  for (const Index extent : shape) n = checked_product(n, extent);
  auto* const buffer = new Buffer<T>(n > 0 ? n : 1);
  const py::capsule owner(buffer, [](void* p) { delete static_cast<Buffer<T>*>(p); });
  return py::array_t<T>(std::vector<py::ssize_t>(shape.begin(), shape.end()), buffer->data(), owner);
}

}  // namespace latchwork
