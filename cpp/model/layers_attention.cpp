// Attention, AdditiveAttention, MultiHeadAttention: what queries find among keys, read from values.
#include <algorithm>
#include <cmath>
#include <memory>

#include "cpu/float_env.h"
#include "layers/attention.h"
#include "model/layers_recurrent.h"

namespace latchwork {
namespace {

constexpr Index kMostWidth = Index(1) << 31;

// What the three read alike: x are [query, value] or [query, value, key]; without a key the value is the key.
struct Asking {
  bool causal = false, scores = false;

  static Asking read(Fields& fields) {
    fields.number("dropout", 0, 1);
    fields.seed("seed");
    return {fields.flag("use_causal_mask"), fields.flag("return_attention_scores")};
  }
};

// [T, F] of query, value and key; else an Error.
void check_three(const std::string& name, const std::vector<Shape>& x) {
  bool fit = x.size() == 2 || x.size() == 3;
  for (const Shape& each : x) fit &= each.size() == 2 && each[1] >= 1;
  if (fit && x[1][0] >= 0 && x.back()[0] >= 0) fit = x[1][0] == x.back()[0];
  if (fit) return;
  std::string got;
  for (const Shape& each : x) got += shape_text(each);
  throw Error(name + ": x must be query [T, F], value [Tv, D] and perhaps key [Tv, F], got samples of " + got);
}

void check_features(const std::string& name, const char* part, const Shape& x, Index expected) {
  if (x[1] != expected) misfit(name + ": " + part, "[B, T, " + std::to_string(expected) + "]", x);
}

// Where the sequences of an array begin.
std::vector<Index> offsets_of(const Form& x) {
  if (x.offsets) return *x.offsets;
  std::vector<Index> offsets;
  for (Index b = 0; b <= x.shape[0]; ++b) offsets.push_back(b * x.shape[1]);
  return offsets;
}

Index longest_of(const std::vector<Index>& offsets) {
  Index longest = 0;
  for (std::size_t b = 0; b + 1 < offsets.size(); ++b) longest = std::max(longest, offsets[b + 1] - offsets[b]);
  return longest;
}

Index rows_of(const Form& x) { return size_of({x.shape.begin(), x.shape.end() - 1}); }

// The sequences of query, value and key, and their real steps.
class Places {
 public:
  Places(const std::string& name, const Form& query, const Form& value, const Form& key, const Asking& asking)
      : query_(offsets_of(query)), value_(offsets_of(value)) {
    for (const Form* const each : {&query, &value, &key})
      if (each->mask && each->mask.shape != Shape(each->shape.begin(), each->shape.end() - 1))
        throw Error(name + ": a mask must be " + shape_text({each->shape.begin(), each->shape.end() - 1}) + ", got " +
                    shape_text(each->mask.shape));
    const bool* value_real = value.mask ? value.mask.real.get() : key.mask.real.get();
    if (value.mask && key.mask && value.mask.real != key.mask.real) {
      const Index rows = rows_of(value);
      both_ = std::make_unique_for_overwrite<bool[]>(static_cast<std::size_t>(rows));
      for (Index i = 0; i < rows; ++i) both_[i] = value.mask.real[i] && key.mask.real[i];
      value_real = both_.get();
    }
    places_ = {query_, value_, query.mask.real.get(), value_real, asking.causal};
    places_.most_queries = longest_of(query_), places_.most_values = longest_of(value_);
  }
  Places(const Places&) = delete;

  AttentionPlaces of(Index heads, Index key_size, Index value_size) const {
    AttentionPlaces places = places_;
    places.heads = heads, places.key_size = key_size, places.value_size = value_size;
    return places;
  }

 private:
  std::vector<Index> query_, value_;
  std::unique_ptr<bool[]> both_;
  AttentionPlaces places_;
};

// y = x * factor with the rounding of numpy, which keeps subnormal numbers. y may be x.
template <class T>
void scale(const T* x, Index count, T factor, T* y) {
  const FloatScope usual = FloatScope::initial();
  for (Index i = 0; i < count; ++i) y[i] = x[i] * factor;
}

template <class T>
Buffer<T> read_tensor(const Origin& origin, const char* key, const Shape& shape) {
  const std::string name = origin.path + "/" + key;
  origin.tensors.check<T>(name, shape);
  Buffer<T> values(size_of(shape));
  origin.tensors.read(name, std::span(values.data(), static_cast<std::size_t>(values.size())));
  return values;
}

template <class T>
class AttendingLayer : public GraphLayer<T> {
 public:
  explicit AttendingLayer(const Origin& origin)
      : GraphLayer<T>(origin, {.many_inputs = true}), asking_(Asking::read(origin.fields)) {}

  Mask mask_of(const std::vector<Signal<T>>& x) const override { return x[0].mask; }

  void make_steps(Steps<T>&, const Shape&) const override {
    throw Error(this->name() + ": cannot step: its queries read all steps of the values at once");
  }

 protected:
  std::vector<Shape> shapes(const std::vector<Shape>& x, Index features, const Shape& heads) const {
    std::vector<Shape> made{{x[0][0], features}};
    if (!asking_.scores) return made;
    made.push_back(heads);
    made.back().insert(made.back().end(), {x[0][0], x[1][0]});
    return made;
  }

  Asking asking_;
};

// Attention and AdditiveAttention: one head on what it is given.
template <class T>
class PlainAttention : public AttendingLayer<T> {
 public:
  PlainAttention(bool additive, const Origin& origin)
      : AttendingLayer<T>(origin), scaled_(origin.fields.flag("use_scale")), additive_(additive) {
    if (additive) {
      check_three(this->name(), {origin.x, origin.x});
      if (scaled_) vector_ = read_tensor<T>(origin, "scale", {origin.x[1]});
      return;
    }
    const std::string& mode = origin.fields.text("score_mode");
    if (mode != "dot" && mode != "concat") origin.fields.fail("score_mode", "one of dot, concat", {mode});
    concat_ = mode == "concat";
    if (scaled_) factor_ = read_tensor<T>(origin, "scale", {})[0];
    if (concat_) weight_ = read_tensor<T>(origin, "concat_score_weight", {})[0];
  }

  std::vector<Shape> y_shapes(const std::vector<Shape>& x) const override {
    check_three(this->name(), x);
    check_features(this->name(), "key", x.back(), x[0][1]);
    if (vector_.size() > 0) check_features(this->name(), "query", x[0], vector_.size());
    return this->shapes(x, x[1][1], {});
  }

  void run(const Call<T>& call) const override {
    const Signal<T>&query = call.x[0], &value = call.x[1], &key = call.x.back();
    const Index features = query.shape.back();
    const T *queries = query.data, *keys = key.data;
    Buffer<T> scaled_query, scaled_key, vector;
    if (scaled_ && !additive_) {  // scale * sum(q * k) = sum((scale * q) * k); tanh(scale * (q + k)) has both scaled
      queries = scaled(query, scaled_query);
      if (concat_) keys = scaled(key, scaled_key);
    }
    const T* of_scores = vector_.size() > 0 ? vector_.data() : nullptr;
    if (!of_scores && (additive_ || concat_)) {
      vector = Buffer<T>(features);
      std::fill_n(vector.data(), features, weight_);
      of_scores = vector.data();
    }
    const Places places(this->name(), query, value, key, this->asking_);
    attend<T>(places.of(1, features, value.shape.back()), {queries, keys, value.data, nullptr, of_scores}, call.y[0],
              this->asking_.scores ? call.y[1] : nullptr);
  }

 private:
  const T* scaled(const Signal<T>& x, Buffer<T>& room) const {
    room = Buffer<T>(size_of(x.shape));
    scale(x.data, room.size(), factor_, room.data());
    return room.data();
  }

  bool scaled_, additive_, concat_ = false;
  T factor_ = 1, weight_ = 1;  // weight_: of each feature in additive scores that have no vector
  Buffer<T> vector_;
};

template <class T>
class MultiHeadLayer : public AttendingLayer<T> {
 public:
  explicit MultiHeadLayer(const Origin& origin)
      : AttendingLayer<T>(origin),
        heads_(origin.fields.whole("num_heads", 1, kMostWidth)),
        key_size_(origin.fields.whole("key_dim", 1, kMostWidth)),
        value_size_(origin.fields.whole("value_dim", 1, kMostWidth)) {
    std::vector<Shape> x{origin.x};
    x.insert(x.end(), origin.others.begin(), origin.others.end());
    check_three(this->name(), x);
    const Json& out = origin.fields.any("output_shape");
    const Index outputs = std::holds_alternative<std::nullptr_t>(out.value)
                              ? x[0][1]
                              : origin.fields.whole("output_shape", 1, kMostWidth);
    const bool bias = origin.fields.flag("use_bias");
    const auto part = [&](const char* name, Index input, const Shape& kernel, const Shape& of_bias) {
      return std::make_unique<ModelCell<T>>(origin.path + "/" + name, origin.tensors, input, kernel,
                                            bias ? of_bias : Shape{});
    };
    const Shape keys{heads_, key_size_}, values{heads_, value_size_};
    query_ = part("query", x[0][1], {x[0][1], heads_, key_size_}, keys);
    key_ = part("key", x.back()[1], {x.back()[1], heads_, key_size_}, keys);
    value_ = part("value", x[1][1], {x[1][1], heads_, value_size_}, values);
    output_ = part("attention_output", checked_product(heads_, value_size_), {heads_, value_size_, outputs}, {outputs});
  }

  std::vector<Shape> y_shapes(const std::vector<Shape>& x) const override {
    check_three(this->name(), x);
    check_features(this->name(), "query", x[0], query_->features());
    check_features(this->name(), "value", x[1], value_->features());
    check_features(this->name(), "key", x.back(), key_->features());
    return this->shapes(x, output_->units(), {heads_});
  }

  void run(const Call<T>& call) const override {
    const Signal<T>&query = call.x[0], &value = call.x[1], &key = call.x.back();
    Buffer<T> queries = product(*query_, query, query.data);
    const Buffer<T> keys = product(*key_, key, key.data), values = product(*value_, value, value.data);
    scale(queries.data(), queries.size(), static_cast<T>(1 / std::sqrt(static_cast<double>(key_size_))),
          queries.data());
    const Places places(this->name(), query, value, key, this->asking_);
    Buffer<T> sums(checked_product(rows_of(query), output_->features()));
    attend<T>(places.of(heads_, key_size_, value_size_), {queries.data(), keys.data(), values.data(), nullptr, nullptr},
              sums.data(), this->asking_.scores ? call.y[1] : nullptr);
    multiply(*output_, query, sums.data(), call.y[0]);
    for (Index row = 0, rows = rows_of(query); query.mask && row < rows; ++row)
      if (!query.mask.real[row]) std::fill_n(call.y[0] + row * output_->units(), output_->units(), T(0));
  }

 private:
  // y = the product of the rows of `data`, which lie as x.
  static void multiply(const ModelCell<T>& cell, const Form& x, const T* data, T* y) {
    const CellRun<T> run{&cell, {{{x.shape[0], x.offsets ? 1 : x.shape[1], cell.features()}}, data}, {}, y};
    run_cells<T>({&run, 1});
  }
  static Buffer<T> product(const ModelCell<T>& cell, const Form& x, const T* data) {
    Buffer<T> y(checked_product(rows_of(x), cell.units()));
    multiply(cell, x, data, y.data());
    return y;
  }

  Index heads_, key_size_, value_size_;
  CellPointer<T> query_, key_, value_, output_;
};

}  // namespace

template <class T>
LayerPointer<T> make_attention(const std::string& kind, const Origin& origin) {
  if (kind == "MultiHeadAttention") return std::make_unique<MultiHeadLayer<T>>(origin);
  return std::make_unique<PlainAttention<T>>(kind == "AdditiveAttention", origin);
}

template LayerPointer<float> make_attention(const std::string&, const Origin&);
template LayerPointer<double> make_attention(const std::string&, const Origin&);

}  // namespace latchwork
