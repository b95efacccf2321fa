#include "latchwork/model.h"

#include <algorithm>
#include <cstddef>

#include "cpu/float_env.h"
#include "model/format.h"
#include "model/graph.h"
#include "runtime/buffer.h"

namespace latchwork {
namespace {

constexpr Index kRowsAtOnce = 256;  // as Python's predict: bounds memory, changes no bit

// All slots behind these inputs. Throws Error where x does not fit.
std::vector<Form> forms_behind(const ModelGraph& graph, std::vector<Form> slots) {
  for (const Form& x : slots) size_of(x.shape);
  for (const Node& node : graph.nodes) {
    const AnyLayer& layer = *graph.layers[node.layer];
    std::vector<Shape> states;
    for (const std::size_t slot : node.states)
      states.emplace_back(slots[slot].shape.begin() + 1, slots[slot].shape.end());
    check_states(layer, states);
    for (Form& y : behind(layer, taken(node.x, slots))) slots.push_back(std::move(y));
  }
  return slots;
}

// The size that the last axis of an input must have, -1 for any: as the first node that reads it says.
Index last_size(const ModelGraph& graph, std::size_t input) {
  const Shape& sample = graph.inputs[input].shape;
  for (const Node& node : graph.nodes) {
    if (std::count(node.states.begin(), node.states.end(), input) > 0) break;
    if (std::count(node.x.begin(), node.x.end(), input) > 0) return graph.layers[node.layer]->last_size(sample);
  }
  return sample.back();
}

// Arrays that fit the model, or an Error.
std::vector<Form> samples(const ModelGraph& graph, std::span<const Shape> shapes) {
  if (shapes.size() != graph.inputs.size())
    throw Error("x must be " + std::to_string(graph.inputs.size()) + " arrays, got " + std::to_string(shapes.size()));
  std::vector<Form> forms;
  for (std::size_t i = 0; i < shapes.size(); ++i) {
    const Shape &shape = shapes[i], &sample = graph.inputs[i].shape;
    const Index last = last_size(graph, i);
    bool fits = shape.size() == sample.size() + 1 && (last < 0 || shape.back() == last);
    for (const Index extent : shape) fits &= extent >= 0;
    Shape expected(sample.size(), -1);
    expected.push_back(last);
    const std::string name = shapes.size() > 1 ? "input " + in_quotes(graph.inputs[i].name) : "x";
    if (!fits) throw Error(name + " must be " + shape_text(expected) + " (-1: any), got " + shape_text(shape));
    if (shape[0] != shapes[0][0])
      throw Error(name + " must have as many samples as the first, " + std::to_string(shapes[0][0]) + ", got " +
                  std::to_string(shape[0]));
    forms.push_back({shape});
  }
  return forms;
}

std::vector<Form> sequences(const ModelGraph& graph, const std::vector<Index>& offsets) {
  const Shape& sample = graph.input();
  const Index features = last_size(graph, 0);
  if (sample.size() != 2 || features < 0)
    throw Error("a ragged x needs a model of sequences, [T, F], got samples of " + shape_text(sample));
  return {{{offsets.back(), features}, &offsets}};
}

// The nodes of a graph on a part of the batch. forms: of all slots; x, y: of inputs and outputs.
template <class T>
void run(const ModelGraph& graph, const std::vector<Form>& forms, const std::vector<const std::byte*>& x,
         const std::vector<std::byte*>& y) {
  const FloatScope scope;
  std::vector<Signal<T>> slots;
  for (const Form& form : forms) slots.push_back({form});
  for (std::size_t i = 0; i < x.size(); ++i) slots[i].data = reinterpret_cast<const T*>(x[i]);
  std::vector<T*> filled(slots.size());
  for (std::size_t o = 0; o < y.size(); ++o) filled[graph.outputs[o]] = reinterpret_cast<T*>(y[o]);
  std::vector<Buffer<T>> made(slots.size());
  for (std::size_t i = 0; i < graph.nodes.size(); ++i) {
    const Node& node = graph.nodes[i];
    const GraphLayer<T>& layer = graph.layer<T>(node);
    const std::vector<Signal<T>> read = taken(node.x, slots);
    std::vector<const T*> states;
    for (const std::size_t slot : node.states) states.push_back(slots[slot].data);
    bool wanted = false;  // by another node
    for (std::size_t slot = node.y; slot < node.y + node.count; ++slot) {
      if (!filled[slot]) {
        made[slot] = Buffer<T>(size_of(slots[slot].shape));
        filled[slot] = made[slot].data();
      }
      slots[slot].data = filled[slot];
      wanted |= graph.last[slot] < graph.nodes.size();
    }
    const auto out = filled.begin() + static_cast<Index>(node.y);
    layer.run({read, states, {out, out + static_cast<Index>(node.count)}});
    if (wanted) {
      const Mask mask = layer.mask_of(read);
      for (std::size_t k = 0; k < layer.traits().masked_outputs; ++k) slots[node.y + k].mask = mask;
    }
    for (const auto* const done : {&node.x, &node.states})
      for (const std::size_t slot : *done)
        if (graph.last[slot] == i) made[slot] = {};
  }
  for (std::size_t o = 0; o < y.size(); ++o) {  // one may be asked for twice
    const std::size_t slot = graph.outputs[o];
    T* const to = reinterpret_cast<T*>(y[o]);
    if (to != filled[slot]) std::copy_n(filled[slot], size_of(slots[slot].shape), to);
  }
}

template <class T>
void check_numbers(const ModelGraph& graph, const std::vector<Form>& forms, const std::vector<const std::byte*>& x) {
  for (const Node& node : graph.nodes)
    for (const std::size_t slot : node.x)
      if (slot < x.size()) graph.layer<T>(node).check(reinterpret_cast<const T*>(x[slot]), size_of(forms[slot].shape));
}

// forms: as `samples` or `sequences` gave them. Nothing is written where x does not fit.
void predict_all(const ModelGraph& graph, const std::vector<Form>& forms, std::vector<const std::byte*> x,
                 std::vector<std::byte*> y) {
  const Index bytes = graph.float64 ? sizeof(double) : sizeof(float);
  forms_behind(graph, forms);
  graph.float64 ? check_numbers<double>(graph, forms, x) : check_numbers<float>(graph, forms, x);
  for (Index row = 0; row < forms[0].batch(); row += kRowsAtOnce) {
    const Index rows = std::min(kRowsAtOnce, forms[0].batch() - row);
    std::vector<Form> part = forms;
    std::vector<Index> offsets;
    for (Form& each : part) {
      each.shape[0] = rows;
      if (!each.offsets) continue;
      const auto begin = each.offsets->begin() + row;
      offsets.assign(begin, begin + rows + 1);
      for (Index& offset : offsets) offset -= *begin;
      each.shape[0] = offsets.back();
      each.offsets = &offsets;
    }
    const std::vector<Form> slots = forms_behind(graph, part);
    graph.float64 ? run<double>(graph, slots, x, y) : run<float>(graph, slots, x, y);
    for (std::size_t i = 0; i < x.size(); ++i) x[i] += size_of(slots[i].shape) * bytes;
    for (std::size_t o = 0; o < y.size(); ++o) y[o] += size_of(slots[graph.outputs[o]].shape) * bytes;
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

const std::byte* bytes_of(const void* x) { return static_cast<const std::byte*>(x); }
std::byte* bytes_of(void* y) { return static_cast<std::byte*>(y); }

void predict_one(const ModelGraph& graph, bool wide, const void* x, const Shape& shape, void* y) {
  graph.require_type(wide);
  graph.input();
  graph.require_one_output();
  predict_all(graph, samples(graph, {&shape, 1}), {bytes_of(x)}, {bytes_of(y)});
}

void predict_ragged(const ModelGraph& graph, bool wide, const void* x, const Ragged& ragged, void* y) {
  graph.require_type(wide);
  graph.require_one_output();
  const std::vector<Index> offsets = offsets_of(ragged);
  predict_all(graph, sequences(graph, offsets), {bytes_of(x)}, {bytes_of(y)});
}

template <class T>
void predict_several(const ModelGraph& graph, std::span<const T* const> x, std::span<const Shape> shapes,
                     std::span<T* const> y) {
  graph.require_type(sizeof(T) == sizeof(double));
  if (x.size() != shapes.size() || y.size() != graph.outputs.size())
    throw Error("x must be as many arrays as shapes, y " + std::to_string(graph.outputs.size()) + ", got " +
                std::to_string(x.size()) + " and " + std::to_string(y.size()));
  std::vector<const std::byte*> in;
  std::vector<std::byte*> out;
  for (const T* const each : x) in.push_back(bytes_of(each));
  for (T* const each : y) out.push_back(bytes_of(each));
  predict_all(graph, samples(graph, shapes), std::move(in), std::move(out));
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
bool Model::float64() const { return graph_->float64; }
const Shape& Model::input_shape() const { return graph_->input(); }
const std::vector<ModelInput>& Model::inputs() const { return graph_->inputs; }
const std::vector<std::string>& Model::outputs() const { return graph_->output_names; }

std::vector<Shape> Model::output_shapes(std::span<const Shape> shapes) const {
  const std::vector<Form> slots = forms_behind(*graph_, samples(*graph_, shapes));
  std::vector<Shape> found;
  for (const std::size_t slot : graph_->outputs) found.push_back(slots[slot].shape);
  return found;
}

Shape Model::output_shape(const Shape& shape) const {
  graph_->input();
  graph_->require_one_output();
  return output_shapes({&shape, 1})[0];
}

Shape Model::output_shape(const Ragged& ragged) const {
  graph_->require_one_output();
  const std::vector<Index> offsets = offsets_of(ragged);
  return forms_behind(*graph_, sequences(*graph_, offsets))[graph_->outputs[0]].shape;
}

std::int64_t Model::output_size(const Shape& shape) const { return size_of(output_shape(shape)); }
std::int64_t Model::output_size(const Ragged& ragged) const { return size_of(output_shape(ragged)); }

void Model::predict(const float* x, const Shape& shape, float* y) const { predict_one(*graph_, false, x, shape, y); }
void Model::predict(const double* x, const Shape& shape, double* y) const { predict_one(*graph_, true, x, shape, y); }
void Model::predict(const float* x, const Ragged& ragged, float* y) const {
  predict_ragged(*graph_, false, x, ragged, y);
}
void Model::predict(const double* x, const Ragged& ragged, double* y) const {
  predict_ragged(*graph_, true, x, ragged, y);
}
void Model::predict(std::span<const float* const> x, std::span<const Shape> shapes, std::span<float* const> y) const {
  predict_several(*graph_, x, shapes, y);
}
void Model::predict(std::span<const double* const> x, std::span<const Shape> shapes, std::span<double* const> y) const {
  predict_several(*graph_, x, shapes, y);
}

}  // namespace latchwork
