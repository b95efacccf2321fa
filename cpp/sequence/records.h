// What a training forward keeps for backward: every record, or only the states from which segments are run again.
#pragma once

#include "sequence/batch.h"
#include "sequence/weights.h"

namespace latchwork {

// What training keeps of the forward pass until backward; the gradients' bits do not depend on it.
enum class Memory : int {
  store,       // every record
  recompute,   // the states before segments of one group, whose records stay in the cache when they are made again
  checkpoint,  // the same, in segments as long as makes the whole smallest
};

constexpr const char* kMemoryNames[] = {"store", "recompute", "checkpoint"};

// Steps of a segment; 0: every record is kept, also where a segment would be all there is or a cell keeps none.
Index segment_steps(Memory memory, const Layout& layout, const Batch& batch);

// A record is what the cell saves for one step of one row, then the states beyond h after it, each [padded].
template <class T>
struct Records {
  T* data = nullptr;  // of the real steps from some step `begin` on, [plan row] within a step
  const Layout* layout = nullptr;
  const Batch* batch = nullptr;

  explicit operator bool() const { return data != nullptr; }

  Rows<T> rows(Index begin, Index t, Index row, Index stride) const {
    const Index number = batch->first_record(t) - batch->first_record(begin) + row;
    return {data + number * layout->record(), stride * layout->record()};
  }
  Rows<T> state_rows(Index begin, Index t, int state, Index row, Index stride) const {
    const Rows<T> record = rows(begin, t, row, stride);
    return {record.data + (layout->cell->saved + state - 1) * layout->padded_hidden, record.stride};
  }
};

// The states beyond h before the first step of each segment: [segment][B][state][padded].
template <class T>
struct SegmentStates {
  T* data = nullptr;
  Index segment = 0;  // steps of one
  const Layout* layout = nullptr;
  Index batch = 0;

  explicit operator bool() const { return segment > 0; }

  static Index size(const Layout& layout, Index batch, Index steps, Index segment) {
    return ceil_div(steps, segment) * batch * (layout.cell->states - 1) * layout.padded_hidden;
  }
  bool begins_at(Index t) const { return segment > 0 && t % segment == 0; }
  // Of the segment that begins at t.
  Rows<T> rows(Index t, int state, Index row, Index stride) const {
    const Index states = layout->cell->states - 1, padded = layout->padded_hidden;
    return {data + ((t / segment * batch + row) * states + state - 1) * padded, stride * states * padded};
  }
};

}  // namespace latchwork
