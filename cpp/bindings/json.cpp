#include "bindings/json.h"

namespace latchwork {
namespace {

Json whole(const py::handle& number) {
  int overflow = 0;
  const long long value = PyLong_AsLongLongAndOverflow(number.ptr(), &overflow);
  if (overflow == 0) return {static_cast<std::int64_t>(value)};
  const unsigned long long large = overflow > 0 ? PyLong_AsUnsignedLongLong(number.ptr()) : 0;
  if (overflow < 0 || PyErr_Occurred()) {
    PyErr_Clear();
    throw Error("a whole number in a model's description must have 64 bits, got a larger one");
  }
  return {static_cast<std::uint64_t>(large)};
}

std::string text_of(const py::handle& text) {
  Py_ssize_t size = 0;
  if (const char* const utf8 = PyUnicode_AsUTF8AndSize(text.ptr(), &size))
    return {utf8, static_cast<std::size_t>(size)};
  PyErr_Clear();
  throw Error("a text in a model's description must be Unicode, got half a surrogate pair");
}

}  // namespace

Json as_json(const py::handle& value, int depth) {
  if (depth > kJsonDepth) throw Error("a model's description has too many levels");
  if (value.is_none()) return {nullptr};
  if (py::isinstance<py::bool_>(value)) return {value.cast<bool>()};
  if (py::isinstance<py::int_>(value)) return whole(value);
  if (py::isinstance<py::float_>(value)) return {value.cast<double>()};
  if (py::isinstance<py::str>(value)) return {text_of(value)};
  if (py::isinstance<py::list>(value) || py::isinstance<py::tuple>(value)) {
    JsonArray array;
    for (const py::handle element : value) array.push_back(as_json(element, depth + 1));
    return {std::move(array)};
  }
  if (!py::isinstance<py::dict>(value))
    throw Error("a model's description holds plain data, got " + py::repr(value).cast<std::string>());
  JsonObject object;
  for (const auto& [key, member] : py::reinterpret_borrow<py::dict>(value)) {
    if (!py::isinstance<py::str>(key)) throw Error("a model's description must be named by texts");
    object.push_back({text_of(key), as_json(member, depth + 1)});
  }
  return {std::move(object)};
}

}  // namespace latchwork
