#include <algorithm>

#include "layers/merge.h"
#include "model/layers_recurrent.h"

namespace latchwork {
namespace {

// How the outputs of both directions become one, or stay two.
enum class Mode { sum, mul, ave, concat, apart };

Mode read_mode(Fields& fields, bool alone) {
  const Json& json = fields.any("merge_mode");
  if (std::holds_alternative<std::nullptr_t>(json.value) && !alone) return Mode::apart;
  if (const auto* const text = std::get_if<std::string>(&json.value)) {
    if (*text == "concat") return Mode::concat;
    for (int i = 0; i < kMergeCount; ++i)
      if (*text == kMergeNames[i]) return static_cast<Mode>(i);
  }
  fields.fail("merge_mode",
              "one of concat, sum, mul, ave" + std::string(alone ? " (one output is passed on)" : ", null"), json);
}

template <class T>
struct Half {
  std::string path;
  CellStack<T> cells;
  Reading reading;
  bool stateful;

  Index units() const { return cells.back()->units(); }
};

template <class T>
Half<T> read_half(const Origin& around, const char* field) {
  Fields fields(around.fields.any(field), around.fields.where() + ": " + field);
  const std::string& kind = fields.text("class");
  if (kind != "LSTM" && kind != "GRU" && kind != "SimpleRNN" && kind != "RNN")
    fields.fail("class", "one of LSTM, GRU, SimpleRNN, RNN", {kind});
  fields.flag("trainable");
  const std::string path = around.path + "/" + fields.name();
  CellStack<T> cells = read_stack<T>(kind, {fields, around.tensors, path, around.x});
  Half<T> half{path, std::move(cells), read_reading(fields, around.alone), fields.flag("stateful")};
  if (half.reading.reversed != (std::string(field) == "backward_layer"))
    fields.fail("go_backwards", half.reading.reversed ? "false" : "true", {half.reading.reversed});
  half.reading.align = half.reading.reversed;
  if (half.reading.hold == half.reading.sequences)  // "the last output" would be another step's in each half
    fields.fail("zero_output_for_mask", "what return_sequences is", {!half.reading.hold});
  fields.done();
  return half;
}

template <class T>
class BidirectionalLayer : public GraphLayer<T> {
 public:
  explicit BidirectionalLayer(const Origin& origin)
      : GraphLayer<T>(origin),
        mode_(read_mode(origin.fields, origin.alone)),
        ahead_(read_half<T>(origin, "layer")),
        back_(read_half<T>(origin, "backward_layer")) {
    const Reading &a = ahead_.reading, &b = back_.reading;
    if (a.sequences != b.sequences || a.states != b.states || ahead_.stateful != back_.stateful ||
        ahead_.path == back_.path)
      origin.fields.fail("backward_layer", "like layer, with a name of its own", origin.fields.any("backward_layer"));
    AnyLayer::Traits& traits = this->traits_;
    traits.stateful = ahead_.stateful;
    traits.masked_outputs = mode_ == Mode::apart ? 2 : 1;
    traits.state_sizes = state_sizes_of(ahead_.cells);
    states_ahead_ = traits.state_sizes.size();
    for (const Index size : state_sizes_of(back_.cells)) traits.state_sizes.push_back(size);
    if (mode_ < Mode::concat && ahead_.units() != back_.units())
      origin.fields.fail("units", "the same in both directions", {back_.units()});
  }

  Shape y_shape(const Shape& x) const override {
    check_sequences(this->name(), x, ahead_.cells.front()->features());
    return shape_of(x, width());
  }
  std::vector<Shape> y_shapes(const std::vector<Shape>& x) const override {
    std::vector<Shape> shapes{y_shape(x[0])};
    if (mode_ == Mode::apart) shapes.push_back(shape_of(x[0], back_.units()));
    if (ahead_.reading.states)
      for (const Index size : this->traits().state_sizes) shapes.push_back({size});
    return shapes;
  }

  Mask y_mask(const Signal<T>& x) const override { return ahead_.reading.sequences ? x.mask : Mask{}; }

  void run(const Call<T>& call) const override {
    const Signal<T>& x = call.x[0];
    T* const y = call.y[0];
    const Index first = ahead_.units(), second = back_.units();
    StackRun<T> ahead{&ahead_.cells, x, ahead_.reading, y}, back{&back_.cells, x, back_.reading, y + first};
    if (!call.states.empty()) ahead.initial = call.states.data(), back.initial = ahead.initial + states_ahead_;
    if (ahead_.reading.states)
      ahead.final = call.y.data() + this->traits().masked_outputs, back.final = ahead.final + states_ahead_;
    if (mode_ == Mode::apart) {
      back.y = call.y[1];
      return run_stacks<T>({ahead, back});
    }
    if (mode_ == Mode::concat && ahead_.reading.sequences) {
      ahead.reading.width = back.reading.width = width();
      return run_stacks<T>({ahead, back});
    }
    const Index rows = ahead_.reading.sequences ? size_of({x.shape.begin(), x.shape.end() - 1}) : x.batch();
    Buffer<T> a(checked_product(rows, first)), b(checked_product(rows, second));
    ahead.y = a.data(), back.y = b.data();
    run_stacks<T>({ahead, back});
    if (mode_ < Mode::concat) return merge(static_cast<Merge>(mode_), a.data(), b.data(), y, a.size());
    for (Index row = 0; row < rows; ++row) {
      std::copy_n(a.data() + row * first, first, y + row * width());
      std::copy_n(b.data() + row * second, second, y + row * width() + first);
    }
  }

 private:
  Index width() const { return ahead_.units() + (mode_ == Mode::concat ? back_.units() : 0); }
  Shape shape_of(const Shape& x, Index units) const {
    return ahead_.reading.sequences ? Shape{x[0], units} : Shape{units};
  }

  Mode mode_;
  Half<T> ahead_, back_;
  std::size_t states_ahead_ = 0;
};

}  // namespace

template <class T>
LayerPointer<T> make_bidirectional(const Origin& origin) {
  return std::make_unique<BidirectionalLayer<T>>(origin);
}

template LayerPointer<float> make_bidirectional(const Origin&);
template LayerPointer<double> make_bidirectional(const Origin&);

}  // namespace latchwork
