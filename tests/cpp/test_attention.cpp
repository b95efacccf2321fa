// Attention against plain loops in float64: masks, causality, heads, additive scores, dropout; gradients by
// differences.
#include "layers/attention.h"

#include <algorithm>
#include <cmath>

#include "check.h"
#include "cpu/float_env.h"
#include "differences.h"

namespace latchwork::test {
namespace {

struct Case {
  std::vector<Index> queries, values;  // where each sequence begins, and the end
  Index heads, key_size, value_size;
  bool masked, causal, additive, dropped;
};

struct Problem {
  std::vector<double> query, key, value, vector, keep, dy, d_weights;
  std::vector<char> query_real, value_real;
};

struct Answer {
  std::vector<double> y, weights;
};

Index longest(const std::vector<Index>& offsets) {
  Index most = 0;
  for (std::size_t b = 1; b < offsets.size(); ++b) most = std::max(most, offsets[b] - offsets[b - 1]);
  return most;
}

std::size_t at(Index i) { return static_cast<std::size_t>(i); }

Problem problem_of(const Case& c) {
  const Index batch = static_cast<Index>(c.queries.size()) - 1,
              weights = batch * longest(c.queries) * c.heads * longest(c.values);
  const Index of_query = c.queries.back() * c.heads, of_value = c.values.back() * c.heads;
  Problem p{values<double>(1, of_query * c.key_size, 1),
            values<double>(2, of_value * c.key_size, 1),
            values<double>(3, of_value * c.value_size, 1),
            {},
            {},
            values<double>(4, of_query * c.value_size, 1),
            values<double>(5, weights, 1),
            {},
            {}};
  if (c.additive) p.vector = values<double>(6, c.key_size, 1);
  for (Index i = 0; c.dropped && i < weights; ++i) p.keep.push_back(i % 4 == 1 ? 0 : 1.25);
  for (Index i = 0; c.masked && i < c.queries.back(); ++i) p.query_real.push_back(i % 3 != 1);
  for (Index i = 0; c.masked && i < c.values.back(); ++i) p.value_real.push_back(i % 4 != 2);
  return p;
}

Answer naive(const Case& c, const Problem& p) {
  const Index tq = longest(c.queries), tv = longest(c.values);
  Answer a{std::vector<double>(p.dy.size()), std::vector<double>(p.d_weights.size())};
  for (std::size_t b = 0; b + 1 < c.queries.size(); ++b)
    for (Index h = 0; h < c.heads; ++h)
      for (Index i = c.queries[b]; i < c.queries[b + 1]; ++i) {
        if (c.masked && !p.query_real[at(i)]) continue;
        double total = 0;
        const auto place = [&](Index j) {
          return at(((static_cast<Index>(b) * c.heads + h) * tq + i - c.queries[b]) * tv + j - c.values[b]);
        };
        for (Index j = c.values[b]; j < c.values[b + 1]; ++j) {
          if ((c.masked && !p.value_real[at(j)]) || (c.causal && j - c.values[b] > i - c.queries[b])) continue;
          double score = 0;
          for (Index k = 0; k < c.key_size; ++k) {
            const double q = p.query[at((i * c.heads + h) * c.key_size + k)],
                         key = p.key[at((j * c.heads + h) * c.key_size + k)];
            score += c.additive ? p.vector[at(k)] * std::tanh(q + key) : q * key;
          }
          total += a.weights[place(j)] = std::exp(score);
        }
        for (Index j = c.values[b]; j < c.values[b + 1] && total > 0; ++j) {
          a.weights[place(j)] /= total;
          const Index of_keep = ((static_cast<Index>(b) * tq + i - c.queries[b]) * c.heads + h) * tv + j - c.values[b];
          const double kept = a.weights[place(j)] * (c.dropped ? p.keep[at(of_keep)] : 1);
          for (Index d = 0; d < c.value_size; ++d)
            a.y[at((i * c.heads + h) * c.value_size + d)] += kept * p.value[at((j * c.heads + h) * c.value_size + d)];
        }
      }
  return a;
}

double loss(const Case& c, const Problem& p) {
  const Answer a = naive(c, p);
  double sum = 0;
  for (std::size_t i = 0; i < a.y.size(); ++i) sum += a.y[i] * p.dy[i];
  for (std::size_t i = 0; i < a.weights.size(); ++i) sum += a.weights[i] * p.d_weights[i];
  return sum;
}

// What an answer of the library is, all in a row.
template <class T>
using Parts = std::vector<std::vector<T>>;

template <class T>
Parts<T> run(const Case& c, const Problem& p) {
  const auto data = [](const std::vector<T>& x) { return x.empty() ? nullptr : x.data(); };
  const std::vector<T> query = narrowed<T>(p.query), key = narrowed<T>(p.key), value = narrowed<T>(p.value),
                       keep = narrowed<T>(p.keep), vector = narrowed<T>(p.vector), dy = narrowed<T>(p.dy),
                       d_weights = narrowed<T>(p.d_weights);
  AttentionPlaces places{c.queries, c.values};
  if (c.masked) {
    places.query_real = reinterpret_cast<const bool*>(p.query_real.data());
    places.value_real = reinterpret_cast<const bool*>(p.value_real.data());
  }
  places.causal = c.causal, places.heads = c.heads, places.key_size = c.key_size, places.value_size = c.value_size;
  places.most_queries = longest(c.queries), places.most_values = longest(c.values);
  const AttentionArrays<T> in{query.data(), key.data(), value.data(), data(keep), data(vector)};
  std::vector<T> y(dy.size(), 9), weights(d_weights.size(), 9), d_query(query.size(), 9), d_key(key.size(), 9),
      d_value(value.size(), 9), d_vector(c.additive ? query.size() : 0, 9);
  const FloatScope scope;
  attend(places, in, y.data(), weights.data());
  attend_backward<T>(
      places, in,
      {dy.data(), weights.data(), d_weights.data(), d_query.data(), d_key.data(), d_value.data(), d_vector.data()});
  std::vector<T> of_vector(c.additive ? at(c.key_size) : 0);
  for (std::size_t i = 0; i < d_vector.size(); ++i) of_vector[i % of_vector.size()] += d_vector[i];
  return {y, weights, d_query, d_key, d_value, of_vector};
}

template <class T>
void compare(const Case& c, const std::string& name) {
  Problem p = problem_of(c);
  const Answer a = naive(c, p);
  const auto slope = [&](std::vector<double>& x) { return differences(x, [&] { return loss(c, p); }); };
  const Parts<double> expected{a.y, a.weights, slope(p.query), slope(p.key), slope(p.value), slope(p.vector)};
  constexpr const char* kParts[] = {"y", "weights", "d query", "d key", "d value", "d vector"};
  Parts<T> first;
  on_every_isa([&](const std::string& isa) {
    for (const int threads : {1, 2}) {
      set_num_threads(threads);
      const Parts<T> found = run<T>(c, p);
      const std::string where = name + " " + isa + " " + std::to_string(threads) + " " + std::to_string(sizeof(T));
      if (first.empty()) {
        first = found;
        for (std::size_t i = 0; i < found.size(); ++i)
          check(distance(found[i], expected[i]) < kClose<T>, where + " " + kParts[i]);
      }
      for (std::size_t i = 0; i < found.size(); ++i) check(same_bits(found[i], first[i]), where + " bits " + kParts[i]);
    }
  });
}

}  // namespace
}  // namespace latchwork::test

int main() {
  using namespace latchwork::test;
  const std::vector<latchwork::Index> even{0, 6, 12}, ragged{0, 3, 3, 10}, other{0, 5, 7, 7};
  const struct {
    const char* name;
    Case of;
  } cases[] = {
      {"plain", {even, even, 1, 3, 2, false, false, false, false}},
      {"masked heads", {even, {0, 7, 14}, 3, 2, 4, true, false, false, true}},
      {"causal", {even, {0, 4, 8}, 2, 3, 3, true, true, false, false}},
      {"additive", {even, even, 1, 5, 2, true, true, true, true}},
      {"ragged", {ragged, other, 2, 17, 18, false, false, false, false}},
      {"many", {{0, 130, 131}, {0, 70, 140}, 1, 2, 1, true, false, false, false}},
      {"nothing to read", {{0, 2}, {0, 0}, 1, 2, 2, false, false, true, false}},
  };
  for (const auto& each : cases) {
    compare<float>(each.of, each.name);
    compare<double>(each.of, each.name);
  }
  return report("attention");
}
