// The values to come, from a model of values.
#include <algorithm>
#include <limits>

#include "cpu/dispatch.h"
#include "layers/random.h"
#include "layers/sampling.h"
#include "model/graph.h"
#include "model/rollout.h"

namespace latchwork {

namespace {

void check_levels(const std::vector<double>& levels) {
  double before = 0;
  for (const double level : levels) {
    if (!(level > before && level < 1))
      refuse("quantiles must rise within (0, 1): behind " + std::to_string(before), level);
    before = level;
  }
}

// What a roll-out's numbers are.
struct Widths {
  Index features;     // F, fed back
  Index outputs = 1;  // of the model for each of them
  Index fed = 0;      // the first of those fed back
  Index stride = 1;   // between them
  Index paths = 1;    // of each sequence
  Index width = 1;    // numbers of y for each feature and step
  bool draws = false;
  bool levels = false;  // of the draws y has quantiles
};

Widths widths_of(Index x_features, const ForecastOptions& options) {
  check_levels(options.quantiles);
  const auto levels = static_cast<Index>(options.quantiles.size());
  if (options.known_features < 0 || options.known_features >= x_features)
    refuse("known must have fewer features than x, " + std::to_string(x_features), options.known_features);
  if (options.paths < 0 || options.paths >= kMostRollOut) refuse("paths must be in [0, 2^32)", options.paths);
  Widths w{x_features - options.known_features};
  w.draws = options.paths > 0;
  if (w.draws && options.outputs != Outputs::gaussian)
    refuse("paths must be 0 where the outputs are no distribution to draw from", options.paths);
  if (options.outputs == Outputs::gaussian) {
    w.outputs = 2;
    w.levels = w.draws && levels > 0;
    if (w.draws) w.paths = options.paths, w.width = w.levels ? levels : options.paths;
  } else if (options.outputs == Outputs::quantiles) {
    const auto& q = options.quantiles;
    w.outputs = w.width = w.stride = levels;
    w.fed = std::find(q.begin(), q.end(), 0.5) - q.begin();
    if (w.fed == levels) throw Error("quantiles must hold 0.5, the median, which is fed back");
  }
  if (levels > 0 && !w.levels && options.outputs != Outputs::quantiles)
    refuse("quantiles must be none unless the outputs are quantiles, or gaussian with paths", levels);
  if (!(options.min_scale >= 0 && options.min_scale <= std::numeric_limits<double>::max()))
    refuse("min_scale must be finite and at least 0", options.min_scale);
  if (options.min_scale > 0 && !w.draws) refuse("min_scale must be 0 without paths", options.min_scale);
  if (w.features > kMostRollOutDraws) throw Error("forecast: x must have at most 2^22 features to feed back");
  return w;
}

void check_model(const Widths& w, const std::string& name, Index numbers, Index outputs) {
  if (numbers > 0) throw Error("forecast needs a model of values, got " + name + ", which reads tokens: see generate");
  if (outputs != checked_product(w.features, w.outputs, "outputs"))
    throw Error("forecast: the model must give " + std::to_string(w.features * w.outputs) + " outputs, " +
                std::to_string(w.outputs) + " for each of " + std::to_string(w.features) + " features fed back, got " +
                name + " of " + std::to_string(outputs));
}

template <class T>
T narrowed(double value) noexcept {
  return static_cast<T>(value);
}

// What y, a row of the model's outputs, makes the next values of a path.
class Feedback {
 public:
  Feedback(const Widths& w, double min_scale) : w_(w), min_scale_(min_scale), scale_(w.features), normal_(w.features) {}

  template <class T>
  void take(const T* y, const RollOutStep& at, T* values) noexcept {
    for (Index f = 0; f < w_.features; ++f) values[f] = y[f * w_.stride + w_.fed];
    if (!w_.draws) return;
    std::copy_n(y + w_.features, w_.features, scale_.data());
    draw(at);
    for (Index f = 0; f < w_.features; ++f)
      values[f] = static_cast<T>(static_cast<double>(values[f]) + scale_[f] * normal_[f]);
  }

 private:
  void draw(const RollOutStep& at) noexcept {
    kernels().of<double>().unary.activation(Activation::softplus, scale_.data(), scale_.data(), w_.features);
    for (Index f = 0; f < w_.features; ++f) scale_[f] += min_scale_;
    roll_out_normal(at, normal_.data(), w_.features);
  }

  const Widths& w_;
  double min_scale_;
  Buffer<double> scale_, normal_;
};

// `to` has each stream of `from` `paths` times.
template <class T>
void spread(const Session<T>& from, Index paths, Session<T>& to) {
  for (std::size_t i = 0; i < from.states().size(); ++i) {
    const Index units = from.states()[i].units;
    Buffer<T> one(from.streams() * units), many(to.streams() * units);
    from.get_state(i, one.data());
    for (Index row = 0; row < to.streams(); ++row)
      std::copy_n(one.data() + row / paths * units, units, many.data() + row * units);
    to.set_state(i, many.data());
  }
}

// run: the paths of all sequences; history: what has read x, the same where there is one path. known [B, horizon, K].
template <class T>
void roll_out(const Widths& w, RollOut<T>& history, RollOut<T>& run, Index horizon, const ForecastOptions& options,
              const T* known, T* y) {
  Feedback feedback(w, options.min_scale);
  Buffer<double> values(w.features * w.paths), levels(w.width);  // [F, paths] of one sequence and step
  const Index beside = options.known_features, size = w.features * w.width;
  for (Index h = 0; h < horizon; ++h) {
    if (h > 0) run.step();
    const FloatScope scope;
    for (Index b = 0; b < history.streams(); ++b) {
      T* const out = y + (b * horizon + h) * size;
      for (Index p = 0; p < w.paths; ++p) {
        const Index stream = b * w.paths + p;
        const T* const row = h == 0 ? history.y(b) : run.y(stream);
        T* const x = run.x(stream);
        feedback.take(row, {options.seed, draw_number(h), draw_number(p), draw_number(b)}, x);
        for (Index f = 0; f < w.features; ++f) values[f * w.paths + p] = static_cast<double>(x[f]);
        std::copy_n(known + (b * horizon + h) * beside, beside, x + w.features);
        if (options.outputs == Outputs::quantiles) std::copy_n(row, size, out);
      }
      for (Index f = 0; w.levels && f < w.features; ++f) {
        sample_quantiles(values.data() + f * w.paths, w.paths, options.quantiles.data(), w.width, levels.data());
        std::transform(levels.data(), levels.data() + w.width, out + f * w.width, narrowed<T>);
      }
      if (!w.levels && options.outputs != Outputs::quantiles)
        std::transform(values.data(), values.data() + size, out, narrowed<T>);
    }
  }
}

}  // namespace

Shape Model::forecast_shape(const Ragged& lengths, std::int64_t horizon, const ForecastOptions& options) const {
  const Shape& input = graph_->input();
  if (input.size() != 2 || input.back() < 1)
    throw Error("forecast needs a model of sequences, [T, F], got samples of " + shape_text(input));
  require_threads_and_steps(options.threads, horizon, "horizon");
  starts_of(lengths, "x");
  const Widths w = widths_of(input.back(), options);
  Shape y{static_cast<Index>(lengths.lengths.size()), horizon, w.features};
  if (w.draws || options.outputs == Outputs::quantiles) y.push_back(w.width);
  size_of(y);
  return y;
}

template <class T>
void Model::roll_forward(const T* x, const Ragged& lengths, std::int64_t horizon, const ForecastOptions& options,
                         const T* known, T* y) const {
  const Index batch = forecast_shape(lengths, horizon, options)[0];
  graph_->require_one_output();
  const std::vector<Index> starts = starts_of(lengths, "x");
  Session<T> session = this->session<T>(std::max<Index>(1, batch), options.threads);
  const Index features = session.features();
  const Widths w = widths_of(features, options);
  check_model(w, name(), session.steps_->inputs[0].numbers, session.outputs());
  if ((options.known_features > 0) != (known != nullptr))
    throw Error("known must be given where known_features is not 0, and only there");
  if (batch == 0) return;
  RollOut<T> history(*session.steps_);
  std::optional<Session<T>> wide;  // its paths, where there are several
  if (w.paths > 1) wide = this->session<T>(checked_product(batch, w.paths, "paths"), options.threads);
  history.read(lengths.lengths, [&](Index stream, Index t, T* row) {
    std::copy_n(x + (starts[static_cast<std::size_t>(stream)] + t) * features, features, row);
  });
  if (!wide) return roll_out(w, history, history, horizon, options, known, y);
  spread(session, w.paths, *wide);
  RollOut<T> run(*wide->steps_);
  roll_out(w, history, run, horizon, options, known, y);
}

void Model::forecast(const float* x, const Ragged& lengths, std::int64_t horizon, const ForecastOptions& options,
                     float* y, const float* known) const {
  roll_forward(x, lengths, horizon, options, known, y);
}

void Model::forecast(const double* x, const Ragged& lengths, std::int64_t horizon, const ForecastOptions& options,
                     double* y, const double* known) const {
  roll_forward(x, lengths, horizon, options, known, y);
}

}  // namespace latchwork
