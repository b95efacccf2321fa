// The public layer: owns its parameters, hands sequences to layers/recurrent.
#include "latchwork/layer.h"

#include <algorithm>
#include <mutex>
#include <vector>

#include "cpu/float_env.h"
#include "latchwork/error.h"
#include "layers/recurrent.h"
#include "runtime/fork_mutex.h"
#include "sequence/step.h"

namespace latchwork {
namespace {

static_assert(std::tuple_size_v<States<float>> == kMaxStates);

Activation activation_named(const std::string& name, const char* option) {
  for (int i = 0; i < kActivationCount; ++i)
    if (name == kActivationNames[i]) return static_cast<Activation>(i);
  throw Error(std::string(option) + ": no activation is named '" + name + "'");
}

int checked_cell(const LayerOptions& options) {
  const int cell = find_cell(options.cell);
  if (cell < 0) throw Error("cell: no cell is named '" + options.cell + "'");
  if (options.input < 1) throw Error("input must be at least 1, got " + std::to_string(options.input));
  if (options.hidden < 1) throw Error("hidden must be at least 1, got " + std::to_string(options.hidden));
  return cell;
}

template <class T>
Arrangement arrangement_of(const Sequences<T>& x, Index features) {
  if (x.batch < 0 || x.steps < 0)
    throw Error("x must have a batch and steps of at least 0, got " + std::to_string(x.batch) + " and " +
                std::to_string(x.steps));
  checked_bytes(checked_product(checked_product(x.batch, x.steps, "x"), features, "x"), sizeof(T), "x");
  Arrangement a{.batch = x.batch, .steps = x.steps, .time_major = x.time_major, .offsets = {}, .lengths = {}};
  a.lengths = x.lengths ? Indices(x.lengths, x.lengths + x.batch) : Indices(static_cast<std::size_t>(x.batch), x.steps);
  check_arrangement(a, 0);
  return a;
}

}  // namespace

template <class T>
struct Recording<T>::Content : InPool {
  std::unique_ptr<RecurrentContext<T>> context;
  const void* layer;  // whose forward it was
};

template <class T>
struct Layer<T>::Content {
  explicit Content(const LayerOptions& given)
      : options(given),
        cell(checked_cell(given)),
        info(*latchwork::kernels().of<T>().cells[cell]->info),
        activation(activation_named(given.activation, "activation")),
        recurrent_activation(activation_named(given.recurrent_activation, "recurrent_activation")) {
    const Index columns = checked_product(info.gates, given.hidden, "hidden");
    bool recurrent = false;
    for (int p = 0; p < info.products; ++p) recurrent |= info.product[p].weight == Weight::recurrent_kernel;
    bias = given.bias ? checked_product(info.biases, columns, "hidden") : 0;
    recurrent_kernel = recurrent ? checked_product(given.hidden, columns, "hidden") : 0;
    kernel = checked_product(given.input, columns, "input");
    for (const Index part : {bias, recurrent_kernel, kernel}) checked_bytes(part, 4 * sizeof(T), "input and hidden");
    values.resize(static_cast<std::size_t>(kernel + recurrent_kernel + bias), T(0));
    T* const data = values.data();
    weights = std::make_shared<Weights<T>>(cell, given.input, given.hidden,
                                           Parameters<T>{data, recurrent ? data + kernel : nullptr,
                                                         given.bias ? data + kernel + recurrent_kernel : nullptr});
  }

  const Weights<T>& prepared(bool backward) {
    const std::lock_guard lock(mutex);
    prepare(*weights, backward);
    return *weights;
  }

  std::unique_ptr<CellStep<T>> stepper(Index rows, int threads) {
    prepared(false);
    return std::make_unique<CellStep<T>>(weights, rows, activation, recurrent_activation, threads);
  }

  std::unique_ptr<RecurrentContext<T>> run(const Sequences<const T>& x, T* y, const States<const T>& initial,
                                           const States<T>& final, bool training) {
    RecurrentCall<T> call;
    call.arrangement = arrangement_of(x, std::max(options.input, info.gates * options.hidden));
    call.weights = &prepared(training);
    call.reversed = x.reversed;
    call.activation = activation;
    call.recurrent_activation = recurrent_activation;
    call.x = x.data;
    std::copy(initial.begin(), initial.end(), call.initial);
    call.y = y;
    std::copy(final.begin(), final.end(), call.final);
    return std::move(recurrent_forward<T>({&call, 1}, training).front());
  }

  const LayerOptions options;
  const int cell;
  const CellInfo& info;
  const Activation activation, recurrent_activation;
  Index kernel = 0, recurrent_kernel = 0, bias = 0;  // elements
  std::vector<T> values;
  ForkMutex mutex;
  std::shared_ptr<Weights<T>> weights;
};

template <class T>
Layer<T>::Layer(const LayerOptions& options) : content_(std::make_unique<Content>(options)) {}

template <class T>
const LayerOptions& Layer<T>::options() const noexcept {
  return content_->options;
}

template <class T>
int Layer<T>::states() const noexcept {
  return content_->info.states;
}

template <class T>
int Layer<T>::gates() const noexcept {
  return content_->info.gates;
}

template <class T>
std::span<T> Layer<T>::parameters() noexcept {
  return content_->values;
}

template <class T>
std::span<T> Layer<T>::kernel() noexcept {
  return parameters().first(static_cast<std::size_t>(content_->kernel));
}

template <class T>
std::span<T> Layer<T>::recurrent_kernel() noexcept {
  return parameters().subspan(static_cast<std::size_t>(content_->kernel),
                              static_cast<std::size_t>(content_->recurrent_kernel));
}

template <class T>
std::span<T> Layer<T>::bias() noexcept {
  return parameters().last(static_cast<std::size_t>(content_->bias));
}

template <class T>
void Layer<T>::changed() noexcept {
  const std::lock_guard lock(content_->mutex);
  content_->weights->touch();
}

template <class T>
void Layer<T>::forward(const Sequences<const T>& x, T* y, const States<const T>& initial,
                       const States<T>& final) const {
  content_->run(x, y, initial, final, false);
}

template <class T>
Recording<T> Layer<T>::record(const Sequences<const T>& x, T* y, const States<const T>& initial,
                              const States<T>& final) const {
  if (!y && x.batch * x.steps > 0) throw Error("y must be given: backward reads it");
  using Kept = typename Recording<T>::Content;
  return Recording<T>(std::unique_ptr<Kept>(new Kept{{}, content_->run(x, y, initial, final, true), content_.get()}));
}

template <class T>
void Layer<T>::backward(Recording<T> recording, const LayerGradients<T>& gradients) const {
  if (!recording.content_ || recording.content_->layer != content_.get())
    throw Error("recording must come from this layer's record and be used once");
  RecurrentGradients<T> g{recording.content_->context.get()};
  g.dy = gradients.dy;
  std::copy(gradients.d_final.begin(), gradients.d_final.end(), g.d_final);
  g.dx = gradients.dx;
  std::copy(gradients.d_initial.begin(), gradients.d_initial.end(), g.d_initial);
  if (T* const d = gradients.d_parameters) {
    g.d_kernel = d;
    g.d_recurrent_kernel = content_->recurrent_kernel > 0 ? d + content_->kernel : nullptr;
    g.d_bias = content_->bias > 0 ? d + content_->kernel + content_->recurrent_kernel : nullptr;
  }
  content_->prepared(true);
  recurrent_backward<T>({&g, 1});
}

template <class T>
struct Stream<T>::Content {
  Content(typename Layer<T>::Content& of, Index rows, int most_threads)
      : layer(of), threads(most_threads), step(of.stepper(rows, threads)), lent(of.info.states) {}

  // States that were handed out may have been written; after use_isa the packs are others.
  void refresh() {
    const Weights<T>& weights = layer.prepared(false);
    for (int i = 0; i < layer.info.states; ++i)
      if (auto& values = lent[static_cast<std::size_t>(i)]; !values.empty()) {
        step->write(i, values.data());
        values.clear();
      }
    if (&weights.table() == table) return;
    auto fresh = layer.stepper(step->rows(), threads);
    std::vector<T> values(static_cast<std::size_t>(step->rows() * layer.options.hidden));
    for (int i = 0; i < layer.info.states; ++i) step->read(i, values.data()), fresh->write(i, values.data());
    step = std::move(fresh);
    table = &weights.table();
  }

  typename Layer<T>::Content& layer;
  int threads;
  std::unique_ptr<CellStep<T>> step;
  const KernelTable* table = &layer.weights->table();
  std::vector<std::vector<T>> lent;  // [states][rows * H] since the last step
};

template <class T>
Stream<T>::Stream(const Layer<T>& layer, std::int64_t rows, int threads) {
  if (rows < 1) throw Error("rows must be at least 1, got " + std::to_string(rows));
  const Index size = checked_product(checked_product(rows, layer.options().hidden, "rows"), layer.states(), "rows");
  checked_bytes(size, sizeof(T), "rows");
  if (threads < 1) throw Error("threads must be at least 1, got " + std::to_string(threads));
  content_ = std::make_unique<Content>(*layer.content_, rows, threads);
}

template <class T>
void Stream<T>::step(const T* x, T* y) {
  content_->refresh();
  const FloatScope scope;
  CellStep<T>& step = *content_->step;
  step.step(x, nullptr);
  std::copy_n(step.output(), step.rows() * step.layout().hidden, y);
}

template <class T>
void Stream<T>::reset() noexcept {
  for (auto& values : content_->lent) values.clear();
  for (Index row = 0; row < content_->step->rows(); ++row) content_->step->clear(row);
}

template <class T>
std::span<T> Stream<T>::state(int index) {
  const int count = content_->layer.info.states;
  if (index < 0 || index >= count)
    throw Error("index must be within [0, " + std::to_string(count) + "), got " + std::to_string(index));
  std::vector<T>& values = content_->lent[static_cast<std::size_t>(index)];
  if (values.empty()) {
    values.resize(static_cast<std::size_t>(content_->step->rows() * content_->layer.options.hidden));
    content_->step->read(index, values.data());
  }
  return values;
}

template <class T>
Recording<T>::Recording(std::unique_ptr<Content> content) : content_(std::move(content)) {}

#define LATCHWORK_MOVES(Class)                               \
  template <class T>                                         \
  Class<T>::Class(Class&&) noexcept = default;               \
  template <class T>                                         \
  Class<T>& Class<T>::operator=(Class&&) noexcept = default; \
  template <class T>                                         \
  Class<T>::~Class() = default;
LATCHWORK_MOVES(Recording)
LATCHWORK_MOVES(Layer)
LATCHWORK_MOVES(Stream)
#undef LATCHWORK_MOVES

template class Recording<float>;
template class Recording<double>;
template class Layer<float>;
template class Layer<double>;
template class Stream<float>;
template class Stream<double>;

}  // namespace latchwork
