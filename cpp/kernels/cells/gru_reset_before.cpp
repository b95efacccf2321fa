// GRU, reset before the product: Cho et al. 2014 as printed (Keras' reset_after=False). Gate order z, r, n.
#include "kernels/cell.h"

namespace latchwork::LATCHWORK_ISA {
namespace {

struct GruResetBefore {
  // Two phases: the gates, then n from r * h.
  static constexpr CellInfo info = {
      .name = "gru_reset_before",
      .gates = 3,
      .biases = 1,
      .slots = 3,
      .states = 1,
      .saved = 3,
      .phases = 2,
      .products = 4,
      .gate_names = {"z", "r", "n"},
      .state = {{"h"}},
      .phase = {{.first_slot = 0, .slot_count = 2, .first_product = 0, .product_count = 2},
                {.first_slot = 2, .slot_count = 1, .first_product = 2, .product_count = 2}},
      .product = {{Operand::x, Weight::kernel, 0, 2, {0, 1}, {0, 1}},
                  {Operand::h, Weight::recurrent_kernel, -1, 2, {0, 1}, {0, 1}},
                  {Operand::x, Weight::kernel, 0, 1, {2}, {2}},
                  {Operand::intermediate, Weight::recurrent_kernel, -1, 1, {2}, {2}}},
  };
  static constexpr int saved_begin[] = {0, 2, 3};

  template <int phase, class V, class Activations>
  static void forward(Unit<V>& u, const Activations& a) {
    const V h_previous = u.previous[0];
    if constexpr (phase == 0) {
      const V z = a.gate(u.slot[0]), r = a.gate(u.slot[1]);
      u.intermediate = r * h_previous;
      u.slot[0] = u.saved[0] = z;
      u.slot[1] = u.saved[1] = r;
    } else {
      const V z = u.slot[0], n = a.state(u.slot[2]);
      u.next[0] = fma(z, h_previous - n, n);
      u.saved[2] = n;
    }
  }

  template <int phase, class V, class Activations>
  static void backward(Unit<V>& u, const Activations& a) {
    const V z = u.saved[0], r = u.saved[1], n = u.saved[2];
    const V dh = u.d_next[0], h_previous = u.previous[0];
    if constexpr (phase == 1) {
      u.d_slot[2] = fnma(dh, z, dh) * a.state_slope(n);
      u.d_previous[0] = dh * z;
    } else {
      const V d_reset = u.d_intermediate;  // gradient of r * h
      u.intermediate = r * h_previous;
      u.d_slot[0] = dh * (h_previous - n) * a.gate_slope(z);
      u.d_slot[1] = d_reset * h_previous * a.gate_slope(r);
      u.d_previous[0] = fma(d_reset, r, u.d_previous[0]);
    }
  }
};

}  // namespace
}  // namespace latchwork::LATCHWORK_ISA

LATCHWORK_DEFINE_CELL(gru_reset_before, GruResetBefore)
