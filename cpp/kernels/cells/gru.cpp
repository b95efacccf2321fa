// GRU, reset after the product: Cho et al. 2014 in the form of cuDNN and Keras' reset_after=True. Gate order z, r, n.
#include "kernels/cell.h"

namespace latchwork::LATCHWORK_ISA {
namespace {

struct Gru {
  // n needs x·W and h·R unsummed, so it has two slots: n_x and n_h.
  static constexpr CellInfo info = {
      .name = "gru",
      .gates = 3,
      .biases = 2,
      .slots = 4,
      .states = 1,
      .saved = 4,
      .phases = 1,
      .products = 2,
      .gate_names = {"z", "r", "n"},
      .state = {{"h"}},
      .phase = {{.first_slot = 0, .slot_count = 4, .first_product = 0, .product_count = 2}},
      .product = {{Operand::x, Weight::kernel, 0, 3, {0, 1, 2}, {0, 1, 2}},
                  {Operand::h, Weight::recurrent_kernel, 1, 3, {0, 1, 3}, {0, 1, 2}}},
  };
  static constexpr int saved_begin[] = {0, 4};

  template <int phase, class V, class Activations>
  static void forward(Unit<V>& u, const Activations& a) {
    const V z = a.gate(u.slot[0]), r = a.gate(u.slot[1]), n_x = u.slot[2], n_h = u.slot[3];
    const V h_previous = u.previous[0];
    const V n = a.state(fma(r, n_h, n_x));
    u.next[0] = fma(z, h_previous - n, n);
    u.saved[0] = z, u.saved[1] = r, u.saved[2] = n, u.saved[3] = n_h;
  }

  template <int phase, class V, class Activations>
  static void backward(Unit<V>& u, const Activations& a) {
    const V z = u.saved[0], r = u.saved[1], n = u.saved[2], n_h = u.saved[3];
    const V dh = u.d_next[0], h_previous = u.previous[0];
    const V dn = fnma(dh, z, dh) * a.state_slope(n);
    u.d_slot[0] = dh * (h_previous - n) * a.gate_slope(z);
    u.d_slot[1] = dn * n_h * a.gate_slope(r);
    u.d_slot[2] = dn;
    u.d_slot[3] = dn * r;
    u.d_previous[0] = dh * z;
  }
};

}  // namespace
}  // namespace latchwork::LATCHWORK_ISA

LATCHWORK_DEFINE_CELL(gru, Gru)
