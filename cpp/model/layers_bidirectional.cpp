#include <algorithm>

#include "model/layers_recurrent.h"

namespace latchwork {
namespace {

enum class Merge { concat, sum, mul, ave };

Merge read_merge(Fields& fields) {
  const Json& json = fields.any("merge_mode");
  if (const auto* const text = std::get_if<std::string>(&json.value)) {
    if (*text == "concat") return Merge::concat;
    if (*text == "sum") return Merge::sum;
    if (*text == "mul") return Merge::mul;
    if (*text == "ave") return Merge::ave;
  }
  fields.fail("merge_mode", "one of concat, sum, mul, ave (one output is passed on)", json);
}

template <class T>
struct Half {
  CellPointer<T> cell;
  Reading reading;
  bool stateful;
};

template <class T>
Half<T> read_half(const Origin& around, const char* field) {
  Fields fields(around.fields.any(field), around.fields.where() + ": " + field);
  const std::string& kind = fields.text("class");
  if (kind != "LSTM" && kind != "GRU" && kind != "SimpleRNN")
    fields.fail("class", "one of LSTM, GRU, SimpleRNN", {kind});
  fields.flag("trainable");
  CellPointer<T> cell = read_cell<T>(kind, {fields, around.tensors, around.path + "/" + fields.name(), around.x});
  Half<T> half{std::move(cell), read_reading(fields), fields.flag("stateful")};
  if (half.reading.reversed != (std::string(field) == "backward_layer"))
    fields.fail("go_backwards", half.reading.reversed ? "false" : "true", {half.reading.reversed});
  half.reading.align = half.reading.reversed;
  if (half.reading.sequences) half.reading.hold = false;  // "the last output" would be another step's in each half
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
    if (a.sequences != b.sequences || a.hold != b.hold || ahead_.stateful != back_.stateful ||
        ahead_.cell->path() == back_.cell->path())
      origin.fields.fail("backward_layer", "like layer, with a name of its own", origin.fields.any("backward_layer"));
    if (merge_ != Merge::concat && ahead_.cell->units() != back_.cell->units())
      origin.fields.fail("units", "the same in both directions", {back_.cell->units()});
  }

  Shape y_shape(const Shape& x) const override {
    check_sequences(this->name(), x, ahead_.cell->features());
    return ahead_.reading.sequences ? Shape{x[0], width()} : Shape{width()};
  }

  bool stateful() const override { return ahead_.stateful; }
  Mask y_mask(const Signal<T>& x) const override { return ahead_.reading.sequences ? x.mask : Mask{}; }

  void forward(const Signal<T>& x, T* y) const override {
    const Index first = ahead_.cell->units(), second = back_.cell->units();
    const Index rows = ahead_.reading.sequences ? size_of({x.shape.begin(), x.shape.end() - 1}) : x.batch();
    if (merge_ == Merge::concat && ahead_.reading.sequences) {
      Reading reading = ahead_.reading;
      reading.width = width();
      ahead_.cell->forward(x, reading, y);
      reading.reversed = reading.align = true;
      return back_.cell->forward(x, reading, y + first);
    }
    Buffer<T> a(checked_product(rows, first)), b(checked_product(rows, second));
    ahead_.cell->forward(x, ahead_.reading, a.data());
    back_.cell->forward(x, back_.reading, b.data());
    if (merge_ == Merge::concat) {
      for (Index row = 0; row < rows; ++row) {
        std::copy_n(a.data() + row * first, first, y + row * width());
        std::copy_n(b.data() + row * second, second, y + row * width() + first);
      }
      return;
    }
    for (Index i = 0; i < a.size(); ++i) {
      const T sum = a[i] + b[i];
      y[i] = merge_ == Merge::mul ? a[i] * b[i] : merge_ == Merge::sum ? sum : sum * T(0.5);
    }
  }

 private:
  Index width() const { return ahead_.cell->units() + (merge_ == Merge::concat ? back_.cell->units() : 0); }

  Merge merge_;
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
