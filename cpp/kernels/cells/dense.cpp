// A dense layer, y = f(x·W + b), as the cell without recurrence: the same products, loops and weight gradients.
#include "kernels/cell.h"

namespace latchwork::LATCHWORK_ISA {
namespace {

struct Dense {
  static constexpr CellInfo info = {
      .name = "dense",
      .gates = 1,
      .biases = 1,
      .slots = 1,
      .states = 1,
      .saved = 0,
      .phases = 1,
      .products = 1,
      .gate_names = {"y"},
      .state = {{"y"}},
      .phase = {{.first_slot = 0, .slot_count = 1, .first_product = 0, .product_count = 1}},
      .product = {{Operand::x, Weight::kernel, 0, 1, {0}, {0}}},
  };
  static constexpr int saved_begin[] = {0, 0};

  template <int phase, class V, class Activations>
  static void forward(Unit<V>& u, const Activations& a) {
    u.next[0] = a.state(u.slot[0]);
  }

  template <int phase, class V, class Activations>
  static void backward(Unit<V>& u, const Activations& a) {
    u.d_slot[0] = u.d_next[0] * a.state_slope(u.next[0]);
    u.d_previous[0] = V(typename V::Scalar(0));
  }
};

}  // namespace
}  // namespace latchwork::LATCHWORK_ISA

LATCHWORK_DEFINE_CELL(dense, Dense)
