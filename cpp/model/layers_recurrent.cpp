#include "model/layers_recurrent.h"

#include <algorithm>

#include "cpu/dispatch.h"
#include "layers/recurrent.h"

namespace latchwork {
namespace {

constexpr Index kMostUnits = Index(1) << 31;

template <class T>
Arrangement arrangement_of(const Signal<T>& x) {
  Arrangement a{.batch = x.batch(), .steps = x.offsets ? 0 : x.shape[1], .offsets = {}, .lengths = {}};
  if (x.offsets) a.offsets.assign(x.offsets->begin(), x.offsets->end());
  a.lengths = a.unmasked().lengths;
  if (x.mask) a.set_mask(x.mask.real.get());
  return a;
}

// Keras' rule for zero_output_for_mask without sequences: 0 where the step read last is masked.
template <class T>
void silence(const Signal<T>& x, bool reversed, T* y, Index units) {
  for (Index b = 0; b < x.batch(); ++b) {
    const auto i = static_cast<std::size_t>(b);
    const Index first = x.offsets ? (*x.offsets)[i] : b * x.shape[1];
    const Index end = x.offsets ? (*x.offsets)[i + 1] : first + x.shape[1];
    if (first == end || !x.mask.real[reversed ? first : end - 1]) std::fill_n(y + b * units, units, T(0));
  }
}

}  // namespace

template <class T>
ModelCell<T>::ModelCell(const char* cell, Activation activation, Activation gate, const Origin& origin, Index window)
    : path_(origin.path), cell_(find_cell(cell)), activation_(activation), gate_(gate) {
  hidden_ = origin.fields.whole(window ? "filters" : "units", 1, kMostUnits);
  const bool bias = origin.fields.flag("use_bias");
  if (origin.x.empty() || origin.x.back() < 0)
    throw Error(origin.fields.where() + ": x must have a known feature size, got " + shape_text(origin.x));
  input_ = checked_product(std::max<Index>(1, window), origin.x.back());
  const CellInfo& of = info();
  const Index columns = of.gates * hidden_;
  bool recurrent = false;
  for (int p = 0; p < of.products; ++p) recurrent |= of.product[p].weight == Weight::recurrent_kernel;
  Shape biases;
  if (bias) biases = of.biases > 1 ? Shape{of.biases, columns} : Shape{columns};
  read(origin.tensors, window ? Shape{window, origin.x.back(), columns} : Shape{input_, columns},
       recurrent ? Shape{hidden_, columns} : Shape{}, biases);
}

template <class T>
ModelCell<T>::ModelCell(const std::string& path, Tensors& tensors, Index input, const Shape& kernel, const Shape& bias)
    : path_(path),
      cell_(find_cell("dense")),
      activation_(Activation::linear),
      gate_(Activation::sigmoid),
      input_(input),
      hidden_(size_of(kernel) / input) {
  read(tensors, kernel, {}, bias);
}

template <class T>
void ModelCell<T>::read(Tensors& tensors, const Shape& kernel, const Shape& recurrent_kernel, const Shape& bias) {
  struct Part {
    const char* name;
    const Shape& shape;  // empty: it is not there
    const T*& values;
  };
  const Part parts[] = {{"/kernel", kernel, parameters_.kernel},
                        {"/recurrent_kernel", recurrent_kernel, parameters_.recurrent_kernel},
                        {"/bias", bias, parameters_.bias}};
  Index total = 0;
  for (const Part& part : parts) {
    if (part.shape.empty()) continue;
    tensors.check<T>(path_ + part.name, part.shape);
    total += size_of(part.shape);
  }
  values_ = Buffer<T>(total);
  T* next = values_.data();
  for (const Part& part : parts) {
    if (part.shape.empty()) continue;
    const Index size = size_of(part.shape);
    tensors.read(path_ + part.name, std::span(next, static_cast<std::size_t>(size)));
    part.values = next;
    next += size;
  }
}

template <class T>
const CellInfo& ModelCell<T>::info() const {
  return *kernels().of<T>().cells[cell_]->info;
}

template <class T>
std::shared_ptr<const Weights<T>> ModelCell<T>::packed() const {
  const std::lock_guard lock(mutex_);
  if (!packed_ || &packed_->table() != &kernels()) {
    const auto fresh = std::make_shared<Weights<T>>(cell_, input_, hidden_, parameters_);
    prepare(*fresh, false);
    packed_ = fresh;
  }
  return packed_;
}

template <class T>
std::unique_ptr<CellStep<T>> ModelCell<T>::stepper(const Steps<T>& steps) const {
  return std::make_unique<CellStep<T>>(packed(), steps.streams, activation_, gate_, steps.threads);
}

template <class T>
void run_cells(std::span<const CellRun<T>> runs) {
  std::vector<std::shared_ptr<const Weights<T>>> weights;
  std::vector<RecurrentCall<T>> calls;
  for (const auto& [cell, x, reading, y, initial, final] : runs) {
    if (x.mask && x.mask.shape != Shape(x.shape.begin(), x.shape.end() - 1))
      throw Error(cell->path() + ": mask must be " + shape_text({x.shape.begin(), x.shape.end() - 1}) + ", got " +
                  shape_text(x.mask.shape));
    weights.push_back(cell->packed());
    RecurrentCall<T>& call = calls.emplace_back();
    call.weights = weights.back().get();
    call.arrangement = arrangement_of(x);
    call.reversed = reading.reversed;
    call.output = {.hold = reading.hold, .align = reading.align, .width = reading.width};
    call.activation = cell->activation();
    call.recurrent_activation = cell->recurrent_activation();
    call.x = x.data;
    (reading.sequences ? call.y : call.final[0]) = y;
    for (int s = 0; s < cell->info().states; ++s) {
      if (initial) call.initial[s] = initial[s];
      if (final) call.final[s] = final[s];
    }
  }
  recurrent_forward<T>(calls, false);
  for (const auto& [cell, x, reading, y, initial, final] : runs) {
    if (reading.sequences) continue;
    if (final) std::copy_n(final[0], x.batch() * cell->units(), y);
    if (x.mask && !reading.hold) silence(x, reading.reversed, y, cell->units());
  }
}

template <class T>
CellPointer<T> read_cell(const std::string& kind, const Origin& origin) {
  const auto activation = [&](const char* field) {
    return static_cast<Activation>(origin.fields.activation(field, false));
  };
  const char* cell = "elman";
  if (kind == "LSTM") cell = "lstm";
  if (kind == "GRU") cell = origin.fields.flag("reset_after") ? "gru" : "gru_reset_before";
  const Activation gate = kind == "SimpleRNN" ? Activation::sigmoid : activation("recurrent_activation");
  return std::make_unique<ModelCell<T>>(cell, activation("activation"), gate, origin);
}

Reading read_reading(Fields& fields, bool alone) {
  const bool states = fields.flag("return_state");
  if (states && alone) fields.fail("return_state", "false (one output is passed on)", {true});
  return {.sequences = fields.flag("return_sequences"),
          .reversed = fields.flag("go_backwards"),
          .states = states,
          .hold = !fields.flag("zero_output_for_mask")};
}

void check_sequences(const std::string& name, const Shape& x, Index features) {
  if (x.size() != 2 || x[1] != features) misfit(name, "[B, T, " + std::to_string(features) + "]", x);
}

#define LATCHWORK_INSTANTIATE(T)                        \
  template class ModelCell<T>;                          \
  template void run_cells(std::span<const CellRun<T>>); \
  template CellPointer<T> read_cell(const std::string&, const Origin&);
LATCHWORK_INSTANTIATE(float)
LATCHWORK_INSTANTIATE(double)
#undef LATCHWORK_INSTANTIATE

}  // namespace latchwork
