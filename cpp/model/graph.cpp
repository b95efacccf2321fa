#include "model/graph.h"

#include <unordered_set>

namespace latchwork {
namespace {

constexpr std::size_t kMostLayers = 10'000;

// Sizes of one sample; null, any size, is -1.
Shape read_input_shape(Fields& fields) {
  Shape shape;
  for (const Json& json : fields.array("input_shape")) {
    const auto* const size = std::get_if<std::int64_t>(&json.value);
    const bool any = std::holds_alternative<std::nullptr_t>(json.value);
    if (!any && (!size || *size < 1)) fields.fail("input_shape", "whole numbers from 1, or null", json);
    shape.push_back(any ? -1 : *size);
  }
  if (shape.empty() || shape.size() > kMostRank) fields.fail("input_shape", "1 to 8 sizes", fields.any("input_shape"));
  return shape;
}

template <class T>
Layers<T> read_layers(Fields& fields, Tensors& tensors, Shape x) {
  const JsonArray& described = fields.array("layers");
  if (described.empty() || described.size() > kMostLayers)
    fields.fail("layers", "1 to " + std::to_string(kMostLayers) + " layers", {static_cast<Index>(described.size())});
  Layers<T> layers;
  std::unordered_set<std::string> names;
  for (const Json& json : described) {
    Fields layer(json, fields.where() + ": layer");
    layers.push_back(make_layer<T>(layer, tensors, "", x));
    if (!names.insert(layers.back()->name()).second) throw Error(layer.where() + ": layer names must differ");
    try {
      x = layers.back()->y_shape(x);
    } catch (const Error& error) {
      throw Error(fields.where() + ": " + error.what());
    }
  }
  tensors.done();
  return layers;
}

}  // namespace

ModelGraph read_graph(const Json& description, const std::string& where, Tensors& tensors) {
  Fields fields(description, where);
  if (fields.text("class") != "Sequential") fields.fail("class", "Sequential", fields.any("class"));
  const std::string& dtype = fields.text("dtype");
  if (dtype != "float32" && dtype != "float64") fields.fail("dtype", "float32 or float64", {dtype});
  ModelGraph graph;
  graph.name = fields.text("name");
  graph.input = read_input_shape(fields);
  if (dtype == "float64")
    graph.layers = read_layers<double>(fields, tensors, graph.input);
  else
    graph.layers = read_layers<float>(fields, tensors, graph.input);
  fields.done();
  return graph;
}

}  // namespace latchwork
