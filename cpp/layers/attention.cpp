#include "layers/attention.h"

#include <algorithm>
#include <atomic>

#include "layers/statistics.h"

namespace latchwork {
namespace {

constexpr Index kBlock = 64;  // queries at a time: their scores stay in the cache; sums over queries go by blocks
constexpr Index kWork = Index(1) << 17;  // products a thread at least: some 10 us

// One head of one sample on one thread's memory. Rows that are not real are left out first, so that nothing hangs on
// the padding: query i and value j below are the i-th and j-th real ones.
template <class T>
class Head {
 public:
  // Elements that a thread needs: of T, and of row numbers.
  static Index numbers(const AttentionPlaces& p) {
    const Sizes s(p);
    const Index wide = std::max(s.key, s.value);
    return (p.most_queries + 2 * p.most_values) * (s.key + s.value) + (s.values + p.most_values + kBlock) * wide +
           kBlock * (4 * s.values + s.tile) + (p.most_values + 1) * p.key_size;
  }
  static Index rows(const AttentionPlaces& p) { return p.most_queries + p.most_values; }

  Head(const AttentionPlaces& places, const AttentionArrays<T>& in, T* memory, Index* rows, InterruptPoll& poll)
      : p_(places),
        in_(in),
        poll_(poll),
        size_(places),
        memory_(memory),
        query_rows_(rows),
        value_rows_(rows + p_.most_queries) {
    const Index wide = std::max(size_.key, size_.value);
    query_ = take(p_.most_queries * size_.key);
    d_y_ = take(p_.most_queries * size_.value);
    key_ = take(p_.most_values * size_.key);
    value_ = take(p_.most_values * size_.value);
    d_key_ = take(p_.most_values * size_.key);
    d_value_ = take(p_.most_values * size_.value);
    turned_ = take(size_.values * wide);
    straight_ = take(p_.most_values * wide);
    scores_ = take(kBlock * size_.values);
    kept_ = take(kBlock * size_.values);
    slopes_ = take(kBlock * size_.values);
    tiles_ = take(kBlock * (size_.values + size_.tile));
    sums_ = take(kBlock * wide);
    tanh_ = take((p_.most_values + 1) * p_.key_size);
  }

  void forward(Index sample, Index head, T* y, T* weights) {
    begin(sample, head);
    clear(y, p_.query_offsets, p_.value_size);
    T* const of_head = weights ? weights + plane() : nullptr;
    if (of_head) std::fill_n(of_head, p_.most_queries * p_.most_values, T(0));
    if (!in_.additive) pack(key_, 1, size_.key, p_.key_size, values_, turned_);
    pack(value_, size_.value, 1, values_, p_.value_size, straight_);
    for (Index first = 0; first < queries_ && !poll_.wanted(); first += kBlock) {
      const Index count = std::min(kBlock, queries_ - first);
      score(first, count);
      if (of_head) each_weight(first, count, [&](Index at, Index i) { of_head[at] = scores_[i]; });
      multiply(drop(scores_, first, count), size_.values, count, values_, straight_, p_.value_size, size_.value);
      spread(first, count, sums_, size_.value, p_.value_size, y);
    }
  }

  void backward(Index sample, Index head, const AttentionGradients<T>& d) {
    begin(sample, head);
    gather(d.dy, p_.value_size, query_rows_, queries_, size_.value, d_y_);
    clear(d.query, p_.query_offsets, p_.key_size);
    clear(d.key, p_.value_offsets, p_.key_size);
    clear(d.value, p_.value_offsets, p_.value_size);
    if (in_.additive) clear(d.additive, p_.query_offsets, p_.key_size);
    std::fill_n(d_key_, values_ * size_.key, T(0));
    std::fill_n(d_value_, values_ * size_.value, T(0));
    pack(value_, 1, size_.value, p_.value_size, values_, turned_);
    if (!in_.additive) pack(key_, size_.key, 1, values_, p_.key_size, straight_);
    for (Index first = 0; first < queries_ && !poll_.wanted(); first += kBlock) {
      const Index count = std::min(kBlock, queries_ - first);
      each_weight(first, count, [&](Index at, Index i) { scores_[i] = d.weights[plane() + at]; });
      add_outer(drop(scores_, first, count), count, d_y_ + first * size_.value, size_.value, p_.value_size, d_value_);
      // of the weights, then of the scores
      multiply(d_y_ + first * size_.value, size_.value, count, p_.value_size, turned_, values_, size_.values, slopes_);
      T* const slopes = drop(slopes_, first, count);
      if (d.d_weights) each_weight(first, count, [&](Index at, Index i) { slopes[i] += d.d_weights[plane() + at]; });
      for (Index r = 0; r < count; ++r) {
        T* const row = slopes + r * size_.values;
        const Index n = reach(first + r);
        k_.elementwise.softmax_backward(scores_ + r * size_.values, row, row, n);
        std::fill(row + n, row + values_, T(0));
      }
      if (in_.additive) {
        add_tanh(first, count, slopes, d);
        continue;
      }
      add_outer(slopes, count, query_ + first * size_.key, size_.key, p_.key_size, d_key_);
      multiply(slopes, size_.values, count, values_, straight_, p_.key_size, size_.key);
      spread(first, count, sums_, size_.key, p_.key_size, d.query);
    }
    for (Index j = 0; j < values_; ++j) {
      std::copy_n(d_key_ + j * size_.key, p_.key_size, d.key + at(value_rows_[j], p_.key_size));
      std::copy_n(d_value_ + j * size_.value, p_.value_size, d.value + at(value_rows_[j], p_.value_size));
    }
  }

 private:
  // Rows padded to whole panels.
  struct Sizes {
    explicit Sizes(const AttentionPlaces& p)
        : panel(kernels().of<T>().product.panel_columns),
          tile(kernels().of<T>().product.tile_rows),
          key(round_up(p.key_size, panel)),
          value(round_up(p.value_size, panel)),
          values(round_up(p.most_values, panel)) {}
    Index panel, tile, key, value, values;
  };

  T* take(Index n) {
    T* const taken = memory_;
    memory_ += n;
    return taken;
  }
  Index at(Index row, Index width) const { return (row * p_.heads + head_) * width; }
  Index plane() const { return (sample_ * p_.heads + head_) * p_.most_queries * p_.most_values; }

  void begin(Index sample, Index head) {
    sample_ = sample, head_ = head;
    const auto b = static_cast<std::size_t>(sample);
    query_first_ = p_.query_offsets[b], value_first_ = p_.value_offsets[b];
    queries_ = real_rows(query_first_, p_.query_offsets[b + 1], p_.query_real, query_rows_);
    values_ = real_rows(value_first_, p_.value_offsets[b + 1], p_.value_real, value_rows_);
    gather(in_.query, p_.key_size, query_rows_, queries_, size_.key, query_);
    gather(in_.key, p_.key_size, value_rows_, values_, size_.key, key_);
    gather(in_.value, p_.value_size, value_rows_, values_, size_.value, value_);
  }

  static Index real_rows(Index first, Index end, const bool* real, Index* rows) {
    Index count = 0;
    for (Index row = first; row < end; ++row)
      if (!real || real[row]) rows[count++] = row;
    return count;
  }

  void gather(const T* from, Index width, const Index* rows, Index count, Index padded, T* to) const {
    for (Index i = 0; i < count; ++i, to += padded)
      std::fill(std::copy_n(from + at(rows[i], width), width, to), to + padded, T(0));
  }

  void clear(T* to, std::span<const Index> offsets, Index width) const {
    const auto b = static_cast<std::size_t>(sample_);
    for (Index row = offsets[b]; row < offsets[b + 1]; ++row) std::fill_n(to + at(row, width), width, T(0));
  }

  void spread(Index first, Index count, const T* from, Index padded, Index width, T* to) const {
    for (Index r = 0; r < count; ++r) std::copy_n(from + r * padded, width, to + at(query_rows_[first + r], width));
  }

  // How many of the values query i reads.
  Index reach(Index i) const {
    if (!p_.causal) return values_;
    const Index last = value_first_ + query_rows_[i] - query_first_;
    return std::upper_bound(value_rows_, value_rows_ + values_, last) - value_rows_;
  }

  // f(place in [Tq, Tv], place in a block) for the weights of some queries.
  template <class F>
  void each_weight(Index first, Index count, F f) const {
    for (Index r = 0; r < count; ++r) {
      const Index row = (query_rows_[first + r] - query_first_) * p_.most_values - value_first_;
      for (Index j = 0; j < values_; ++j) f(row + value_rows_[j], r * size_.values + j);
    }
  }

  // The block after dropout; itself where there is none.
  T* drop(T* block, Index first, Index count) {
    if (!in_.keep) return block;
    const T* const keep = in_.keep + (sample_ * p_.most_queries * p_.heads + head_) * p_.most_values;
    for (Index r = 0; r < count; ++r) {
      const T* const row = keep + (query_rows_[first + r] - query_first_) * p_.heads * p_.most_values - value_first_;
      for (Index j = 0; j < values_; ++j) {
        const T factor = row[value_rows_[j]];
        kept_[r * size_.values + j] = factor == 0 ? T(0) : factor * block[r * size_.values + j];
      }
    }
    return kept_;
  }

  // ---- products: one FMA chain a number, over the depth, ascending --------------------------------------------

  // Panels of a matrix [depth, columns], element(k, c) = from[k * k_stride + c * c_stride].
  void pack(const T* from, Index k_stride, Index c_stride, Index depth, Index columns, T* to) const {
    for (Index c = 0; c < columns; c += size_.panel, to += depth * size_.panel)
      k_.product.pack({from + c * c_stride, k_stride, c_stride, depth, std::min(size_.panel, columns - c), size_.panel,
                       to, size_.panel});
  }

  // to [rows, stride] = a [rows, depth] times panels.
  void multiply(const T* a, Index a_stride, Index rows, Index depth, const T* panels, Index columns, Index stride,
                T* to) const {
    const T* operand[kBlock];
    for (Index r = 0; r < rows; ++r) operand[r] = a + r * a_stride;
    const Segment<T> whole{nullptr, 0, depth};
    for (Index c = 0; c < columns; c += size_.panel, panels += depth * size_.panel) {
      const ProductPanel<T> panel{nullptr, panels, to + c};
      ProductArgs<T> args{};
      args.rows = rows, args.columns = size_.panel, args.panels = &panel, args.panel_count = 1;
      args.out_stride = stride, args.segments = &whole, args.segment_count = 1, args.operand = operand;
      k_.product.product(args);
    }
  }
  void multiply(const T* a, Index a_stride, Index rows, Index depth, const T* panels, Index columns, Index stride) {
    multiply(a, a_stride, rows, depth, panels, columns, stride, sums_);
  }

  // to [values, stride] += the block's transpose [values, queries] times b [queries, stride].
  void add_outer(const T* block, Index count, const T* b, Index stride, Index columns, T* to) {
    const T* rows[kBlock];
    for (Index r = 0; r < count; ++r) rows[r] = block + r * size_.values;
    const Index tile = size_.tile;
    k_.product.pack_rows({count, values_, 0, rows, tiles_, tile, count * tile});
    T* out[kMostTileRows];
    for (Index j = 0; j < values_; j += tile)
      for (Index c = 0; c < columns; c += size_.panel) {
        const Index features = std::min(tile, values_ - j);
        for (Index r = 0; r < features; ++r) out[r] = to + (j + r) * stride + c;
        k_.product.outer(
            {&count, 1, features, std::min(size_.panel, columns - c), tiles_ + j * count, b + c, stride, out});
      }
  }

  // ---- scores -------------------------------------------------------------------------------------------------

  // The weights of some queries: softmax of their scores over what they read, 0 beyond.
  void score(Index first, Index count) {
    if (!in_.additive)
      multiply(query_ + first * size_.key, size_.key, count, p_.key_size, turned_, values_, size_.values, scores_);
    for (Index r = 0; r < count; ++r) {
      T* const row = scores_ + r * size_.values;
      const Index n = reach(first + r);
      if (in_.additive) {
        make_tanh(first + r, n);
        for (Index j = 0; j < n; ++j) row[j] = long_dot(in_.additive, tanh_ + j * p_.key_size);
      }
      k_.elementwise.softmax(row, row, n);
      std::fill(row + n, row + values_, T(0));
    }
  }

  // tanh(query i + key j) for the first n keys.
  void make_tanh(Index i, Index n) {
    const T* const query = query_ + i * size_.key;
    for (Index j = 0; j < n; ++j)
      for (Index f = 0; f < p_.key_size; ++f) tanh_[j * p_.key_size + f] = query[f] + key_[j * size_.key + f];
    k_.unary.activation(Activation::tanh, tanh_, tanh_, n * p_.key_size);
  }

  T long_dot(const T* a, const T* b) const {
    double total = 0;
    for (Index f = 0; f < p_.key_size; f += kSumChunk)
      total += static_cast<double>(k_.elementwise.dot(a + f, b + f, std::min(kSumChunk, p_.key_size - f)));
    return static_cast<T>(total);
  }

  // From the gradients of additive scores: what queries, keys and the vector get, value after value.
  void add_tanh(Index first, Index count, const T* slopes, const AttentionGradients<T>& d) {
    const Index width = p_.key_size;
    T* const one = tanh_ + p_.most_values * width;
    for (Index r = 0; r < count; ++r) {
      const Index i = first + r, n = reach(i), row = at(query_rows_[i], width);
      make_tanh(i, n);
      for (Index j = 0; j < n; ++j) {
        const T slope = slopes[r * size_.values + j];
        const T* const y = tanh_ + j * width;
        std::copy_n(in_.additive, width, one);
        k_.elementwise.scale(slope, one, width);
        k_.unary.activation_backward(Activation::tanh, y, one, one, width);
        k_.elementwise.axpy(T(1), one, d.query + row, width);
        k_.elementwise.axpy(T(1), one, d_key_ + j * size_.key, width);
        k_.elementwise.axpy(slope, y, d.additive + row, width);
      }
    }
  }

  const AttentionPlaces& p_;
  const AttentionArrays<T>& in_;
  InterruptPoll& poll_;
  const Kernels<T>& k_ = kernels().of<T>();
  const Sizes size_;
  T* memory_;
  Index *query_rows_, *value_rows_;
  Index sample_ = 0, head_ = 0, query_first_ = 0, value_first_ = 0, queries_ = 0, values_ = 0;
  T *query_, *d_y_, *key_, *value_, *d_key_, *d_value_;  // real rows, padded with zeros
  T *turned_, *straight_;                                // panels whose columns are values, whose depth is values
  T *scores_, *kept_, *slopes_, *tiles_, *sums_, *tanh_;
};

// Heads of all samples, dealt out one by one: sequences differ in length.
template <class T>
void for_heads(const AttentionPlaces& p, const AttentionArrays<T>& in, T* y, T* weights,
               const AttentionGradients<T>* d) {
  const Index pieces = (static_cast<Index>(p.query_offsets.size()) - 1) * p.heads;
  const Index work = p.query_offsets.back() * p.most_values * p.heads * (p.key_size + p.value_size);
  Team team(static_cast<int>(std::min({pieces, work / kWork + 1, Index(1024)})));
  const Index numbers = Head<T>::numbers(p), rows = Head<T>::rows(p);
  Buffer<T> memory(checked_product(team.size(), numbers));
  Buffer<Index> indices(team.size() * rows);
  std::atomic<Index> next = 0;
  InterruptPoll poll;
  team.run([&](int member) {
    Head<T> head(p, in, memory.data() + member * numbers, indices.data() + member * rows, poll);
    for (Index i = next++; i < pieces && !poll.wanted(); i = next++) {
      if (d)
        head.backward(i / p.heads, i % p.heads, *d);
      else
        head.forward(i / p.heads, i % p.heads, y, weights);
    }
  });
  poll.check();
}

}  // namespace

template <class T>
void attend(const AttentionPlaces& places, const AttentionArrays<T>& in, T* y, T* weights) {
  for_heads<T>(places, in, y, weights, nullptr);
}

template <class T>
void attend_backward(const AttentionPlaces& places, const AttentionArrays<T>& in, const AttentionGradients<T>& d) {
  for_heads<T>(places, in, nullptr, nullptr, &d);
}

#define LATCHWORK_INSTANTIATE(T)                                                   \
  template void attend(const AttentionPlaces&, const AttentionArrays<T>&, T*, T*); \
  template void attend_backward(const AttentionPlaces&, const AttentionArrays<T>&, const AttentionGradients<T>&);
LATCHWORK_INSTANTIATE(float)
LATCHWORK_INSTANTIATE(double)
#undef LATCHWORK_INSTANTIATE

}  // namespace latchwork
