// What every binding needs: numpy arrays checked, and results made.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "base/types.h"
#include "latchwork/error.h"
#include "runtime/buffer.h"

namespace latchwork {

namespace py = pybind11;

// A method of an object that is there: pybind11 itself calls a method's pointer on the null that it makes of None.
template <class C, class R, class... A>
auto method(R (C::*f)(A...)) {
  return [f](C& self, A... arguments) -> R { return (self.*f)(std::forward<A>(arguments)...); };
}
template <class C, class R, class... A>
auto method(R (C::*f)(A...) const) {
  return [f](const C& self, A... arguments) -> R { return (self.*f)(std::forward<A>(arguments)...); };
}

// The C++ object of one of our classes, for a binding that also keeps the Python one.
template <class C>
C& object_of(const py::object& object, const char* name) {
  if (!py::isinstance<C>(object))
    throw py::type_error(std::string(name) + " must be " + py::str(py::type::of<C>()).template cast<std::string>() +
                         ", got " + py::str(py::type::of(object)).cast<std::string>());
  return object.cast<C&>();
}

inline std::string shape_text(const py::array& a) {
  std::string text = "(";
  for (py::ssize_t i = 0; i < a.ndim(); ++i) text += (i ? ", " : "") + std::to_string(a.shape(i));
  return text + (a.ndim() == 1 ? ",)" : ")");
}

inline std::vector<Index> shape_of(const py::array& a) { return {a.shape(), a.shape() + a.ndim()}; }

inline std::string dtype_text(const py::array& a) { return py::str(a.dtype()); }

// True for native float64, false for native float32; anything else is an error naming the argument.
inline bool is_double(const py::array& a, const char* name) {
  const py::dtype dtype = a.dtype();
  const int number = dtype.num();
  if (number == py::detail::npy_api::NPY_DOUBLE_ || number == py::detail::npy_api::NPY_FLOAT_)
    // Native order is usually '=', but '<' where it was asked for by that name.
    if (dtype.byteorder() == '=' || dtype.equal(py::dtype(number))) return number == py::detail::npy_api::NPY_DOUBLE_;
  throw Error(std::string(name) + " must be float32 or float64 in native byte order, got " + dtype_text(a));
}

inline bool is_contiguous(const py::array& a) { return (a.flags() & py::array::c_style) != 0; }
inline bool is_aligned(const py::array& a) { return (a.flags() & py::detail::npy_api::NPY_ARRAY_ALIGNED_) != 0; }

template <class T>
void require_dtype(const py::array& a, const char* name) {
  if (is_double(a, name) != (sizeof(T) == 8))
    throw Error(std::string(name) + " must be " + (sizeof(T) == 8 ? "float64" : "float32") +
                " like the other arrays, got " + dtype_text(a));
}

// Raises where an array that is written shares memory with another: the answer would hang on the order of the work.
inline void require_apart(const py::array& written, const char* name, const py::array& other, const char* other_name) {
  const auto bounds = [](const py::array& a) {
    auto first = reinterpret_cast<std::uintptr_t>(a.data()), end = first + static_cast<std::uintptr_t>(a.itemsize());
    for (py::ssize_t i = 0; i < a.ndim(); ++i) {
      const py::ssize_t reach = (a.shape(i) - 1) * a.strides(i);
      (reach < 0 ? first : end) += static_cast<std::uintptr_t>(reach);
    }
    return std::pair{first, end};
  };
  if (written.size() == 0 || other.size() == 0) return;
  const auto [first, end] = bounds(written);
  const auto [other_first, other_end] = bounds(other);
  if (first < other_end && other_first < end)
    throw Error(std::string(name) + " must not share memory with " + other_name);
}

// Data of a C-contiguous array of T.
template <class T>
const T* data_of(const py::array& a, const char* name) {
  require_dtype<T>(a, name);
  if (!is_contiguous(a)) throw Error(std::string(name) + " must be C-contiguous");
  if (!is_aligned(a)) throw Error(std::string(name) + " must be aligned to its elements");
  return static_cast<const T*>(a.data());
}

// The same for an array written in place.
template <class T>
T* mutable_data_of(py::array& a, const char* name) {
  data_of<T>(a, name);
  if (!a.writeable()) throw Error(std::string(name) + " must be writeable");
  return static_cast<T*>(a.mutable_data());
}

inline Index element_count(const std::vector<Index>& shape) {
  Index n = 1;
  for (const Index extent : shape) {
    if (extent < 0) throw Error("shape must not be negative, got " + std::to_string(extent));
    n = checked_product(n, extent, "shape");
  }
  return n;
}

// Below this numpy's own memory, which malloc has at hand, takes 0.15 us less.
constexpr Index kPooledBytes = 16 * 1024;

// A new array. A large one's memory comes from, and returns to, the pool: results do not fault in fresh pages every
// step.
template <class T>
py::array_t<T> make_array(const std::vector<Index>& shape) {
  const Index count = element_count(shape);
  if (count < kPooledBytes / static_cast<Index>(sizeof(T))) return py::array_t<T>(shape);
  struct Owner : InPool {
    Buffer<T> values;
  };
  std::unique_ptr<Owner> made(new Owner{{}, Buffer<T>(count)});
  T* const data = made->values.data();
  const py::capsule owner(made.get(), [](void* p) { delete static_cast<Owner*>(p); });
  made.release();
  return py::array_t<T>(std::vector<py::ssize_t>(shape.begin(), shape.end()), data, owner);
}

}  // namespace latchwork
