#include "layers/loss.h"

#include <algorithm>
#include <string>

#include "latchwork/error.h"
#include "layers/statistics.h"

namespace latchwork {

namespace {

template <class T>
using Pass = T (*)(const LossArgs<T>&) noexcept;

template <class T>
Pass<T> elementwise_pass(std::string_view name, bool from_logits) {
  const auto& k = kernels().of<T>().elementwise;
  if (name == "mse") return k.squared_error;
  if (name == "mae") return k.absolute_error;
  if (name == "huber") return k.huber;
  if (name == "binary_crossentropy") return from_logits ? k.binary_crossentropy_logits : k.binary_crossentropy;
  return nullptr;
}

template <class T>
void require_probabilities(const T* target, Index n) {
  const auto& k = kernels().of<T>().elementwise;
  if (k.within(T(0), T(1), target, n)) return;
  Index i = 0;
  while (T(0) <= target[i] && target[i] <= T(1)) ++i;
  throw Error("y must hold probabilities in [0, 1] for a cross-entropy, got " + std::to_string(target[i]));
}

}  // namespace

bool is_elementwise_loss(std::string_view name) { return elementwise_pass<float>(name, false) != nullptr; }

template <class T>
double elementwise_loss(std::string_view name, const LossOptions& options, const ElementBatch<T>& b) {
  const Pass<T> pass = elementwise_pass<T>(name, options.from_logits);
  if (!pass) throw Error("unknown loss " + std::string(name));
  if (name == "binary_crossentropy") require_probabilities(b.target, b.n);
  const T scale = static_cast<T>(1.0 / static_cast<double>(std::max<Index>(b.count, 1)));  // all left out: 0, not NaN
  return sum_chunks(b.n, [&](Index start, Index count) {
    return pass({count, b.target + start, b.prediction + start, b.weight ? b.weight + start : nullptr,
                 b.gradient ? b.gradient + start : nullptr, scale, static_cast<T>(options.delta),
                 static_cast<T>(options.label_smoothing)});
  });
}

void require_labels(const std::int64_t* label, Index rows, Index classes) {
  for (Index r = 0; r < rows; ++r) {
    if (label[r] < 0 || label[r] >= classes) {
      throw Error("y must hold class labels in [0, " + std::to_string(classes) + "), got " + std::to_string(label[r]));
    }
  }
}

template <class T>
double class_loss(const LossOptions& options, const ClassBatch<T>& batch) {
  const Index classes = batch.classes;
  if (batch.target) require_probabilities(batch.target, batch.rows * classes);
  if (batch.label) require_labels(batch.label, batch.rows, classes);
  const auto& k = kernels().of<T>().elementwise;
  const auto pass = options.from_logits ? k.categorical_crossentropy_logits : k.categorical_crossentropy;
  const T scale = static_cast<T>(1.0 / static_cast<double>(batch.count));
  Buffer<T> losses(batch.rows);
  interruptible_for(batch.rows, ceil_div(kElementGrain / 8, classes), [&](Index begin, Index end) {
    for (Index r = begin; r < end; ++r) {
      const Index offset = r * classes;
      const T weight = batch.weight ? batch.weight[r] : T(1);
      T* const gradient = batch.gradient ? batch.gradient + offset : nullptr;
      if (weight == T(0)) {  // left out, whatever it holds
        losses[r] = T(0);
        if (gradient) std::fill_n(gradient, classes, T(0));
        continue;
      }
      const T loss =
          pass({classes, batch.target ? batch.target + offset : nullptr, batch.label ? batch.label[r] : 0,
                batch.prediction + offset, gradient, scale * weight, static_cast<T>(options.label_smoothing)});
      losses[r] = loss * weight;
    }
  });
  return sum(losses.data(), batch.rows);
}

#define LATCHWORK_INSTANTIATE(T)                                                                     \
  template double elementwise_loss<T>(std::string_view, const LossOptions&, const ElementBatch<T>&); \
  template double class_loss<T>(const LossOptions&, const ClassBatch<T>&);
LATCHWORK_INSTANTIATE(float)
LATCHWORK_INSTANTIATE(double)
#undef LATCHWORK_INSTANTIATE

}  // namespace latchwork
