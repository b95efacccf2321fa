// LayerNormalization, BatchNormalization, Normalization: as they are when nothing is trained.
#include <algorithm>
#include <cmath>
#include <limits>

#include "layers/normalization.h"
#include "model/layer.h"
#include "runtime/buffer.h"

namespace latchwork {
namespace {

// The size of the axis that is normalized: the last.
Index columns_of(const Origin& origin) {
  if (origin.x.empty() || origin.x.back() < 0)
    throw Error(origin.fields.where() + ": x must have a known feature size, got " + shape_text(origin.x));
  origin.fields.whole("axis", -1, -1);
  return origin.x.back();
}

double epsilon_of(Fields& fields) { return fields.number("epsilon", 0, std::numeric_limits<double>::max()); }

template <class T>
Buffer<T> read_vector(const Origin& origin, const char* name, Index size) {
  const std::string tensor = origin.path + "/" + name;
  origin.tensors.check<T>(tensor, {size});
  Buffer<T> values(size);
  origin.tensors.read(tensor, std::span(values.data(), static_cast<std::size_t>(size)));
  return values;
}

// What happens to each column; empty: nothing.
template <class T>
struct Columns {
  Buffer<T> center, factor, shift;

  Affine<T> affine() const {
    const auto or_null = [](const Buffer<T>& values) { return values.size() > 0 ? values.data() : nullptr; };
    return {or_null(center), or_null(factor), or_null(shift)};
  }
};

// A layer whose steps are rows of `columns`; `run(x, rows, y)` is noexcept and runs on the calling thread.
template <class T, class Layer>
class StepNormalizing : public StepLayer<T> {
 public:
  StepNormalizing(std::shared_ptr<const Layer> layer, Index rows, Index columns)
      : layer_(std::move(layer)), rows_(rows), y_(checked_product(rows, columns)) {}
  void step(StepSignal<T>& s) noexcept override {
    layer_->run(s.x, rows_, y_.data());
    s.x = y_.data();
  }

 private:
  std::shared_ptr<const Layer> layer_;
  Index rows_;
  Buffer<T> y_;
};

template <class T, class Rows>
class NormalizingLayer : public GraphLayer<T> {
 public:
  explicit NormalizingLayer(const Origin& origin)
      : GraphLayer<T>(origin), columns_(columns_of(origin)), rows_(std::make_shared<Rows>(origin, columns_)) {}

  Shape y_shape(const Shape& x) const override {
    if (x.empty() || x.back() != columns_) misfit(this->name(), "[B, ..., " + std::to_string(columns_) + "]", x);
    return x;
  }
  void forward(const Signal<T>& x, T* y) const override { rows_->run_all(x.data, size_of(x.shape) / columns_, y); }
  void make_steps(Steps<T>& steps, const Shape&) const override {
    steps.layers.push_back(std::make_unique<StepNormalizing<T, Rows>>(rows_, steps.streams, columns_));
  }

 private:
  Index columns_;
  std::shared_ptr<const Rows> rows_;
};

template <class T>
class LayerNormRows {
 public:
  LayerNormRows(const Origin& origin, Index columns) : columns_(columns), epsilon_(epsilon_of(origin.fields)) {
    const bool center = origin.fields.flag("center"), scale = origin.fields.flag("scale");
    if (scale) affine_.factor = read_vector<T>(origin, "gamma", columns);
    if (center) affine_.shift = read_vector<T>(origin, "beta", columns);
  }
  void run(const T* x, Index rows, T* y) const noexcept {
    normalize_rows_alone<T>(x, rows, columns_, epsilon_, y, nullptr);
    affine_columns_alone(y, affine_.affine(), rows, columns_, y);
  }
  void run_all(const T* x, Index rows, T* y) const {
    normalize_rows<T>(x, rows, columns_, epsilon_, y, nullptr);
    affine_columns(y, affine_.affine(), rows, columns_, y);
  }

 private:
  Index columns_;
  double epsilon_;
  Columns<T> affine_;
};

// y = (x - center) * factor + shift by columns.
template <class T>
class AffineRows {
 public:
  explicit AffineRows(Index columns) : columns_(columns) {}
  void run(const T* x, Index rows, T* y) const noexcept {
    affine_columns_alone(x, affine_.affine(), rows, columns_, y);
  }
  void run_all(const T* x, Index rows, T* y) const { affine_columns(x, affine_.affine(), rows, columns_, y); }

 protected:
  Index columns_;
  Columns<T> affine_;
};

template <class T>
class BatchNormRows : public AffineRows<T> {
 public:
  BatchNormRows(const Origin& origin, Index columns) : AffineRows<T>(columns) {
    const double epsilon = epsilon_of(origin.fields);
    origin.fields.number("momentum", 0, std::nextafter(1.0, 2.0));
    const bool center = origin.fields.flag("center"), scale = origin.fields.flag("scale");
    auto& [mean, factor, shift] = this->affine_;
    Buffer<T> gamma;
    if (scale) gamma = read_vector<T>(origin, "gamma", columns);
    if (center) shift = read_vector<T>(origin, "beta", columns);
    mean = read_vector<T>(origin, "moving_mean", columns);
    factor = read_vector<T>(origin, "moving_variance", columns);
    for (Index c = 0; c < columns; ++c) {
      const double inverse = 1 / std::sqrt(static_cast<double>(factor[c]) + epsilon);
      factor[c] = static_cast<T>(scale ? static_cast<double>(gamma[c]) * inverse : inverse);
    }
  }
};

template <class T>
class NormalizationRows : public AffineRows<T> {
 public:
  NormalizationRows(const Origin& origin, Index columns) : AffineRows<T>(columns) {
    const bool invert = origin.fields.flag("invert");
    auto& [center, factor, shift] = this->affine_;
    Buffer<T> mean = read_vector<T>(origin, "mean", columns);
    factor = read_vector<T>(origin, "variance", columns);
    for (Index c = 0; c < columns; ++c) {
      const double deviation = std::max(std::sqrt(static_cast<double>(factor[c])), 1e-7);
      factor[c] = static_cast<T>(invert ? deviation : 1 / deviation);
    }
    (invert ? shift : center) = std::move(mean);
  }
};

}  // namespace

template <class T>
LayerPointer<T> make_normalizing(const std::string& kind, const Origin& origin) {
  if (kind == "LayerNormalization") return std::make_unique<NormalizingLayer<T, LayerNormRows<T>>>(origin);
  if (kind == "BatchNormalization") return std::make_unique<NormalizingLayer<T, BatchNormRows<T>>>(origin);
  return std::make_unique<NormalizingLayer<T, NormalizationRows<T>>>(origin);
}

template LayerPointer<float> make_normalizing(const std::string&, const Origin&);
template LayerPointer<double> make_normalizing(const std::string&, const Origin&);

}  // namespace latchwork
