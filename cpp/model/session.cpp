// Sessions: a model's layers as steps over states that last.
#include <algorithm>

#include "cpu/float_env.h"
#include "model/graph.h"

namespace latchwork {

template <class T>
Session<T> Model::session(std::int64_t streams, int threads) const {
  graph_->require_type(sizeof(T) == sizeof(double));
  if (streams < 1) throw Error("streams must be at least 1, got " + std::to_string(streams));
  if (threads < 1) throw Error("threads must be at least 1, got " + std::to_string(threads));
  if (!graph_->is_row()) throw Error(name() + ": a session runs a row of layers, not yet a graph");
  const Shape& input = graph_->input();
  auto steps = std::make_unique<Steps<T>>();
  steps->streams = streams;
  steps->threads = threads;
  steps->features = input.size() == 1 ? 1 : input.back();
  const auto no_sequences = [&] {
    return Error("a session needs a model of sequences, [T, F], got samples of " + shape_text(input));
  };
  if (input.size() > 2 || steps->features < 0) throw no_sequences();
  Shape x = input;
  for (const Node& node : graph_->nodes) {
    const GraphLayer<T>& layer = graph_->layer<T>(node);
    checked_bytes(checked_product(streams, std::max<Index>(1, x.back()), "streams"), sizeof(T), "streams");
    layer.make_steps(*steps, x);
    x = layer.y_shape(x);
  }
  if (input.size() == 1 && !steps->numbers) throw no_sequences();
  steps->outputs = x.back();
  checked_bytes(checked_product(streams, std::max<Index>(1, x.back()), "streams"), sizeof(T), "streams");
  return Session<T>(std::move(steps));
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
std::int64_t Session<T>::features() const noexcept {
  return steps_->features;
}
template <class T>
std::int64_t Session<T>::outputs() const noexcept {
  return steps_->outputs;
}

template <class T>
bool Session<T>::step(const T* x, T* y) noexcept {
  const FloatScope scope;
  const T* const made = steps_->run(x, nullptr);
  if (made) std::copy_n(made, steps_->streams * steps_->outputs, y);
  return made != nullptr;
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
