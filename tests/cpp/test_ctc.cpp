// CTC against the sum over every path, in float64; gradients by differences.
#include "layers/ctc.h"

#include <cmath>

#include "check.h"
#include "cpu/float_env.h"
#include "differences.h"

namespace latchwork::test {
namespace {

struct Batch {
  std::vector<std::int64_t> steps, places, labels;
  Index classes, blank;
};

// p(labels | logits) of one sequence: over all classes^T paths, those that read as the labels once repeats are one and
// blanks are gone.
double probability(const Batch& b, std::size_t i, const std::vector<double>& logits) {
  const Index first = b.steps[i], steps = b.steps[i + 1] - first;
  const std::vector<std::int64_t> wanted(b.labels.begin() + b.places[i], b.labels.begin() + b.places[i + 1]);
  Index paths = 1;
  for (Index t = 0; t < steps; ++t) paths *= b.classes;
  double total = 0;
  for (Index path = 0; path < paths; ++path) {
    double p = 1;
    std::vector<std::int64_t> read;
    Index before = -1;
    for (Index t = 0, rest = path; t < steps; ++t, rest /= b.classes) {
      const Index c = rest % b.classes;
      const double* const row = logits.data() + (first + t) * b.classes;
      double sum = 0;
      for (Index k = 0; k < b.classes; ++k) sum += std::exp(row[k]);
      p *= std::exp(row[c]) / sum;
      if (c != before && c != b.blank) read.push_back(c);
      before = c;
    }
    if (read == wanted) total += p;
  }
  return total;
}

double naive(const Batch& b, const std::vector<double>& logits, const std::vector<double>& weight) {
  double loss = 0;
  for (std::size_t i = 0; i + 1 < b.steps.size(); ++i)
    if (weight[i] != 0) loss -= weight[i] * std::log(probability(b, i, logits));
  return loss;
}

template <class T>
double run(const Batch& b, const std::vector<T>& logits, const std::vector<T>* weight, std::vector<T>& gradient) {
  const FloatScope scope;
  return ctc_loss<T>({static_cast<Index>(b.steps.size()) - 1, b.classes, b.blank, b.steps.data(), b.places.data(),
                      b.labels.data(), logits.data(), weight ? weight->data() : nullptr, gradient.data(), 2});
}

template <class T>
void compare(const Batch& b, const std::string& name, bool weighted) {
  std::vector<double> logits = values<double>(1, b.steps.back() * b.classes, 3);
  std::vector<double> weight(b.steps.size() - 1, 1);
  if (weighted) weight[0] = 0, weight.back() = 2.5;
  const double expected = naive(b, logits, weight);
  std::vector<double> slopes = differences(logits, [&] { return naive(b, logits, weight); });
  for (double& slope : slopes) slope /= 2;  // of a mean over two
  const std::vector<T> given = narrowed<T>(logits), weights = narrowed<T>(weight);
  std::vector<T> first;
  double first_loss = 0;
  on_every_isa([&](const std::string& isa) {
    for (const int threads : {1, 2}) {
      set_num_threads(threads);
      std::vector<T> gradient(given.size(), 9);
      const double loss = run(b, given, weighted ? &weights : nullptr, gradient);
      const std::string where = name + " " + isa + " " + std::to_string(threads) + " " + std::to_string(sizeof(T));
      if (first.empty()) first = gradient, first_loss = loss;
      check(std::fabs(loss - expected) < kClose<T> * expected, where + " loss");
      check(distance(gradient, slopes) < kClose<T>, where + " gradient");
      check(same_bits(gradient, first) && loss == first_loss, where + " bits");
    }
  });
}

// A repeat needs a blank between: two equal labels have no path of two steps.
template <class T>
void impossible() {
  const Batch b{{0, 2, 4}, {0, 2, 3}, {1, 1, 2}, 3, 0};
  const std::vector<T> logits(12, T(0));
  std::vector<T> gradient(12, 9);
  check(run<T>(b, logits, nullptr, gradient) == HUGE_VAL, "impossible: loss");
  for (std::size_t i = 0; i < gradient.size(); ++i)
    check(i < 6 ? std::isnan(gradient[i]) : std::isfinite(gradient[i]), "impossible: gradient");
}

}  // namespace
}  // namespace latchwork::test

int main() {
  using namespace latchwork::test;
  const struct {
    const char* name;
    Batch of;
  } cases[] = {
      {"labels", {{0, 5, 9}, {0, 2, 4}, {1, 2, 2, 1}, 3, 0}},
      {"repeats", {{0, 5, 10, 15}, {0, 2, 5, 6}, {1, 1, 0, 1, 0, 1}, 3, 2}},
      {"no labels", {{0, 3, 4, 6}, {0, 0, 1, 1}, {3}, 4, 1}},
      {"no spare step", {{0, 3, 6}, {0, 3, 5}, {1, 2, 3, 2, 2}, 4, 0}},
  };
  for (const auto& each : cases)
    for (const bool weighted : {false, true}) {
      compare<float>(each.of, each.name, weighted);
      compare<double>(each.of, each.name, weighted);
    }
  impossible<float>();
  impossible<double>();
  return report("ctc");
}
