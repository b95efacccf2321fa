// A model trained and saved in Python, run in C++: the same kernels, the same bits.
//
//   const auto model = latchwork::Model::load("m.safetensors");
//   std::vector<float> y(model.output_size({1, 52, 1}));
//   model.predict(x, {1, 52, 1}, y.data());
//
// Shapes: B batch, T time steps, F features. Arrays are the caller's, C-contiguous; nothing is kept. Token numbers (of
// a model that begins with an Embedding) are passed as the model's own type.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#pragma GCC visibility push(default)

namespace latchwork {

using Shape = std::vector<std::int64_t>;

// Sequences of different lengths, one behind the other and without padding: x is [N, F], N the sum of the lengths.
struct Ragged {
  std::span<const std::int64_t> lengths;
};

// How `Model::generate` chooses tokens. Tokens are weighed by exp(logit / temperature), a probability's logit being its
// logarithm.
struct GenerateOptions {
  double temperature = 1;  // 0: always the most likely token, the lowest of equals
  std::int64_t top_k = 0;  // draws among the top_k most likely tokens; 0: among all
  double top_p = 1;        // then among the fewest of those that are together at least this likely, in (0, 1]
  std::uint64_t seed = 0;  // the draw for token i of stream b hangs on (seed, b, i) alone
  std::int64_t end = -1;   // a stream that gave this token goes no further; -1: there is none
  std::optional<bool> from_logits = {};  // what y is; not said: softmax gives probabilities, a linear layer logits
  int threads = 1;                       // the most that share a step, as for a Stream
};

// What a model's outputs are, for each of the F features that are fed back.
enum class Outputs {
  values,     // [F] the next values
  quantiles,  // [F, Q] their quantiles, of levels that the options name: the median is fed back
  gaussian,   // [2, F] the means, then the scales before softplus: the mean is fed back or, with paths, a draw
};

struct ForecastOptions {
  Outputs outputs = Outputs::values;
  std::vector<double> quantiles = {};  // rising, in (0, 1): of the model's outputs, or those to take of the paths
  std::int64_t paths = 0;              // of a gaussian model: how many to draw; 0: none
  double min_scale = 0;                // of paths: a scale is softplus(output) + min_scale
  std::uint64_t seed = 0;              // path p of sequence b hangs on (seed, b, p) alone
  std::int64_t known_features = 0;     // K, the last columns of x, whose values to come are known
  int threads = 1;
};

struct ModelInput {
  std::string name;
  Shape shape;  // of one sample; -1 where any size runs
};

struct ModelGraph;
template <class T>
struct Steps;
template <class T>
class Session;

class Model {
 public:
  // Reads a file that `model.save` wrote. Throws FileError where the system refuses, Error for anything else that is
  // not right: the message names the file and the field.
  static Model load(const std::string& path);

  Model(Model&&) noexcept;
  Model& operator=(Model&&) noexcept;
  ~Model();

  const std::string& name() const;
  bool float64() const;              // what it computes in: double, else float
  const Shape& input_shape() const;  // of one sample, [T, F] say; -1 where any size runs

  // A Sequential has one input and one output, a graph as many as it was made with, in this order. An output is named
  // as its layer, with _1, _2 where that is taken.
  const std::vector<ModelInput>& inputs() const;
  const std::vector<std::string>& outputs() const;

  // Of a model with one input and one output; others throw Error here, in predict on one x, in generate and in
  // forecast. The shape of y for x of `shape` (batch first): [B, outputs], or [B, T, outputs] where the last layer
  // gives sequences. Of a ragged x: [B, outputs] or [N, outputs]. Throws Error where x does not fit.
  Shape output_shape(const Shape& shape) const;
  Shape output_shape(const Ragged& ragged) const;
  std::int64_t output_size(const Shape& shape) const;  // its product
  std::int64_t output_size(const Ragged& ragged) const;

  // y [output_shape] of x. Every sequence begins with states of zero, in stateful layers too (a session carries them).
  // Throws Error for the other type, a shape that does not fit or a number outside an Embedding's table, before y is
  // written. Several threads may call it at once.
  void predict(const float* x, const Shape& shape, float* y) const;
  void predict(const double* x, const Shape& shape, double* y) const;
  void predict(const float* x, const Ragged& ragged, float* y) const;
  void predict(const double* x, const Ragged& ragged, double* y) const;

  // The same of all inputs, x[i] of shapes[i], and all outputs: each x has the same number of samples, y[i] has room
  // for output_shapes(shapes)[i]. Sequences of different lengths are not taken here: pad and mask them.
  std::vector<Shape> output_shapes(std::span<const Shape> shapes) const;
  void predict(std::span<const float* const> x, std::span<const Shape> shapes, std::span<float* const> y) const;
  void predict(std::span<const double* const> x, std::span<const Shape> shapes, std::span<double* const> y) const;

  // Goes on from prompts: n tokens for each into `tokens` [B, n]. Prompts are laid end to end, each of at least one
  // token. The model reads them as numbers, if it begins with an Embedding, or as rows of zeros with a 1; its y has a
  // score for every token. Behind options.end a row holds options.end. The bits are those of calling predict on all
  // tokens so far, again for every token. Throws Error where something does not fit, before `tokens` is written, for
  // layers that cannot step, and for scores that are NaN or infinite.
  void generate(std::span<const std::int64_t> prompts, const Ragged& lengths, std::int64_t n,
                const GenerateOptions& options, std::int64_t* tokens) const;

  // Goes on from histories x [N, F + K], laid end to end, each of at least one step: y of step t is the values of step
  // t + 1, fed back `horizon` - 1 times, each time with those of its step in `known` [B, horizon, K] behind it. y is
  // [B, horizon, F]; [B, horizon, F, Q] of quantiles; of paths without quantiles [B, horizon, F, paths]. The bits are
  // those of calling predict on all steps so far, again for every step. Throws Error where something does not fit,
  // before y is written, and for layers that cannot step.
  void forecast(const float* x, const Ragged& lengths, std::int64_t horizon, const ForecastOptions& options, float* y,
                const float* known = nullptr) const;
  void forecast(const double* x, const Ragged& lengths, std::int64_t horizon, const ForecastOptions& options, double* y,
                const double* known = nullptr) const;
  Shape forecast_shape(const Ragged& lengths, std::int64_t horizon, const ForecastOptions& options) const;  // of y

  // For a model of sequences: `streams` streams that have seen nothing. T is the model's type. Layers that need all of
  // a sequence at once cannot step: Bidirectional, RepeatVector, go_backwards, windows over steps, attention, and
  // Flatten and TimeDistributed where there is more than one axis left behind the steps; nor can those that take or
  // give states. An input without steps, [F], is given anew with every step. Throws Error for those and for the other
  // type. threads: the most that share a step, as for a Stream.
  template <class T>
  Session<T> session(std::int64_t streams = 1, int threads = 1) const;

 private:
  friend Model model_of(ModelGraph graph);
  explicit Model(std::unique_ptr<const ModelGraph> graph);
  template <class T>
  void roll_forward(const T* x, const Ragged& lengths, std::int64_t horizon, const ForecastOptions& options,
                    const T* known, T* y) const;
  std::unique_ptr<const ModelGraph> graph_;
};

struct SessionState {
  std::string name;    // "lstm/h", "rnn/stacked_rnn_cells/gru_cell/h"
  std::int64_t units;  // numbers of one stream
};

// Streams of single time steps, and the states they carry. For one thread at a time; it does not need its model any
// more.
template <class T>
class Session {
 public:
  Session(Session&&) noexcept;
  Session& operator=(Session&&) noexcept;
  ~Session();

  std::int64_t streams() const noexcept;
  // How many arrays a step reads and gives, as the model, and their numbers for each stream.
  std::size_t inputs() const noexcept;
  std::size_t all_outputs() const noexcept;
  std::int64_t features(std::size_t input = 0) const noexcept;
  std::int64_t outputs(std::size_t output = 0) const noexcept;

  // One time step of every stream: x [streams, features] -> y [streams, outputs]. After t steps y is predict's output
  // on those t steps: its last row, if it has one a step. Runs on the calling thread, allocates nothing and takes no
  // lock. False, with nothing changed, where x has a number outside an Embedding's table, or where there are several
  // inputs or outputs, which step_all takes: x[i] [streams, features(i)] -> y[i] [streams, outputs(i)].
  bool step(const T* x, T* y) noexcept;
  bool step_all(const T* const* x, T* const* y) noexcept;

  void reset() noexcept;            // all streams have seen nothing
  void reset(std::int64_t stream);  // one of them; throws Error unless it is within [0, streams)

  // What is carried from step to step, by number: to look at, keep, or put into a session of as many streams. A masked
  // step gives the last output again, which is then the state h that was put in.
  const std::vector<SessionState>& states() const noexcept;
  void get_state(std::size_t state, T* values) const;  // [streams, units]; throws Error beyond states()
  void set_state(std::size_t state, const T* values);

 private:
  friend class Model;
  explicit Session(std::unique_ptr<Steps<T>> steps);
  std::unique_ptr<Steps<T>> steps_;
};

extern template class Session<float>;
extern template class Session<double>;

}  // namespace latchwork

#pragma GCC visibility pop
