#include "model/graph.h"

#include <algorithm>
#include <unordered_set>

namespace latchwork {
namespace {

constexpr std::size_t kMostLayers = 10'000;

const JsonArray& read_list(Fields& fields, const char* field, std::size_t least) {
  const JsonArray& list = fields.array(field);
  if (list.size() < least || list.size() > kMostLayers)
    fields.fail(field, std::to_string(least) + " to " + std::to_string(kMostLayers) + " of them",
                {static_cast<Index>(list.size())});
  return list;
}

// Sizes of one sample; null, any size, is -1.
Shape read_shape(Fields& fields, const char* field) {
  Shape shape;
  for (const Json& json : fields.array(field)) {
    const auto* const size = std::get_if<std::int64_t>(&json.value);
    const bool any = std::holds_alternative<std::nullptr_t>(json.value);
    if (!any && (!size || *size < 1)) fields.fail(field, "whole numbers from 1, or null", json);
    shape.push_back(any ? -1 : *size);
  }
  if (shape.empty() || shape.size() > kMostRank) fields.fail(field, "1 to 8 sizes", fields.any(field));
  return shape;
}

// The layers that nodes call, made at their first call, when the shape of x is known.
class LayerReader {
 public:
  LayerReader(Fields& fields, Tensors& tensors, ModelGraph& graph, bool alone)
      : described_(read_list(fields, "layers", 1)),
        where_(fields.where()),
        tensors_(tensors),
        graph_(graph),
        alone_(alone) {}

  std::size_t count() const { return described_.size(); }
  std::size_t made() const { return graph_.layers.size(); }
  const AnyLayer& layer(std::size_t number, std::span<const Shape> x) {
    if (number < made()) return *graph_.layers[number];
    Fields fields(described_[number], where_ + ": layer");
    if (graph_.float64)
      graph_.layers.push_back(make_layer<double>(fields, tensors_, "", x, alone_));
    else
      graph_.layers.push_back(make_layer<float>(fields, tensors_, "", x, alone_));
    const AnyLayer& layer = *graph_.layers.back();
    if (!names_.insert(layer.name()).second) throw Error(fields.where() + ": layer names must differ");
    return layer;
  }
  void done() const {
    if (made() < count()) throw Error(where_ + ": layers[" + std::to_string(made()) + "] is called by no node");
    tensors_.done();
  }

 private:
  const JsonArray& described_;
  std::string where_;
  Tensors& tensors_;
  ModelGraph& graph_;
  bool alone_;
  std::unordered_set<std::string> names_;
};

// Notes the call of a layer on slots of these shapes (of samples), and appends those it makes.
void add_node(ModelGraph& graph, Node node, const AnyLayer& layer, std::vector<Shape>& shapes,
              const std::string& where) {
  try {
    check_states(layer, taken(node.states, shapes));
    const std::vector<Shape> made = layer.y_shapes(taken(node.x, shapes));
    node.y = shapes.size(), node.count = made.size();
    shapes.insert(shapes.end(), made.begin(), made.end());
  } catch (const Error& error) {
    throw Error(where + ": " + error.what());
  }
  graph.nodes.push_back(std::move(node));
}

void read_row(ModelGraph& graph, Fields& fields, Tensors& tensors) {
  LayerReader reader(fields, tensors, graph, true);
  graph.inputs = {{"x", read_shape(fields, "input_shape")}};
  std::vector<Shape> shapes{graph.inputs[0].shape};
  for (std::size_t i = 0; i < reader.count(); ++i)
    add_node(graph, {i, {i}, {}, 0, 0}, reader.layer(i, {&shapes[i], 1}), shapes, fields.where());
  graph.outputs = {reader.count()};
  reader.done();
}

// Numbers of things of which `count` are there already.
std::vector<std::size_t> read_references(Fields& fields, const char* field, std::span<const Json> numbers,
                                         std::size_t least, std::size_t count) {
  std::vector<std::size_t> found;
  for (const Json& json : numbers) {
    const auto* const number = std::get_if<std::int64_t>(&json.value);
    if (!number || *number < static_cast<Index>(least) || *number >= static_cast<Index>(count))
      fields.fail(
          field,
          "a number from " + std::to_string(least) + " to " + std::to_string(count - 1) + ", of what stands before it",
          json);
    found.push_back(static_cast<std::size_t>(*number));
  }
  return found;
}

void read_node(ModelGraph& graph, Fields& node, LayerReader& reader, std::vector<Shape>& shapes) {
  const std::size_t number = read_references(node, "layer", {&node.any("layer"), 1}, 0, reader.count())[0];
  if (number > reader.made())
    node.fail("layer", "the first one that no node has called yet", {static_cast<Index>(number)});
  const auto slots = [&](const char* field) {
    return read_references(node, field, node.array(field), 0, shapes.size());
  };
  Node made{number, slots("x"), slots("initial_state"), 0, 0};
  node.done();
  if (made.x.empty()) node.fail("x", "at least one slot", node.any("x"));
  const bool again = number < reader.made();
  const AnyLayer& layer = reader.layer(number, taken(made.x, shapes));
  if (made.x.size() > 1 && !layer.traits().many_inputs) node.fail("x", "one slot", node.any("x"));
  if (layer.traits().stateful && (again || !made.states.empty()))
    throw Error(node.where() + ": a stateful layer is called once, without initial_state");
  add_node(graph, std::move(made), layer, shapes, node.where());
}

void read_inputs(ModelGraph& graph, Fields& fields) {
  for (const Json& json : read_list(fields, "inputs", 1)) {
    Fields input(json, fields.where() + ": inputs[" + std::to_string(graph.inputs.size()) + "]");
    const std::string& name = input.text("name");
    for (const ModelInput& other : graph.inputs)
      if (other.name == name) input.fail("name", "another than those before it", {name});
    graph.inputs.push_back({name, read_shape(input, "shape")});
    input.done();
  }
}

// Everything that is there must lead to an output.
void check_used(const ModelGraph& graph, std::size_t slots, const std::string& where) {
  std::vector<bool> wanted(slots);
  for (const std::size_t slot : graph.outputs) wanted[slot] = true;
  for (std::size_t i = graph.nodes.size(); i-- > 0;) {
    const Node& node = graph.nodes[i];
    const auto y = wanted.begin() + static_cast<Index>(node.y);
    if (std::none_of(y, y + static_cast<Index>(node.count), [](bool each) { return each; }))
      throw Error(where + ": nodes[" + std::to_string(i) + "] must reach an output");
    for (const std::size_t slot : node.x) wanted[slot] = true;
    for (const std::size_t slot : node.states) wanted[slot] = true;
  }
  for (std::size_t i = 0; i < graph.inputs.size(); ++i)
    if (!wanted[i]) throw Error(where + ": inputs[" + std::to_string(i) + "] must reach an output");
}

void read_nodes(ModelGraph& graph, Fields& fields, Tensors& tensors) {
  LayerReader reader(fields, tensors, graph, false);
  read_inputs(graph, fields);
  std::vector<Shape> shapes;
  for (const ModelInput& input : graph.inputs) shapes.push_back(input.shape);
  for (const Json& json : read_list(fields, "nodes", 1)) {
    Fields node(json, fields.where() + ": nodes[" + std::to_string(graph.nodes.size()) + "]");
    read_node(graph, node, reader, shapes);
  }
  graph.outputs =
      read_references(fields, "outputs", read_list(fields, "outputs", 1), graph.inputs.size(), shapes.size());
  check_used(graph, shapes.size(), fields.where());
  reader.done();
}

// As Python names them: by the layer, with _1, _2 where the name is taken.
void name_outputs(ModelGraph& graph) {
  std::unordered_set<std::string> taken;
  std::vector<int> next(graph.layers.size());  // of each layer: all names below are taken
  for (const std::size_t slot : graph.outputs) {
    const auto node = std::find_if(graph.nodes.begin(), graph.nodes.end(),
                                   [&](const Node& each) { return slot < each.y + each.count; });
    const std::string& layer = graph.layers[node->layer]->name();
    int& i = next[node->layer];
    std::string name;
    do name = i > 0 ? layer + "_" + std::to_string(i) : layer;
    while (++i, !taken.insert(name).second);
    graph.output_names.push_back(std::move(name));
  }
}

}  // namespace

void check_states(const AnyLayer& layer, const std::vector<Shape>& states) {
  if (states.empty()) return;
  const std::vector<Index>& sizes = layer.traits().state_sizes;
  bool fit = states.size() == sizes.size();
  for (std::size_t i = 0; fit && i < sizes.size(); ++i) fit = states[i] == Shape{sizes[i]};
  if (fit) return;
  std::string got;
  for (const Shape& each : states) got += shape_text(each);
  throw Error(layer.name() + ": initial_state must be samples of " + (sizes.empty() ? "nothing" : shape_text(sizes)) +
              ", got " + got);
}

void ModelGraph::require_type(bool wide) const {
  if (wide != float64) throw Error("x and y must be " + std::string(wide ? "float" : "double") + ", the model's type");
}

const Shape& ModelGraph::input() const {
  if (inputs.size() != 1)
    throw Error(name + " has " + std::to_string(inputs.size()) + " inputs: x must be all of them");
  return inputs[0].shape;
}

void ModelGraph::require_one_output() const {
  if (outputs.size() != 1)
    throw Error(name + " has " + std::to_string(outputs.size()) + " outputs: y must be all of them");
}

ModelGraph read_graph(const Json& description, const std::string& where, Tensors& tensors) {
  Fields fields(description, where);
  const std::string& kind = fields.text("class");
  if (kind != "Sequential" && kind != "Model") fields.fail("class", "Sequential or Model", {kind});
  const std::string& dtype = fields.text("dtype");
  if (dtype != "float32" && dtype != "float64") fields.fail("dtype", "float32 or float64", {dtype});
  ModelGraph graph;
  graph.name = fields.text("name");
  graph.float64 = dtype == "float64";
  kind == "Sequential" ? read_row(graph, fields, tensors) : read_nodes(graph, fields, tensors);
  name_outputs(graph);
  fields.done();
  graph.last.assign(graph.nodes.back().y + graph.nodes.back().count, graph.nodes.size());
  for (std::size_t i = 0; i < graph.nodes.size(); ++i) {
    for (const std::size_t slot : graph.nodes[i].x) graph.last[slot] = i;
    for (const std::size_t slot : graph.nodes[i].states) graph.last[slot] = i;
  }
  return graph;
}

}  // namespace latchwork
