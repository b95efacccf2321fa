// The closed registry: what a file may name. And what all layers share.
#include "model/layer.h"
#include "runtime/buffer.h"

namespace latchwork {

Index size_of(const Shape& shape) {
  Index size = 1;
  for (const Index extent : shape) size = checked_product(size, extent, "shape");
  return size;
}

std::string shape_text(const Shape& shape) {
  std::string text;
  for (const std::int64_t extent : shape) text += (text.empty() ? "" : ", ") + std::to_string(extent);
  return "[" + text + "]";
}

void misfit(const std::string& name, const std::string& expected, const Shape& x) {
  Shape batch = x;
  batch.insert(batch.begin(), -1);
  throw Error(name + ": x must be " + expected + ", got " + shape_text(batch) + " (-1: any)");
}

template <class T>
Signal<T> behind(const GraphLayer<T>& layer, const Signal<T>& x) {
  Shape sample = x.shape;
  sample.erase(sample.begin());
  if (x.offsets) sample.insert(sample.begin(), -1);
  Signal<T> y{nullptr, layer.y_shape(sample)};
  const bool any = !y.shape.empty() && y.shape[0] < 0;
  if (any && y.shape.size() != 2) throw Error(layer.name() + ": x must be an array, got a ragged one");
  y.offsets = any ? x.offsets : nullptr;
  if (any)
    y.shape[0] = x.shape[0];
  else
    y.shape.insert(y.shape.begin(), x.batch());
  return y;
}

template <class T>
static LayerPointer<T> make_known(const std::string& kind, const Origin& origin) {
  for (const char* const known : {"LSTM", "GRU", "SimpleRNN", "RNN"})
    if (kind == known) return make_recurrent<T>(kind, origin);
  for (const char* const known : {"Dense", "Activation", "Dropout"})
    if (kind == known) return make_rowwise<T>(kind, origin);
  if (kind == "Flatten" || kind == "RepeatVector") return make_reshaping<T>(kind, origin);
  if (kind == "Bidirectional") return make_bidirectional<T>(origin);
  if (kind == "TimeDistributed") return make_time_distributed<T>(origin);
  if (kind == "Masking") return make_masking<T>(origin);
  if (kind == "Embedding") return make_embedding<T>(origin);
  origin.fields.fail("class",
                     "one of LSTM, GRU, SimpleRNN, RNN, Bidirectional, TimeDistributed, Dense, Activation, Dropout, "
                     "Flatten, RepeatVector, Masking, Embedding",
                     {kind});
}

template <class T>
LayerPointer<T> make_layer(Fields& fields, Tensors& tensors, const std::string& prefix, const Shape& x) {
  const std::string& name = fields.name();
  fields.flag("trainable");
  LayerPointer<T> layer = make_known<T>(fields.text("class"), {fields, tensors, prefix + name, x});
  fields.done();
  return layer;
}

#define LATCHWORK_INSTANTIATE(T)                                     \
  template Signal<T> behind(const GraphLayer<T>&, const Signal<T>&); \
  template LayerPointer<T> make_layer(Fields&, Tensors&, const std::string&, const Shape&);
LATCHWORK_INSTANTIATE(float)
LATCHWORK_INSTANTIATE(double)
#undef LATCHWORK_INSTANTIATE

}  // namespace latchwork
