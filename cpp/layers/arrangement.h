// How the caller's sequences lie in an array.
#pragma once

#include "sequence/batch.h"

namespace latchwork {

// How sequences of some feature count lie in an array.
struct Arrangement {
  Index batch = 0, steps = 0;  // B, T (0 if ragged)
  bool time_major = false;     // [T, B, F] instead of [B, T, F]
  Indices offsets;             // ragged: [B + 1] into [N, F]
  Indices lengths;             // [B], within [0, T]; masked: how many steps are real

  // Masked: the numbers of the real steps, sequence after sequence, and where each sequence's begin, [B + 1].
  Indices real = {}, first_real = {};

  bool ragged() const { return !offsets.empty(); }
  bool masked() const { return !first_real.empty(); }

  // Notes the real steps of a mask that lies as x does: [B, T], [T, B] or, ragged, [N]. lengths are set.
  void set_mask(const bool* mask);
  // The same array with every step real.
  Arrangement unmasked() const;
};

// Throws Error naming the argument unless lengths and offsets fit the array.
void check_arrangement(const Arrangement& a, Index rows);

// The rows of `data` under an arrangement. Reversed: from a sequence's last real step backwards.
template <class T>
RowMap<T> row_map(T* data, Index features, const Arrangement& a, bool reversed);

}  // namespace latchwork
