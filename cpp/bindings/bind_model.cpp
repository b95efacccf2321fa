// Model files, and models as C++ users have them.
#include <numeric>
#include <type_traits>

#include "bindings/json.h"
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
py::array predict(const Model& model, const py::array& x, const std::optional<std::vector<Index>>& lengths) {
  const T* const in = data_of<T>(x, "x");
  const auto run = [&](const auto& form) -> py::array {
    py::array_t<T> y = make_array<T>(model.output_shape(form));
    T* const out = y.mutable_data();
    const py::gil_scoped_release release;
    model.predict(in, form, out);
    return y;
  };
  if (!lengths) return run(shape_of(x));
  const Index rows = std::accumulate(lengths->begin(), lengths->end(), Index{0});
  if (x.ndim() != 2 || x.shape(0) != rows || x.shape(1) != model.input_shape().back())
    throw Error("x must be [" + std::to_string(rows) + ", F], got " + shape_text(x));
  return run(Ragged{*lengths});
}

// The same of all inputs and outputs.
template <class T>
py::list predict_all(const Model& model, const std::vector<py::array>& x) {
  std::vector<const T*> in;
  std::vector<Shape> shapes;
  for (const py::array& each : x) {
    in.push_back(data_of<T>(each, "x"));
    shapes.push_back(shape_of(each));
  }
  py::list made;
  std::vector<T*> out;
  for (const Shape& shape : model.output_shapes(shapes)) {
    py::array_t<T> y = make_array<T>(shape);
    out.push_back(y.mutable_data());
    made.append(y);
  }
  const py::gil_scoped_release release;
  model.predict(std::span<const T* const>(in), shapes, std::span<T* const>(out));
  return made;
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

  py::class_<Model>(m, "Model", "For tests: a model file as C++ runs it.")
      .def(py::init(&Model::load), py::arg("path"), Release())
      .def(
          "predict",
          [](const Model& model, const py::array& x, const std::optional<std::vector<Index>>& lengths) {
            return model.float64() ? predict<double>(model, x, lengths) : predict<float>(model, x, lengths);
          },
          py::arg("x"), py::arg("lengths") = py::none())
      .def(
          "predict_all",
          [](const Model& model, const std::vector<py::array>& x) {
            return model.float64() ? predict_all<double>(model, x) : predict_all<float>(model, x);
          },
          py::arg("x"))
      .def_property_readonly("outputs", method(&Model::outputs));
}

}  // namespace latchwork
