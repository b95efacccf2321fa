// Masking and Embedding: the layers that say which steps are real.
#include <algorithm>
#include <bit>
#include <limits>

#include "layers/embedding.h"
#include "model/layer.h"
#include "runtime/buffer.h"

namespace latchwork {
namespace {

// a == b whatever the processor does with subnormal numbers; NaN equals NaN here.
template <class T>
bool equal(T a, T b) noexcept {
  using Bits = std::conditional_t<sizeof(T) == 8, std::uint64_t, std::uint32_t>;
  constexpr Bits kSign = Bits(1) << (sizeof(T) * 8 - 1),
                 kInfinity = std::bit_cast<Bits>(std::numeric_limits<T>::infinity());
  const Bits u = std::bit_cast<Bits>(a), v = std::bit_cast<Bits>(b);
  const Bits u_size = u & ~kSign, v_size = v & ~kSign;
  return u == v || (u_size == 0 && v_size == 0) || (u_size > kInfinity && v_size > kInfinity);
}

// real[row]: whether a row has a number other than `value`.
template <class T>
void find_real(const T* x, Index rows, Index features, T value, bool* real) noexcept {
  for (Index row = 0; row < rows; ++row, x += features)
    real[row] = !std::all_of(x, x + features, [value](T v) { return equal(v, value); });
}

// As Python: with a value of zero there is nothing to do, and -0 stays.
template <class T>
void zero_masked(const bool* real, Index rows, Index features, T value, T* y) noexcept {
  if (equal(value, T(0))) return;
  for (Index row = 0; row < rows; ++row)
    if (!real[row]) std::fill_n(y + row * features, features, T(0));
}

template <class T>
class StepMasking : public StepLayer<T> {
 public:
  StepMasking(T value, Index rows, Index features)
      : value_(value), features_(features), real_(rows), y_(checked_product(rows, features)) {}
  void step(StepSignal<T>& s) noexcept override {
    find_real(s.x, real_.size(), features_, value_, real_.data());
    for (Index row = 0; s.real && row < real_.size(); ++row) real_[row] &= s.real[row];
    std::copy_n(s.x, y_.size(), y_.data());
    zero_masked(real_.data(), real_.size(), features_, value_, y_.data());
    s = {y_.data(), real_.data()};
  }

 private:
  T value_;
  Index features_;
  Buffer<bool> real_;
  Buffer<T> y_;
};

template <class T>
class MaskingLayer : public GraphLayer<T> {
 public:
  explicit MaskingLayer(const Origin& origin)
      : GraphLayer<T>(origin), value_(static_cast<T>(origin.fields.any_number("mask_value"))) {}

  Shape y_shape(const Shape& x) const override {
    if (x.size() != 2) misfit(this->name(), "[B, T, F]", x);
    return x;
  }
  void forward(const Signal<T>& x, T* y) const override {
    const Mask mask = y_mask(x);
    std::copy_n(x.data, size_of(x.shape), y);
    zero_masked(mask.real.get(), size_of(mask.shape), x.shape.back(), value_, y);
  }
  Mask y_mask(const Signal<T>& x) const override {
    const Shape steps(x.shape.begin(), x.shape.end() - 1);
    const Index rows = size_of(steps);
    const auto real = std::make_shared_for_overwrite<bool[]>(static_cast<std::size_t>(rows));
    find_real(x.data, rows, x.shape.back(), value_, real.get());
    return {steps, real};
  }
  void make_steps(Steps<T>& steps, const Shape& x) const override {
    steps.layers.push_back(std::make_unique<StepMasking<T>>(value_, steps.streams, x.back()));
  }

 private:
  T value_;
};

// What an Embedding and its steps share.
template <class T>
struct Table {
  Index rows, width;
  bool mask_zero;
  Buffer<T> values;

  bool has(T number) const noexcept { return is_number_below(number, rows); }
};

template <class T>
class StepEmbedding : public StepLayer<T> {
 public:
  StepEmbedding(std::shared_ptr<const Table<T>> table, Index rows)
      : table_(std::move(table)), real_(rows), y_(checked_product(rows, table_->width)) {}
  void step(StepSignal<T>& s) noexcept override {
    const Index rows = real_.size();
    for (Index row = 0; row < rows; ++row) {
      const auto number = static_cast<Index>(s.x[row]);
      std::copy_n(table_->values.data() + number * table_->width, table_->width, y_.data() + row * table_->width);
      real_[row] = number != 0 && (!s.real || s.real[row]);
    }
    s = {y_.data(), table_->mask_zero ? real_.data() : s.real};
  }

 private:
  std::shared_ptr<const Table<T>> table_;
  Buffer<bool> real_;
  Buffer<T> y_;
};

template <class T>
class EmbeddingLayer : public GraphLayer<T> {
 public:
  explicit EmbeddingLayer(const Origin& origin) : GraphLayer<T>(origin) {
    // Numbers come as T: beyond these it has gaps.
    const Index rows = origin.fields.whole("input_dim", 1, Index(1) << std::numeric_limits<T>::digits);
    const Index width = origin.fields.whole("output_dim", 1, std::numeric_limits<Index>::max());
    const std::string tensor = origin.path + "/embeddings";
    origin.tensors.check<T>(tensor, {rows, width});
    Buffer<T> values(checked_product(rows, width));
    origin.tensors.read(tensor, std::span(values.data(), static_cast<std::size_t>(values.size())));
    table_ = std::make_shared<Table<T>>(Table<T>{rows, width, origin.fields.flag("mask_zero"), std::move(values)});
  }

  Shape y_shape(const Shape& x) const override {
    Shape y = x;
    if (x.size() > 1 && x.back() == 1) y.pop_back();
    y.push_back(table_->width);
    return y;
  }
  Index last_size(const Shape& x) const override { return x.size() == 1 ? -1 : x.back(); }

  void check(const T* x, Index count) const override {
    const T* const bad = std::find_if(x, x + count, [&](T number) { return !table_->has(number); });
    if (bad != x + count)
      throw Error(this->name() + ": x must hold whole numbers in [0, " + std::to_string(table_->rows) + "), got " +
                  std::to_string(*bad));
  }
  void forward(const Signal<T>& x, T* y) const override {
    const Index count = size_of(x.shape);
    check(x.data, count);
    Buffer<Index> numbers(count);
    std::transform(x.data, x.data + count, numbers.data(), [](T number) { return static_cast<Index>(number); });
    gather_rows(table_->values.data(), table_->width, numbers.data(), count, y);
  }
  Mask y_mask(const Signal<T>& x) const override {
    if (!table_->mask_zero) return {};
    Shape steps = x.shape;
    if ((x.offsets || steps.size() > 2) && steps.back() == 1) steps.pop_back();
    const Index count = size_of(steps);
    const auto real = std::make_shared_for_overwrite<bool[]>(static_cast<std::size_t>(count));
    std::transform(x.data, x.data + count, real.get(), [](T number) { return number != T(0); });
    return {steps, real};
  }
  void make_steps(Steps<T>& steps, const Shape& x) const override {
    if (steps.source < 0 || x.size() > 2 || (x.size() == 2 && x[1] != 1)) GraphLayer<T>::make_steps(steps, x);
    auto& input = steps.inputs[static_cast<std::size_t>(steps.source)];
    input.numbers = input.numbers > 0 ? std::min(input.numbers, table_->rows) : table_->rows;
    ++input.embeddings;
    steps.layers.push_back(std::make_unique<StepEmbedding<T>>(table_, steps.streams));
  }

 private:
  std::shared_ptr<const Table<T>> table_;
};

}  // namespace

template <class T>
LayerPointer<T> make_masking(const Origin& origin) {
  return std::make_unique<MaskingLayer<T>>(origin);
}

template <class T>
LayerPointer<T> make_embedding(const Origin& origin) {
  return std::make_unique<EmbeddingLayer<T>>(origin);
}

#define LATCHWORK_INSTANTIATE(T)                        \
  template LayerPointer<T> make_masking(const Origin&); \
  template LayerPointer<T> make_embedding(const Origin&);
LATCHWORK_INSTANTIATE(float)
LATCHWORK_INSTANTIATE(double)
#undef LATCHWORK_INSTANTIATE

}  // namespace latchwork
