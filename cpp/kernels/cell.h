// The driver of every cell: strip -> cell -> store, and its reverse. A cell file gives the equations of one unit.
#pragma once

#include "kernels/cell_table.h"
#include "simd/math.h"
#include "simd/vec.h"

namespace latchwork::LATCHWORK_ISA {

// The values of one unit (kLanes of them) that a cell reads and writes. Forward reads slot, previous (and, in later
// phases, what earlier phases left in slot) and writes next, saved, intermediate. Backward reads previous, next, saved,
// d_next, d_intermediate and writes d_slot, d_previous (the direct terms) and intermediate.
template <class V>
struct Unit {
  V slot[kMaxSlots];
  V previous[kMaxStates], next[kMaxStates];
  V saved[kMaxSlots];
  V intermediate;
  V d_slot[kMaxSlots];
  V d_next[kMaxStates], d_previous[kMaxStates];
  V d_intermediate;
};

// The activations of a cell, forward and, from the output, backward. `state` is Keras' activation, `gate` its recurrent
// one.
struct DefaultActivations {
  template <class V>
  V state(V x) const {
    return tanh(x);
  }
  template <class V>
  V gate(V x) const {
    return sigmoid(x);
  }
  template <class V>
  V state_slope(V y) const {
    return activation_derivative(Kind<Activation::tanh>{}, y);
  }
  template <class V>
  V gate_slope(V y) const {
    return activation_derivative(Kind<Activation::sigmoid>{}, y);
  }
};

// Any others: one instantiation for all, whose calls stay calls (inlined, the switch would stand in every cell many
// times).
struct NamedActivations {
  Activation state_kind, gate_kind;
  template <class V>
  [[gnu::noinline]] V state(V x) const {
    return activate(state_kind, x);
  }
  template <class V>
  [[gnu::noinline]] V gate(V x) const {
    return activate(gate_kind, x);
  }
  template <class V>
  [[gnu::noinline]] V state_slope(V y) const {
    return activation_derivative(state_kind, y);
  }
  template <class V>
  [[gnu::noinline]] V gate_slope(V y) const {
    return activation_derivative(gate_kind, y);
  }
};

template <class V>
inline V load_units(const typename V::Scalar* p, Index n) {
  return n == V::kLanes ? V::load(p) : V::load_partial(p, n);
}

template <class V>
inline void store_units(V value, typename V::Scalar* p, Index n) {
  if (n == V::kLanes)
    value.store(p);
  else
    value.store_partial(p, n);
}

template <class Cell, int phase, class V, class Activations>
inline void forward_units(const PointwiseArgs<typename V::Scalar>& a, const Activations& activations, Index r, Index u,
                          Index n) {
  using T = typename V::Scalar;
  constexpr CellInfo info = Cell::info;
  constexpr PhaseInfo pass = info.phase[phase];
  constexpr bool last = phase + 1 == info.phases;
  const Index unit = a.unit + u;
  T* const slots = a.slots.data + r * a.slots.stride + u;
  Unit<V> x;
  for (int s = 0; s < pass.first_slot + pass.slot_count; ++s) x.slot[s] = V::load(slots + s * a.slot_stride);
  x.previous[0] = load_units<V>(a.h_previous[r] + unit, n);
  for (int s = 1; s < info.states; ++s) x.previous[s] = V::load(a.previous[s].data + r * a.previous[s].stride + unit);

  Cell::template forward<phase>(x, activations);

  if constexpr (last) {
    store_units(x.next[0], a.h_next[r] + unit, n);
    for (int s = 1; s < info.states; ++s) x.next[s].store(a.next[s].data + r * a.next[s].stride + unit);
  } else {
    x.intermediate.store(a.intermediate.data + r * a.intermediate.stride + unit);
    for (int s = pass.first_slot; s < pass.first_slot + pass.slot_count; ++s)
      store_units(x.slot[s], slots + s * a.slot_stride, n);  // slots may lie side by side
  }
  if (a.saved.data) {
    T* const saved = a.saved.data + r * a.saved.stride + unit;
    for (int i = Cell::saved_begin[phase]; i < Cell::saved_begin[phase + 1]; ++i)
      x.saved[i].store(saved + i * a.padded_hidden);
  }
}

template <class Cell, int phase, class V, class Activations>
inline void backward_units(const PointwiseArgs<typename V::Scalar>& a, const Activations& activations, Index r, Index u,
                           Index n) {
  using T = typename V::Scalar;
  constexpr CellInfo info = Cell::info;
  constexpr PhaseInfo pass = info.phase[phase];
  constexpr bool first = phase + 1 == info.phases;  // the reverse of the last pass comes first
  const Index unit = a.unit + u;
  Unit<V> x;
  x.previous[0] = load_units<V>(a.h_previous[r] + unit, n);
  x.next[0] = load_units<V>(a.h_next[r] + unit, n);
  for (int s = 1; s < info.states; ++s) {
    x.previous[s] = V::load(a.previous[s].data + r * a.previous[s].stride + unit);
    x.next[s] = V::load(a.next[s].data + r * a.next[s].stride + unit);
  }
  for (int s = 0; s < info.states; ++s) {
    x.d_next[s] = V::load(a.d_next[s].data + r * a.d_next[s].stride + unit);
    if constexpr (!first) x.d_previous[s] = V::load(a.d_previous[s].data + r * a.d_previous[s].stride + unit);
  }
  if constexpr (!first) x.d_intermediate = V::load(a.d_intermediate.data + r * a.d_intermediate.stride + unit);
  const T* const saved = a.saved.data + r * a.saved.stride + unit;
  for (int i = 0; i < info.saved; ++i) x.saved[i] = V::load(saved + i * a.padded_hidden);

  Cell::template backward<phase>(x, activations);

  if constexpr (!first) x.intermediate.store(a.intermediate.data + r * a.intermediate.stride + unit);
  if (a.dy_previous) x.d_previous[0] = x.d_previous[0] + load_units<V>(a.dy_previous[r] + unit, n);
  for (int s = 0; s < info.states; ++s) x.d_previous[s].store(a.d_previous[s].data + r * a.d_previous[s].stride + unit);
  T* const slots = a.slots.data + r * a.slots.stride + u;
  for (int s = pass.first_slot; s < pass.first_slot + pass.slot_count; ++s)
    store_units(x.d_slot[s], slots + s * a.slot_stride, n);
}

// The activations are told apart once a pass; the loops below see constants.
template <class Cell, class T, class Body>
inline void with_activations(const PointwiseArgs<T>& a, Body body) {
  if (a.activation == Activation::tanh && a.recurrent_activation == Activation::sigmoid)
    body(DefaultActivations{});
  else
    body(NamedActivations{a.activation, a.recurrent_activation});
}

// Flattened: left to itself gcc 12 calls the cell and passes a unit through memory (10 % more instructions, AVX2, H
// 50).
template <class Cell, int phase, class V>
[[gnu::flatten]] void forward_pass(const PointwiseArgs<typename V::Scalar>& a) noexcept {
  with_activations<Cell>(a, [&](const auto& activations) {
    for (Index r = 0; r < a.rows; ++r) {
      Index u = 0;
      for (; u + V::kLanes <= a.units; u += V::kLanes) forward_units<Cell, phase, V>(a, activations, r, u, V::kLanes);
      if (u < a.units) forward_units<Cell, phase, V>(a, activations, r, u, a.units - u);
    }
  });
}

template <class Cell, int phase, class V>
[[gnu::flatten]] void backward_pass(const PointwiseArgs<typename V::Scalar>& a) noexcept {
  with_activations<Cell>(a, [&](const auto& activations) {
    for (Index r = 0; r < a.rows; ++r) {
      Index u = 0;
      for (; u + V::kLanes <= a.units; u += V::kLanes) backward_units<Cell, phase, V>(a, activations, r, u, V::kLanes);
      if (u < a.units) backward_units<Cell, phase, V>(a, activations, r, u, a.units - u);
    }
  });
}

template <class Cell, class T>
constexpr CellKernels<T> cell_kernels() {
  using V = Vec<T>;
  CellKernels<T> kernels{&Cell::info, {}, {}};
  kernels.forward[0] = forward_pass<Cell, 0, V>;
  kernels.backward[0] = backward_pass<Cell, 0, V>;
  if constexpr (Cell::info.phases > 1) {
    kernels.forward[1] = forward_pass<Cell, 1, V>;
    kernels.backward[1] = backward_pass<Cell, 1, V>;
  }
  return kernels;
}

}  // namespace latchwork::LATCHWORK_ISA

// Ends a cell's file: publishes its kernels under the name the cell list knows.
#define LATCHWORK_DEFINE_CELL(name, Cell)                                         \
  namespace latchwork::LATCHWORK_ISA {                                            \
  extern constexpr CellKernels<float> name##_f32 = cell_kernels<Cell, float>();   \
  extern constexpr CellKernels<double> name##_f64 = cell_kernels<Cell, double>(); \
  }
