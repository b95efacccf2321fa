// Which rows there are: sequences by length, and where a sequence's step lies in memory.
// T time, B batch, I input, H hidden. "Plan row": a sequence's place after ordering by length.
#pragma once

#include "runtime/buffer.h"

namespace latchwork {

using Indices = PoolVector<Index>;

// Sequence b at step t: data + offset[b] + t * step. Batch-first, time-major, padded, ragged and reversed
// arrays are all row maps; a reversed one starts at the last real step and has a negative step. Where steps are masked,
// t counts the real ones, and `real` says where they are.
template <class T>
struct RowMap {
  T* data = nullptr;
  Indices offset;  // [B], in elements, by batch index
  Index step = 0;
  PoolVector<const Index*> real = {};  // [B], masked: the number of a sequence's first real step, as it is read ...
  Index next = 1;                      // ... and how far from it the next one is noted: -1 when read backwards

  T* row(Index b, Index t) const {
    const auto i = static_cast<std::size_t>(b);
    return data + offset[i] + (real.empty() ? t : real[i][t * next]) * step;
  }
  explicit operator bool() const { return data != nullptr; }
};

// Sequences ordered by length, descending, ties by batch index: the rows active at a step are the first ones.
class Batch {
 public:
  explicit Batch(const Indices& lengths);  // by batch index

  Index size() const { return static_cast<Index>(order_.size()); }
  Index steps() const { return static_cast<Index>(active_.size()); }  // of the longest
  bool equal_lengths() const { return size() == 0 || length_.front() == length_.back(); }

  Index sequence(Index row) const { return order_[static_cast<std::size_t>(row)]; }
  Index length(Index row) const { return length_[static_cast<std::size_t>(row)]; }
  Index active(Index t) const { return t < steps() ? active_[static_cast<std::size_t>(t)] : 0; }
  Index first_record(Index t) const { return first_[static_cast<std::size_t>(t)]; }  // real steps before step t
  Index records() const { return first_.back(); }                                    // all real steps

 private:
  Indices order_, length_;  // by plan row
  Indices active_;          // [steps] rows longer than t
  Indices first_;           // [steps + 1]
};

// The plan rows of one member of a team: first, first + stride, ...
struct RowShare {
  Index first, stride, count;

  Index row(Index i) const { return first + i * stride; }
  // How many of them are among the first `active` rows.
  Index active(Index active_rows) const {
    const Index n = active_rows <= first ? 0 : ceil_div(active_rows - first, stride);
    return n < count ? n : count;
  }
};

}  // namespace latchwork
