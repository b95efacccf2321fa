// LSTM, GRU, SimpleRNN, and RNN of cells on top of each other: a recurrent layer is a stack of one.
#include <algorithm>

#include "model/layers_recurrent.h"

namespace latchwork {
namespace {

// The cells of a stack, one step of all.
template <class T>
class StepStack : public StepLayer<T> {
 public:
  StepStack(std::vector<std::unique_ptr<CellStep<T>>> cells, const Reading& reading)
      : cells_(std::move(cells)), reading_(reading), y_(reading.hold ? 0 : cells_.back()->rows() * units()) {}

  void step(StepSignal<T>& s) noexcept override {
    for (const auto& cell : cells_) {
      cell->step(s.x, s.real);
      s.x = cell->output();
    }
    if (s.real && !reading_.hold) {
      std::copy_n(s.x, y_.size(), y_.data());
      for (Index row = 0; row < cells_.back()->rows(); ++row)
        if (!s.real[row]) std::fill_n(y_.data() + row * units(), units(), T(0));
      s.x = y_.data();
    }
  }

 private:
  Index units() const noexcept { return cells_.back()->layout().hidden; }

  std::vector<std::unique_ptr<CellStep<T>>> cells_;
  Reading reading_;
  Buffer<T> y_;  // where masked steps are not the last output
};

template <class T>
class RecurrentLayer : public GraphLayer<T> {
 public:
  RecurrentLayer(const Origin& origin, CellStack<T> cells)
      : GraphLayer<T>(origin), cells_(std::move(cells)), reading_(read_reading(origin.fields, origin.alone)) {
    this->traits_.stateful = origin.fields.flag("stateful");
    this->traits_.state_sizes = state_sizes_of(cells_);
  }

  Shape y_shape(const Shape& x) const override {
    check_sequences(this->name(), x, cells_.front()->features());
    const Index units = cells_.back()->units();
    return reading_.sequences ? Shape{x[0], units} : Shape{units};
  }

  Mask y_mask(const Signal<T>& x) const override { return reading_.sequences ? x.mask : Mask{}; }

  std::vector<Shape> y_shapes(const std::vector<Shape>& x) const override {
    std::vector<Shape> shapes{y_shape(x[0])};
    if (reading_.states)
      for (const Index size : this->traits().state_sizes) shapes.push_back({size});
    return shapes;
  }

  void run(const Call<T>& call) const override {
    run_stacks<T>({{&cells_, call.x[0], reading_, call.y[0], call.states.empty() ? nullptr : call.states.data(),
                    reading_.states ? call.y.data() + 1 : nullptr}});
  }

  void make_steps(Steps<T>& steps, const Shape&) const override {
    if (reading_.reversed) throw Error(this->name() + ": cannot step: go_backwards reads the last step first");
    std::vector<std::unique_ptr<CellStep<T>>> cells;
    for (const auto& cell : cells_) {
      cells.push_back(cell->stepper(steps));
      for (int s = 0; s < cell->info().states; ++s) {
        steps.names.push_back({cell->path() + "/" + cell->info().state[s].name, cell->units()});
        steps.states.push_back({cells.back().get(), s});
      }
    }
    steps.layers.push_back(std::make_unique<StepStack<T>>(std::move(cells), reading_));
  }

 private:
  CellStack<T> cells_;
  Reading reading_;
};

}  // namespace

template <class T>
LayerPointer<T> make_recurrent(const std::string& kind, const Origin& origin) {
  return std::make_unique<RecurrentLayer<T>>(origin, read_stack<T>(kind, origin));
}

template LayerPointer<float> make_recurrent(const std::string&, const Origin&);
template LayerPointer<double> make_recurrent(const std::string&, const Origin&);

}  // namespace latchwork
