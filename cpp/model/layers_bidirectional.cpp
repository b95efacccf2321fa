#include <algorithm>
#include <optional>

#include "layers/merge.h"
#include "model/layers_recurrent.h"

namespace latchwork {
namespace {

// None: the outputs stand side by side ("concat").
std::optional<Merge> read_merge(Fields& fields) {
  const Json& json = fields.any("merge_mode");
  if (const auto* const text = std::get_if<std::string>(&json.value)) {
    if (*text == "concat") return std::nullopt;
    for (int i = 0; i < kMergeCount; ++i)
      if (*text == kMergeNames[i]) return static_cast<Merge>(i);
  }
  fields.fail("merge_mode", "one of concat, sum, mul, ave (one output is passed on)", json);
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
  Half<T> half{path, std::move(cells), read_reading(fields), fields.flag("stateful")};
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
        merge_(read_merge(origin.fields)),
        ahead_(read_half<T>(origin, "layer")),
        back_(read_half<T>(origin, "backward_layer")) {
    const Reading &a = ahead_.reading, &b = back_.reading;
    if (a.sequences != b.sequences || ahead_.stateful != back_.stateful || ahead_.path == back_.path)
      origin.fields.fail("backward_layer", "like layer, with a name of its own", origin.fields.any("backward_layer"));
    if (merge_ && ahead_.units() != back_.units())
      origin.fields.fail("units", "the same in both directions", {back_.units()});
  }

  Shape y_shape(const Shape& x) const override {
    check_sequences(this->name(), x, ahead_.cells.front()->features());
    return ahead_.reading.sequences ? Shape{x[0], width()} : Shape{width()};
  }

  bool stateful() const override { return ahead_.stateful; }
  Mask y_mask(const Signal<T>& x) const override { return ahead_.reading.sequences ? x.mask : Mask{}; }

  void forward(const Signal<T>& x, T* y) const override {
    const Index first = ahead_.units(), second = back_.units();
    if (!merge_ && ahead_.reading.sequences) {
      Reading reading = ahead_.reading, reading_back = back_.reading;
      reading.width = reading_back.width = width();
      return run_stacks<T>({{&ahead_.cells, x, reading, y}, {&back_.cells, x, reading_back, y + first}});
    }
    const Index rows = ahead_.reading.sequences ? size_of({x.shape.begin(), x.shape.end() - 1}) : x.batch();
    Buffer<T> a(checked_product(rows, first)), b(checked_product(rows, second));
    run_stacks<T>({{&ahead_.cells, x, ahead_.reading, a.data()}, {&back_.cells, x, back_.reading, b.data()}});
    if (merge_) return merge(*merge_, a.data(), b.data(), y, a.size());
    for (Index row = 0; row < rows; ++row) {
      std::copy_n(a.data() + row * first, first, y + row * width());
      std::copy_n(b.data() + row * second, second, y + row * width() + first);
    }
  }

 private:
  Index width() const { return ahead_.units() + (merge_ ? 0 : back_.units()); }

  std::optional<Merge> merge_;
  Half<T> ahead_, back_;
};

}  // namespace

template <class T>
LayerPointer<T> make_bidirectional(const Origin& origin) {
  return std::make_unique<BidirectionalLayer<T>>(origin);
}

template LayerPointer<float> make_bidirectional(const Origin&);
template LayerPointer<double> make_bidirectional(const Origin&);

}  // namespace latchwork
