#include "latchwork/model.h"

#include <algorithm>
#include <variant>

#include "cpu/float_env.h"
#include "latchwork/error.h"
#include "model/format.h"
#include "model/layer.h"
#include "runtime/buffer.h"

namespace latchwork {
namespace {

constexpr std::size_t kMostLayers = 10'000;
constexpr std::int64_t kRowsAtOnce = 256;  // as Python's predict: bounds memory, changes no bit

template <class T>
using Layers = std::vector<std::unique_ptr<GraphLayer<T>>>;

// Sizes of one sample; null, any size, is -1.
Shape read_input_shape(Fields& fields) {
  Shape shape;
  for (const Json& json : fields.array("input_shape")) {
    const auto* const size = std::get_if<std::int64_t>(&json.value);
    const bool any = std::holds_alternative<std::nullptr_t>(json.value);
    if (!any && (!size || *size < 1)) fields.fail("input_shape", "whole numbers from 1, or null", json);
    shape.push_back(any ? -1 : *size);
  }
  if (shape.empty() || shape.size() > kMostRank || shape.back() < 0)
    fields.fail("input_shape", "1 to 8 sizes with a known last one", fields.any("input_shape"));
  return shape;
}

template <class T>
Layers<T> read_layers(Fields& fields, Tensors& tensors, Shape shape) {
  const JsonArray& described = fields.array("layers");
  if (described.empty() || described.size() > kMostLayers)
    fields.fail("layers", "1 to " + std::to_string(kMostLayers) + " layers", {static_cast<Index>(described.size())});
  shape.insert(shape.begin(), 1);
  for (std::int64_t& extent : shape) extent = extent < 0 ? 1 : extent;
  Layers<T> layers;
  std::unordered_set<std::string> names;
  for (const Json& json : described) {
    Fields layer(json, fields.where() + ": layer");
    layers.push_back(make_layer<T>(layer, tensors, shape.back()));
    if (!names.insert(layer.text("name")).second) throw Error(layer.where() + ": layer names must differ");
    try {
      shape = layers.back()->y_shape(shape);
    } catch (const Error& error) {
      throw Error(fields.where() + ": " + error.what());
    }
  }
  tensors.done();
  return layers;
}

}  // namespace

struct Model::Graph {
  std::string name;
  latchwork::Shape input;
  std::variant<Layers<float>, Layers<double>> layers;

  template <class T>
  const Layers<T>& of() const {
    const auto* const found = std::get_if<Layers<T>>(&layers);
    if (!found)
      throw Error("x and y must be " + std::string(sizeof(T) == 8 ? "float" : "double") + ", the model's type");
    return *found;
  }

  // The shapes from x to y.
  std::vector<Shape> shapes(const Shape& x) const {
    bool fits = x.size() == input.size() + 1 && x.back() == input.back();
    for (const std::int64_t extent : x) fits &= extent >= 0;
    Shape expected(input.size(), -1);
    expected.push_back(input.back());
    if (!fits) throw Error("x must be " + shape_text(expected) + " (-1: any), got " + shape_text(x));
    std::vector<Shape> shapes{x};
    std::visit(
        [&](const auto& each) {
          for (const auto& layer : each) shapes.push_back(layer->y_shape(shapes.back()));
        },
        layers);
    for (const Shape& shape : shapes) size_of(shape);  // throws where it overflows
    return shapes;
  }
};

namespace {

// The states of every layer, twice: a step reads one side and writes the other, so that one that fails changes nothing.
template <class T>
struct StreamStates {
  StreamStates(const Layers<T>& layers, Index batch) {
    for (const auto& layer : layers) {
      Carry<T> there{}, back{};
      for (int s = 0; s < layer->states(); ++s) {
        for (T** const at : {&there.after[s], &back.after[s]}) {
          values.emplace_back(checked_product(batch, layer->units(), "batch"));
          *at = values.back().data();
        }
        there.before[s] = back.after[s], back.before[s] = there.after[s];
      }
      carries[0].push_back(there), carries[1].push_back(back);
    }
    clear();
  }
  void clear() {
    for (Buffer<T>& each : values) std::fill_n(each.data(), each.size(), T(0));
  }

  std::vector<Buffer<T>> values;
  std::vector<Carry<T>> carries[2];
};

template <class T>
void run(const Layers<T>& layers, const std::vector<Shape>& shapes, const T* x, const Carry<T>* carries, T* y) {
  const FloatScope scope;
  Buffer<T> before;
  for (std::size_t i = 0; i < layers.size(); ++i) {
    const bool last = i + 1 == layers.size();
    Buffer<T> out(last ? 0 : size_of(shapes[i + 1]));
    layers[i]->forward(x, shapes[i], carries ? carries[i] : Carry<T>{}, last ? y : out.data());
    before = std::move(out);
    x = before.data();
  }
}

template <class T, class G>
void predict_rows(const G& graph, const T* x, const Shape& shape, T* y) {
  const Layers<T>& layers = graph.template of<T>();
  const std::vector<Shape> whole = graph.shapes(shape);
  for (Index row = 0; row < shape[0]; row += kRowsAtOnce) {
    Shape part = shape;
    part[0] = std::min(kRowsAtOnce, shape[0] - row);
    run<T>(layers, graph.shapes(part), x + row * (size_of(shape) / shape[0]), nullptr,
           y + row * (size_of(whole.back()) / shape[0]));
  }
}

}  // namespace

struct Streams::Carried {
  const void* graph;
  Index batch, steps;
  std::vector<Shape> shapes;  // of one step, from x to y
  std::variant<StreamStates<float>, StreamStates<double>> states;
};

template <class T, class G, class C>
static void step_streams(const G& graph, C& carried, const T* x, T* y) {
  const Layers<T>& layers = graph.template of<T>();
  if (carried.graph != &graph) throw Error("streams must come from this model");
  if (carried.batch > 0)
    run<T>(layers, carried.shapes, x, std::get<StreamStates<T>>(carried.states).carries[carried.steps % 2].data(), y);
  ++carried.steps;
}

Model Model::load(const std::string& path) {
  check_suffix(path);
  const SafetensorsFile file(path);
  check_format(file);
  const Json json = description(file, "model");
  Fields fields(json, in_quotes(path) + ": model");
  if (fields.text("class") != "Sequential") fields.fail("class", "Sequential", fields.any("class"));
  const std::string& dtype = fields.text("dtype");
  if (dtype != "float32" && dtype != "float64") fields.fail("dtype", "float32 or float64", {dtype});
  auto graph = std::make_unique<Graph>();
  graph->name = fields.text("name");
  graph->input = read_input_shape(fields);
  Tensors tensors(file);
  if (dtype == "float64")
    graph->layers = read_layers<double>(fields, tensors, graph->input);
  else
    graph->layers = read_layers<float>(fields, tensors, graph->input);
  fields.done();
  return Model(std::move(graph));
}

Model::Model(std::unique_ptr<Graph> graph) : graph_(std::move(graph)) {}
Model::Model(Model&&) noexcept = default;
Model& Model::operator=(Model&&) noexcept = default;
Model::~Model() = default;

const std::string& Model::name() const { return graph_->name; }
bool Model::float64() const { return std::holds_alternative<Layers<double>>(graph_->layers); }
const Shape& Model::input_shape() const { return graph_->input; }
Shape Model::output_shape(const Shape& shape) const { return graph_->shapes(shape).back(); }
std::int64_t Model::output_size(const Shape& shape) const { return size_of(output_shape(shape)); }

void Model::predict(const float* x, const Shape& shape, float* y) const { predict_rows(*graph_, x, shape, y); }
void Model::predict(const double* x, const Shape& shape, double* y) const { predict_rows(*graph_, x, shape, y); }

Streams Model::streams(std::int64_t batch) const {
  if (graph_->input.size() != 2)
    throw Error("step needs a model of sequences, [T, F], got samples of " + shape_text(graph_->input));
  if (batch < 1) throw Error("batch must be at least 1, got " + std::to_string(batch));
  checked_product(batch, graph_->input.back(), "batch");
  return std::visit(
      [&](const auto& layers) {
        for (const auto& layer : layers)
          if (layer->reads_backwards()) throw Error("step needs layers that read forwards, got go_backwards");
        return Streams(std::make_unique<Streams::Carried>(Streams::Carried{
            graph_.get(), batch, 0, graph_->shapes({batch, 1, graph_->input.back()}), StreamStates(layers, batch)}));
      },
      graph_->layers);
}

void Model::step(Streams& streams, const float* x, float* y) const { step_streams(*graph_, *streams.carried_, x, y); }
void Model::step(Streams& streams, const double* x, double* y) const { step_streams(*graph_, *streams.carried_, x, y); }

Streams::Streams(std::unique_ptr<Carried> carried) : carried_(std::move(carried)) {}
Streams::Streams(Streams&&) noexcept = default;
Streams& Streams::operator=(Streams&&) noexcept = default;
Streams::~Streams() = default;

std::int64_t Streams::batch() const { return carried_->batch; }
std::int64_t Streams::steps() const { return carried_->steps; }
void Streams::reset() {
  std::visit([](auto& states) { states.clear(); }, carried_->states);
  carried_->steps = 0;
}

}  // namespace latchwork
