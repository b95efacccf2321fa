#include "latchwork/model.h"

#include <algorithm>

#include "cpu/float_env.h"
#include "model/format.h"
#include "model/graph.h"
#include "runtime/buffer.h"

namespace latchwork {
namespace {

constexpr Index kRowsAtOnce = 256;  // as Python's predict: bounds memory, changes no bit

// All slots behind these inputs, their data still to be computed. Throws Error where x does not fit.
template <class T>
std::vector<Signal<T>> signals_behind(const ModelGraph& graph, std::vector<Signal<T>> slots) {
  const Layers<T>& layers = graph.of<T>();
  for (const Signal<T>& x : slots) size_of(x.shape);
  for (const Node& node : graph.nodes) {
    const GraphLayer<T>& layer = *layers[node.layer];
    std::vector<Shape> states;
    for (const std::size_t slot : node.states)
      states.emplace_back(slots[slot].shape.begin() + 1, slots[slot].shape.end());
    check_states(layer, states);
    for (Signal<T>& y : behind(layer, taken(node.x, slots))) slots.push_back(std::move(y));
  }
  return slots;
}

// The size that the last axis of an input must have, -1 for any: as the first node that reads it says.
template <class T>
Index last_size(const ModelGraph& graph, const Layers<T>& layers, std::size_t input) {
  const Shape& sample = graph.inputs[input].shape;
  for (const Node& node : graph.nodes) {
    if (std::count(node.states.begin(), node.states.end(), input) > 0) break;
    if (std::count(node.x.begin(), node.x.end(), input) > 0) return layers[node.layer]->last_size(sample);
  }
  return sample.back();
}

// The arrays x (null: not yet), which fit the model, or an Error.
template <class T>
std::vector<Signal<T>> samples(const ModelGraph& graph, const T* const* x, std::span<const Shape> shapes) {
  const Layers<T>& layers = graph.of<T>();
  if (shapes.size() != graph.inputs.size())
    throw Error("x must be " + std::to_string(graph.inputs.size()) + " arrays, got " + std::to_string(shapes.size()));
  std::vector<Signal<T>> signals;
  for (std::size_t i = 0; i < shapes.size(); ++i) {
    const Shape &shape = shapes[i], &sample = graph.inputs[i].shape;
    const Index last = last_size(graph, layers, i);
    bool fits = shape.size() == sample.size() + 1 && (last < 0 || shape.back() == last);
    for (const Index extent : shape) fits &= extent >= 0;
    Shape expected(sample.size(), -1);
    expected.push_back(last);
    const std::string name = shapes.size() > 1 ? "input " + in_quotes(graph.inputs[i].name) : "x";
    if (!fits) throw Error(name + " must be " + shape_text(expected) + " (-1: any), got " + shape_text(shape));
    if (shape[0] != shapes[0][0])
      throw Error(name + " must have as many samples as the first, " + std::to_string(shapes[0][0]) + ", got " +
                  std::to_string(shape[0]));
    signals.push_back({x ? x[i] : nullptr, shape});
  }
  return signals;
}

template <class T>
std::vector<Signal<T>> sequences(const ModelGraph& graph, const T* x, const std::vector<Index>& offsets) {
  const Shape& sample = graph.input();
  const Index features = last_size(graph, graph.of<T>(), 0);
  if (sample.size() != 2 || features < 0)
    throw Error("a ragged x needs a model of sequences, [T, F], got samples of " + shape_text(sample));
  return {{x, {offsets.back(), features}, &offsets}};
}

// slots: as `signals_behind` gives them.
template <class T>
void run(const ModelGraph& graph, std::vector<Signal<T>> slots, const std::vector<T*>& y) {
  const FloatScope scope;
  const Layers<T>& layers = graph.of<T>();
  std::vector<Buffer<T>> made(slots.size());
  std::vector<T*> filled(slots.size());
  for (std::size_t o = 0; o < y.size(); ++o) filled[graph.outputs[o]] = y[o];
  for (std::size_t i = 0; i < graph.nodes.size(); ++i) {
    const Node& node = graph.nodes[i];
    const GraphLayer<T>& layer = *layers[node.layer];
    const std::vector<Signal<T>> x = taken(node.x, slots);
    std::vector<const T*> states;
    for (const std::size_t slot : node.states) states.push_back(slots[slot].data);
    std::vector<T*> out;
    bool read = false;
    for (std::size_t slot = node.y; slot < node.y + node.count; ++slot) {
      if (!filled[slot]) {
        made[slot] = Buffer<T>(size_of(slots[slot].shape));
        filled[slot] = made[slot].data();
      }
      slots[slot].data = filled[slot];
      out.push_back(filled[slot]);
      read |= graph.last[slot] < graph.nodes.size();
    }
    layer.run({x, states, out});
    if (read) {
      const Mask mask = layer.mask_of(x);
      for (std::size_t k = 0; k < layer.masked_outputs(); ++k) slots[node.y + k].mask = mask;
    }
    for (const auto* const taken : {&node.x, &node.states})
      for (const std::size_t slot : *taken)
        if (graph.last[slot] == i) made[slot] = {};
  }
  for (std::size_t o = 0; o < y.size(); ++o)  // an output may be asked for twice
    if (const T* const from = filled[graph.outputs[o]]; from != y[o])
      std::copy_n(from, size_of(slots[graph.outputs[o]].shape), y[o]);
}

// x is what `samples` or `sequences` gave; nothing is written where it does not fit.
template <class T>
void predict_all(const ModelGraph& graph, const std::vector<Signal<T>>& x, std::vector<T*> y) {
  signals_behind(graph, x);
  for (const Node& node : graph.nodes)
    for (const std::size_t slot : node.x)
      if (slot < x.size()) graph.of<T>()[node.layer]->check(x[slot].data, size_of(x[slot].shape));
  for (Index row = 0; row < x[0].batch(); row += kRowsAtOnce) {
    const Index end = std::min(row + kRowsAtOnce, x[0].batch());
    std::vector<Signal<T>> part = x;
    std::vector<Index> offsets;
    for (Signal<T>& each : part) {
      Index begin = row;
      if (each.offsets) {
        offsets.assign(each.offsets->begin() + row, each.offsets->begin() + end + 1);
        begin = offsets[0];
        for (Index& offset : offsets) offset -= begin;
        each.offsets = &offsets;
      }
      each.data += begin * size_of({each.shape.begin() + 1, each.shape.end()});
      each.shape[0] = each.offsets ? offsets.back() : end - row;
    }
    const std::vector<Signal<T>> slots = signals_behind(graph, part);
    run(graph, slots, y);
    for (std::size_t o = 0; o < y.size(); ++o) y[o] += size_of(slots[graph.outputs[o]].shape);
  }
}

// The offsets of lengths. Throws Error where there are none, or negative ones.
std::vector<Index> offsets_of(const Ragged& ragged) {
  std::vector<Index> offsets{0};
  for (const Index length : ragged.lengths) {
    Index end = 0;
    if (length < 0 || __builtin_add_overflow(offsets.back(), length, &end))
      throw Error("lengths must be at least 0 and their sum below 2^63, got " + std::to_string(length));
    offsets.push_back(end);
  }
  return offsets;
}

template <class T>
void predict_one(const ModelGraph& graph, const T* x, const Shape& shape, T* y) {
  graph.of<T>();
  graph.input();
  graph.require_one_output();
  predict_all<T>(graph, samples<T>(graph, &x, {&shape, 1}), {y});
}

template <class T>
void predict_ragged(const ModelGraph& graph, const T* x, const Ragged& ragged, T* y) {
  graph.of<T>();
  graph.require_one_output();
  const std::vector<Index> offsets = offsets_of(ragged);
  predict_all<T>(graph, sequences<T>(graph, x, offsets), {y});
}

template <class T>
void predict_several(const ModelGraph& graph, std::span<const T* const> x, std::span<const Shape> shapes,
                     std::span<T* const> y) {
  graph.of<T>();
  if (x.size() != shapes.size() || y.size() != graph.outputs.size())
    throw Error("x must be as many arrays as shapes, y " + std::to_string(graph.outputs.size()) + ", got " +
                std::to_string(x.size()) + " and " + std::to_string(y.size()));
  predict_all<T>(graph, samples<T>(graph, x.data(), shapes), {y.begin(), y.end()});
}

}  // namespace

Model Model::load(const std::string& path) {
  check_suffix(path);
  const SafetensorsFile file(path);
  check_format(file);
  Tensors tensors(file);
  return model_of(read_graph(description(file, "model"), in_quotes(path) + ": model", tensors));
}

Model model_of(ModelGraph graph) { return Model(std::make_unique<const ModelGraph>(std::move(graph))); }

Model::Model(std::unique_ptr<const ModelGraph> graph) : graph_(std::move(graph)) {}
Model::Model(Model&&) noexcept = default;
Model& Model::operator=(Model&&) noexcept = default;
Model::~Model() = default;

const std::string& Model::name() const { return graph_->name; }
bool Model::float64() const { return std::holds_alternative<Layers<double>>(graph_->layers); }
const Shape& Model::input_shape() const { return graph_->input(); }
const std::vector<ModelInput>& Model::inputs() const { return graph_->inputs; }
const std::vector<std::string>& Model::outputs() const { return graph_->output_names; }

std::vector<Shape> Model::output_shapes(std::span<const Shape> shapes) const {
  return std::visit(
      [&]<class T>(const Layers<T>&) {
        const std::vector<Signal<T>> slots = signals_behind(*graph_, samples<T>(*graph_, nullptr, shapes));
        std::vector<Shape> found;
        for (const std::size_t slot : graph_->outputs) found.push_back(slots[slot].shape);
        return found;
      },
      graph_->layers);
}

Shape Model::output_shape(const Shape& shape) const {
  graph_->input();
  graph_->require_one_output();
  return output_shapes({&shape, 1})[0];
}

Shape Model::output_shape(const Ragged& ragged) const {
  graph_->require_one_output();
  const std::vector<Index> offsets = offsets_of(ragged);
  return std::visit(
      [&]<class T>(const Layers<T>&) {
        return signals_behind(*graph_, sequences<T>(*graph_, nullptr, offsets))[graph_->outputs[0]].shape;
      },
      graph_->layers);
}

std::int64_t Model::output_size(const Shape& shape) const { return size_of(output_shape(shape)); }
std::int64_t Model::output_size(const Ragged& ragged) const { return size_of(output_shape(ragged)); }

void Model::predict(const float* x, const Shape& shape, float* y) const { predict_one(*graph_, x, shape, y); }
void Model::predict(const double* x, const Shape& shape, double* y) const { predict_one(*graph_, x, shape, y); }
void Model::predict(const float* x, const Ragged& ragged, float* y) const { predict_ragged(*graph_, x, ragged, y); }
void Model::predict(const double* x, const Ragged& ragged, double* y) const { predict_ragged(*graph_, x, ragged, y); }
void Model::predict(std::span<const float* const> x, std::span<const Shape> shapes, std::span<float* const> y) const {
  predict_several(*graph_, x, shapes, y);
}
void Model::predict(std::span<const double* const> x, std::span<const Shape> shapes, std::span<double* const> y) const {
  predict_several(*graph_, x, shapes, y);
}

}  // namespace latchwork
