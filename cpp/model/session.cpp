// Sessions: a model's layers as steps over states that last.
#include <algorithm>

#include "cpu/float_env.h"
#include "model/graph.h"

namespace latchwork {

namespace {

// The states of a layer's later calls, from the first-th on, get names of their own: lstm_1/h.
template <class T>
void name_states(Steps<T>& steps, std::size_t first, const std::string& layer) {
  const auto begin = steps.names.begin(), own = begin + static_cast<Index>(first);
  const auto known = [&](const std::string& name) {
    return std::any_of(begin, own, [&](const SessionState& other) { return other.name == name; });
  };
  std::string call = layer;
  const auto named = [&](const SessionState& state) { return call + state.name.substr(layer.size()); };
  const auto taken = [&](const SessionState& state) { return known(named(state)); };
  for (int i = 1; std::any_of(own, steps.names.end(), taken); ++i) call = layer + "_" + std::to_string(i);
  for (auto state = own; state != steps.names.end(); ++state) state->name = named(*state);
}

// What the steps of an input are: rows of features, or numbers that Embeddings alone read. readers: of the input as it
// came.
template <class T>
void read_input(typename Steps<T>::Input& input, const Shape& sample, int readers) {
  const bool numbers = input.numbers > 0 && sample.size() == 1;
  input.features = numbers ? 1 : sample.back();
  if (sample.size() > 2 || input.features < 0 || (numbers && readers > input.embeddings))
    throw Error("a session needs a model of sequences, [T, F], got samples of " + shape_text(sample));
}

template <class T>
std::unique_ptr<Steps<T>> make_steps(const ModelGraph& graph, Index streams, int threads) {
  auto steps = std::make_unique<Steps<T>>();
  steps->streams = streams;
  steps->threads = threads;
  steps->inputs.resize(graph.inputs.size());
  steps->slots.resize(graph.last.size());
  std::vector<Shape> shapes;
  std::vector<Index> sources;  // of each slot: the input that it is
  for (const ModelInput& input : graph.inputs) {
    sources.push_back(static_cast<Index>(shapes.size()));
    shapes.push_back(input.shape);
    if (input.shape.size() > 2) read_input<T>(steps->inputs[shapes.size() - 1], input.shape, 0);  // throws
  }
  std::vector<int> readers(graph.inputs.size());
  const auto read = [&](std::size_t slot) {
    if (sources[slot] >= 0) ++readers[static_cast<std::size_t>(sources[slot])];
  };
  for (const Node& node : graph.nodes) {
    const GraphLayer<T>& layer = graph.layer<T>(node);
    if (!node.states.empty()) throw Error(layer.name() + ": cannot step: it begins with states that others give it");
    std::vector<const StepSignal<T>*> signals;
    for (const std::size_t slot : node.x) {
      signals.push_back(&steps->slots[slot]);
      checked_bytes(checked_product(streams, std::max<Index>(1, shapes[slot].back()), "streams"), sizeof(T), "streams");
    }
    const std::size_t layers = steps->layers.size(), states = steps->names.size();
    steps->source = sources[node.x[0]];
    const std::vector<Shape> x = taken(node.x, shapes);
    layer.make_all_steps(*steps, x, signals);
    if (node.count > 1) throw Error(layer.name() + ": cannot step: it gives more than one array");
    name_states(*steps, states, layer.name());
    const bool passes = steps->layers.size() == layers;
    for (const std::size_t slot : node.x)
      if (!passes) read(slot);
    steps->nodes.push_back({node.x[0], node.y, steps->layers.size()});
    shapes.push_back(layer.y_shapes(x)[0]);
    sources.push_back(passes ? steps->source : -1);
  }
  for (const std::size_t slot : graph.outputs) {
    read(slot);
    steps->outputs.push_back({shapes[slot].back(), slot});
    checked_bytes(checked_product(streams, std::max<Index>(1, shapes[slot].back()), "streams"), sizeof(T), "streams");
  }
  bool sequences = false;
  for (std::size_t i = 0; i < graph.inputs.size(); ++i) {
    read_input<T>(steps->inputs[i], graph.inputs[i].shape, readers[i]);
    sequences |= graph.inputs[i].shape.size() == 2 || steps->inputs[i].numbers > 0;
  }
  if (!sequences)
    throw Error("a session needs a model of sequences, [T, F], got samples of " + shape_text(graph.inputs[0].shape));
  return steps;
}

}  // namespace

template <class T>
Session<T> Model::session(std::int64_t streams, int threads) const {
  graph_->require_type(sizeof(T) == sizeof(double));
  if (streams < 1) throw Error("streams must be at least 1, got " + std::to_string(streams));
  if (threads < 1) throw Error("threads must be at least 1, got " + std::to_string(threads));
  return Session<T>(make_steps<T>(*graph_, streams, threads));
}

template <class T>
Session<T>::Session(std::unique_ptr<Steps<T>> steps) : steps_(std::move(steps)) {}
template <class T>
Session<T>::Session(Session&&) noexcept = default;
template <class T>
Session<T>& Session<T>::operator=(Session&&) noexcept = default;
template <class T>
Session<T>::~Session() = default;

template <class T>
std::int64_t Session<T>::streams() const noexcept {
  return steps_->streams;
}
template <class T>
std::size_t Session<T>::inputs() const noexcept {
  return steps_->inputs.size();
}
template <class T>
std::size_t Session<T>::all_outputs() const noexcept {
  return steps_->outputs.size();
}
template <class T>
std::int64_t Session<T>::features(std::size_t input) const noexcept {
  return steps_->inputs[input].features;
}
template <class T>
std::int64_t Session<T>::outputs(std::size_t output) const noexcept {
  return steps_->outputs[output].size;
}

template <class T>
bool Session<T>::step_all(const T* const* x, T* const* y) noexcept {
  const FloatScope scope;
  if (!steps_->run(x, nullptr)) return false;
  for (std::size_t o = 0; o < steps_->outputs.size(); ++o)
    std::copy_n(steps_->y(o), steps_->streams * steps_->outputs[o].size, y[o]);
  return true;
}

template <class T>
bool Session<T>::step(const T* x, T* y) noexcept {
  return inputs() == 1 && all_outputs() == 1 && step_all(&x, &y);
}

template <class T>
void Session<T>::reset() noexcept {
  for (const auto& state : steps_->states)
    for (Index row = 0; row < steps_->streams; ++row) state.cell->clear(row);
}

template <class T>
void Session<T>::reset(std::int64_t stream) {
  if (stream < 0 || stream >= steps_->streams)
    throw Error("stream must be within [0, " + std::to_string(steps_->streams) + "), got " + std::to_string(stream));
  for (const auto& state : steps_->states) state.cell->clear(stream);
}

template <class T>
const std::vector<SessionState>& Session<T>::states() const noexcept {
  return steps_->names;
}

template <class T>
static const typename Steps<T>::State& state_of(const Steps<T>& steps, std::size_t state) {
  if (state < steps.states.size()) return steps.states[state];
  throw Error("state must be within [0, " + std::to_string(steps.states.size()) + "), got " + std::to_string(state));
}

template <class T>
void Session<T>::get_state(std::size_t state, T* values) const {
  const auto& found = state_of(*steps_, state);
  found.cell->read(found.number, values);
}

template <class T>
void Session<T>::set_state(std::size_t state, const T* values) {
  const auto& found = state_of(*steps_, state);
  found.cell->write(found.number, values);
}

template Session<float> Model::session(std::int64_t, int) const;
template Session<double> Model::session(std::int64_t, int) const;
template class Session<float>;
template class Session<double>;

}  // namespace latchwork
