// A model one time step at a time: a session's insides. Everything is allocated when it is made.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "latchwork/model.h"
#include "sequence/step.h"

namespace latchwork {

// One step of every stream, on its way from layer to layer.
template <class T>
struct StepSignal {
  const T* x;                  // [streams, features]
  const bool* real = nullptr;  // [streams]; null: all have a real step. A layer adds to those that are not
};

template <class T>
class StepLayer {
 public:
  virtual ~StepLayer() = default;
  // Replaces s by what the layer makes of it.
  virtual void step(StepSignal<T>& s) noexcept = 0;
};

// Whether it is one of the numbers 0 .. count - 1.
template <class T>
bool is_number_below(T number, Index count) noexcept {
  return number >= T(0) && number < static_cast<T>(count) && static_cast<T>(static_cast<Index>(number)) == number;
}

template <class T>
struct Steps {
  struct State {
    CellStep<T>* cell;
    int number;
  };
  // A node of the graph: its layers, those behind the node before it up to `end`, on what lies in a slot.
  struct StepNode {
    std::size_t x, y, end;
  };
  struct Input {
    Index features = 0;
    Index numbers = 0;  // x are numbers below this, for an Embedding; 0: features
    int embeddings = 0;
  };
  struct Output {
    Index size;
    std::size_t slot;
  };

  Index streams = 0;
  int threads = 1;  // the most that share a step
  std::vector<Input> inputs = {};
  std::vector<Output> outputs = {};
  std::vector<StepNode> nodes = {};
  std::vector<StepSignal<T>> slots = {};  // inputs first; they stay where they are
  std::vector<std::unique_ptr<StepLayer<T>>> layers = {};
  std::vector<SessionState> names = {};
  std::vector<State> states = {};
  Index source = -1;  // while layers are made: the input that reaches the next one as it came, if one does

  // One step x [streams, features] of each input for those streams that `real` names, or of all with null: the others
  // keep what they carry, and their y means nothing. False, nothing changed, where x cannot be taken. Within a
  // FloatScope.
  bool run(const T* const* x, const bool* real) noexcept {
    for (std::size_t i = 0; i < inputs.size(); ++i)
      for (Index e = 0; inputs[i].numbers > 0 && e < streams * inputs[i].features; ++e)
        if (!is_number_below(x[i][e], inputs[i].numbers)) return false;
    for (std::size_t i = 0; i < inputs.size(); ++i) slots[i] = {x[i], real};
    auto layer = layers.begin();
    for (const StepNode& node : nodes) {
      StepSignal<T> s = slots[node.x];
      for (const auto end = layers.begin() + static_cast<Index>(node.end); layer != end; ++layer) (*layer)->step(s);
      slots[node.y] = s;
    }
    return true;
  }
  // [streams, size] of an output after `run`.
  const T* y(std::size_t output) const noexcept { return slots[outputs[output].slot].x; }
};

}  // namespace latchwork
