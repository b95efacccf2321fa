// Flatten, RepeatVector, TimeDistributed: the numbers stay, their axes change.
#include <algorithm>
#include <limits>

#include "model/layer.h"
#include "runtime/buffer.h"

namespace latchwork {
namespace {

template <class T>
class FlattenLayer : public GraphLayer<T> {
 public:
  using GraphLayer<T>::GraphLayer;

  Shape y_shape(const Shape& x) const override { return {std::count(x.begin(), x.end(), -1) > 0 ? -1 : size_of(x)}; }
  void forward(const Signal<T>& x, T* y) const override { std::copy_n(x.data, size_of(x.shape), y); }
  Mask y_mask(const Signal<T>&) const override { return {}; }
  void make_steps(Steps<T>& steps, const Shape& x) const override {
    if (x.size() > 1) GraphLayer<T>::make_steps(steps, x);  // throws
  }
};

template <class T>
class RepeatVectorLayer : public GraphLayer<T> {
 public:
  explicit RepeatVectorLayer(const Origin& origin)
      : GraphLayer<T>(origin), n_(origin.fields.whole("n", 1, std::numeric_limits<Index>::max())) {}

  Shape y_shape(const Shape& x) const override {
    if (x.size() != 1) misfit(this->name(), "[B, F]", x);
    return {n_, x[0]};
  }
  void forward(const Signal<T>& x, T* y) const override {
    for (Index row = 0; row < x.shape[0]; ++row)
      for (Index t = 0; t < n_; ++t, y += x.shape[1]) std::copy_n(x.data + row * x.shape[1], x.shape[1], y);
  }
  Mask y_mask(const Signal<T>&) const override { return {}; }

 private:
  Index n_;
};

// A layer on every step: steps become samples.
template <class T>
class TimeDistributedLayer : public GraphLayer<T> {
 public:
  explicit TimeDistributedLayer(const Origin& origin) : GraphLayer<T>(origin) {
    if (origin.x.size() < 2) misfit(origin.fields.where(), "[B, T, ...]", origin.x);
    Fields fields(origin.fields.any("layer"), origin.fields.where() + ": layer");
    layer_ = make_layer<T>(fields, origin.tensors, origin.path + "/", steps_of(origin.x));
    if (layer_->stateful()) fields.fail("stateful", "false", {true});
  }

  Shape y_shape(const Shape& x) const override {
    if (x.size() < 2) misfit(this->name(), "[B, T, ...]", x);
    Shape y = layer_->y_shape(steps_of(x));
    y.insert(y.begin(), x[0]);
    return y;
  }
  Index last_size(const Shape& x) const override { return layer_->last_size(steps_of(x)); }
  void check(const T* x, Index count) const override { layer_->check(x, count); }
  Scores scores() const override { return layer_->scores(); }

  // A mask of steps passes by; one of sequences within steps reaches the layer.
  void forward(const Signal<T>& x, T* y) const override {
    Signal<T> rows{x.data, x.shape};
    const auto joined = [](Shape& shape) {
      shape[1] = checked_product(shape[0], shape[1]);
      shape.erase(shape.begin());
    };
    if (!x.offsets) joined(rows.shape);
    if (x.mask.shape.size() > 2) {
      rows.mask = x.mask;
      joined(rows.mask.shape);
    }
    layer_->forward(rows, y);
  }

  void make_steps(Steps<T>& steps, const Shape& x) const override {
    if (x.size() != 2 || layer_->y_shape({x[1]}).size() != 1) GraphLayer<T>::make_steps(steps, x);  // throws
    layer_->make_steps(steps, {x[1]});
  }

 private:
  static Shape steps_of(const Shape& x) { return {x.begin() + 1, x.end()}; }

  LayerPointer<T> layer_;
};

}  // namespace

template <class T>
LayerPointer<T> make_reshaping(const std::string& kind, const Origin& origin) {
  if (kind == "Flatten") return std::make_unique<FlattenLayer<T>>(origin);
  return std::make_unique<RepeatVectorLayer<T>>(origin);
}

template <class T>
LayerPointer<T> make_time_distributed(const Origin& origin) {
  return std::make_unique<TimeDistributedLayer<T>>(origin);
}

#define LATCHWORK_INSTANTIATE(T)                                              \
  template LayerPointer<T> make_reshaping(const std::string&, const Origin&); \
  template LayerPointer<T> make_time_distributed(const Origin&);
LATCHWORK_INSTANTIATE(float)
LATCHWORK_INSTANTIATE(double)
#undef LATCHWORK_INSTANTIATE

}  // namespace latchwork
