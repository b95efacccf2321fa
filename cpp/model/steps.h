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
  // Replaces s by what the layer makes of it. False, nothing changed, where x cannot be taken.
  virtual bool step(StepSignal<T>& s) noexcept = 0;
};

template <class T>
struct Steps {
  struct State {
    CellStep<T>* cell;
    int number;
  };

  Index streams = 0, features = 0, outputs = 0;
  int threads = 1;  // the most that share a step
  std::vector<std::unique_ptr<StepLayer<T>>> layers = {};
  std::vector<SessionState> names = {};
  std::vector<State> states = {};
  Index numbers = 0;  // x are numbers below this, for an Embedding; 0: features

  // y [streams, outputs] of one step of those streams that `real` names, or of all with null: the others keep what they
  // carry, and their y means nothing. Null, nothing changed, where x cannot be taken. Within a FloatScope.
  const T* run(const T* x, const bool* real) noexcept {
    StepSignal<T> s{x, real};
    for (const auto& layer : layers)
      if (!layer->step(s)) return nullptr;
    return s.x;
  }
};

}  // namespace latchwork
