// Cells with a file's parameters, alone or on top of each other, and their runs over a signal's sequences: what
// recurrent layers are made of.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/activation.h"
#include "model/layer.h"
#include "runtime/fork_mutex.h"
#include "sequence/weights.h"

namespace latchwork {

// How a layer reads its sequences.
struct Reading {
  bool sequences = true;  // an output a step, else the last one
  bool reversed = false;
  bool align = false;   // reversed: each output lies where its input does
  bool states = false;  // the final states are given too
  bool hold = true;     // a masked step repeats the output before it, else it is 0
  Index width = 0;      // elements from one row of y to the next; 0: units
};

template <class T>
class ModelCell {
 public:
  // cell: its name in the core. Reads `units` and `use_bias`; the shapes of the tensors are checked before memory is
  // taken. x: features. window: of a dense cell that reads so many steps at once, a Conv1D's; then `filters` are its
  // units and its kernel is [window, F, filters].
  ModelCell(const char* cell, Activation activation, Activation gate, const Origin& origin, Index window = 0);

  // A linear dense cell of `input` features whose tensors have axes of their own, as those of attention's heads: they
  // lie as [input, units] and [units] do. bias: empty, there is none.
  ModelCell(const std::string& path, Tensors& tensors, Index input, const Shape& kernel, const Shape& bias);

  const std::string& path() const { return path_; }
  Index features() const { return input_; }
  Index units() const { return hidden_; }
  Activation activation() const { return activation_; }
  Activation recurrent_activation() const { return gate_; }
  const CellInfo& info() const;
  // Packed for the ISA in use; whoever holds them may go on after it changes.
  std::shared_ptr<const Weights<T>> packed() const;
  std::unique_ptr<CellStep<T>> stepper(const Steps<T>& steps) const;

 private:
  // bias: empty, there is none.
  void read(Tensors& tensors, const Shape& kernel, const Shape& recurrent_kernel, const Shape& bias);

  std::string path_;
  int cell_;
  Activation activation_, gate_;
  Index input_ = 0, hidden_ = 0;
  Buffer<T> values_;
  Parameters<T> parameters_{};
  mutable ForkMutex mutex_;
  mutable std::shared_ptr<const Weights<T>> packed_;
};

template <class T>
using CellPointer = std::unique_ptr<ModelCell<T>>;

// The cells of a recurrent layer, the first reads x.
template <class T>
using CellStack = std::vector<CellPointer<T>>;

// The cell of "LSTM", "GRU" or "SimpleRNN" with its activations. Throws Error unless x's features are known.
template <class T>
CellPointer<T> read_cell(const std::string& kind, const Origin& origin);

// Of "LSTM", "GRU" or "SimpleRNN" its cell, of "RNN" those within its `cell`.
template <class T>
CellStack<T> read_stack(const std::string& kind, const Origin& origin);

// One cell, or stack of cells, over sequences.
template <class T, class Cells>
struct Run {
  const Cells* cells;
  Signal<T> x;
  Reading reading;
  T* y;                          // [.., T, units], or [B, units]
  const T* const* initial = {};  // of each state of the cells in turn [B, units]; null: zeros
  T* const* final = {};          // likewise; null: not wanted
};
template <class T>
using CellRun = Run<T, ModelCell<T>>;
template <class T>
using StackRun = Run<T, CellStack<T>>;

// Independent runs: side by side where that is faster, with the same bits.
template <class T>
void run_cells(std::span<const CellRun<T>> runs);

// Level by level, the cells of a level together. Below the last cell, each output lies at its step and masked steps
// repeat the one before them.
template <class T>
void run_stacks(std::vector<StackRun<T>> runs);

// The fields that say how a recurrent layer reads. alone: "return_state" must be false.
Reading read_reading(Fields& fields, bool alone);

// The sizes of the states of all cells in turn.
template <class T>
std::vector<Index> state_sizes_of(const CellStack<T>& cells);

// [T, F] with these features; else an Error.
void check_sequences(const std::string& name, const Shape& x, Index features);

}  // namespace latchwork
