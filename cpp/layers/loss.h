// Losses over a batch: the sum of all loss elements, and the gradient of their mean, in one pass.
#pragma once

#include <string_view>

#include "base/types.h"

namespace latchwork {

struct LossOptions {
  bool from_logits = false;
  double label_smoothing = 0;
  double delta = 1;
};

// mse, mae, huber, binary_crossentropy: every element is a loss.
bool is_elementwise_loss(std::string_view name);

template <class T>
struct ElementBatch {
  Index n;
  Index count;          // whose mean the gradient is of: n, or fewer where some are left out
  const T* target;      // [n]
  const T* prediction;  // [n]
  const T* weight;      // [n]; null: ones
  T* gradient;          // [n] or null
};
// The sum of weight * loss; writes d(sum / count)/d(prediction). Throws Error, before anything is written, if a target
// of binary_crossentropy is outside [0, 1].
template <class T>
double elementwise_loss(std::string_view name, const LossOptions& options, const ElementBatch<T>& batch);

// Cross-entropies over classes: every row is a loss. Targets are rows of probabilities, or labels, the other is null.
template <class T>
struct ClassBatch {
  Index rows;
  Index count;  // as above
  Index classes;
  const T* target;            // [rows, classes] or null
  const std::int64_t* label;  // [rows] or null
  const T* prediction;        // [rows, classes]
  const T* weight;            // [rows]; null: ones
  T* gradient;                // [rows, classes] or null
};
// Throws Error, before anything is written, for a target outside [0, 1] or a label outside [0, classes).
template <class T>
double class_loss(const LossOptions& options, const ClassBatch<T>& batch);

void require_labels(const std::int64_t* label, Index rows, Index classes);

}  // namespace latchwork
