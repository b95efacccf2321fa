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

  bool step(StepSignal<T>& s) noexcept override {
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
    return true;
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
  RecurrentLayer(const Origin& origin, std::vector<CellPointer<T>> cells)
      : GraphLayer<T>(origin),
        cells_(std::move(cells)),
        reading_(read_reading(origin.fields)),
        stateful_(origin.fields.flag("stateful")) {}

  Shape y_shape(const Shape& x) const override {
    check_sequences(this->name(), x, cells_.front()->features());
    const Index units = cells_.back()->units();
    return reading_.sequences ? Shape{x[0], units} : Shape{units};
  }

  bool stateful() const override { return stateful_; }
  Mask y_mask(const Signal<T>& x) const override { return reading_.sequences ? x.mask : Mask{}; }

  // Below the last cell, each output lies at its step and masked steps repeat the one before them.
  void forward(const Signal<T>& x, T* y) const override {
    Signal<T> at = x;
    Buffer<T> before;
    for (const auto& cell : cells_) {
      if (cell == cells_.back()) return cell->forward(at, reading_, y);
      Buffer<T> out(checked_product(size_of({at.shape.begin(), at.shape.end() - 1}), cell->units()));
      cell->forward(at, {.reversed = reading_.reversed, .align = true}, out.data());
      at.data = out.data();
      at.shape.back() = cell->units();
      before = std::move(out);
    }
  }

  void make_steps(Steps<T>& steps, const Shape&) const override {
    if (reading_.reversed) throw Error(this->name() + ": cannot step: go_backwards reads the last step first");
    std::vector<std::unique_ptr<CellStep<T>>> cells;
    for (const auto& cell : cells_) {
      cells.push_back(cell->stepper(steps.streams));
      for (int s = 0; s < cell->info().states; ++s) {
        steps.names.push_back({cell->path() + "/" + cell->info().state[s].name, cell->units()});
        steps.states.push_back({cells.back().get(), s});
      }
    }
    steps.layers.push_back(std::make_unique<StepStack<T>>(std::move(cells), reading_));
  }

 private:
  std::vector<CellPointer<T>> cells_;
  Reading reading_;
  bool stateful_;
};

// Appends the cell that `described` is, or the cells of the stack it is; returns its name.
template <class T>
std::string read_cells(const Json& described, const Origin& around, const char* field,
                       std::vector<CellPointer<T>>& cells) {
  Fields fields(described, around.fields.where() + ": " + field);
  const std::string name = fields.name();
  const Origin origin{fields, around.tensors, around.path + "/" + name,
                      cells.empty() ? around.x : Shape{cells.back()->units()}};
  const std::string& kind = fields.text("class");
  fields.flag("trainable");
  if (kind == "StackedRNNCells") {
    const JsonArray& inner = fields.array("cells");
    if (inner.empty()) fields.fail("cells", "at least one cell", {inner});
    std::vector<std::string> names;
    for (const Json& each : inner) {
      names.push_back(read_cells(each, origin, "cells", cells));
      if (std::count(names.begin(), names.end(), names.back()) > 1)
        fields.fail("cells", "cells of different names", {names.back()});
    }
  } else if (kind == "LSTMCell" || kind == "GRUCell" || kind == "SimpleRNNCell") {
    cells.push_back(read_cell<T>(kind.substr(0, kind.size() - 4), origin));
  } else {
    fields.fail("class", "one of LSTMCell, GRUCell, SimpleRNNCell, StackedRNNCells", {kind});
  }
  fields.done();
  return name;
}

}  // namespace

template <class T>
LayerPointer<T> make_recurrent(const std::string& kind, const Origin& origin) {
  std::vector<CellPointer<T>> cells;
  if (kind == "RNN")
    read_cells(origin.fields.any("cell"), origin, "cell", cells);
  else
    cells.push_back(read_cell<T>(kind, origin));
  return std::make_unique<RecurrentLayer<T>>(origin, std::move(cells));
}

template LayerPointer<float> make_recurrent(const std::string&, const Origin&);
template LayerPointer<double> make_recurrent(const std::string&, const Origin&);

}  // namespace latchwork
