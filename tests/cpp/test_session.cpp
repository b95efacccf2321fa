// A session's steps allocate nothing, whatever its layers, and its states can be kept and put back.
#include <atomic>
#include <cstdlib>
#include <limits>
#include <new>

#include "check.h"
#include "latchwork/cpu.h"
#include "latchwork/error.h"
#include "latchwork/layer.h"
#include "latchwork/model.h"

namespace {
std::atomic<long> allocations = 0;

constexpr std::size_t kAlignment = alignof(std::max_align_t);

void* counted(std::size_t bytes, std::size_t alignment) noexcept {
  ++allocations;
  return std::aligned_alloc(alignment, (bytes + alignment - 1) / alignment * alignment);
}

void* required(void* memory) { return memory ? memory : throw std::bad_alloc(); }
}  // namespace

void* operator new(std::size_t bytes) { return required(counted(bytes, kAlignment)); }
void* operator new[](std::size_t bytes) { return required(counted(bytes, kAlignment)); }
void* operator new(std::size_t bytes, std::align_val_t a) { return required(counted(bytes, std::size_t(a))); }
void* operator new[](std::size_t bytes, std::align_val_t a) { return required(counted(bytes, std::size_t(a))); }
void* operator new(std::size_t bytes, const std::nothrow_t&) noexcept { return counted(bytes, kAlignment); }
void* operator new[](std::size_t bytes, const std::nothrow_t&) noexcept { return counted(bytes, kAlignment); }
void* operator new(std::size_t bytes, std::align_val_t a, const std::nothrow_t&) noexcept {
  return counted(bytes, std::size_t(a));
}
void* operator new[](std::size_t bytes, std::align_val_t a, const std::nothrow_t&) noexcept {
  return counted(bytes, std::size_t(a));
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete[](void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
void operator delete[](void* memory, std::size_t) noexcept { std::free(memory); }
void operator delete(void* memory, std::align_val_t) noexcept { std::free(memory); }
void operator delete[](void* memory, std::align_val_t) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t, std::align_val_t) noexcept { std::free(memory); }
void operator delete[](void* memory, std::size_t, std::align_val_t) noexcept { std::free(memory); }

namespace latchwork::test {
namespace {

const std::string folder = LATCHWORK_TEST_DATA "/";

static_assert(noexcept(std::declval<Session<float>&>().step(nullptr, nullptr)));
static_assert(noexcept(std::declval<Session<double>&>().reset()));

// Input of `size` numbers that every model here takes.
std::vector<float> numbers(std::int64_t size, std::int64_t from) {
  std::vector<float> x(static_cast<std::size_t>(size));
  for (std::size_t i = 0; i < x.size(); ++i) x[i] = static_cast<float>((static_cast<std::int64_t>(i) * 5 + from) % 7);
  return x;
}

void steps_allocate_nothing(const std::string& isa) {
  for (const char* const name : {"model", "tokens"})
    for (const std::int64_t streams : {1, 3, 70}) {
      Session<float> session = Model::load(folder + name + ".safetensors").session<float>(streams);
      const std::vector<float> x = numbers(streams * session.features(), 1);
      std::vector<float> y(static_cast<std::size_t>(streams * session.outputs()));
      const long before = allocations;
      for (int i = 0; i < 100; ++i) session.step(x.data(), y.data());
      session.reset();
      const long made = allocations - before;
      check(made == 0, std::string(name) + " allocates nothing on " + isa);
    }
}

void graph_steps_allocate_nothing(const std::string& isa) {
  Session<float> session = Model::load(folder + "stepping.safetensors").session<float>(3);
  std::vector<std::vector<float>> x, y;
  std::vector<const float*> from;
  std::vector<float*> to;
  for (std::size_t i = 0; i < 3; ++i) {
    x.push_back(numbers(3 * session.features(i), 1));
    y.emplace_back(static_cast<std::size_t>(3 * session.outputs(i)));
    from.push_back(x[i].data());
    to.push_back(y[i].data());
  }
  const long before = allocations;
  bool taken = true;
  for (int i = 0; i < 100; ++i) taken &= session.step_all(from.data(), to.data());
  session.reset();
  const long made = allocations - before;
  check(taken && made == 0, "a graph allocates nothing on " + isa);
}

void counts() {
  const long before = allocations;
  std::vector<int> some(100);
  const long made = allocations - before;
  check(made == 1 && some.size() == 100, "allocations are counted");
}

// A step that the team shares allocates nothing either.
void shared_steps() {
  set_num_threads(2);
  const Layer<float> layer({.cell = "lstm", .input = 288, .hidden = 288});
  Stream<float> stream(layer, 1, 2);
  const std::vector<float> x(288, 0.5f);
  std::vector<float> y(288);
  const long before = allocations;
  for (int i = 0; i < 20; ++i) stream.step(x.data(), y.data());
  const long made = allocations - before;
  check(made == 0, "shared steps allocate nothing");
}

// The model is gone, the ISA another: a session goes on.
void outlives() {
  Session<float> session = Model::load(folder + "model.safetensors").session<float>();
  const std::vector<float> x = numbers(session.features(), 3);
  std::vector<float> first(2), second(2);
  session.step(x.data(), first.data());
  session.reset();
  const std::string isa = latchwork::isa();
  for (const std::string& other : supported_isas()) {
    use_isa(other);
    Session<float> made = Model::load(folder + "model.safetensors").session<float>();
    made.step(x.data(), second.data());
    check(same_bits(first, second), "the first step on " + other);
    session.step(x.data(), second.data());
    check(same_bits(first, second), "an older session on " + other);
    session.reset();
  }
  use_isa(isa);
}

void states() {
  const Model model = Model::load(folder + "tokens.safetensors");
  Session<float> session = model.session<float>(4), other = model.session<float>(4);
  std::vector<float> y(static_cast<std::size_t>(4 * session.outputs())), again = y;
  for (std::int64_t t = 0; t < 5; ++t) session.step(numbers(4, t).data(), y.data());
  std::string names;
  for (std::size_t i = 0; i < session.states().size(); ++i) {
    const SessionState& state = session.states()[i];
    names += state.name + " ";
    std::vector<float> values(static_cast<std::size_t>(4 * state.units));
    session.get_state(i, values.data());
    other.set_state(i, values.data());
  }
  check(names == "rnn/stacked_rnn_cells/gru_cell/h rnn/stacked_rnn_cells/simple_rnn_cell/h lstm/h lstm/c gru/h ",
        "names of states: " + names);
  session.step(numbers(4, 9).data(), y.data());
  other.step(numbers(4, 9).data(), again.data());
  check(same_bits(y, again), "states put into another session");
  session.reset(2);
  Session<float> fresh = model.session<float>(4);
  session.step(numbers(4, 2).data(), y.data());
  fresh.step(numbers(4, 2).data(), again.data());
  const auto outputs = static_cast<std::size_t>(session.outputs());
  check(std::equal(y.begin() + static_cast<std::ptrdiff_t>(2 * outputs),
                   y.begin() + static_cast<std::ptrdiff_t>(3 * outputs),
                   again.begin() + static_cast<std::ptrdiff_t>(2 * outputs)),
        "one stream begins anew");
  check(!same_bits(y, again), "the others do not");

  int errors = 0;
  for (const auto& wrong : {0, 1, 2}) try {
      if (wrong == 0) session.reset(4);
      if (wrong == 1) session.get_state(5, y.data());
      if (wrong == 2) session.set_state(5, y.data());
    } catch (const Error&) {
      ++errors;
    }
  check(errors == 3, "numbers of streams and states are checked");
}

void refuses_numbers_outside() {
  Session<float> session = Model::load(folder + "tokens.safetensors").session<float>(2),
                 other = Model::load(folder + "tokens.safetensors").session<float>(2);
  std::vector<float> y(4, 8.0f), expected(4);
  session.step(numbers(2, 1).data(), y.data());
  other.step(numbers(2, 1).data(), expected.data());
  for (const float bad : {7.0f, -1.0f, 0.5f, 1e30f, std::numeric_limits<float>::quiet_NaN()}) {
    const float x[] = {1, bad};
    std::fill(y.begin(), y.end(), 8.0f);
    check(!session.step(x, y.data()) && y[0] == 8.0f, "a number outside the table");
  }
  session.step(numbers(2, 4).data(), y.data());
  other.step(numbers(2, 4).data(), expected.data());
  check(same_bits(y, expected), "a refused step changes nothing");
}

}  // namespace
}  // namespace latchwork::test

int main() {
  using namespace latchwork::test;
  counts();
  shared_steps();
  on_every_isa(steps_allocate_nothing);
  on_every_isa(graph_steps_allocate_nothing);
  outlives();
  states();
  refuses_numbers_outside();
  return report("session");
}
