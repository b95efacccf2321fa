#include <algorithm>

#include "cpu/dispatch.h"
#include "latchwork/error.h"
#include "layers/statistics.h"
#include "model/layer.h"
#include "runtime/thread_team.h"

namespace latchwork {
namespace {

constexpr Index kMostUnits = Index(1) << 31;

// The library's layer of this cell with the file's parameters, whose shapes are checked before it takes memory.
template <class T>
Layer<T> read_cell(LayerOptions options, Fields& fields, Tensors& tensors) {
  const CellInfo& cell = *kernels().of<T>().cells[find_cell(options.cell)]->info;
  const std::string& name = fields.text("name");
  options.hidden = fields.whole("units", 1, kMostUnits);
  options.bias = fields.flag("use_bias");
  const Index columns = cell.gates * options.hidden;
  const bool recurrent = options.cell != "dense";
  tensors.check<T>(name + "/kernel", {options.input, columns});
  if (recurrent) tensors.check<T>(name + "/recurrent_kernel", {options.hidden, columns});
  if (options.bias) tensors.check<T>(name + "/bias", cell.biases > 1 ? Shape{cell.biases, columns} : Shape{columns});
  Layer<T> layer(options);
  tensors.read(name + "/kernel", layer.kernel());
  if (recurrent) tensors.read(name + "/recurrent_kernel", layer.recurrent_kernel());
  if (options.bias) tensors.read(name + "/bias", layer.bias());
  layer.changed();
  return layer;
}

template <class T>
class RecurrentLayer : public GraphLayer<T> {
 public:
  RecurrentLayer(const LayerOptions& options, Fields& fields, Tensors& tensors)
      : layer_(read_cell<T>(options, fields, tensors)),
        name_(fields.text("name")),
        sequences_(fields.flag("return_sequences")),
        reversed_(fields.flag("go_backwards")) {
    if (fields.flag("return_state")) fields.fail("return_state", "false (one output is passed on)", {true});
    if (fields.flag("stateful")) fields.fail("stateful", "false (streams carry states here)", {true});
    fields.flag("zero_output_for_mask");  // there are no masks here
  }

  Shape y_shape(const Shape& shape) const override {
    const Index features = layer_.options().input;
    if (shape.size() != 3 || shape[2] != features)
      throw Error(name_ + ": x must be [B, T, " + std::to_string(features) + "], got " + shape_text(shape));
    return sequences_ ? Shape{shape[0], shape[1], units()} : Shape{shape[0], units()};
  }

  void forward(const T* x, const Shape& shape, const Carry<T>& carry, T* y) const override {
    States<T> final = carry.after;
    const bool kept = final[0] != nullptr;
    if (!sequences_ && !kept) final[0] = y;
    layer_.forward({.data = x, .batch = shape[0], .steps = shape[1], .reversed = reversed_}, sequences_ ? y : nullptr,
                   carry.before, final);
    if (!sequences_ && kept) std::copy_n(final[0], shape[0] * units(), y);
  }

  int states() const override { return layer_.states(); }
  Index units() const override { return layer_.options().hidden; }
  bool reads_backwards() const override { return reversed_; }

 private:
  Layer<T> layer_;
  std::string name_;
  bool sequences_, reversed_;
};

// y = f(x), number by number, or softmax (-1) over the last axis.
template <class T>
void activate(int activation, const T* x, T* y, Index rows, Index columns) {
  if (activation < 0) return softmax(x, y, rows, columns);
  const auto run = kernels().of<T>().unary.activation;
  interruptible_for(rows * columns, kElementGrain, [=](Index begin, Index end) {
    run(static_cast<Activation>(activation), x + begin, y + begin, end - begin);
  });
}

template <class T>
class DenseLayer : public GraphLayer<T> {
 public:
  DenseLayer(const LayerOptions& options, int activation, Fields& fields, Tensors& tensors)
      : layer_(read_cell<T>(options, fields, tensors)), name_(fields.text("name")), softmax_(activation < 0) {}

  Shape y_shape(const Shape& shape) const override {
    const Index features = layer_.options().input;
    if (shape.size() < 2 || shape.back() != features)
      throw Error(name_ + ": x must be [B, ..., " + std::to_string(features) + "], got " + shape_text(shape));
    Shape y = shape;
    y.back() = layer_.options().hidden;
    return y;
  }

  void forward(const T* x, const Shape& shape, const Carry<T>&, T* y) const override {
    const Index steps = size_of({shape.begin() + 1, shape.end() - 1});
    layer_.forward({.data = x, .batch = shape[0], .steps = steps}, y);
    if (softmax_) softmax(y, y, shape[0] * steps, layer_.options().hidden);
  }

 private:
  Layer<T> layer_;
  std::string name_;
  bool softmax_;
};

template <class T>
class ActivationLayer : public GraphLayer<T> {
 public:
  explicit ActivationLayer(int activation) : activation_(activation) {}
  Shape y_shape(const Shape& shape) const override { return shape; }
  void forward(const T* x, const Shape& shape, const Carry<T>&, T* y) const override {
    const Index columns = shape.back();
    activate(activation_, x, y, columns > 0 ? size_of(shape) / columns : 0, columns);
  }

 private:
  int activation_;
};

// Dropout, when nothing is trained.
template <class T>
class SameLayer : public GraphLayer<T> {
 public:
  Shape y_shape(const Shape& shape) const override { return shape; }
  void forward(const T* x, const Shape& shape, const Carry<T>&, T* y) const override {
    std::copy_n(x, size_of(shape), y);
  }
};

template <class T>
using Made = std::unique_ptr<GraphLayer<T>>;

template <class T>
Made<T> make_dropout(Fields& fields) {
  fields.number("rate", 0, 1);
  const Json& seed = fields.any("seed");
  const auto* const whole = std::get_if<std::int64_t>(&seed.value);
  const bool other =
      std::holds_alternative<std::uint64_t>(seed.value) || std::holds_alternative<std::nullptr_t>(seed.value);
  if (!other && !(whole && *whole >= 0)) fields.fail("seed", "null or a whole number from 0 to 2^64 - 1", seed);
  return std::make_unique<SameLayer<T>>();
}

// The closed registry: what a file may name.
template <class T>
Made<T> make_known(const std::string& kind, Fields& fields, Tensors& tensors, Index features) {
  LayerOptions options{.input = features};
  const auto activation = [&](const char* field) { return kActivationNames[fields.activation(field, false)]; };
  const auto recurrent = [&](const char* cell) {
    options.cell = cell;
    options.activation = activation("activation");
    return std::make_unique<RecurrentLayer<T>>(options, fields, tensors);
  };
  if (kind == "LSTM" || kind == "GRU") options.recurrent_activation = activation("recurrent_activation");
  if (kind == "LSTM") return recurrent("lstm");
  if (kind == "GRU") return recurrent(fields.flag("reset_after") ? "gru" : "gru_reset_before");
  if (kind == "SimpleRNN") return recurrent("elman");
  if (kind == "Activation") return std::make_unique<ActivationLayer<T>>(fields.activation("activation", true));
  if (kind == "Dropout") return make_dropout<T>(fields);
  if (kind != "Dense") fields.fail("class", "one of LSTM, GRU, SimpleRNN, Dense, Activation, Dropout", {kind});
  const int named = fields.activation("activation", true);
  options.cell = "dense";
  options.activation = named < 0 ? "linear" : kActivationNames[named];
  return std::make_unique<DenseLayer<T>>(options, named, fields, tensors);
}

}  // namespace

Index size_of(const Shape& shape) {
  Index size = 1;
  for (const Index extent : shape) size = checked_product(size, extent, "shape");
  return size;
}

std::string shape_text(const Shape& shape) {
  std::string text;
  for (const std::int64_t extent : shape) text += (text.empty() ? "" : ", ") + std::to_string(extent);
  return "[" + text + "]";
}

template <class T>
void Tensors::check(const std::string& name, const Shape& shape) const {
  const TensorInfo* const tensor = file_.find(name);
  const std::string expected = describe(sizeof(T) == 8 ? "F64" : "F32", shape);
  const std::string got = tensor ? describe(tensor->dtype, tensor->shape) : "no such tensor";
  if (got != expected)
    throw Error(in_quotes(file_.path()) + ": tensor " + in_quotes(name) + " must be " + expected + ", got " + got);
}

template <class T>
void Tensors::read(const std::string& name, std::span<T> out) {
  const TensorInfo* const tensor = file_.find(name);
  read_.insert(tensor->name);
  file_.read(*tensor, out.data());
}

// Names without a slash are not weights: optimizer.*, extras.*
void Tensors::done() const {
  for (const TensorInfo& tensor : file_.tensors()) {
    const bool other = tensor.name.starts_with("optimizer.") || tensor.name.starts_with("extras.");
    if (!read_.count(tensor.name) && (!other || tensor.name.find('/') != std::string::npos))
      throw Error(in_quotes(file_.path()) + ": no layer has a tensor " + in_quotes(tensor.name));
  }
}

template <class T>
std::unique_ptr<GraphLayer<T>> make_layer(Fields& fields, Tensors& tensors, Index features) {
  fields.rename(fields.where() + " " + in_quotes(fields.text("name")));
  fields.flag("trainable");
  Made<T> layer = make_known<T>(fields.text("class"), fields, tensors, features);
  fields.done();
  return layer;
}

template std::unique_ptr<GraphLayer<float>> make_layer(Fields&, Tensors&, Index);
template std::unique_ptr<GraphLayer<double>> make_layer(Fields&, Tensors&, Index);

}  // namespace latchwork
