// The bits themselves: hashes of a forward pass, its gradients, and the weights after three Adam steps, for every cell
// and type. Every ISA must give these. A new hash is a new bit version and a line in the CHANGELOG.
#include <cinttypes>

#include "cpu/float_env.h"
#include "layer.h"
#include "layers/optimizer.h"

namespace latchwork::test {
namespace {

// FNV-1a over the bytes.
class Hash {
 public:
  template <class T>
  Hash& add(const std::vector<T>& a) {
    const auto* const bytes = reinterpret_cast<const unsigned char*>(a.data());
    for (std::size_t i = 0; i < a.size() * sizeof(T); ++i) value_ = (value_ ^ bytes[i]) * 0x100000001b3;
    return *this;
  }
  std::uint64_t value() const { return value_; }

 private:
  std::uint64_t value_ = 0xcbf29ce484222325;
};

struct Golden {
  const char* name;
  std::uint64_t forward, gradients, adam;
};

constexpr Golden expected[] = {
#include "golden.inc"
};

// Three steps of Adam on the loss sum(dy * y) + ..., that is, with dy fixed.
template <class T>
std::uint64_t adam(const std::string& cell, Problem p) {
  std::vector<Array*> parameters{&p.kernel, &p.recurrent, &p.bias};
  std::vector<T> first(p.kernel.size() + p.recurrent.size() + p.bias.size(), T(0)), second = first, flat;
  for (long step = 1; step <= 3; ++step) {
    const Result<T> r = run<T>(cell, p);
    flat.clear();
    std::vector<T> grads;
    for (const Array* a : parameters)
      for (const double v : *a) flat.push_back(static_cast<T>(v));
    for (const std::vector<T>* g : {&r.dkernel, &r.drecurrent, &r.dbias})
      grads.insert(grads.end(), g->begin(), g->end());
    AdamArgs<T> a{};
    a.n = static_cast<Index>(flat.size());
    a.params = flat.data();
    a.grads = grads.data();
    a.first = first.data();
    a.second = second.data();
    a.step_size = static_cast<T>(adam_step_size(0.01, 0.9, 0.999, step));
    a.one_minus_beta_1 = static_cast<T>(1 - 0.9);
    a.one_minus_beta_2 = static_cast<T>(1 - 0.999);
    a.epsilon = static_cast<T>(1e-7);
    {
      const FloatScope scope;
      update(a);
    }
    std::size_t i = 0;
    for (Array* to : parameters)
      for (double& v : *to) v = static_cast<double>(flat[i++]);
  }
  return Hash().add(flat).value();
}

template <class T>
Golden golden(const std::string& cell, const char* name) {
  const Problem p = problem(cell, 7, 40, 5, 37);  // two groups of steps, tails on every ISA
  const Result<T> r = run<T>(cell, p);
  return {name, Hash().add(r.y).add(r.h).add(r.c).value(),
          Hash().add(r.dx).add(r.dkernel).add(r.drecurrent).add(r.dbias).add(r.dh0).add(r.dc0).value(),
          adam<T>(cell, p)};
}

}  // namespace
}  // namespace latchwork::test

int main() {
  using namespace latchwork::test;
  on_every_isa([](const std::string& isa) {
    std::size_t row = 0;
    for (const std::string& cell : recurrent_cells())
      for (const bool wide : {false, true}) {
        const std::string name = cell + (wide ? " float64" : " float32");
        const Golden got = wide ? golden<double>(cell, name.c_str()) : golden<float>(cell, name.c_str());
        const Golden& want = expected[row++];
        const bool same = name == want.name && got.forward == want.forward && got.gradients == want.gradients &&
                          got.adam == want.adam;
        check(same, isa);
        if (!same)
          std::printf("{\"%s\", 0x%016" PRIx64 ", 0x%016" PRIx64 ", 0x%016" PRIx64 "},  // got on %s\n", name.c_str(),
                      got.forward, got.gradients, got.adam, isa.c_str());
      }
  });
  return report("golden");
}
