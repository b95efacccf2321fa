#include "layers/arrangement.h"

#include <string>

#include "latchwork/error.h"

namespace latchwork {

void check_arrangement(const Arrangement& a, Index rows) {
  if (a.ragged()) {
    if (a.offsets.front() != 0 || a.offsets.back() != rows)
      throw Error("offsets must run from 0 to " + std::to_string(rows) + " (rows of values), got " +
                  std::to_string(a.offsets.front()) + " to " + std::to_string(a.offsets.back()));
    for (std::size_t i = 0; i + 1 < a.offsets.size(); ++i)
      if (a.offsets[i + 1] < a.offsets[i])
        throw Error("offsets must not decrease, got " + std::to_string(a.offsets[i]) + " before " +
                    std::to_string(a.offsets[i + 1]));
    return;
  }
  if (static_cast<Index>(a.lengths.size()) != a.batch)
    throw Error("lengths must have " + std::to_string(a.batch) + " entries (the batch), got " +
                std::to_string(a.lengths.size()));
  for (std::size_t b = 0; b < a.lengths.size(); ++b)
    if (a.lengths[b] < 0 || a.lengths[b] > a.steps)
      throw Error("lengths must lie within [0, " + std::to_string(a.steps) + "], got " + std::to_string(a.lengths[b]) +
                  " for sequence " + std::to_string(b));
}

void Arrangement::set_mask(const bool* mask) {
  first_real.assign(1, 0);
  lengths.clear();
  const RowMap<const bool> map = row_map(mask, 1, unmasked(), false);
  for (Index b = 0; b < batch; ++b) {
    const auto i = static_cast<std::size_t>(b);
    const Index extent = ragged() ? offsets[i + 1] - offsets[i] : steps;
    for (Index t = 0; t < extent; ++t)
      if (*map.row(b, t)) real.push_back(t);
    first_real.push_back(static_cast<Index>(real.size()));
    lengths.push_back(first_real[i + 1] - first_real[i]);
  }
}

Arrangement Arrangement::unmasked() const {
  Arrangement all{.batch = batch, .steps = steps, .time_major = time_major, .offsets = offsets, .lengths = {}};
  for (std::size_t b = 0; b < static_cast<std::size_t>(batch); ++b)
    all.lengths.push_back(ragged() ? offsets[b + 1] - offsets[b] : steps);
  return all;
}

template <class T>
RowMap<T> row_map(T* data, Index features, const Arrangement& a, bool reversed) {
  RowMap<T> map;
  map.data = data;
  map.step = (a.time_major ? a.batch : 1) * features;
  map.offset.resize(static_cast<std::size_t>(a.batch));
  for (Index b = 0; b < a.batch; ++b) {
    const auto i = static_cast<std::size_t>(b);
    Index& offset = map.offset[i];
    offset = a.ragged() ? a.offsets[i] * features : a.time_major ? b * features : b * a.steps * features;
    if (a.masked())
      map.real.push_back(a.real.data() + a.first_real[i] + (reversed && a.lengths[i] > 0 ? a.lengths[i] - 1 : 0));
    else if (reversed && a.lengths[i] > 0)
      offset += (a.lengths[i] - 1) * map.step;
  }
  if (reversed) (a.masked() ? map.next : map.step) *= -1;
  return map;
}

template RowMap<float> row_map(float*, Index, const Arrangement&, bool);
template RowMap<const float> row_map(const float*, Index, const Arrangement&, bool);
template RowMap<double> row_map(double*, Index, const Arrangement&, bool);
template RowMap<const double> row_map(const double*, Index, const Arrangement&, bool);

}  // namespace latchwork
