// Runs an LSTM over sequences, steps the same one, trains a toy with a loop of its own, and runs a saved model.
#include <latchwork/latchwork.h>

#include <cmath>
#include <cstdio>
#include <cstring>
#include <random>
#include <vector>

namespace {

std::mt19937 generator(1);

template <class T>
void fill(std::span<T> values, double scale) {
  std::uniform_real_distribution<double> draw(-scale, scale);
  for (T& value : values) value = static_cast<T>(draw(generator));
}

bool expect(bool holds, const char* what) {
  if (!holds) std::printf("FAILED %s\n", what);
  return holds;
}

// A whole sequence and its single steps give the same bits.
bool steps_equal_sequence() {
  constexpr std::int64_t batch = 3, steps = 11, input = 5, hidden = 33;
  latchwork::Layer<float> lstm({.cell = "lstm", .input = input, .hidden = hidden});
  fill(lstm.parameters(), 0.3);
  lstm.changed();
  std::vector<float> x(batch * steps * input), y(batch * steps * hidden), row(batch * hidden);
  fill(std::span(x), 1.0);
  lstm.forward({.data = x.data(), .batch = batch, .steps = steps, .time_major = true}, y.data());
  latchwork::Stream<float> stream(lstm, batch);
  bool same = true;
  for (std::int64_t t = 0; t < steps; ++t) {
    stream.step(x.data() + t * batch * input, row.data());
    same = same && std::memcmp(row.data(), y.data() + t * batch * hidden, row.size() * sizeof(float)) == 0;
  }
  return expect(same, "steps equal the sequence");
}

// Learns the sum of a sequence: an LSTM, a dense layer on its last state, gradient descent by hand.
bool trains() {
  constexpr std::int64_t batch = 32, steps = 6, hidden = 16;
  latchwork::Layer<double> lstm({.cell = "lstm", .input = 1, .hidden = hidden});
  latchwork::Layer<double> head({.cell = "dense", .input = hidden, .hidden = 1, .activation = "linear"});
  fill(lstm.parameters(), 0.4);
  fill(head.parameters(), 0.4);
  std::vector<double> x(batch * steps), target(batch), y(batch * steps * hidden), h(batch * hidden), out(batch),
      dout(batch), dh(batch * hidden);
  double first = 0, last = 0;
  for (int iteration = 0; iteration < 300; ++iteration) {
    lstm.changed();
    head.changed();
    fill(std::span(x), 1.0);
    for (std::int64_t b = 0; b < batch; ++b) {
      target[static_cast<std::size_t>(b)] = 0;
      for (std::int64_t t = 0; t < steps; ++t)
        target[static_cast<std::size_t>(b)] += x[static_cast<std::size_t>(b * steps + t)] / 3;
    }
    auto tape = lstm.record({.data = x.data(), .batch = batch, .steps = steps}, y.data(), {}, {h.data()});
    auto head_tape = head.record({.data = h.data(), .batch = batch, .steps = 1}, out.data());
    double loss = 0;
    for (std::size_t b = 0; b < out.size(); ++b) {
      dout[b] = 2 * (out[b] - target[b]) / batch;
      loss += (out[b] - target[b]) * (out[b] - target[b]) / batch;
    }
    std::vector<double> d_lstm(lstm.parameters().size()), d_head(head.parameters().size());
    head.backward(std::move(head_tape), {.dy = dout.data(), .dx = dh.data(), .d_parameters = d_head.data()});
    lstm.backward(std::move(tape), {.d_final = {dh.data()}, .d_parameters = d_lstm.data()});
    for (std::size_t i = 0; i < d_lstm.size(); ++i) lstm.parameters()[i] -= 0.2 * d_lstm[i];
    for (std::size_t i = 0; i < d_head.size(); ++i) head.parameters()[i] -= 0.2 * d_head[i];
    (iteration == 0 ? first : last) = loss;
  }
  std::printf("loss %.4f -> %.4f\n", first, last);
  return expect(last < 0.1 * first, "the toy learns");
}

// A model that Python saved: whole, as sequences of different lengths, and step by step.
bool runs_a_saved_model(const char* path) {
  const auto model = latchwork::Model::load(path);
  constexpr std::int64_t streams = 3, steps = 5;
  const std::int64_t features = model.input_shape().back();
  const latchwork::Shape shape = {streams, steps, features};
  std::vector<float> x(static_cast<std::size_t>(streams * steps * features)), row(x.size() / steps);
  fill(std::span(x), 1.0);
  std::vector<float> y(static_cast<std::size_t>(model.output_size(shape))), now(y.size());
  model.predict(x.data(), shape, y.data());
  latchwork::Session<float> session = model.session<float>(streams);
  for (std::int64_t t = 0; t < steps; ++t) {
    for (std::int64_t s = 0; s < streams; ++s)
      std::memcpy(row.data() + s * features, x.data() + (s * steps + t) * features,
                  static_cast<std::size_t>(features) * sizeof(float));
    session.step(row.data(), now.data());
  }
  const bool same = expect(std::memcmp(now.data(), y.data(), y.size() * sizeof(float)) == 0, "steps equal predict");
  std::vector<float> ahead(now.size() * 3), next(now.size());  // values fed back, by the library and by hand
  const std::vector<std::int64_t> histories(streams, steps);
  model.forecast(x.data(), {histories}, 3, {}, ahead.data());
  bool fed_back = true;
  for (std::int64_t h = 0; h < 3; ++h, now = next) {
    for (std::int64_t s = 0; s < streams; ++s)
      fed_back &= std::memcmp(ahead.data() + (s * 3 + h) * features, now.data() + s * features,
                              static_cast<std::size_t>(features) * sizeof(float)) == 0;
    session.step(now.data(), next.data());
  }
  expect(fed_back, "a forecast feeds back");
  const std::int64_t lengths[] = {steps, 2 * steps};
  const latchwork::Ragged ragged{lengths};
  std::vector<float> each(static_cast<std::size_t>(model.output_size(ragged)));
  model.predict(x.data(), ragged, each.data());
  return expect(std::memcmp(each.data(), y.data(), y.size() / streams * sizeof(float)) == 0, "ragged equals padded") &&
         same && fed_back;
}

template <class F>
bool refuses(F f, const char* word) {
  try {
    f();
  } catch (const latchwork::Error& error) {
    return expect(std::strstr(error.what(), word) != nullptr, error.what());
  }
  return expect(false, word);
}

bool refuses_bad_arguments() {
  const std::int64_t lengths[] = {3, 9};
  const std::vector<float> x(2 * 4 * 3);
  std::vector<float> y(2 * 4 * 8);
  const latchwork::Layer<float> gru({.cell = "gru", .input = 3, .hidden = 8});
  return refuses([] { latchwork::Layer<float>({.cell = "lstn", .input = 1, .hidden = 1}); }, "lstn") &
         refuses([] { latchwork::Layer<float>({.input = 1, .hidden = 0}); }, "hidden") &
         refuses([] { latchwork::Layer<float>({.input = 1, .hidden = 1, .activation = "tan"}); }, "activation") &
         refuses([&] { gru.forward({.data = x.data(), .batch = 2, .steps = 4, .lengths = lengths}, y.data()); },
                 "lengths") &
         refuses([&] { latchwork::Stream<float>(gru, 0); }, "rows") &
         refuses([] { latchwork::use_isa("avx1024"); }, "avx1024") &
         refuses([] { latchwork::set_num_threads(0); }, "threads");
}

}  // namespace

// The argument: a model of sequences that gives one output for each, of layers that can step.
int main(int count, char** arguments) {
  if (count != 2) return 2;
  std::printf("latchwork on %s, %d threads\n", latchwork::isa().c_str(), latchwork::num_threads());
  const bool good = steps_equal_sequence() & trains() & runs_a_saved_model(arguments[1]) & refuses_bad_arguments();
  std::printf("%s\n", good ? "consumer: good" : "consumer: FAILED");
  return good ? 0 : 1;
}
