// The layers a loaded model is made of: built from their description and the file's tensors, then run for inference.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "latchwork/error.h"
#include "latchwork/model.h"
#include "model/fields.h"
#include "model/steps.h"
#include "model/tensors.h"

namespace latchwork {

// Which steps are real; without `real`, all of them.
struct Mask {
  Shape shape = {};  // [B, T] or deeper; ragged: [N]
  std::shared_ptr<const bool[]> real = {};

  explicit operator bool() const { return real != nullptr; }
};

// A batch on its way from layer to layer, but for its numbers.
struct Form {
  Shape shape = {};                             // [B, ...]; ragged: [N, F]
  const std::vector<Index>* offsets = nullptr;  // ragged: [B + 1], where each sequence begins
  Mask mask = {};

  Index batch() const { return offsets ? static_cast<Index>(offsets->size()) - 1 : shape[0]; }
};

template <class T>
struct Signal : Form {
  const T* data = nullptr;
};

// One call of a layer.
template <class T>
struct Call {
  const std::vector<Signal<T>>& x;
  const std::vector<const T*>& states;  // [B, state_sizes] each; empty: zeros
  const std::vector<T*>& y;             // one for each of y_shapes
};

// What the numbers of an output say of the classes they stand for.
enum class Scores { unknown, probabilities, logits };

// Where a layer is read from.
struct Origin {
  Fields& fields;
  Tensors& tensors;
  std::string path;                    // of its tensors and its messages: "rnn/lstm_cell"
  Shape x;                             // of one sample it will see; -1: not known yet
  bool alone = true;                   // it must read one array and give one: in a row, or within another layer
  std::span<const Shape> others = {};  // what it will see beside x
};

// What a layer says of itself, whatever its type. Shapes here are those of one sample, without the batch axis; -1 where
// any size runs.
class AnyLayer {
 public:
  struct Traits {
    bool stateful = false, many_inputs = false, takes_ragged = true;
    std::vector<Index> state_sizes = {};  // of the initial states that it takes, all or none
    std::size_t masked_outputs = 1;       // of y, which have its mask: states have none
    Scores scores = Scores::unknown;
  };

  AnyLayer(const Origin& origin, Traits traits) : traits_(std::move(traits)), name_(origin.path) {}
  virtual ~AnyLayer() = default;

  const std::string& name() const { return name_; }
  const Traits& traits() const { return traits_; }
  // Throws Error where x does not fit.
  virtual Shape y_shape(const Shape& x) const { return x; }
  // Of all arrays: a layer that reads or gives several has this instead.
  virtual std::vector<Shape> y_shapes(const std::vector<Shape>& x) const { return {y_shape(x[0])}; }
  // The size that the last axis of every input must have, -1 for any; `x` is the shape the model was made for.
  virtual Index last_size(const Shape& x) const { return x.back(); }

 protected:
  Traits traits_;

 private:
  std::string name_;
};

template <class T>
class GraphLayer : public AnyLayer {
 public:
  explicit GraphLayer(const Origin& origin, Traits traits = {}) : AnyLayer(origin, std::move(traits)) {}

  // Throws Error for numbers that the layer cannot take.
  virtual void check([[maybe_unused]] const T* x, [[maybe_unused]] Index count) const {}
  // x fits. Several threads may call it at once.
  virtual void forward(const Signal<T>& x, T* y) const { run({{x}, {}, {y}}); }
  virtual Mask y_mask(const Signal<T>& x) const { return x.mask; }
  // The same of all arrays, as y_shapes.
  virtual void run(const Call<T>& call) const { forward(call.x[0], call.y[0]); }
  virtual Mask mask_of(const std::vector<Signal<T>>& x) const { return y_mask(x[0]); }
  // Appends what runs the layer one step at a time. Throws Error for a layer that cannot.
  virtual void make_steps([[maybe_unused]] Steps<T>& steps, [[maybe_unused]] const Shape& x) const {
    throw Error(name() + ": cannot step: it needs all steps of a sequence at once");
  }
  // The same of all inputs; read: where they will be.
  virtual void make_all_steps(Steps<T>& steps, const std::vector<Shape>& x,
                              [[maybe_unused]] const std::vector<const StepSignal<T>*>& read) const {
    make_steps(steps, x[0]);
  }
};

template <class T>
using LayerPointer = std::unique_ptr<GraphLayer<T>>;

// The layer that `fields` describe, for samples of `x`, one for each array it will see. Its name and class are what the
// registry knows; unknown classes, fields left over and values out of range are errors. prefix: the path of the layer
// around it, with a slash.
template <class T>
LayerPointer<T> make_layer(Fields& fields, Tensors& tensors, const std::string& prefix, std::span<const Shape> x,
                           bool alone = true);

// What the registry makes, a family a file.
template <class T>
LayerPointer<T> make_recurrent(const std::string& kind, const Origin& origin);  // LSTM, GRU, SimpleRNN, RNN
template <class T>
LayerPointer<T> make_bidirectional(const Origin& origin);
template <class T>
LayerPointer<T> make_rowwise(const std::string& kind, const Origin& origin);  // Dense, Activation, Dropout and its kin
template <class T>
LayerPointer<T> make_reshaping(const std::string& kind, const Origin& origin);  // Flatten, RepeatVector, ...
template <class T>
LayerPointer<T> make_normalizing(const std::string& kind, const Origin& origin);  // LayerNormalization, ...
template <class T>
LayerPointer<T> make_windows(const std::string& kind, const Origin& origin);  // Conv1D, MaxPooling1D, ...
template <class T>
LayerPointer<T> make_time_distributed(const Origin& origin);
template <class T>
LayerPointer<T> make_masking(const Origin& origin);
template <class T>
LayerPointer<T> make_embedding(const Origin& origin);
template <class T>
LayerPointer<T> make_merging(const std::string& kind, const Origin& origin);  // Concatenate, Add, ...
template <class T>
LayerPointer<T> make_attention(const std::string& kind, const Origin& origin);  // Attention, ...

// What comes behind `layer`. Throws Error where x does not fit.
std::vector<Form> behind(const AnyLayer& layer, const std::vector<Form>& x);

Index size_of(const Shape& shape);  // Throws Error where the product overflows.
std::string shape_text(const Shape& shape);
[[noreturn]] void misfit(const std::string& name, const std::string& expected, const Shape& x);

}  // namespace latchwork
