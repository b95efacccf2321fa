// Model files, and models as C++ users have them.
#include <type_traits>

#include "bindings/ndarray.h"
#include "latchwork/model.h"
#include "model/format.h"

namespace latchwork {
namespace {

using Release = py::call_guard<py::gil_scoped_release>;

py::object as_python(const Json& json) {
  return std::visit(
      [](const auto& value) -> py::object {
        using V = std::decay_t<decltype(value)>;
        if constexpr (std::is_same_v<V, std::nullptr_t>) {
          return py::none();
        } else if constexpr (std::is_same_v<V, JsonArray>) {
          py::list list;
          for (const Json& element : value) list.append(as_python(element));
          return list;
        } else if constexpr (std::is_same_v<V, JsonObject>) {
          py::dict dict;
          for (const JsonMember& member : value) dict[py::str(member.key)] = as_python(member.value);
          return dict;
        } else {
          return py::cast(value);
        }
      },
      json.value);
}

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

Json as_json(const py::handle& value, int depth = 0) {
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

py::tuple kind_of(const TensorInfo& tensor) { return py::make_tuple(tensor.dtype, py::tuple(py::cast(tensor.shape))); }

py::dict tensors_of(const SafetensorsFile& file) {
  py::dict dict;
  for (const TensorInfo& tensor : file.tensors()) dict[py::str(tensor.name)] = kind_of(tensor);
  return dict;
}

py::object find(const SafetensorsFile& file, const std::string& name) {
  const TensorInfo* const tensor = file.find(name);
  return tensor ? py::object(kind_of(*tensor)) : py::none();
}

template <class T>
py::array read_as(const SafetensorsFile& file, const TensorInfo& tensor) {
  py::array_t<T> values = make_array<T>(tensor.shape);
  T* const out = values.mutable_data();
  const py::gil_scoped_release release;
  file.read(tensor, out);
  return values;
}

py::array read_tensor(const SafetensorsFile& file, const std::string& name) {
  const TensorInfo* const tensor = file.find(name);
  if (!tensor) throw Error(in_quotes(file.path()) + ": no tensor is named " + in_quotes(name));
  if (tensor->dtype == "F32") return read_as<float>(file, *tensor);
  if (tensor->dtype == "F64") return read_as<double>(file, *tensor);
  throw Error(in_quotes(file.path()) + ": tensor " + in_quotes(name) + " must be F32 or F64, got " +
              std::string(tensor->dtype));
}

void write(const std::string& path, const std::vector<std::pair<std::string, py::array>>& tensors,
           const std::map<std::string, std::string>& metadata) {
  check_suffix(path);
  std::vector<TensorData> data;
  for (const auto& [name, array] : tensors) {
    const bool wide = is_double(array, name.c_str());
    if (!is_contiguous(array)) throw Error(name + " must be C-contiguous");
    data.push_back({name, wide ? "F64" : "F32", {array.shape(), array.shape() + array.ndim()}, array.data()});
  }
  const py::gil_scoped_release release;
  write_safetensors(path, data, {metadata.begin(), metadata.end()});
}

// x as the model's type, exactly: the tests compare bits.
template <class T>
py::array predict(const Model& model, const py::array& x) {
  const T* const in = data_of<T>(x, "x");
  const Shape shape{x.shape(), x.shape() + x.ndim()};
  py::array_t<T> y = make_array<T>(model.output_shape(shape));
  T* const out = y.mutable_data();
  const py::gil_scoped_release release;
  model.predict(in, shape, out);
  return y;
}

// Streams, and the model that must outlive them. (pybind11 3.1's keep_alive crashes where an argument does not fit.)
struct HeldStreams {
  py::object model;
  Streams streams;
};

template <class T>
py::array step(const Model& model, Streams& streams, const py::array& x) {
  const T* const in = data_of<T>(x, "x");
  const Index features = model.input_shape().back();
  if (x.ndim() != 2 || x.shape(0) != streams.batch() || x.shape(1) != features)
    throw Error("x must be [" + std::to_string(streams.batch()) + ", " + std::to_string(features) + "], got " +
                shape_text(x));
  const Index size = model.output_size({streams.batch(), 1, features});
  py::array_t<T> y = make_array<T>({streams.batch(), size / streams.batch()});
  T* const out = y.mutable_data();
  const py::gil_scoped_release release;
  model.step(streams, in, out);
  return y;
}

}  // namespace

void bind_model(py::module_& m) {
  py::class_<SafetensorsFile>(m, "SafetensorsFile")
      .def(py::init<const std::string&>(), py::arg("path"), Release())
      .def_property_readonly("metadata",
                             [](const SafetensorsFile& file) {
                               return std::map<std::string, std::string>(file.metadata().begin(),
                                                                         file.metadata().end());
                             })
      .def_property_readonly("tensors", &tensors_of)
      .def("find", &find, py::arg("name"))
      .def("read", &read_tensor, py::arg("name"))
      .def("check_format", &check_format)
      .def(
          "description",
          [](const SafetensorsFile& file, const std::string& key) { return as_python(description(file, key.c_str())); },
          py::arg("key"));
  m.attr("FORMAT") = py::dict(py::arg("format") = kFormat, py::arg("format_version") = kFormatVersion);
  m.def("check_suffix", &check_suffix, py::arg("path"));
  m.def("write_safetensors", &write, py::arg("path"), py::arg("tensors"), py::arg("metadata"));
  m.def("json_text", [](const py::object& value) { return json_text(as_json(value)); }, py::arg("value"));
  m.def("parse_json", [](const std::string& text) { return as_python(parse_json(text, "text")); }, py::arg("text"));

  py::class_<HeldStreams>(m, "Streams")
      .def_property_readonly("steps", [](const HeldStreams& held) { return held.streams.steps(); })
      .def("reset", [](HeldStreams& held) { held.streams.reset(); });
  py::class_<Model>(m, "Model", "For tests: a model file as C++ runs it.")
      .def(py::init(&Model::load), py::arg("path"), Release())
      .def(
          "predict",
          [](const Model& model, const py::array& x) {
            return model.float64() ? predict<double>(model, x) : predict<float>(model, x);
          },
          py::arg("x"))
      .def(
          "streams",
          [](const py::object& model, Index batch) {
            return HeldStreams{model, object_of<Model>(model, "self").streams(batch)};
          },
          py::arg("batch"))
      .def(
          "step",
          [](const Model& model, HeldStreams& held, const py::array& x) {
            return model.float64() ? step<double>(model, held.streams, x) : step<float>(model, held.streams, x);
          },
          py::arg("streams"), py::arg("x"));
}

}  // namespace latchwork
