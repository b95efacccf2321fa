// Flatten, RepeatVector, Reshape, Permute, TimeDistributed: the numbers stay, their axes change.
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

[[noreturn]] void fail_sizes(Fields& fields, const char* field, Index least, const Json& got) {
  fields.fail(field, "1 to " + std::to_string(kMostRank - 1) + " whole numbers from " + std::to_string(least), got);
}

// Whole numbers from `least`, one for each axis of a sample.
Shape read_sizes(Fields& fields, const char* field, Index least) {
  Shape sizes;
  for (const Json& json : fields.array(field)) {
    const auto* const size = std::get_if<std::int64_t>(&json.value);
    if (!size || *size < least) fail_sizes(fields, field, least, json);
    sizes.push_back(*size);
  }
  if (sizes.empty() || sizes.size() > kMostRank - 1)
    fail_sizes(fields, field, least, {static_cast<Index>(sizes.size())});
  return sizes;
}

void refuse_ragged(const std::string& name, bool ragged) {
  if (ragged) throw Error(name + ": x must be an array, got a ragged one");
}

template <class T>
class ReshapeLayer : public GraphLayer<T> {
 public:
  explicit ReshapeLayer(const Origin& origin)
      : GraphLayer<T>(origin), target_(read_sizes(origin.fields, "target_shape", -1)) {
    if (std::count(target_.begin(), target_.end(), -1) > 1 || std::count(target_.begin(), target_.end(), 0) > 0)
      origin.fields.fail("target_shape", "sizes of at least 1, one of them -1 at most", {shape_text(target_)});
  }
  Shape y_shape(const Shape& x) const override {
    Shape y = target_;
    const auto open = std::find(y.begin(), y.end(), -1);
    if (std::count(x.begin(), x.end(), -1) > 0) return y;
    Index known = 1;
    for (const Index size : target_) known = size < 0 ? known : checked_product(known, size);
    const Index all = size_of(x);
    if (open == y.end() ? all != known : all % known != 0)
      misfit(this->name(), "of a size that " + shape_text(target_) + " holds", x);
    if (open != y.end()) *open = all / known;
    return y;
  }
  void forward(const Signal<T>& x, T* y) const override {
    refuse_ragged(this->name(), x.offsets);
    std::copy_n(x.data, size_of(x.shape), y);
  }
  Mask y_mask(const Signal<T>&) const override { return {}; }

 private:
  Shape target_;
};

template <class T>
class PermuteLayer : public GraphLayer<T> {
 public:
  explicit PermuteLayer(const Origin& origin) : GraphLayer<T>(origin), dims_(read_sizes(origin.fields, "dims", 1)) {
    Shape sorted = dims_;
    std::sort(sorted.begin(), sorted.end());
    for (std::size_t i = 0; i < sorted.size(); ++i)
      if (sorted[i] != static_cast<Index>(i) + 1)
        origin.fields.fail("dims", "1 .. n in any order", {shape_text(dims_)});
  }
  Shape y_shape(const Shape& x) const override {
    if (x.size() != dims_.size()) misfit(this->name(), "of " + std::to_string(dims_.size()) + " axes", x);
    Shape y;
    for (const Index axis : dims_) y.push_back(x[static_cast<std::size_t>(axis) - 1]);
    return y;
  }
  void forward(const Signal<T>& x, T* y) const override {
    refuse_ragged(this->name(), x.offsets);
    const Shape sample(x.shape.begin() + 1, x.shape.end());
    const Index size = size_of(sample);
    Shape strides;  // of x, by the axes of y
    for (const Index axis : dims_) strides.push_back(size_of({sample.begin() + axis, sample.end()}));
    const Shape shape = y_shape(sample);
    for (Index row = 0; row < x.shape[0]; ++row)
      for (Index i = 0; i < size; ++i) {
        Index from = 0, rest = i;
        for (std::size_t axis = shape.size(); axis-- > 0; rest /= shape[axis])
          from += rest % shape[axis] * strides[axis];
        y[row * size + i] = x.data[row * size + from];
      }
  }
  Mask y_mask(const Signal<T>&) const override { return {}; }

 private:
  Shape dims_;
};

// A layer on every step: steps become samples.
template <class T>
class TimeDistributedLayer : public GraphLayer<T> {
 public:
  explicit TimeDistributedLayer(const Origin& origin) : GraphLayer<T>(origin) {
    if (origin.x.size() < 2) misfit(origin.fields.where(), "[B, T, ...]", origin.x);
    Fields fields(origin.fields.any("layer"), origin.fields.where() + ": layer");
    const Shape steps = steps_of(origin.x);
    layer_ = make_layer<T>(fields, origin.tensors, origin.path + "/", {&steps, 1});
    this->traits_.scores = layer_->traits().scores;
    if (layer_->traits().stateful) fields.fail("stateful", "false", {true});
  }

  Shape y_shape(const Shape& x) const override {
    if (x.size() < 2) misfit(this->name(), "[B, T, ...]", x);
    Shape y = layer_->y_shape(steps_of(x));
    y.insert(y.begin(), x[0]);
    return y;
  }
  Index last_size(const Shape& x) const override { return layer_->last_size(steps_of(x)); }
  void check(const T* x, Index count) const override { layer_->check(x, count); }

  // A mask of steps passes by; one of sequences within steps reaches the layer.
  void forward(const Signal<T>& x, T* y) const override {
    Signal<T> rows{{x.shape}, x.data};
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
  if (kind == "Reshape") return std::make_unique<ReshapeLayer<T>>(origin);
  if (kind == "Permute") return std::make_unique<PermuteLayer<T>>(origin);
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
