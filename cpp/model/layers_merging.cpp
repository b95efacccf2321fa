// Layers of several inputs: Concatenate, Add, Subtract, Multiply, Average, Maximum, Minimum, Dot.
#include <algorithm>
#include <iterator>

#include "cpu/float_env.h"
#include "model/layer.h"
#include "runtime/buffer.h"

namespace latchwork {
namespace {

[[noreturn]] void fail(const AnyLayer& layer, const std::string& expected, const std::vector<Shape>& x) {
  std::string shapes;
  for (const Shape& each : x) shapes += (shapes.empty() ? "" : ", ") + shape_text(each);
  throw Error(layer.name() + ": x must be " + expected + ", got samples of " + shapes);
}

void check_count(const AnyLayer& layer, const std::vector<Shape>& x, bool pair) {
  if (x.size() < 2 || (pair && x.size() > 2)) fail(layer, pair ? "two arrays" : "two or more arrays", x);
}

// One shape for all, axis `except` aside (-1: there is none); what is -1 in some is what it is in the others.
Shape common(const AnyLayer& layer, const std::vector<Shape>& x, Index except) {
  Shape y = x[0];
  for (const Shape& each : x) {
    if (each.size() != y.size()) fail(layer, "arrays of as many axes", x);
    for (std::size_t axis = 0; axis < y.size(); ++axis) {
      if (static_cast<Index>(axis) == except) continue;
      if (y[axis] < 0) y[axis] = each[axis];
      if (each[axis] >= 0 && each[axis] != y[axis])
        fail(layer, except < 0 ? "arrays of one shape" : "arrays of one shape but for the axis", x);
    }
  }
  return y;
}

// The axis of a file, counted with the batch's, as one of a sample's; out of range where there is none.
Index place_in(const Shape& sample, Index axis) {
  return axis > 0 ? axis - 1 : static_cast<Index>(sample.size()) + axis;
}
bool has(const Shape& sample, Index place) { return place >= 0 && place < static_cast<Index>(sample.size()); }

Shape concatenated(const AnyLayer& layer, const std::vector<Shape>& x, Index axis) {
  check_count(layer, x, false);
  const Index place = place_in(x[0], axis);
  if (!has(x[0], place)) fail(layer, "arrays that have axis " + std::to_string(axis), x);
  Shape y = common(layer, x, place);
  Index& along = y[static_cast<std::size_t>(place)];
  along = 0;
  for (const Shape& each : x) {
    const Index size = each[static_cast<std::size_t>(place)];
    if (size < 0 || along < 0)
      along = -1;
    else if (__builtin_add_overflow(along, size, &along))
      fail(layer, "arrays of fewer numbers", x);
  }
  return y;
}

Shape multiplied(const AnyLayer& layer, const std::vector<Shape>& x, const Index* axes) {
  check_count(layer, x, true);
  Shape y;
  Index sizes[2];
  for (std::size_t i = 0; i < 2; ++i) {
    const Index place = place_in(x[i], axes[i]);
    if (x[i].size() > 2 || !has(x[i], place)) fail(layer, "[B, F] or [B, T, F] with the axes", x);
    sizes[i] = x[i][static_cast<std::size_t>(place)];
    if (x[i].size() == 2) y.push_back(x[i][static_cast<std::size_t>(1 - place)]);
  }
  if (sizes[0] >= 0 && sizes[1] >= 0 && sizes[0] != sizes[1]) fail(layer, "of one size along the axes", x);
  if (y.empty()) y.push_back(1);
  return y;
}

// Real where any input is; none unless all have one.
Mask any_mask(const AnyLayer& layer, const std::vector<Form>& x) {
  for (const Form& each : x) {
    if (!each.mask) return {};
    if (each.mask.shape != x[0].mask.shape) throw Error(layer.name() + ": masks must be of one shape");
  }
  const Index size = size_of(x[0].mask.shape);
  const auto real = std::make_shared<bool[]>(static_cast<std::size_t>(size));
  for (const Form& each : x)
    for (Index i = 0; i < size; ++i) real[i] |= each.mask.real[i];
  return {x[0].mask.shape, real};
}

// A step is real where it is in any input; an input without a mask is real throughout. place: the axis, in [B, ...].
Mask concatenated_mask(const AnyLayer& layer, const std::vector<Form>& x, std::size_t place) {
  if (std::none_of(x.begin(), x.end(), [](const Form& each) { return bool(each.mask); })) return {};
  Shape steps(x[0].shape.begin(), x[0].shape.end() - 1);
  const bool behind = place < steps.size();  // so are the masks, then; else they lie on each other
  if (behind) steps[place] = 0;
  for (const Form& each : x)
    if (behind) steps[place] += each.shape[place];
  const Index tail = behind ? size_of({steps.begin() + static_cast<Index>(place) + 1, steps.end()}) : 1;
  const auto real = std::make_shared<bool[]>(static_cast<std::size_t>(size_of(steps)));
  Shape own = steps;
  Index begin = 0;
  for (const Form& each : x) {
    if (behind) own[place] = each.shape[place];
    const Shape& masked = each.mask.shape;
    if (masked.size() > own.size() || !std::equal(masked.begin(), masked.end(), own.begin()))
      throw Error(layer.name() + ": a mask must be " + shape_text(own) + ", got " + shape_text(masked));
    const Index repeated = size_of({own.begin() + static_cast<Index>(masked.size()), own.end()});
    const Index inner = behind ? own[place] * tail : 1, whole = behind ? steps[place] * tail : 1;
    for (Index i = 0, count = size_of(own); i < count; ++i)
      real[i / inner * whole + begin + i % inner] |= !each.mask || each.mask.real[i / repeated];
    if (behind) begin += inner;
  }
  return {steps, real};
}

template <class T>
std::vector<Form> forms_of(const std::vector<Signal<T>>& x) {
  return {x.begin(), x.end()};
}

enum class Operation { add, subtract, multiply, average, maximum, minimum };
constexpr const char* kOperations[] = {"Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum"};

template <class T>
T merged(Operation operation, T y, T x) noexcept {
  switch (operation) {
    case Operation::subtract:
      return y - x;
    case Operation::multiply:
      return y * x;
    case Operation::maximum:
      return x > y || (x != x && y == y) ? x : y;
    case Operation::minimum:
      return x < y || (x != x && y == y) ? x : y;
    default:
      return y + x;
  }
}

// y = x(0) merged with x(1) and so on up to `count`. As Python's, this keeps subnormal numbers: numpy does it there.
template <class T, class F>
void merge_all(Operation operation, std::size_t count, F x, Index size, T* y) noexcept {
  const FloatScope usual = FloatScope::initial();
  std::copy_n(x(0), size, y);
  for (std::size_t i = 1; i < count; ++i)
    for (Index e = 0; e < size; ++e) y[e] = merged(operation, y[e], x(i)[e]);
  if (operation != Operation::average) return;
  const T by = static_cast<T>(count);
  for (Index e = 0; e < size; ++e) y[e] /= by;
}

// A chain from zero, products rounded.
template <class T>
T chain(const T* p, Index p_step, const T* q, Index q_step, Index size) noexcept {
  T sum = 0;
  for (Index k = 0; k < size; ++k) sum += p[k * p_step] * q[k * q_step];
  return sum;
}

// One step of several signals as one. Real where any is: without `real` all streams are.
template <class T>
class StepMerging : public StepLayer<T> {
 public:
  StepMerging(std::vector<const StepSignal<T>*> read, Index rows, Index columns)
      : read_(std::move(read)), columns_(columns), real_(rows), y_(checked_product(rows, columns)) {}
  void step(StepSignal<T>& s) noexcept override {
    fill(y_.data());
    s = {y_.data(), real_.data()};
    std::fill_n(real_.data(), real_.size(), false);
    for (const StepSignal<T>* const each : read_) {
      if (!each->real) s.real = nullptr;
      for (Index row = 0; each->real && row < real_.size(); ++row) real_[row] |= each->real[row];
    }
  }

 protected:
  virtual void fill(T* y) noexcept = 0;
  Index rows() const noexcept { return real_.size(); }

  std::vector<const StepSignal<T>*> read_;
  Index columns_;

 private:
  Buffer<bool> real_;
  Buffer<T> y_;
};

template <class T>
class StepElementwise : public StepMerging<T> {
 public:
  StepElementwise(Operation operation, std::vector<const StepSignal<T>*> read, Index rows, Index columns)
      : StepMerging<T>(std::move(read), rows, columns), operation_(operation) {}

 private:
  void fill(T* y) noexcept override {
    const auto x = [this](std::size_t i) { return this->read_[i]->x; };
    merge_all(operation_, this->read_.size(), x, this->rows() * this->columns_, y);
  }

  Operation operation_;
};

template <class T>
class StepConcatenate : public StepMerging<T> {
 public:
  StepConcatenate(std::vector<Index> sizes, std::vector<const StepSignal<T>*> read, Index rows, Index columns)
      : StepMerging<T>(std::move(read), rows, columns), sizes_(std::move(sizes)) {}

 private:
  void fill(T* y) noexcept override {
    for (Index row = 0; row < this->rows(); ++row)
      for (std::size_t i = 0; i < sizes_.size(); ++i)
        y = std::copy_n(this->read_[i]->x + row * sizes_[i], sizes_[i], y);
  }

  std::vector<Index> sizes_;
};

template <class T>
class StepDot : public StepMerging<T> {
 public:
  StepDot(Index size, std::vector<const StepSignal<T>*> read, Index rows)
      : StepMerging<T>(std::move(read), rows, 1), size_(size) {}

 private:
  void fill(T* y) noexcept override {
    const FloatScope usual = FloatScope::initial();
    for (Index row = 0; row < this->rows(); ++row)
      y[row] = chain(this->read_[0]->x + row * size_, 1, this->read_[1]->x + row * size_, 1, size_);
  }

  Index size_;
};

template <class T>
class ElementwiseLayer : public GraphLayer<T> {
 public:
  ElementwiseLayer(Operation operation, const Origin& origin)
      : GraphLayer<T>(origin, {.many_inputs = true}), operation_(operation) {}

  std::vector<Shape> y_shapes(const std::vector<Shape>& x) const override {
    check_count(*this, x, operation_ == Operation::subtract);
    return {common(*this, x, -1)};
  }
  void run(const Call<T>& call) const override {
    const auto x = [&call](std::size_t i) { return call.x[i].data; };
    merge_all(operation_, call.x.size(), x, size_of(call.x[0].shape), call.y[0]);
  }
  void make_all_steps(Steps<T>& steps, const std::vector<Shape>& x,
                      const std::vector<const StepSignal<T>*>& read) const override {
    steps.layers.push_back(std::make_unique<StepElementwise<T>>(operation_, read, steps.streams, x[0].back()));
  }
  Mask mask_of(const std::vector<Signal<T>>& x) const override { return any_mask(*this, forms_of(x)); }

 private:
  Operation operation_;
};

// An axis as the file counts it, with the batch's; never that one.
Index read_axis(Fields& fields, const char* field, const Json& json) {
  const auto* const axis = std::get_if<std::int64_t>(&json.value);
  const Index most = kMostRank;
  if (!axis || *axis == 0 || *axis < -most || *axis > most)
    fields.fail(field, "an axis other than 0, the batch's", json);
  return *axis;
}

template <class T>
class ConcatenateLayer : public GraphLayer<T> {
 public:
  explicit ConcatenateLayer(const Origin& origin)
      : GraphLayer<T>(origin, {.many_inputs = true}),
        axis_(read_axis(origin.fields, "axis", origin.fields.any("axis"))) {
    this->traits_.takes_ragged = axis_ == -1 || axis_ == 2;
  }

  std::vector<Shape> y_shapes(const std::vector<Shape>& x) const override { return {concatenated(*this, x, axis_)}; }
  void run(const Call<T>& call) const override {
    const std::size_t place = place_of(call.x[0].shape);
    const Index outer = size_of({call.x[0].shape.begin(), call.x[0].shape.begin() + static_cast<Index>(place)});
    T* y = call.y[0];
    for (Index row = 0; row < outer; ++row)
      for (const Signal<T>& each : call.x) {
        const Index size = size_of({each.shape.begin() + static_cast<Index>(place), each.shape.end()});
        y = std::copy_n(each.data + row * size, size, y);
      }
  }
  Mask mask_of(const std::vector<Signal<T>>& x) const override {
    return concatenated_mask(*this, forms_of(x), place_of(x[0].shape));
  }
  void make_all_steps(Steps<T>& steps, const std::vector<Shape>& x,
                      const std::vector<const StepSignal<T>*>& read) const override {
    if (place_in(x[0], axis_) + 1 != static_cast<Index>(x[0].size())) this->make_steps(steps, x[0]);  // throws
    std::vector<Index> sizes;
    for (const Shape& each : x) sizes.push_back(each.back());
    const Index columns = concatenated(*this, x, axis_).back();
    steps.layers.push_back(std::make_unique<StepConcatenate<T>>(std::move(sizes), read, steps.streams, columns));
  }

 private:
  // The axis in [B, ...] or, ragged, [N, F].
  std::size_t place_of(const Shape& x) const {
    const Index rank = static_cast<Index>(x.size());
    return static_cast<std::size_t>(axis_ > 0 ? std::min(axis_, rank - 1) : rank + axis_);
  }

  Index axis_;
};

// [rows, size] within a sample: the axis that is summed over, and the other one, if there is one.
struct Rows {
  Index rows, size, row_step, step;
};

template <class T>
class DotLayer : public GraphLayer<T> {
 public:
  explicit DotLayer(const Origin& origin) : GraphLayer<T>(origin, {.many_inputs = true, .takes_ragged = false}) {
    const JsonArray& axes = origin.fields.array("axes");
    if (axes.size() != 2) origin.fields.fail("axes", "two axes", {axes});
    for (std::size_t i = 0; i < 2; ++i) axes_[i] = read_axis(origin.fields, "axes", axes[i]);
    if (origin.fields.flag("normalize")) origin.fields.fail("normalize", "false", {true});
  }

  std::vector<Shape> y_shapes(const std::vector<Shape>& x) const override { return {multiplied(*this, x, axes_)}; }
  void run(const Call<T>& call) const override {
    const FloatScope usual = FloatScope::initial();
    const Rows a = rows_of(call.x[0].shape, axes_[0]), b = rows_of(call.x[1].shape, axes_[1]);
    T* y = call.y[0];
    for (Index sample = 0; sample < call.x[0].shape[0]; ++sample)
      for (Index i = 0; i < a.rows; ++i)
        for (Index j = 0; j < b.rows; ++j) {
          const T *p = call.x[0].data + sample * a.rows * a.size + i * a.row_step,
                  *q = call.x[1].data + sample * b.rows * b.size + j * b.row_step;
          *y++ = chain(p, a.step, q, b.step, a.size);
        }
  }
  Mask mask_of(const std::vector<Signal<T>>&) const override { return {}; }
  void make_all_steps(Steps<T>& steps, const std::vector<Shape>& x,
                      const std::vector<const StepSignal<T>*>& read) const override {
    if (x[0].size() > 1 || x[1].size() > 1) this->make_steps(steps, x[0]);  // throws
    steps.layers.push_back(std::make_unique<StepDot<T>>(x[0][0], read, steps.streams));
  }

 private:
  static Rows rows_of(const Shape& x, Index axis) {
    if (x.size() == 2) return {1, x[1], 0, 1};
    return axis == 1 || axis == -2 ? Rows{x[2], x[1], 1, x[2]} : Rows{x[1], x[2], x[2], 1};
  }

  Index axes_[2];
};

}  // namespace

template <class T>
LayerPointer<T> make_merging(const std::string& kind, const Origin& origin) {
  if (kind == "Concatenate") return std::make_unique<ConcatenateLayer<T>>(origin);
  if (kind == "Dot") return std::make_unique<DotLayer<T>>(origin);
  const auto* const found = std::find(std::begin(kOperations), std::end(kOperations), kind);
  return std::make_unique<ElementwiseLayer<T>>(static_cast<Operation>(found - std::begin(kOperations)), origin);
}

template LayerPointer<float> make_merging(const std::string&, const Origin&);
template LayerPointer<double> make_merging(const std::string&, const Origin&);

}  // namespace latchwork
