#include "bindings/model_in_memory.h"

#include "bindings/json.h"
#include "model/graph.h"

namespace latchwork {

Model model_in_memory(const py::object& description, const NamedArrays& weights, const char* where) {
  const Json json = as_json(description);
  std::vector<TensorData> data;
  for (const auto& [name, array] : weights) {
    if (!is_contiguous(array) || !is_aligned(array)) throw Error(name + " must be C-contiguous and aligned");
    data.push_back({name, is_double(array, name.c_str()) ? "F64" : "F32", shape_of(array), array.data()});
  }
  const py::gil_scoped_release release;
  Tensors tensors(data);
  return model_of(read_graph(json, where, tensors));
}

}  // namespace latchwork
