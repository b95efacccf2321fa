#include "bindings/recurrent_weights.h"

#include <algorithm>
#include <mutex>

#include "cpu/dispatch.h"

namespace latchwork {

int cell_of(const std::string& name) {
  const int cell = find_cell(name);
  if (cell < 0) throw Error("cell: no cell is named '" + name + "'");
  return cell;
}

template <class T>
Weights<T> RecurrentWeights::make(int cell, const CellInfo& info) const {
  Parameters<T> parameters{data_of<T>(kernel_, "kernel"), nullptr, nullptr};
  bool recurrent = false;
  for (int p = 0; p < info.products; ++p) recurrent |= info.product[p].weight == Weight::recurrent_kernel;
  if (recurrent != recurrent_kernel_.has_value())
    throw Error(recurrent ? "recurrent_kernel must be given"
                          : "recurrent_kernel must be None: the cell has no recurrence");
  if (recurrent)
    parameters.recurrent_kernel = checked<T>(*recurrent_kernel_, {hidden_, info.gates * hidden_}, "recurrent_kernel");
  if (bias_) parameters.bias = checked<T>(*bias_, bias_shape(info), "bias");
  return Weights<T>(cell, input_, hidden_, parameters);
}

RecurrentWeights::RecurrentWeights(const std::string& cell_name, py::array kernel, OptionalArray recurrent_kernel,
                                   OptionalArray bias)
    : kernel_(std::move(kernel)), recurrent_kernel_(std::move(recurrent_kernel)), bias_(std::move(bias)) {
  const int cell = cell_of(cell_name);
  const CellInfo& info = *kernels().f32.cells[cell]->info;
  if (kernel_.ndim() != 2 || kernel_.shape(0) == 0 || kernel_.shape(1) == 0 || kernel_.shape(1) % info.gates != 0)
    throw Error("kernel must be [I, " + (info.gates > 1 ? std::to_string(info.gates) + "*" : std::string()) +
                "H], got " + shape_text(kernel_));
  input_ = kernel_.shape(0);
  hidden_ = kernel_.shape(1) / info.gates;
  is_double_ = is_double(kernel_, "kernel");
  if (is_double_)
    weights_.emplace<Weights<double>>(make<double>(cell, info));
  else
    weights_.emplace<Weights<float>>(make<float>(cell, info));
}

void RecurrentWeights::require_apart_from(const py::array& written, const char* name) const {
  require_apart(written, name, kernel_, "kernel");
  if (recurrent_kernel_) require_apart(written, name, *recurrent_kernel_, "recurrent_kernel");
  if (bias_) require_apart(written, name, *bias_, "bias");
}

template <class T>
std::vector<const Weights<T>*> RecurrentWeights::prepared(std::span<RecurrentWeights* const> all, bool backward) {
  std::vector<RecurrentWeights*> ordered(all.begin(), all.end());  // one order for all threads, or two would wait for
  std::sort(ordered.begin(), ordered.end());                       // each other
  ordered.erase(std::unique(ordered.begin(), ordered.end()), ordered.end());
  std::vector<std::unique_lock<ForkMutex>> locks;
  for (RecurrentWeights* const each : ordered) locks.emplace_back(each->mutex_);
  std::vector<Weights<T>*> weights;
  for (RecurrentWeights* const each : all) weights.push_back(&std::get<Weights<T>>(each->weights_));
  prepare<T>(weights, backward);
  return {weights.begin(), weights.end()};
}

template std::vector<const Weights<float>*> RecurrentWeights::prepared(std::span<RecurrentWeights* const>, bool);
template std::vector<const Weights<double>*> RecurrentWeights::prepared(std::span<RecurrentWeights* const>, bool);

void RecurrentWeights::touch() {
  const std::lock_guard lock(mutex_);
  std::visit(
      [](auto& w) {
        if constexpr (!std::is_same_v<std::decay_t<decltype(w)>, std::monostate>) w.touch();
      },
      weights_);
}

}  // namespace latchwork
