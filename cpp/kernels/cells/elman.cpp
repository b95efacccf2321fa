// Elman's simple recurrent network, 1990: h = f(x·W + h·R + b).
#include "kernels/cell.h"

namespace latchwork::LATCHWORK_ISA {
namespace {

struct Elman {
  static constexpr CellInfo info = {
      .name = "elman",
      .gates = 1,
      .biases = 1,
      .slots = 1,
      .states = 1,
      .saved = 0,
      .phases = 1,
      .products = 2,
      .gate_names = {"h"},
      .state = {{"h"}},
      .phase = {{.first_slot = 0, .slot_count = 1, .first_product = 0, .product_count = 2}},
      .product = {{Operand::x, Weight::kernel, 0, 1, {0}, {0}},
                  {Operand::h, Weight::recurrent_kernel, -1, 1, {0}, {0}}},
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

LATCHWORK_DEFINE_CELL(elman, Elman)
