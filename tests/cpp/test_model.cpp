// A model saved in Python gives its bits here: whole, in other batches, and step by step, on every ISA.
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <limits>

#include "check.h"
#include "latchwork/error.h"
#include "latchwork/model.h"
#include "model/json.h"
#include "model/safetensors.h"

namespace latchwork::test {
namespace {

namespace fs = std::filesystem;
const std::string folder = LATCHWORK_TEST_DATA "/";
const std::string saved = folder + "model.safetensors";

std::vector<float> tensor(const SafetensorsFile& file, const char* name) {
  const TensorInfo& info = *file.find(name);
  std::vector<float> values(static_cast<std::size_t>(info.end - info.begin) / sizeof(float));
  file.read(info, values.data());
  return values;
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

// A model's file, and its steps where its layers have them.
void predicts_one(const std::string& isa, const std::string& name, bool steps_too) {
  const std::string what = name + " on " + isa;
  const SafetensorsFile data(folder + name + "_data.safetensors");
  const Shape shape = data.find("x")->shape;
  const std::int64_t batch = shape[0], steps = shape[1], features = shape[2];
  const std::vector<float> x = tensor(data, "x"), expected = tensor(data, "y");
  const Model model = Model::load(folder + name + ".safetensors");
  check(!model.float64() && model.input_shape() == Shape({-1, features}), "what it is");
  check(model.output_shape(shape) == data.find("y")->shape, "the shape of y");

  std::vector<float> y(expected.size());
  model.predict(x.data(), shape, y.data());
  check(same_bits(y, expected), "predict " + what);

  std::fill(y.begin(), y.end(), 0.0f);
  const std::int64_t outputs = model.output_size({1, steps, features});
  for (std::int64_t b = 0; b < batch; ++b)
    model.predict(x.data() + b * steps * features, {1, steps, features}, y.data() + b * outputs);
  check(same_bits(y, expected), "one sample at a time, " + what);

  const std::vector<float> ragged_x = tensor(data, "ragged_x"), ragged_y = tensor(data, "ragged_y");
  std::vector<double> read(static_cast<std::size_t>(batch));
  data.read(*data.find("lengths"), read.data());
  const std::vector<std::int64_t> lengths(read.begin(), read.end());
  std::vector<float> found(static_cast<std::size_t>(model.output_size(Ragged{lengths})));
  model.predict(ragged_x.data(), Ragged{lengths}, found.data());
  check(same_bits(found, ragged_y), "sequences of different lengths, " + what);

  if (!steps_too) return;
  Session<float> session = model.session<float>(batch);
  check(session.streams() == batch && session.features() == features && session.outputs() == outputs, "a session");
  std::vector<float> row(static_cast<std::size_t>(batch * features));
  for (int pass = 0; pass < 2; ++pass, session.reset()) {
    std::fill(y.begin(), y.end(), 0.0f);
    for (std::int64_t t = 0; t < steps; ++t) {
      for (std::int64_t b = 0; b < batch; ++b)
        std::copy_n(x.data() + (b * steps + t) * features, features, row.data() + b * features);
      check(session.step(row.data(), y.data()), "a step");
    }
    check(same_bits(y, expected), "steps of " + what);
  }
}

// All inputs and outputs of a graph, whole and one sample at a time.
void runs_a_graph(const std::string& isa) {
  const SafetensorsFile data(folder + "graph_data.safetensors");
  const Model model = Model::load(folder + "graph.safetensors");
  check(model.inputs().size() == 3 && model.inputs()[1].name == "series" && model.inputs()[1].shape == Shape({-1, 2}),
        "inputs");
  check(model.outputs() == std::vector<std::string>({"kind", "decoder", "dot"}), "outputs");
  std::vector<std::vector<float>> x, expected;
  std::vector<Shape> shapes;
  for (const char* const name : {"x0", "x1", "x2"}) {
    x.push_back(tensor(data, name));
    shapes.push_back(data.find(name)->shape);
  }
  for (const char* const name : {"y0", "y1", "y2"}) expected.push_back(tensor(data, name));
  const std::vector<Shape> found = model.output_shapes(shapes);
  for (std::size_t o = 0; o < 3; ++o) {
    const std::string name{'y', static_cast<char>('0' + o)};
    check(found[o] == data.find(name)->shape, "the shape of " + name);
  }

  for (const std::int64_t at_once : {shapes[0][0], std::int64_t{1}}) {
    std::vector<std::vector<float>> y(expected);
    for (auto& each : y) std::fill(each.begin(), each.end(), 0.0f);
    for (std::int64_t row = 0; row < shapes[0][0]; row += at_once) {
      std::vector<const float*> from;
      std::vector<float*> to;
      std::vector<Shape> part = shapes;
      const auto place = [&](const auto& values) {
        return static_cast<std::int64_t>(values.size()) / shapes[0][0] * row;
      };
      for (const auto& each : x) from.push_back(each.data() + place(each));
      for (auto& each : y) to.push_back(each.data() + place(each));
      for (Shape& shape : part) shape[0] = at_once;
      model.predict(from, part, to);
    }
    for (std::size_t o = 0; o < 3; ++o)
      check(same_bits(y[o], expected[o]), "output " + std::to_string(o) + " on " + isa);
  }

  const float* from[] = {x[0].data(), x[1].data(), x[2].data()};
  float* to[] = {nullptr, nullptr, nullptr};
  const double* wide[] = {nullptr, nullptr, nullptr};
  double* wide_to[] = {nullptr, nullptr, nullptr};
  throws([&] { model.predict(from, shapes, std::span(to, 2)); }, "y 3, got 3 and 2");
  throws([&] { model.predict(wide, shapes, wide_to); }, "x and y must be float");
  throws([&] { model.predict(from[0], shapes[0], to[0]); }, "graph has 3 inputs");
  throws([&] { model.input_shape(); }, "graph has 3 inputs");
  throws([&] { model.output_shape(shapes[0]); }, "graph has 3 inputs");
  throws([&] { model.session<float>(); }, "lstm: cannot step: it gives more than one array");
}

struct GraphData {
  std::vector<std::vector<float>> x, y;
  std::vector<Shape> shapes;

  explicit GraphData(const std::string& name) {
    const SafetensorsFile data(folder + name + "_data.safetensors");
    for (const TensorInfo& each : data.tensors()) {  // x0, x1, ..., y0, ...
      const bool given = each.name[0] == 'x';
      (given ? x : y).push_back(tensor(data, each.name.c_str()));
      if (given) shapes.push_back(each.shape);
    }
  }
};

template <class V>
auto pointers(V& arrays) {
  std::vector<decltype(arrays[0].data())> found;
  for (auto& each : arrays) found.push_back(each.data());
  return found;
}

// Attention: the bits of Python, and no session.
void looks_back(const std::string& isa) {
  const GraphData data("looking");
  const Model model = Model::load(folder + "looking.safetensors");
  std::vector<std::vector<float>> y = data.y;
  for (auto& each : y) std::fill(each.begin(), each.end(), 9.0f);
  const auto from = pointers(data.x);
  const auto to = pointers(y);
  model.predict(std::span<const float* const>(from), data.shapes, to);
  for (std::size_t o = 0; o < y.size(); ++o)
    check(same_bits(y[o], data.y[o]), "looking: output " + std::to_string(o) + " on " + isa);
  throws([&] { model.session<float>(); }, "attention: cannot step: its queries read all steps");
}

// A graph's steps: its last output is Python's predict of all of them, and those of sequences are one a step.
void steps_a_graph(const std::string& isa) {
  const GraphData data("stepping");
  const Model model = Model::load(folder + "stepping.safetensors");
  const std::int64_t batch = data.shapes[0][0], steps = data.shapes[0][1];
  Session<float> session = model.session<float>(batch);
  check(session.inputs() == 3 && session.features(0) == 1 && session.features(1) == 2 && session.features(2) == 3 &&
            session.all_outputs() == 3 && session.outputs(0) == 2 && session.outputs(1) == 6 && session.outputs(2) == 1,
        "sizes of a graph's steps");
  float none = 5;
  check(!session.step(&none, &none) && none == 5, "one array is not all of them");
  std::vector<std::vector<float>> x(3), y(3);
  for (std::size_t i = 0; i < 3; ++i) {
    x[i].resize(static_cast<std::size_t>(batch * session.features(i)));
    y[i].resize(static_cast<std::size_t>(batch * session.outputs(i)));
  }
  const auto to = pointers(y);
  for (std::int64_t t = 0; t < steps; ++t) {
    for (std::size_t i = 0; i < 3; ++i) {
      const std::int64_t width = session.features(i);
      for (std::int64_t b = 0; b < batch; ++b)
        std::copy_n(data.x[i].data() + (i == 2 ? b : b * steps + t) * width, width, x[i].data() + b * width);
    }
    const auto from = pointers(x);
    check(session.step_all(std::vector<const float*>(from.begin(), from.end()).data(), to.data()), "a step is taken");
    for (std::int64_t b = 0; b < batch; ++b)
      check(std::equal(y[1].data() + b * 6, y[1].data() + (b + 1) * 6, data.y[1].data() + (b * steps + t) * 6),
            "rows of a graph's step on " + isa);
  }
  check(same_bits(y[0], data.y[0]) && same_bits(y[2], data.y[2]), "the end of a graph's steps on " + isa);
}

void predicts(const std::string& isa) {
  predicts_one(isa, "model", true);
  predicts_one(isa, "nested", false);
  predicts_one(isa, "tokens", true);
  runs_a_graph(isa);
  looks_back(isa);
  steps_a_graph(isa);
}

void refuses() {
  const Model model = Model::load(saved);
  const float x[12] = {};
  float y[2];
  const double wide[2] = {};
  double wide_y[2];
  throws([&] { model.predict(x, {1, 3, 3}, y); }, "x must be");
  throws([&] { model.predict(x, {3, 2}, y); }, "x must be");
  throws([&] { model.predict(x, {-1, 3, 2}, y); }, "x must be");
  throws([&] { model.predict(wide, {1, 1, 2}, wide_y); }, "float");
  const std::int64_t lengths[] = {1, -1};
  throws([&] { model.predict(x, Ragged{lengths}, y); }, "lengths must be at least 0");
  throws([&] { model.predict(wide, Ragged{}, wide_y); }, "float");
  throws([&] { model.session<float>(0); }, "streams must be at least 1");
  throws([&] { model.session<double>(1); }, "float");
  throws([&] { Model::load(folder + "nested.safetensors").session<float>(1); }, "bidirectional: cannot step");
  const Model tokens = Model::load(folder + "tokens.safetensors");
  for (const float bad : {7.0f, -1.0f, 0.5f, std::numeric_limits<float>::quiet_NaN()}) {
    std::vector<float> numbers(300, 1.0f), out(600, 3.0f);  // more rows than run at once
    numbers.back() = bad;
    throws([&] { tokens.predict(numbers.data(), {300, 1, 1}, out.data()); }, "whole numbers in [0, 7)");
    const std::vector<std::int64_t> ones(300, 1);
    throws([&] { tokens.predict(numbers.data(), Ragged{ones}, out.data()); }, "whole numbers in [0, 7)");
    check(out[0] == 3, "nothing is written");
  }
  throws([&] { Model::load("m.h5"); }, ".safetensors");
  try {
    Model::load(folder + "no.safetensors");
    check(false, "a file that is not there");
  } catch (const FileError& error) {
    check(error.code() == ENOENT && std::string(error.what()).find("no.safetensors") != std::string::npos, "ENOENT");
  }
}

// Every prefix of a file, and every byte of its header changed, is an error or a model; never a crash.
void survives(const std::string& name) {
  std::ifstream in(folder + name + ".safetensors", std::ios::binary);
  const std::string whole((std::istreambuf_iterator<char>(in)), {});
  const fs::path path = fs::temp_directory_path() / ("latchwork-" + std::to_string(::getpid()) + ".safetensors");
  int refused = 0, loaded = 0;
  const auto attempt = [&](const std::string& bytes) {
    fs::remove(path);  // a file that is cut and rewritten goes to the disk each time: 22 s instead of 1
    std::ofstream(path, std::ios::binary) << bytes;
    try {
      Model::load(path);
      ++loaded;
    } catch (const Error&) {
      ++refused;
    }
  };
  for (std::size_t i = 0; i < whole.size(); i += 7) attempt(whole.substr(0, i));
  check(loaded == 0, "a part of a file is no model");
  for (std::size_t i = 0; i < 4000 && i < whole.size(); i += 3)
    for (const char change : {'\0', '"', '9', '{', '\xff'}) {
      std::string bytes = whole;
      bytes[i] = change;
      attempt(bytes);
    }
  check(refused > 1000, "most changes are noticed");
  fs::remove(path);
}

void json() {
  for (const char* const good : {"0", "-0.5e-3", "[]", "{\"a\":[1,true,null,\"\\u00e9\"]}", "18446744073709551615"})
    check(json_text(parse_json(json_text(parse_json(good, "t")), "t")) == json_text(parse_json(good, "t")), good);
  for (const char* const bad : {"",
                                "01",
                                "1.",
                                "+1",
                                ".5",
                                "1e",
                                "-",
                                "[1,]",
                                "[1 2]",
                                "{\"a\":1,\"a\":2}",
                                "{a:1}",
                                "'a'",
                                "\"\\x\"",
                                "\"\\ud800\"",
                                "\"\\udc00\\ud800\"",
                                "\"\t\"",
                                "\"\xff\"",
                                "nul",
                                "1 2",
                                "1e999",
                                "18446744073709551616",
                                "-9223372036854775809",
                                "NaN",
                                "Infinity",
                                "[",
                                "\"a"})
    throws([&] { parse_json(bad, "t"); }, "t must");
  const auto nested = [](std::size_t n) { return std::string(n, '[') + std::string(n, ']'); };
  parse_json(nested(kJsonDepth), "t");
  throws([&] { parse_json(nested(kJsonDepth + 1), "t"); }, "levels");
  throws([&] { parse_json(nested(100'000), "t"); }, "levels");
}

}  // namespace
}  // namespace latchwork::test

int main() {
  using namespace latchwork::test;
  on_every_isa(predicts);
  refuses();
  for (const char* const name : {"model", "nested", "tokens"}) survives(name);
  json();
  return report("model");
}
