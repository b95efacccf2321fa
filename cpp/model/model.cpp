#include "latchwork/model.h"

#include <algorithm>

#include "cpu/float_env.h"
#include "model/format.h"
#include "model/graph.h"
#include "runtime/buffer.h"

namespace latchwork {
namespace {

constexpr Index kRowsAtOnce = 256;  // as Python's predict: bounds memory, changes no bit

template <class T>
Shape shape_behind(const Layers<T>& layers, Signal<T> x) {
  size_of(x.shape);
  for (const auto& layer : layers) {
    x = behind(*layer, x);
    size_of(x.shape);
  }
  return x.shape;
}

// x, which fits the model, or an Error.
template <class T>
Signal<T> samples(const ModelGraph& graph, const Layers<T>& layers, const T* x, const Shape& shape) {
  const Index last = layers.front()->last_size(graph.input);
  bool fits = shape.size() == graph.input.size() + 1 && (last < 0 || shape.back() == last);
  for (const Index extent : shape) fits &= extent >= 0;
  Shape expected(graph.input.size(), -1);
  expected.push_back(last);
  if (!fits) throw Error("x must be " + shape_text(expected) + " (-1: any), got " + shape_text(shape));
  return {x, shape};
}

template <class T>
Signal<T> sequences(const ModelGraph& graph, const Layers<T>& layers, const T* x, const std::vector<Index>& offsets) {
  const Index features = layers.front()->last_size(graph.input);
  if (graph.input.size() != 2 || features < 0)
    throw Error("a ragged x needs a model of sequences, [T, F], got samples of " + shape_text(graph.input));
  return {x, {offsets.back(), features}, &offsets};
}

template <class T>
void run(const Layers<T>& layers, Signal<T> x, T* y) {
  const FloatScope scope;
  Buffer<T> before;
  for (const auto& layer : layers) {
    const bool last = &layer == &layers.back();
    Signal<T> next = behind(*layer, x);
    Buffer<T> out(last ? 0 : size_of(next.shape));
    T* const data = last ? y : out.data();
    layer->forward(x, data);
    next.data = data;
    next.mask = last ? Mask{} : layer->y_mask(x);
    before = std::move(out);
    x = std::move(next);
  }
}

template <class T>
void run_samples(const Layers<T>& layers, const Signal<T>& x, T* y) {
  const Index batch = x.shape[0], of_x = batch > 0 ? size_of(x.shape) / batch : 0;
  const Index of_y = batch > 0 ? size_of(shape_behind(layers, x)) / batch : 0;
  Signal<T> part = x;
  for (Index row = 0; row < batch; row += kRowsAtOnce) {
    part.shape[0] = std::min(kRowsAtOnce, batch - row);
    part.data = x.data + row * of_x;
    run(layers, part, y + row * of_y);
  }
}

template <class T>
void run_ragged(const Layers<T>& layers, const Signal<T>& x, T* y) {
  const std::vector<Index>& offsets = *x.offsets;
  const Shape whole = shape_behind(layers, x);
  for (Index row = 0; row < x.batch(); row += kRowsAtOnce) {
    const auto first = static_cast<std::size_t>(row);
    const std::size_t end = std::min(first + kRowsAtOnce, offsets.size() - 1);
    std::vector<Index> own(offsets.begin() + row, offsets.begin() + static_cast<Index>(end) + 1);
    for (Index& offset : own) offset -= offsets[first];
    Signal<T> part{x.data + offsets[first] * x.shape[1], {own.back(), x.shape[1]}, &own};
    run(layers, part, y);
    y += size_of(shape_behind(layers, part));
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
void predict_samples(const ModelGraph& graph, const T* x, const Shape& shape, T* y) {
  const Layers<T>& layers = graph.of<T>();
  const Signal<T> signal = samples(graph, layers, x, shape);
  shape_behind(layers, signal);
  layers.front()->check(x, size_of(shape));
  run_samples(layers, signal, y);
}

template <class T>
void predict_ragged(const ModelGraph& graph, const T* x, const Ragged& ragged, T* y) {
  const Layers<T>& layers = graph.of<T>();
  const std::vector<Index> offsets = offsets_of(ragged);
  const Signal<T> signal = sequences(graph, layers, x, offsets);
  shape_behind(layers, signal);
  layers.front()->check(x, size_of(signal.shape));
  run_ragged(layers, signal, y);
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
const Shape& Model::input_shape() const { return graph_->input; }

Shape Model::output_shape(const Shape& shape) const {
  return std::visit(
      [&]<class T>(const Layers<T>& layers) {
        return shape_behind(layers, samples<T>(*graph_, layers, nullptr, shape));
      },
      graph_->layers);
}

Shape Model::output_shape(const Ragged& ragged) const {
  const std::vector<Index> offsets = offsets_of(ragged);
  return std::visit(
      [&]<class T>(const Layers<T>& layers) {
        return shape_behind(layers, sequences<T>(*graph_, layers, nullptr, offsets));
      },
      graph_->layers);
}

std::int64_t Model::output_size(const Shape& shape) const { return size_of(output_shape(shape)); }
std::int64_t Model::output_size(const Ragged& ragged) const { return size_of(output_shape(ragged)); }

void Model::predict(const float* x, const Shape& shape, float* y) const { predict_samples(*graph_, x, shape, y); }
void Model::predict(const double* x, const Shape& shape, double* y) const { predict_samples(*graph_, x, shape, y); }
void Model::predict(const float* x, const Ragged& ragged, float* y) const { predict_ragged(*graph_, x, ragged, y); }
void Model::predict(const double* x, const Ragged& ragged, double* y) const { predict_ragged(*graph_, x, ragged, y); }

}  // namespace latchwork
