// The public layer: its answers against the naive cells, how sequences may lie, streams, and what it refuses.
#include "latchwork/layer.h"

#include <cfenv>

#include "latchwork/error.h"
#include "layer.h"
#include "runtime/thread_team.h"

namespace latchwork::test {
namespace {

template <class T>
Layer<T> layer_of(const std::string& cell, const Problem& p) {
  Layer<T> layer({.cell = cell, .input = p.I, .hidden = p.H});
  const auto kernel = as<T>(p.kernel), recurrent = as<T>(p.recurrent), bias = as<T>(p.bias);
  std::copy(kernel.begin(), kernel.end(), layer.kernel().begin());
  std::copy(recurrent.begin(), recurrent.end(), layer.recurrent_kernel().begin());
  std::copy(bias.begin(), bias.end(), layer.bias().begin());
  layer.changed();
  return layer;
}

template <class T>
void answers(const std::string& cell) {
  const Problem p = problem(cell, 4, 6, 5, 33);
  const Answer expected = naive(cell, p);
  Layer<T> layer = layer_of<T>(cell, p);
  const bool two = layer.states() == 2;
  check(two == (cell == "lstm") && layer.options().cell == cell && layer.options().hidden == p.H, cell + " options");
  check(layer.gates() * p.H == static_cast<long>(layer.kernel().size()) / p.I, cell + " gates");

  const auto x = as<T>(p.x), h0 = as<T>(p.h0), c0 = as<T>(p.c0), dy = as<T>(p.dy), dh = as<T>(p.dh), dc = as<T>(p.dc);
  std::vector<T> y(dy.size()), h(h0.size()), c(h0.size()), dx(x.size()), dh0(h0.size()), dc0(h0.size());
  std::vector<T> d(layer.parameters().size(), T(0));
  const std::vector<std::int64_t> lengths(p.lengths.begin(), p.lengths.end());
  const Sequences<const T> given{.data = x.data(), .batch = p.B, .steps = p.T, .lengths = lengths.data()};
  const States<const T> initial{h0.data(), two ? c0.data() : nullptr}, d_final{dh.data(), two ? dc.data() : nullptr};
  auto recording = layer.record(given, y.data(), initial, {h.data(), two ? c.data() : nullptr});
  Layer<T> moved = std::move(layer);  // its recordings go on with it
  moved.backward(std::move(recording), {.dy = dy.data(),
                                        .d_final = d_final,
                                        .dx = dx.data(),
                                        .d_initial = {dh0.data(), two ? dc0.data() : nullptr},
                                        .d_parameters = d.data()});

  // As in test_cells: 4 eps for every doubling of a chain's terms over the steps it passes; backward twice that.
  const double terms = static_cast<double>((p.I + p.H) * 4 * p.T);
  const double bound = 4 * std::ceil(std::log2(terms)) * static_cast<double>(std::numeric_limits<T>::epsilon());
  const auto near = [&](const char* what, const std::vector<T>& got, const Array& wanted, double factor) {
    check(got.size() == wanted.size() && distance(got, wanted) <= factor * bound, cell + " " + what);
  };
  Array d_parameters = expected.dkernel;
  d_parameters.insert(d_parameters.end(), expected.drecurrent.begin(), expected.drecurrent.end());
  d_parameters.insert(d_parameters.end(), expected.dbias.begin(), expected.dbias.end());
  near("y", y, expected.y, 1);
  near("h", h, expected.h, 1);
  near("dx", dx, expected.dx, 2);
  near("dh0", dh0, expected.dh0, 2);
  near("parameters", d, d_parameters, 2);
  if (two) near("c", c, expected.c, 1), near("dc0", dc0, expected.dc0, 2);

  std::vector<T> again(y.size(), T(-1)), h_again(h.size());
  moved.forward(given, again.data(), initial);
  check(same_bits(again, y), cell + " inference");
  moved.forward(given, nullptr, initial, {h_again.data()});
  check(same_bits(h_again, h), cell + " final states alone");
}

// [T, B, I] is [B, T, I] turned; backwards in time is forwards on the sequence turned around.
void arrangements() {
  const Problem p = problem("gru", 3, 5, 2, 7);
  const Layer<float> layer = layer_of<float>("gru", p);
  const auto x = as<float>(p.x);
  std::vector<float> turned(x.size()), backwards(x.size()), y(3 * 5 * 7), other(y.size());
  for (std::size_t b = 0; b < 3; ++b)
    for (std::size_t t = 0; t < 5; ++t)
      for (std::size_t i = 0; i < 2; ++i) {
        turned[(t * 3 + b) * 2 + i] = x[(b * 5 + t) * 2 + i];
        backwards[(b * 5 + 4 - t) * 2 + i] = x[(b * 5 + t) * 2 + i];
      }
  layer.forward({.data = x.data(), .batch = 3, .steps = 5}, y.data());
  layer.forward({.data = backwards.data(), .batch = 3, .steps = 5, .reversed = true}, other.data());
  check(same_bits(other, y), "reversed");
  layer.forward({.data = turned.data(), .batch = 3, .steps = 5, .time_major = true}, other.data());
  bool same = true;
  for (std::size_t b = 0; b < 3; ++b)
    for (std::size_t t = 0; t < 5; ++t)
      for (std::size_t j = 0; j < 7; ++j) same &= other[(t * 3 + b) * 7 + j] == y[(b * 5 + t) * 7 + j];
  check(same, "time major");
}

void dense_without_bias() {
  Layer<double> dense({.cell = "dense", .input = 2, .hidden = 1, .bias = false, .activation = "relu"});
  check(dense.recurrent_kernel().empty() && dense.bias().empty() && dense.parameters().size() == 2, "dense parameters");
  dense.kernel()[0] = 2, dense.kernel()[1] = -1;
  dense.changed();
  const std::vector<double> x{3, 4, 1, 5}, dy{10, 10};
  std::vector<double> y(2), dx(4), d(2, 0.5);
  auto recording = dense.record({.data = x.data(), .batch = 2, .steps = 1}, y.data());
  check(y == std::vector<double>{2, 0}, "dense");
  dense.backward(std::move(recording), {.dy = dy.data(), .dx = dx.data(), .d_parameters = d.data()});
  check(dx == std::vector<double>{20, -10, 0, 0}, "dense dx");
  check(d == std::vector<double>{30.5, 40.5}, "gradients of parameters are added to");
}

void streams() {
  const Problem p = problem("lstm", 2, 4, 3, 9);
  const Layer<double> layer = layer_of<double>("lstm", p);
  std::vector<double> y(2 * 4 * 9), h(2 * 9), c(2 * 9), row(2 * 9), again(2 * 9);
  layer.forward({.data = p.x.data(), .batch = 2, .steps = 4, .time_major = true}, y.data(), {}, {h.data(), c.data()});
  Stream<double> stream(layer, 2);
  for (std::size_t t = 0; t < 4; ++t) stream.step(p.x.data() + t * 2 * 3, row.data());
  check(std::equal(row.begin(), row.end(), y.end() - 2 * 9), "steps equal the sequence");
  check(std::ranges::equal(stream.state(0), h) && std::ranges::equal(stream.state(1), c), "states of a stream");
  Stream<double> moved = std::move(stream);
  moved.reset();
  moved.step(p.x.data(), again.data());
  check(std::equal(again.begin(), again.end(), y.begin()), "a stream that was reset");
  std::copy(h.begin(), h.end(), moved.state(0).begin());
  std::copy(c.begin(), c.end(), moved.state(1).begin());
  check(std::ranges::equal(moved.state(0), h), "states may be written");
}

// Steps long enough to be shared, in close succession, and while the team is another caller's.
void shared_streams() {
  set_num_threads(2);
  for (const std::string cell : {"lstm", "gru", "gru_reset_before", "elman"}) {
    const Problem p = problem(cell, 3, 6, 301, 289);
    const auto x = as<float>(p.x);
    const Layer<float> layer = layer_of<float>(cell, p);
    Stream<float> alone(layer, 3), shared(layer, 3, 2);
    std::vector<std::vector<float>> expected(12, std::vector<float>(3 * 289)), found = expected;
    const auto row = [&](std::size_t t) { return x.data() + t % 6 * 3 * 301; };
    for (std::size_t t = 0; t < 12; ++t) alone.step(row(t), expected[t].data());
    for (std::size_t t = 0; t < 8; ++t) shared.step(row(t), found[t].data());
    const Team taken(2);
    for (std::size_t t = 8; t < 12; ++t) shared.step(row(t), found[t].data());
    for (std::size_t t = 0; t < 12; ++t) check(same_bits(found[t], expected[t]), "a shared step of " + cell);
  }
}

template <class F>
void refuses(const std::string& message, F call) {
  try {
    call();
    check(false, message);
  } catch (const Error& error) {
    check(std::string(error.what()).find(message) != std::string::npos, message + " in: " + error.what());
  }
}

void bad_arguments() {
  const Layer<float> gru({.cell = "gru", .input = 3, .hidden = 8}), other({.cell = "gru", .input = 3, .hidden = 8});
  const std::vector<float> x(2 * 4 * 3);
  std::vector<float> y(2 * 4 * 8);
  const std::int64_t lengths[] = {3, 5};
  const Sequences<const float> good{.data = x.data(), .batch = 2, .steps = 4};
  Sequences<const float> bad = good;
  refuses("cell: no cell is named 'lstn'", [] { Layer<float>({.cell = "lstn", .input = 1, .hidden = 1}); });
  refuses("input must be at least 1, got 0", [] { Layer<float>({.hidden = 1}); });
  refuses("hidden must be at least 1, got -1", [] { Layer<float>({.input = 1, .hidden = -1}); });
  refuses("activation: no activation is named 'tan'",
          [] { Layer<float>({.input = 1, .hidden = 1, .activation = "tan"}); });
  refuses("recurrent_activation: no activation is named ''",
          [] { Layer<float>({.input = 1, .hidden = 1, .recurrent_activation = ""}); });
  bad.steps = -1;
  refuses("x must have a batch and steps of at least 0, got 2 and -1", [&] { gru.forward(bad, y.data()); });
  bad.steps = 4, bad.lengths = lengths;
  refuses("lengths", [&] { gru.forward(bad, y.data()); });
  refuses("y must be given: backward reads it", [&] { (void)gru.record(good, nullptr); });
  refuses("recording must come from this layer's record",
          [&] { other.backward(gru.record(good, y.data()), {.dy = y.data()}); });
  auto recording = gru.record(good, y.data());
  gru.backward(std::move(recording), {});
  refuses("and be used once", [&] { gru.backward(std::move(recording), {}); });
  refuses("rows must be at least 1, got 0", [&] { Stream<float>(gru, 0); });
  Stream<float> stream(gru);
  refuses("index must be within [0, 1), got 1", [&] { (void)stream.state(1); });
  refuses("got -1", [&] { (void)stream.state(-1); });
  refuses("threads must be at least 1, got 0", [&] { const Stream<float> none(gru, 1, 0); });
}

// A GRU's two biases are added before the kernels run.
void callers_rounding() {
  const Problem p = problem("gru", 3, 5, 4, 20);
  const auto x = as<float>(p.x);
  const Sequences<const float> given{.data = x.data(), .batch = p.B, .steps = p.T};
  Layer<float> layer = layer_of<float>("gru", p);
  float bias = 1;  // sums that need rounding
  for (float& b : layer.bias()) b = bias *= -0.7f;
  const auto run = [&] {
    std::vector<float> y(static_cast<std::size_t>(p.B * p.T * p.H)), last(static_cast<std::size_t>(p.H));
    layer.changed();  // packed anew
    layer.forward(given, y.data());
    Stream<float> stream(layer);
    stream.step(x.data(), last.data());
    y.insert(y.end(), last.begin(), last.end());
    return y;
  };
  const std::vector<float> expected = run();
  std::fesetround(FE_UPWARD);
  const std::vector<float> found = run();
  check(std::fegetround() == FE_UPWARD, "the caller's rounding is given back");
  std::fesetround(FE_TONEAREST);
  check(same_bits(found, expected), "the caller's rounding changes no bit");
}

}  // namespace
}  // namespace latchwork::test

int main() {
  using namespace latchwork::test;
  for (const std::string& cell : recurrent_cells()) {
    answers<float>(cell);
    answers<double>(cell);
  }
  arrangements();
  dense_without_bias();
  streams();
  shared_streams();
  bad_arguments();
  callers_rounding();
  return report("layer");
}
