// Connectionist temporal classification (A. Graves and others, 2006): forward-backward in log space, in float64.
#pragma once

#include "base/types.h"

namespace latchwork {

template <class T>
struct CtcBatch {
  Index sequences;
  Index classes;
  Index blank;
  const std::int64_t* steps;   // [sequences + 1]: sequence i has the rows steps[i] to steps[i + 1] of logits
  const std::int64_t* places;  // [sequences + 1]: and these labels
  const std::int64_t* labels;  // [places[sequences]], in [0, classes), none of them blank
  const T* logits;             // [steps[sequences], classes]
  const T* weight;             // [sequences]; null: ones. A sequence of weight 0 is left out
  T* gradient;                 // like logits, or null
  Index count;                 // whose mean the gradient is of
};
// The sum of weight * -log p(labels | logits), infinite where no path of these labels has a probability; writes
// d(sum / count)/d(logits), NaN there.
template <class T>
double ctc_loss(const CtcBatch<T>& batch);

}  // namespace latchwork
