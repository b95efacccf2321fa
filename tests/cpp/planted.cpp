// Bugs on purpose, for builds with sanitizers: each must be reported, so that a build that checks nothing cannot pass.
// The kernels make the mistakes, on arguments that are wrong: they too must have been built with the checks.
//
//     planted address | undefined | assertion | race
#include <csignal>
#include <cstdlib>
#include <memory>
#include <string>

#include "check.h"
#include "cpu/dispatch.h"
#include "runtime/thread_team.h"

namespace latchwork::test {
namespace {

constexpr Index kCount = 64;

// Copies kCount floats.
void copy(const float* source, float* out) { kernels().of<float>().product.pack({source, 1, 1, kCount, 1, 1, out, 1}); }

void heap_overflow() {
  const std::vector<float> source(kCount);
  const auto out = std::make_unique<float[]>(kCount - 1);
  copy(source.data(), out.get());
}

void misaligned() {
  const std::vector<float> source(kCount);
  std::vector<char> out(kCount * sizeof(float) + 1);
  copy(source.data(), reinterpret_cast<float*>(out.data() + 1));
}

void beyond_the_size() {
  std::vector<float> values(kCount, 1.0f);
  values.resize(static_cast<std::size_t>(kCount - num_threads()));
  std::printf("%g\n", static_cast<double>(values[values.size()]));
}

void race() {
  const std::vector<float> source(kCount);
  std::vector<float> out(kCount);
  Team team(2);
  team.run([&](int) { copy(source.data(), out.data()); });
}

}  // namespace
}  // namespace latchwork::test

int main(int count, char** arguments) {
  using namespace latchwork::test;
  std::signal(SIGABRT, [](int) { std::_Exit(1); });  // a signal would be a failure whatever was reported
  latchwork::set_num_threads(2);
  const std::string bug = count == 2 ? arguments[1] : "";
  if (bug == "address") heap_overflow();
  if (bug == "undefined") misaligned();
  if (bug == "assertion") beyond_the_size();
  if (bug == "race") race();
  std::printf("nobody reported %s\n", bug.c_str());
}
