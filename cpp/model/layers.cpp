// The closed registry: what a file may name. And what all layers share.
#include <algorithm>
#include <initializer_list>

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

std::vector<Form> behind(const AnyLayer& layer, const std::vector<Form>& x) {
  const std::vector<Index>* const offsets = x[0].offsets;
  std::vector<Shape> samples;
  for (const Form& each : x) {
    if (each.offsets != offsets) throw Error(layer.name() + ": x must be all arrays or all ragged");
    samples.emplace_back(each.shape.begin() + 1, each.shape.end());
    if (offsets) samples.back().insert(samples.back().begin(), -1);
  }
  const auto refuse_ragged = [&] { throw Error(layer.name() + ": x must be an array, got a ragged one"); };
  if (offsets && !layer.traits().takes_ragged) refuse_ragged();
  std::vector<Form> made;
  for (Shape& shape : layer.y_shapes(samples)) {
    const bool any = !shape.empty() && shape[0] < 0;
    if (std::count(shape.begin(), shape.end(), -1) > any || (any && shape.size() != 2)) refuse_ragged();
    if (any)
      shape[0] = x[0].shape[0];
    else
      shape.insert(shape.begin(), x[0].batch());
    size_of(shape);
    made.push_back({std::move(shape), any ? offsets : nullptr});
  }
  return made;
}

namespace {

// A family of classes, and what makes them.
template <class T>
struct Family {
  LayerPointer<T> (*make)(const std::string& kind, const Origin& origin);
  std::initializer_list<const char*> kinds;
};

template <class T, LayerPointer<T> (*make)(const Origin&)>
LayerPointer<T> make_one(const std::string&, const Origin& origin) {
  return make(origin);
}

template <class T>
LayerPointer<T> make_known(const std::string& kind, const Origin& origin) {
  const Family<T> families[] = {
      {make_recurrent<T>, {"LSTM", "GRU", "SimpleRNN", "RNN"}},
      {make_one<T, make_bidirectional<T>>, {"Bidirectional"}},
      {make_one<T, make_time_distributed<T>>, {"TimeDistributed"}},
      {make_rowwise<T>, {"Dense", "Activation", "Dropout", "SpatialDropout1D", "GaussianNoise"}},
      {make_reshaping<T>, {"Flatten", "RepeatVector", "Reshape", "Permute"}},
      {make_one<T, make_masking<T>>, {"Masking"}},
      {make_one<T, make_embedding<T>>, {"Embedding"}},
      {make_normalizing<T>, {"LayerNormalization", "BatchNormalization", "Normalization"}},
      {make_windows<T>, {"Conv1D", "MaxPooling1D", "AveragePooling1D", "GlobalMaxPooling1D", "GlobalAveragePooling1D"}},
      {make_merging<T>, {"Concatenate", "Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum", "Dot"}},
      {make_attention<T>, {"Attention", "AdditiveAttention", "MultiHeadAttention"}},
  };
  std::string known;
  for (const Family<T>& family : families)
    for (const char* const name : family.kinds) {
      if (kind == name) return family.make(kind, origin);
      known += std::string(known.empty() ? "one of " : ", ") + name;
    }
  origin.fields.fail("class", known, {kind});
}

}  // namespace

template <class T>
LayerPointer<T> make_layer(Fields& fields, Tensors& tensors, const std::string& prefix, std::span<const Shape> x,
                           bool alone) {
  const std::string& name = fields.name();
  fields.flag("trainable");
  LayerPointer<T> layer =
      make_known<T>(fields.text("class"), {fields, tensors, prefix + name, x[0], alone, x.subspan(1)});
  if (alone && layer->traits().many_inputs) fields.fail("class", "a layer of one input", fields.any("class"));
  fields.done();
  return layer;
}

#define LATCHWORK_INSTANTIATE(T) \
  template LayerPointer<T> make_layer(Fields&, Tensors&, const std::string&, std::span<const Shape>, bool);
LATCHWORK_INSTANTIATE(float)
LATCHWORK_INSTANTIATE(double)
#undef LATCHWORK_INSTANTIATE

}  // namespace latchwork
