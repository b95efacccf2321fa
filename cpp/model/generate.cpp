// Tokens from a model of tokens.
#include <algorithm>
#include <limits>

#include "layers/random.h"
#include "layers/sampling.h"
#include "model/graph.h"
#include "model/rollout.h"

namespace latchwork {
namespace {

void check(const GenerateOptions& options) {
  if (!(options.temperature >= 0 && options.temperature <= std::numeric_limits<double>::max()))
    refuse("temperature must be finite and at least 0", options.temperature);
  if (options.top_k < 0) refuse("top_k must be at least 0", options.top_k);
  if (!(options.top_p > 0 && options.top_p <= 1)) refuse("top_p must be in (0, 1]", options.top_p);
}

// What stands for tokens in x: numbers, or rows with a 1.
struct TokenForm {
  Index readable;  // tokens that x may be
  Index count;     // that y has scores for
  bool one_hot;
};

TokenForm form_of(const std::string& name, Index numbers, Index features, Index outputs) {
  const TokenForm form{numbers > 0 ? numbers : features, outputs, numbers == 0};
  if (form.one_hot ? outputs != form.readable : outputs > form.readable)
    throw Error("generate needs a model that gives a score for each token it reads, " + std::to_string(form.readable) +
                (form.one_hot ? "" : " at most") + ", got " + name + " of " + std::to_string(outputs) + " outputs");
  return form;
}

void check_tokens(const TokenForm& form, std::span<const std::int64_t> prompts, std::int64_t end) {
  if (end < -1 || end >= form.count)
    refuse("end must be a token in [0, " + std::to_string(form.count) + "), or -1", end);
  for (const std::int64_t token : prompts)
    if (token < 0 || token >= form.readable)
      refuse("prompt must hold tokens in [0, " + std::to_string(form.readable) + ")", token);
}

template <class T>
void write_token(const TokenForm& form, Index token, T* x) noexcept {
  if (!form.one_hot) {
    *x = static_cast<T>(token);
    return;
  }
  std::fill_n(x, form.readable, T(0));
  x[token] = T(1);
}

bool are_logits(Scores scores, const std::string& layer, const GenerateOptions& options) {
  if (options.from_logits) return *options.from_logits;
  if (scores == Scores::unknown)
    throw Error("from_logits must be given: the last layer, " + layer +
                ", is neither softmax (probabilities) nor linear (logits)");
  return scores == Scores::logits;
}

[[noreturn]] void no_scores(Index stream, Index i) {
  throw Error(
      "generate: y must hold scores, one of them at least likely, got NaN, infinity, negative probabilities or "
      "none that is likely, for token " +
      std::to_string(i) + " of prompt " + std::to_string(stream));
}

template <class T>
void roll_out(RollOut<T>& run, const TokenForm& form, Index n, TokenSampler& sampler, const GenerateOptions& options,
              std::int64_t* tokens) {
  Buffer<double> scores(form.count);
  Index going = run.streams();
  for (Index i = 0; i < n; ++i) {
    if (i > 0 && going > 0) run.step();
    const FloatScope scope;
    for (Index stream = 0; stream < run.streams(); ++stream) {
      std::int64_t& token = tokens[stream * n + i];
      token = options.end;
      if (!run.real(stream)) continue;
      std::copy_n(run.y(stream), form.count, scores.data());
      const RollOutStep at{options.seed, draw_number(i), 0, draw_number(stream)};
      token = sampler.draw(scores.data(), roll_out_uniform(at));
      if (token < 0) no_scores(stream, i);
      write_token(form, token, run.x(stream));
      run.real(stream) = token != options.end;
      going -= token == options.end;
    }
  }
}

}  // namespace

void Model::generate(std::span<const std::int64_t> prompts, const Ragged& lengths, std::int64_t n,
                     const GenerateOptions& options, std::int64_t* tokens) const {
  check(options);
  require_threads_and_steps(options.threads, n, "n");
  graph_->input();
  graph_->require_one_output();
  const std::vector<Index> starts = starts_of(lengths, "prompt");
  if (starts.back() != static_cast<Index>(prompts.size()))
    refuse("prompts must hold " + std::to_string(starts.back()) + " tokens, the sum of the lengths",
           static_cast<Index>(prompts.size()));
  const auto batch = static_cast<Index>(lengths.lengths.size());
  const auto run_as = [&]<class T>(T) {
    Session<T> session = this->session<T>(std::max<Index>(1, batch), options.threads);
    Steps<T>& steps = *session.steps_;
    const auto node = std::find_if(graph_->nodes.begin(), graph_->nodes.end(),
                                   [this](const Node& each) { return each.y == graph_->outputs[0]; });
    const AnyLayer& last = *graph_->layers[node->layer];
    const TokenForm form = form_of(name(), steps.inputs[0].numbers, session.features(), session.outputs());
    const bool logits = are_logits(last.traits().scores, last.name(), options);
    check_tokens(form, prompts, options.end);
    if (batch == 0) return;
    TokenSampler sampler(form.count, {logits, options.temperature, options.top_k, options.top_p});
    RollOut<T> run(steps);
    run.read(lengths.lengths, [&](Index stream, Index t, T* x) {
      write_token(form, prompts[static_cast<std::size_t>(starts[static_cast<std::size_t>(stream)] + t)], x);
    });
    roll_out(run, form, n, sampler, options, tokens);
  };
  float64() ? run_as(0.0) : run_as(0.0f);
}

}  // namespace latchwork
