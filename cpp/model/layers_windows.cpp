// Conv1D and the pools: layers that read windows of steps.
#include <algorithm>
#include <limits>

#include "layers/statistics.h"
#include "layers/windows.h"
#include "model/layers_recurrent.h"

namespace latchwork {
namespace {

constexpr Index kMostSteps = std::numeric_limits<std::int32_t>::max();

Padding read_padding(Fields& fields, int kinds) {
  const std::string& text = fields.text("padding");
  std::string known;
  for (int i = 0; i < kinds; ++i) {
    if (text == kPaddingNames[i]) return static_cast<Padding>(i);
    known += std::string(i ? ", " : "") + kPaddingNames[i];
  }
  fields.fail("padding", "one of " + known, {text});
}

void check_sequences_of(const std::string& name, const Shape& x) {
  if (x.size() != 2) misfit(name, "[B, T, F]", x);
}

// How a layer slides its windows.
struct Sliding {
  Padding padding = Padding::valid;
  Index size = 1, stride = 1, dilation = 1;

  bool keeps_steps() const { return stride == 1 && padding != Padding::valid; }

  Index steps(const std::string& name, Index of_x) const {
    if (of_x < 0) return -1;
    const Index outputs = frame_of(padding, of_x, size, stride, dilation).outputs;
    if (padding == Padding::valid && outputs == 0)
      throw Error(name + ": x must have at least " + std::to_string((size - 1) * dilation + 1) + " steps, got " +
                  std::to_string(of_x));
    return outputs;
  }
};

// Where the sequences of a signal and their windows lie.
class Framing {
 public:
  template <class T>
  Framing(const Signal<T>& x, const Sliding& sliding) : x_(steps_of(x)) {
    const auto frame = [&](Index steps) {
      return frame_of(sliding.padding, steps, sliding.size, sliding.stride, sliding.dilation);
    };
    for (std::size_t b = 0; b + 1 < x_.size(); ++b) y_.push_back(y_.back() + frame(x_[b + 1] - x_[b]).outputs);
    // Where the steps stay, as ragged ones do, it does not depend on their number.
    const Index before = frame(x.offsets ? 1 : x.shape[1]).before;
    windows_ = {x_, y_, x.mask.real.get(), sliding.size, sliding.stride, sliding.dilation, before};
  }
  // One window a sequence.
  template <class T>
  explicit Framing(const Signal<T>& x) : x_(steps_of(x)) {
    for (Index b = 0; b < x.batch(); ++b) y_.push_back(b + 1);
    windows_ = {x_, y_, x.mask.real.get(), std::max<Index>(1, x_.back())};
  }

  Framing(const Framing&) = delete;

  const Windows& windows() const { return windows_; }

 private:
  template <class T>
  static std::vector<Index> steps_of(const Signal<T>& x) {
    if (x.offsets) return *x.offsets;
    std::vector<Index> offsets;
    for (Index b = 0; b <= x.shape[0]; ++b) offsets.push_back(b * x.shape[1]);
    return offsets;
  }

  std::vector<Index> x_, y_{0};
  Windows windows_;
};

// Masked steps are not there. Where the steps stay, masks and ragged sequences pass.
template <class T>
class SlidingLayer : public GraphLayer<T> {
 public:
  using GraphLayer<T>::GraphLayer;
  Mask y_mask(const Signal<T>& x) const override { return sliding_.keeps_steps() ? x.mask : Mask{}; }

 protected:
  Framing frame(const Signal<T>& x) const {
    if (x.offsets && !sliding_.keeps_steps())
      throw Error(this->name() +
                  ": a ragged x needs padding \"same\" or \"causal\" and strides of 1: its steps must stay");
    return Framing(x, sliding_);
  }

  Sliding sliding_;
};

template <class T>
class Conv1DLayer : public SlidingLayer<T> {
 public:
  explicit Conv1DLayer(const Origin& origin) : SlidingLayer<T>(origin) {
    Sliding& sliding = this->sliding_;
    Fields& fields = origin.fields;
    if (origin.x.size() != 2 || origin.x.back() < 0)
      throw Error(fields.where() + ": x must be [B, T, F] of a known feature size, got " + shape_text(origin.x));
    features_ = origin.x.back();
    sliding.padding = read_padding(fields, 3);
    sliding.size = fields.whole("kernel_size", 1, kMostSteps);
    sliding.stride = fields.whole("strides", 1, kMostSteps);
    sliding.dilation = fields.whole("dilation_rate", 1, kMostSteps);
    activation_ = fields.activation("activation", true);
    cell_ = std::make_unique<ModelCell<T>>("dense",
                                           activation_ < 0 ? Activation::linear : static_cast<Activation>(activation_),
                                           Activation::sigmoid, origin, sliding.size);
  }

  Shape y_shape(const Shape& x) const override {
    if (x.size() != 2 || x.back() != features_) misfit(this->name(), "[B, T, " + std::to_string(features_) + "]", x);
    return {this->sliding_.steps(this->name(), x[0]), cell_->units()};
  }
  void forward(const Signal<T>& x, T* y) const override {
    const Framing framing = this->frame(x);
    const Windows& windows = framing.windows();
    Buffer<T> rows(checked_product(windows.outputs(), windows.size, features_));
    gather_windows(windows, x.data, features_, rows.data());
    const CellRun<T> run{cell_.get(), {{{windows.outputs(), 1, cell_->features()}}, rows.data()}, {}, y};
    run_cells<T>({&run, 1});
    if (activation_ < 0) softmax(y, y, windows.outputs(), cell_->units());
  }

 private:
  Index features_;
  int activation_;
  CellPointer<T> cell_;
};

template <class T>
void pool(bool largest, const Windows& windows, const Signal<T>& x, T* y) {
  if (largest)
    max_windows<T>(windows, x.data, x.shape.back(), y, nullptr);
  else
    mean_windows(windows, x.data, x.shape.back(), y);
}

template <class T>
class PoolingLayer : public SlidingLayer<T> {
 public:
  PoolingLayer(bool largest, const Origin& origin) : SlidingLayer<T>(origin), largest_(largest) {
    Sliding& sliding = this->sliding_;
    sliding.padding = read_padding(origin.fields, 2);
    sliding.size = origin.fields.whole("pool_size", 1, kMostSteps);
    sliding.stride = origin.fields.whole("strides", 1, kMostSteps);
  }
  Shape y_shape(const Shape& x) const override {
    check_sequences_of(this->name(), x);
    return {this->sliding_.steps(this->name(), x[0]), x[1]};
  }
  void forward(const Signal<T>& x, T* y) const override { pool(largest_, this->frame(x).windows(), x, y); }

 private:
  bool largest_;
};

template <class T>
class GlobalPoolingLayer : public GraphLayer<T> {
 public:
  GlobalPoolingLayer(bool largest, const Origin& origin)
      : GraphLayer<T>(origin), largest_(largest), keepdims_(origin.fields.flag("keepdims")) {}
  Shape y_shape(const Shape& x) const override {
    check_sequences_of(this->name(), x);
    return keepdims_ ? Shape{1, x[1]} : Shape{x[1]};
  }
  void forward(const Signal<T>& x, T* y) const override { pool(largest_, Framing(x).windows(), x, y); }
  Mask y_mask(const Signal<T>&) const override { return {}; }

 private:
  bool largest_, keepdims_;
};

}  // namespace

template <class T>
LayerPointer<T> make_windows(const std::string& kind, const Origin& origin) {
  if (kind == "Conv1D") return std::make_unique<Conv1DLayer<T>>(origin);
  const bool largest = kind.find("Max") != std::string::npos;
  if (kind.starts_with("Global")) return std::make_unique<GlobalPoolingLayer<T>>(largest, origin);
  return std::make_unique<PoolingLayer<T>>(largest, origin);
}

template LayerPointer<float> make_windows(const std::string&, const Origin&);
template LayerPointer<double> make_windows(const std::string&, const Origin&);

}  // namespace latchwork
