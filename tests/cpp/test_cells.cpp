// Every cell against the naive float64 cells, on every ISA, over tails; every legal plan against the first, bit for
// bit.
#include "latchwork/error.h"
#include "layer.h"

namespace latchwork::test {
namespace {

template <class T>
void compare(const std::string& where, const Result<T>& r, const Answer& a, const Problem& p, bool two_states) {
  // 4 eps for every doubling of a chain's terms over the steps it passes (benchdnn's rule); backward twice that.
  const double terms = static_cast<double>(std::max(p.I + p.H, p.B) * 4 * p.T);
  const double bound = 4 * std::ceil(std::log2(terms)) * static_cast<double>(std::numeric_limits<T>::epsilon());
  const auto near = [&](const char* what, const std::vector<T>& got, const Array& expected, double factor) {
    check(distance(got, expected) <= factor * bound,
          where + " " + what + ": " + std::to_string(distance(got, expected) / bound) + " of the bound");
  };
  near("y", r.y, a.y, 1);
  near("h", r.h, a.h, 1);
  near("dx", r.dx, a.dx, 2);
  near("dkernel", r.dkernel, a.dkernel, 2);
  near("drecurrent", r.drecurrent, a.drecurrent, 2);
  near("dbias", r.dbias, a.dbias, 2);
  near("dh0", r.dh0, a.dh0, 2);
  if (!two_states) return;
  near("c", r.c, a.c, 1);
  near("dc0", r.dc0, a.dc0, 2);
}

template <class T>
void plans(const std::string& where, const std::string& cell) {
  const Problem p = problem(cell, 5, 7, 3, 70);
  const Kernels<T>& k = kernels().of<T>();
  const Layout layout(*k.cells[find_cell(cell)]->info, p.I, p.H, k.product.panel_columns, k.product.lanes);
  const Result<T> first = run<T>(cell, p);
  for (const Plan& plan : legal_plans({p.B, p.T, &layout, sizeof(T)}, 3))
    check(equal(first, run<T>(cell, p, &plan)),
          where + " plan of " + std::to_string(plan.members) + (plan.split == Split::rows ? " by rows" : " by units") +
              ", strip " + std::to_string(plan.strip_rows) + ", hoist " + std::to_string(plan.hoist_steps) + ", few " +
              std::to_string(plan.few_rows) + " hoist " + std::to_string(plan.few_hoist_steps));
}

// More rows a member than the backward products take at once, and a last block whose slots lie side by side.
void many_rows() {
  for (const std::string& cell : recurrent_cells()) {
    const Problem p = problem(cell, 2000, 3, 2, 37);
    const Answer expected = naive(cell, p);
    on_every_isa([&](const std::string& name) {
      compare(cell + " " + name + " B 2000", run<double>(cell, p), expected, p, cell == "lstm");
    });
  }
}

// The gradients of two products of one operand in a slot would not be told apart.
void repeated_operand() {
  const Kernels<float>& k = kernels().of<float>();
  CellInfo cell = *k.cells[find_cell("lstm")]->info;
  cell.product[1].operand = Operand::x;
  std::string message;
  try {
    const Layout layout(cell, 3, 5, k.product.panel_columns, k.product.lanes);
  } catch (const Error& error) {
    message = error.what();
  }
  check(message.find("two products of one operand") != std::string::npos, "repeated operand: " + message);
}

}  // namespace
}  // namespace latchwork::test

int main() {
  using namespace latchwork::test;
  latchwork::set_num_threads(3);  // more than some machines have: the bits must not care
  for (const std::string& cell : recurrent_cells())
    for (const long H : {1, 7, 16, 33, 50})
      for (const long B : {1, 9}) {
        const Problem p = problem(cell, B, 6, 5, H);
        const Answer expected = naive(cell, p);
        on_every_isa([&](const std::string& name) {
          const std::string where = cell + " " + name + " H " + std::to_string(H) + " B " + std::to_string(B);
          compare(where + " float", run<float>(cell, p), expected, p, cell == "lstm");
          compare(where + " double", run<double>(cell, p), expected, p, cell == "lstm");
        });
      }
  on_every_isa([](const std::string& name) {
    for (const std::string& cell : recurrent_cells()) {
      plans<float>(cell + " " + name + " float", cell);
      plans<double>(cell + " " + name + " double", cell);
    }
  });
  many_rows();
  repeated_operand();
  return report("cells");
}
