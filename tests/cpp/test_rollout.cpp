// Roll-outs: what Python generated and forecast is found again here, on every ISA, and is what single steps give.
#include <algorithm>
#include <cmath>
#include <limits>

#include "check.h"
#include "latchwork/error.h"
#include "latchwork/model.h"
#include "layers/sampling.h"
#include "model/safetensors.h"

namespace latchwork::test {
namespace {

const std::string folder = LATCHWORK_TEST_DATA "/";

template <class T>
std::vector<T> tensor(const char* name) {
  const SafetensorsFile file(folder + "rollout_data.safetensors");
  const TensorInfo& info = *file.find(name);
  std::vector<T> values(static_cast<std::size_t>(info.end - info.begin) / sizeof(T));
  file.read(info, values.data());
  return values;
}

Model plain() { return Model::load(folder + "model.safetensors"); }
Model of_tokens() { return Model::load(folder + "tokens.safetensors"); }

using Tokens = std::vector<std::int64_t>;

Tokens generated(const Model& model, const Tokens& prompts, const Tokens& lengths, std::int64_t n,
                 const GenerateOptions& options) {
  Tokens tokens(lengths.size() * static_cast<std::size_t>(n), -7);
  model.generate(prompts, {lengths}, n, options, tokens.data());
  return tokens;
}

struct Histories {
  std::vector<float> x = std::vector<float>(14), known = std::vector<float>(18);
  Tokens lengths = {4, 1, 2};
  Histories() {
    for (std::size_t i = 0; i < x.size(); ++i) x[i] = static_cast<float>(i * 3 % 5) / 4 - 0.5f;
    for (std::size_t i = 0; i < known.size(); ++i) known[i] = static_cast<float>(i) / 8 - 1;
  }
  std::vector<float> forecast(const ForecastOptions& options) const {
    const Model model = plain();
    Index size = 1;
    for (const Index extent : model.forecast_shape({lengths}, 6, options)) size *= extent;
    std::vector<float> y(static_cast<std::size_t>(size));
    model.forecast(x.data(), {lengths}, 6, options, y.data(), options.known_features > 0 ? known.data() : nullptr);
    return y;
  }
};

const ForecastOptions kPaths{
    .outputs = Outputs::gaussian, .paths = 25, .min_scale = 0.125, .seed = (1ull << 63) + 5, .known_features = 1};

void as_in_python(const std::string& isa) {
  const auto same = [&](const Tokens& found, const char* name) {
    const std::vector<double> expected = tensor<double>(name);
    check(std::equal(found.begin(), found.end(), expected.begin(), expected.end(),
                     [](std::int64_t a, double b) { return static_cast<double>(a) == b; }),
          std::string(name) + " on " + isa);
  };
  for (const int threads : {1, 2}) {
    same(generated(of_tokens(), {1, 2, 3, 6, 0, 5}, {3, 1, 2}, 30,
                   {.temperature = 1.5, .top_p = 0.9, .seed = 7, .threads = threads}),
         "tokens");
    same(generated(plain(), {1, 0, 1, 0}, {1, 3}, 40, {.seed = 8, .threads = threads}), "one_hot");
  }
  const Histories given;
  check(same_bits(given.forecast({}), tensor<float>("values")), "values on " + isa);
  check(same_bits(given.forecast(kPaths), tensor<float>("paths")), "paths on " + isa);
  ForecastOptions levels = kPaths;
  levels.quantiles = {0.1, 0.5, 0.75};
  check(same_bits(given.forecast(levels), tensor<float>("quantiles")), "quantiles on " + isa);
}

// A loop over a session's steps, the most likely token or the value fed back.
void as_a_loop_of_steps() {
  const Model model = of_tokens();
  Session<float> session = model.session<float>();
  std::vector<float> y(static_cast<std::size_t>(session.outputs()));
  const Tokens prompt = {4, 2, 6};
  for (const std::int64_t token : prompt) {
    const auto x = static_cast<float>(token);
    session.step(&x, y.data());
  }
  Tokens expected;
  for (int i = 0; i < 25; ++i) {
    expected.push_back(std::max_element(y.begin(), y.end()) - y.begin());
    const auto x = static_cast<float>(expected.back());
    session.step(&x, y.data());
  }
  check(generated(model, prompt, {3}, 25, {.temperature = 0}) == expected, "the most likely, step by step");

  const Histories given;
  const std::vector<float> found = given.forecast({});
  Session<float> one = plain().session<float>();
  std::vector<float> now(2);
  for (std::size_t t = 0; t < 4; ++t) one.step(given.x.data() + 2 * t, now.data());
  for (std::size_t h = 0; h < 6; ++h) {
    check(now[0] == found[2 * h] && now[1] == found[2 * h + 1], "values, step by step");
    const std::vector<float> before = now;
    one.step(before.data(), now.data());
  }
}

void stops() {
  const Model model = of_tokens();
  const Tokens prompts = {1, 2, 3}, lengths = {1, 2};
  const Tokens free = generated(model, prompts, lengths, 40, {.seed = 3});
  const Tokens ended = generated(model, prompts, lengths, 40, {.seed = 3, .end = 1});
  for (std::ptrdiff_t row : {0, 40}) {
    const auto end = std::find(free.begin() + row, free.begin() + row + 40, 1);
    const std::ptrdiff_t before = end - free.begin();
    check(std::equal(free.begin() + row, end, ended.begin() + row), "the same up to the end");
    check(std::all_of(ended.begin() + before, ended.begin() + row + 40, [](std::int64_t t) { return t == 1; }),
          "and nothing behind it");
    check(before < row + 38, "there is something behind it");
  }
}

void chooses() {
  const double tied[] = {0, 2, 1, 2}, infinite[] = {0, std::numeric_limits<double>::infinity()};
  const double nan[] = {0, std::nan("")}, negative[] = {0.5, -0.1}, none[] = {0, 0};
  const double minus = -std::numeric_limits<double>::infinity(), never[] = {minus, minus}, once[] = {minus, 3, minus};
  const double almost = 1 - 0x1p-53;
  const auto draw = [](std::span<const double> scores, SamplingOptions options, double u) {
    return TokenSampler(static_cast<Index>(scores.size()), options).draw(scores.data(), u);
  };
  check(draw(tied, {true, 0}, 0.5) == 1, "the lower of equals");
  check(draw(tied, {true, 1, 1}, almost) == 1 && draw(tied, {true, 1, 0, 1e-9}, almost) == 1, "and of one");
  check(draw(tied, {true, 1, 2}, almost) == 3 && draw(tied, {true, 1, 2}, 0) == 1, "of two");
  check(draw(tied, {true}, 0) == 0 && draw(tied, {true}, almost) == 3, "both ends");
  check(draw(once, {true}, 0) == 1 && draw(once, {true}, almost) == 1, "the only one that is likely");
  for (const double temperature : {0.0, 1.0}) {
    check(draw(infinite, {true, temperature}, 0.5) < 0 && draw(nan, {true, temperature}, 0.5) < 0, "not finite");
    check(draw(never, {true, temperature}, 0.5) < 0 && draw(none, {false, temperature}, 0.5) < 0, "none is likely");
    check(draw(negative, {false, temperature}, 0.5) < 0, "no probabilities");
  }
}

template <class F>
void throws(F f, const std::string& part) {
  try {
    f();
    check(false, "no error: " + part);
  } catch (const Error& error) {
    check(std::string(error.what()).find(part) != std::string::npos, std::string(error.what()) + " names " + part);
  }
}

void refuses() {
  const Model model = of_tokens();
  Tokens y(9, -7);
  const auto generate = [&](Tokens prompts, Tokens lengths, std::int64_t n, const GenerateOptions& options) {
    return [=, &model, &y] { model.generate(prompts, {lengths}, n, options, y.data()); };
  };
  throws(generate({1, 7}, {2}, 3, {}), "prompt must hold tokens in [0, 7), got 7");
  throws(generate({1, 2}, {1}, 3, {}), "prompts must hold 1 tokens, the sum of the lengths, got 2");
  throws(generate({1}, {1, 0}, 3, {}), "at least one step in each sequence, got 0");
  throws(generate({1}, {1}, 0, {}), "n must be in [1, 2^32), got 0");
  throws(generate({1}, {1}, 3, {.temperature = -1}), "temperature");
  throws(generate({1}, {1}, 3, {.top_k = -1}), "top_k");
  throws(generate({1}, {1}, 3, {.top_p = 0}), "top_p");
  throws(generate({1}, {1}, 3, {.end = 2}), "end must be a token in [0, 2)");
  throws(generate({1}, {1}, 3, {.threads = 0}), "threads");
  check(y == Tokens(9, -7), "nothing was written");

  const Histories given;
  ForecastOptions known = kPaths, both = kPaths;
  known.known_features = 2;
  both.quantiles = {0.5, 0.2};
  throws([&] { given.forecast(known); }, "known must have fewer features than x, 2, got 2");
  throws([&] { given.forecast(both); }, "quantiles must rise");
  throws([&] { given.forecast({.paths = 2}); }, "paths must be 0");
  throws([&] { given.forecast({.outputs = Outputs::gaussian}); }, "must give 4 outputs");
  std::vector<float> out(36, 8.0f);
  throws([&] { plain().forecast(given.x.data(), {given.lengths}, 6, {}, out.data(), given.known.data()); }, "known");
  const std::vector<double> wide(14);
  std::vector<double> wide_y(36);
  throws([&] { plain().forecast(wide.data(), {given.lengths}, 6, {}, wide_y.data()); }, "the model's type");
  throws([&] { of_tokens().forecast(out.data(), {given.lengths}, 6, {}, out.data()); }, "which reads tokens");
  check(out == std::vector<float>(36, 8.0f), "nothing was written here either");
}

}  // namespace
}  // namespace latchwork::test

int main() {
  using namespace latchwork::test;
  on_every_isa(as_in_python);
  as_a_loop_of_steps();
  stops();
  chooses();
  refuses();
  return report("rollout");
}
