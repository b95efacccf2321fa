// The caller's parameters and their packs, as Python holds them.
#pragma once

#include <span>
#include <variant>
#include <vector>

#include "bindings/arrays.h"
#include "runtime/fork_mutex.h"
#include "sequence/weights.h"

namespace latchwork {

// Throws Error unless a cell has this name.
int cell_of(const std::string& name);

// Packs are prepared under a lock, so that threads may share one for inference.
class RecurrentWeights {
 public:
  RecurrentWeights(const std::string& cell_name, py::array kernel, OptionalArray recurrent_kernel, OptionalArray bias);

  Index input() const { return input_; }
  Index hidden() const { return hidden_; }
  bool holds_double() const { return is_double_; }
  const CellInfo& info() const {
    return is_double_ ? std::get<Weights<double>>(weights_).cell() : std::get<Weights<float>>(weights_).cell();
  }
  const py::array& kernel() const { return kernel_; }
  const OptionalArray& recurrent_kernel() const { return recurrent_kernel_; }
  const OptionalArray& bias() const { return bias_; }
  std::vector<Index> bias_shape() const { return bias_shape(info()); }
  // Raises where an array that is written shares memory with a parameter.
  void require_apart_from(const py::array& written, const char* name) const;

  // The arrays have been written.
  void touch();

  // The packs of the weights of several calls, made where they are stale.
  template <class T>
  static std::vector<const Weights<T>*> prepared(std::span<RecurrentWeights* const> all, bool backward);

 private:
  std::vector<Index> bias_shape(const CellInfo& info) const {
    const Index columns = info.gates * hidden_;
    return info.biases > 1 ? std::vector<Index>{info.biases, columns} : std::vector<Index>{columns};
  }

  template <class T>
  Weights<T> make(int cell, const CellInfo& info) const;

  py::array kernel_;
  OptionalArray recurrent_kernel_, bias_;
  Index input_ = 0, hidden_ = 0;
  bool is_double_ = false;
  ForkMutex mutex_;
  std::variant<std::monostate, Weights<float>, Weights<double>> weights_;
};

}  // namespace latchwork
