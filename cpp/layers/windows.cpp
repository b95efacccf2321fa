#include "layers/windows.h"

#include <algorithm>

#include "layers/statistics.h"

namespace latchwork {

Frame frame_of(Padding padding, Index steps, Index size, Index stride, Index dilation) {
  const Index reach = (size - 1) * dilation;  // from the first step of a window to its last
  if (padding == Padding::valid) return {steps > reach ? (steps - reach - 1) / stride + 1 : 0, 0};
  const Index outputs = ceil_div(steps, stride);
  if (padding == Padding::causal) return {outputs, reach};
  return {outputs, std::max<Index>(0, (outputs - 1) * stride + reach + 1 - steps) / 2};
}

namespace {

// f(sequence, first, end) for the sequences that have rows among [begin, end), and which of them.
template <class F>
void each_sequence(std::span<const Index> offsets, Index begin, Index end, F f) {
  auto at = std::upper_bound(offsets.begin(), offsets.end(), begin) - 1;
  for (Index first = begin; first < end; ++at) {
    const Index stop = std::min(at[1], end);
    if (first < stop) f(at - offsets.begin(), first, stop);
    first = stop;
  }
}

// The rows of x that one window reads: visit(k, row), k ascending.
struct Window {
  const Windows& all;
  Index first, end;  // rows of the sequence
  Index start;       // where k = 0 would lie

  template <class F>
  void visit(F f) const {
    const Index k_first = start < first ? ceil_div(first - start, all.dilation) : 0;
    for (Index k = k_first, row = start + k * all.dilation; k < all.size && row < end; ++k, row += all.dilation)
      if (!all.real || all.real[row]) f(k, row);
  }
};

// f(y's row, its window) for windows [begin, end).
template <class F>
void each_window(const Windows& w, Index begin, Index end, F f) {
  each_sequence(w.y_offsets, begin, end, [&](Index b, Index first, Index stop) {
    const auto i = static_cast<std::size_t>(b);
    const Index x_first = w.x_offsets[i], x_end = w.x_offsets[i + 1];
    for (Index y = first; y < stop; ++y)
      f(y, Window{w, x_first, x_end, x_first + (y - w.y_offsets[i]) * w.stride - w.before});
  });
}

// Windows a thread at least: where one is as long as a sequence, the sequences count.
Index grain_of(const Windows& w, Index features) {
  const Index steps = std::clamp<Index>(w.rows() / std::max<Index>(1, w.outputs()), 1, w.size);
  return ceil_div(kElementGrain, std::max<Index>(1, steps * features));
}

// f for all windows; threads share them.
template <class F>
void for_windows(const Windows& w, Index features, F f) {
  interruptible_for(w.outputs(), grain_of(w, features), [&](Index begin, Index end) { each_window(w, begin, end, f); });
}

// The same where windows write to rows they share: threads share sequences.
template <class F>
void for_sequences(const Windows& w, Index features, F f) {
  const auto batch = static_cast<Index>(w.x_offsets.size()) - 1;
  const Index elements = w.rows() / std::max<Index>(1, batch) * features;
  interruptible_for(batch, ceil_div(kElementGrain, std::max<Index>(1, elements)), [&](Index begin, Index end) {
    each_window(w, w.y_offsets[static_cast<std::size_t>(begin)], w.y_offsets[static_cast<std::size_t>(end)], f);
  });
}

}  // namespace

template <class T>
void gather_windows(const Windows& w, const T* x, Index features, T* out) {
  for_windows(w, w.size * features, [&](Index y, const Window& window) {
    T* const row = out + y * w.size * features;
    Index next = 0;
    window.visit([&](Index k, Index from) {
      std::fill(row + next * features, row + k * features, T(0));
      std::copy_n(x + from * features, features, row + k * features);
      next = k + 1;
    });
    std::fill(row + next * features, row + w.size * features, T(0));
  });
}

// A step asks which windows read it, so that threads may share steps.
template <class T>
void scatter_windows(const Windows& w, const T* d_out, Index features, T* dx) {
  const Index grain = ceil_div(kElementGrain, std::max<Index>(1, w.size * features));
  interruptible_for(w.rows(), grain, [&](Index begin, Index end) {
    std::fill(dx + begin * features, dx + end * features, T(0));
    each_sequence(w.x_offsets, begin, end, [&](Index b, Index first, Index stop) {
      const auto i = static_cast<std::size_t>(b);
      const Index outputs = w.y_offsets[i + 1] - w.y_offsets[i];
      for (Index row = first; row < stop; ++row) {
        if (w.real && !w.real[row]) continue;
        for (Index k = 0; k < w.size; ++k) {
          const Index position = row - w.x_offsets[i] + w.before - k * w.dilation;
          if (position < 0 || position % w.stride != 0 || position / w.stride >= outputs) continue;
          const T* const from = d_out + ((w.y_offsets[i] + position / w.stride) * w.size + k) * features;
          for (Index f = 0; f < features; ++f) dx[row * features + f] += from[f];
        }
      }
    });
  });
}

template <class T>
void max_windows(const Windows& w, const T* x, Index features, T* y, std::int32_t* which) {
  for_windows(w, features, [&](Index at, const Window& window) {
    T* const out = y + at * features;
    std::int32_t* const taken = which ? which + at * features : nullptr;
    std::fill_n(out, features, T(0));
    if (taken) std::fill_n(taken, features, -1);
    bool any = false;
    window.visit([&](Index k, Index row) {
      const T* const in = x + row * features;
      for (Index f = 0; f < features; ++f)
        if (!any || in[f] > out[f] || (in[f] != in[f] && out[f] == out[f])) {
          out[f] = in[f];
          if (taken) taken[f] = static_cast<std::int32_t>(k);
        }
      any = true;
    });
  });
}

template <class T>
void max_windows_backward(const Windows& w, const T* dy, const std::int32_t* which, Index features, T* dx) {
  std::fill_n(dx, w.rows() * features, T(0));
  for_sequences(w, features, [&](Index at, const Window& window) {
    for (Index f = 0; f < features; ++f) {
      const std::int32_t k = which[at * features + f];
      const Index row = window.start + k * w.dilation;
      if (k >= 0 && row >= window.first && row < window.end) dx[row * features + f] += dy[at * features + f];
    }
  });
}

template <class T>
void mean_windows(const Windows& w, const T* x, Index features, T* y) {
  for_windows(w, features, [&](Index at, const Window& window) {
    constexpr Index kBlock = 64;  // columns whose sums stay at hand
    for (Index start = 0; start < features; start += kBlock) {
      const Index count = std::min(kBlock, features - start);
      double sums[kBlock] = {};
      Index there = 0;
      window.visit([&](Index, Index row) {
        const T* const in = x + row * features + start;
        for (Index f = 0; f < count; ++f) sums[f] += static_cast<double>(in[f]);
        ++there;
      });
      for (Index f = 0; f < count; ++f)
        y[at * features + start + f] = there > 0 ? static_cast<T>(sums[f] / static_cast<double>(there)) : T(0);
    }
  });
}

template <class T>
void mean_windows_backward(const Windows& w, const T* dy, Index features, T* dx) {
  std::fill_n(dx, w.rows() * features, T(0));
  for_sequences(w, features, [&](Index at, const Window& window) {
    Index there = 0;
    window.visit([&](Index, Index) { ++there; });
    const T* const from = dy + at * features;
    window.visit([&](Index, Index row) {
      for (Index f = 0; f < features; ++f) dx[row * features + f] += from[f] / static_cast<T>(there);
    });
  });
}

#define LATCHWORK_INSTANTIATE(T)                                                                \
  template void gather_windows(const Windows&, const T*, Index, T*);                            \
  template void scatter_windows(const Windows&, const T*, Index, T*);                           \
  template void max_windows(const Windows&, const T*, Index, T*, std::int32_t*);                \
  template void max_windows_backward(const Windows&, const T*, const std::int32_t*, Index, T*); \
  template void mean_windows(const Windows&, const T*, Index, T*);                              \
  template void mean_windows_backward(const Windows&, const T*, Index, T*);
LATCHWORK_INSTANTIATE(float)
LATCHWORK_INSTANTIATE(double)
#undef LATCHWORK_INSTANTIATE

}  // namespace latchwork
