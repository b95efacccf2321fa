// LSTM: Hochreiter & Schmidhuber 1997 with the forget gate of Gers et al. 2000. Gate order i, f, g, o.
#include "kernels/cell.h"

namespace latchwork::LATCHWORK_ISA {
namespace {

struct Lstm {
  static constexpr CellInfo info = {
      .name = "lstm",
      .gates = 4,
      .biases = 1,
      .slots = 4,
      .states = 2,
      .saved = 4,
      .phases = 1,
      .products = 2,
      .gate_names = {"i", "f", "g", "o"},
      .state = {{"h"}, {"c"}},
      .phase = {{.first_slot = 0, .slot_count = 4, .first_product = 0, .product_count = 2}},
      .product = {{Operand::x, Weight::kernel, 0, 4, {0, 1, 2, 3}, {0, 1, 2, 3}},
                  {Operand::h, Weight::recurrent_kernel, -1, 4, {0, 1, 2, 3}, {0, 1, 2, 3}}},
  };
  static constexpr int saved_begin[] = {0, 4};

  template <int phase, class V, class Activations>
  static void forward(Unit<V>& u, const Activations& a) {
    const V i = a.gate(u.slot[0]), f = a.gate(u.slot[1]), g = a.state(u.slot[2]), o = a.gate(u.slot[3]);
    const V c_previous = u.previous[1];
    const V c = fma(f, c_previous, i * g);
    u.next[0] = o * a.state(c);
    u.next[1] = c;
    u.saved[0] = i, u.saved[1] = f, u.saved[2] = g, u.saved[3] = o;
  }

  template <int phase, class V, class Activations>
  static void backward(Unit<V>& u, const Activations& a) {
    const V i = u.saved[0], f = u.saved[1], g = u.saved[2], o = u.saved[3];
    const V c_previous = u.previous[1], c = u.next[1];
    const V dh = u.d_next[0], y = a.state(c);
    const V dc = fma(dh * o, a.state_slope(y), u.d_next[1]);
    u.d_slot[0] = dc * g * a.gate_slope(i);
    u.d_slot[1] = dc * c_previous * a.gate_slope(f);
    u.d_slot[2] = dc * i * a.state_slope(g);
    u.d_slot[3] = dh * y * a.gate_slope(o);
    u.d_previous[0] = V(typename V::Scalar(0));
    u.d_previous[1] = dc * f;
  }
};

}  // namespace
}  // namespace latchwork::LATCHWORK_ISA

LATCHWORK_DEFINE_CELL(lstm, Lstm)
