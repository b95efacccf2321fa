// Attention over the steps of sequences: softmax of the scores of queries and keys, weighted sums of values.
#pragma once

#include <span>

#include "base/types.h"

namespace latchwork {

// Rows of all sequences lie one after the other; rows that are not real are neither read nor counted.
struct AttentionPlaces {
  std::span<const Index> query_offsets;  // [B + 1] where each sequence's queries begin
  std::span<const Index> value_offsets;  // [B + 1] where its keys and values do
  const bool* query_real = nullptr;      // [queries]; null: all are
  const bool* value_real = nullptr;      // [values]
  bool causal = false;                   // query i reads values 0 .. i of its sequence
  Index heads = 1, key_size = 1, value_size = 1;
  Index most_queries = 0, most_values = 0;  // Tq, Tv: of the longest sequence at least
};

template <class T>
struct AttentionArrays {
  const T* query;     // [queries, heads, K]
  const T* key;       // [values, heads, K]
  const T* value;     // [values, heads, D]
  const T* keep;      // [B, Tq, heads, Tv] dropout's factors of the weights; null: none
  const T* additive;  // [K] v of the scores sum(v * tanh(query + key)); null: they are sum(query * key)
};

// y [queries, heads, D] = sums of weights * values; weights [B, heads, Tq, Tv], 0 where nothing is read (null: not
// wanted), before dropout. Without a value to read y and weights are 0, as they are of queries that are not real.
template <class T>
void attend(const AttentionPlaces& places, const AttentionArrays<T>& in, T* y, T* weights);

template <class T>
struct AttentionGradients {
  const T* dy;         // [queries, heads, D]
  const T* weights;    // [B, heads, Tq, Tv] of the forward call
  const T* d_weights;  // [B, heads, Tq, Tv]; null: zeros
  T* query;            // [queries, heads, K]
  T* key;              // [values, heads, K]
  T* value;            // [values, heads, D]
  T* additive;         // [queries, heads, K] what each query adds to the gradient of `additive`; read if that is there
};
template <class T>
void attend_backward(const AttentionPlaces& places, const AttentionArrays<T>& in, const AttentionGradients<T>& d);

}  // namespace latchwork
