// Layers that see one row of features at a time: Dense, Activation, Dropout and its kin.
#include <algorithm>
#include <limits>

#include "cpu/dispatch.h"
#include "layers/statistics.h"
#include "model/layers_recurrent.h"

namespace latchwork {
namespace {

// y = f(x), number by number, or softmax (-1) over the last axis. On the calling thread; x and y may be the same.
template <class T>
void activate_alone(int activation, const T* x, T* y, Index rows, Index columns) noexcept {
  const Kernels<T>& k = kernels().of<T>();
  if (activation >= 0) return k.unary.activation(static_cast<Activation>(activation), x, y, rows * columns);
  for (Index row = 0; row < rows; ++row) k.elementwise.softmax(x + row * columns, y + row * columns, columns);
}

template <class T>
void activate(int activation, const T* x, T* y, Index rows, Index columns) {
  const Index grain = std::max<Index>(1, kElementGrain / std::max<Index>(1, columns));
  parallel_for(rows, grain, [=](Index begin, Index end) {
    activate_alone(activation, x + begin * columns, y + begin * columns, end - begin, columns);
  });
}

template <class T>
class StepActivation : public StepLayer<T> {
 public:
  StepActivation(int activation, Index rows, Index columns)
      : activation_(activation), rows_(rows), columns_(columns), y_(checked_product(rows, columns, "x")) {}
  void step(StepSignal<T>& s) noexcept override {
    activate_alone(activation_, s.x, y_.data(), rows_, columns_);
    s.x = y_.data();
  }

 private:
  int activation_;
  Index rows_, columns_;
  Buffer<T> y_;
};

template <class T>
class StepDense : public StepLayer<T> {
 public:
  explicit StepDense(std::unique_ptr<CellStep<T>> cell) : cell_(std::move(cell)) {}
  void step(StepSignal<T>& s) noexcept override {
    cell_->step(s.x, nullptr);
    s.x = cell_->output();
  }

 private:
  std::unique_ptr<CellStep<T>> cell_;
};

constexpr int kSoftmax = -1;

Scores scores_of(int activation) {
  if (activation == kSoftmax) return Scores::probabilities;
  return activation == static_cast<int>(Activation::linear) ? Scores::logits : Scores::unknown;
}

template <class T>
class DenseLayer : public GraphLayer<T> {
 public:
  explicit DenseLayer(const Origin& origin)
      : GraphLayer<T>(origin),
        activation_(origin.fields.activation("activation", true)),
        cell_("dense", activation_ == kSoftmax ? Activation::linear : static_cast<Activation>(activation_),
              Activation::sigmoid, origin) {
    this->traits_.scores = scores_of(activation_);
  }

  Shape y_shape(const Shape& x) const override {
    if (x.empty() || x.back() != cell_.features())
      misfit(this->name(), "[B, ..., " + std::to_string(cell_.features()) + "]", x);
    Shape y = x;
    y.back() = cell_.units();
    return y;
  }

  void forward(const Signal<T>& x, T* y) const override {
    const Index rows = size_of({x.shape.begin(), x.shape.end() - 1});
    const Index steps = x.offsets ? 1 : size_of({x.shape.begin() + 1, x.shape.end() - 1});
    const CellRun<T> run{&cell_, {{{x.shape[0], steps, cell_.features()}}, x.data}, {}, y};
    run_cells<T>({&run, 1});
    if (activation_ == kSoftmax) softmax(y, y, rows, cell_.units());
  }

  void make_steps(Steps<T>& steps, const Shape&) const override {
    steps.layers.push_back(std::make_unique<StepDense<T>>(cell_.stepper(steps)));
    if (activation_ == kSoftmax)
      steps.layers.push_back(std::make_unique<StepActivation<T>>(kSoftmax, steps.streams, cell_.units()));
  }

 private:
  int activation_;
  ModelCell<T> cell_;
};

template <class T>
class ActivationLayer : public GraphLayer<T> {
 public:
  explicit ActivationLayer(const Origin& origin)
      : GraphLayer<T>(origin), activation_(origin.fields.activation("activation", true)) {
    this->traits_.scores = scores_of(activation_);
  }

  void forward(const Signal<T>& x, T* y) const override {
    activate(activation_, x.data, y, size_of({x.shape.begin(), x.shape.end() - 1}), x.shape.back());
  }
  void make_steps(Steps<T>& steps, const Shape& x) const override {
    steps.layers.push_back(std::make_unique<StepActivation<T>>(activation_, steps.streams, x.back()));
  }

 private:
  int activation_;
};

// Dropout, SpatialDropout1D, GaussianNoise: when nothing is trained, y = x.
template <class T>
class DropoutLayer : public GraphLayer<T> {
 public:
  DropoutLayer(const std::string& kind, const Origin& origin)
      : GraphLayer<T>(origin), sequences_(kind == "SpatialDropout1D") {
    if (kind == "GaussianNoise")
      origin.fields.number("stddev", 0, std::numeric_limits<double>::max());
    else
      origin.fields.number("rate", 0, 1);
    origin.fields.seed("seed");
  }
  Shape y_shape(const Shape& x) const override {
    if (sequences_ && x.size() != 2) misfit(this->name(), "[B, T, F]", x);
    return x;
  }
  void forward(const Signal<T>& x, T* y) const override { std::copy_n(x.data, size_of(x.shape), y); }
  void make_steps(Steps<T>&, const Shape&) const override {}

 private:
  bool sequences_;
};

}  // namespace

template <class T>
LayerPointer<T> make_rowwise(const std::string& kind, const Origin& origin) {
  if (kind == "Dense") return std::make_unique<DenseLayer<T>>(origin);
  if (kind == "Activation") return std::make_unique<ActivationLayer<T>>(origin);
  return std::make_unique<DropoutLayer<T>>(kind, origin);
}

template LayerPointer<float> make_rowwise(const std::string&, const Origin&);
template LayerPointer<double> make_rowwise(const std::string&, const Origin&);

}  // namespace latchwork
