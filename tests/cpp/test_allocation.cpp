// Every allocation fails once, alone and with all that follow: bad_alloc (from C a status), nothing leaks, and what was
// there before is as it was and gives the same bits. And steps that repeat allocate nothing.
#include <array>
#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <new>

#include "check.h"
#include "latchwork/c.h"
#include "latchwork/cpu.h"
#include "latchwork/layer.h"
#include "latchwork/model.h"
#include "layers/loss.h"
#include "layers/random.h"
#include "layers/recurrent.h"
#include "layers/statistics.h"
#include "model/safetensors.h"
#include "runtime/buffer.h"
#include "runtime/thread_team.h"

namespace {

std::atomic<long> made = 0, live = 0, fail_at = 0;  // fail_at 0: none fails
std::atomic<bool> and_later = false;

bool fails() {
  const long number = ++made, wanted = fail_at;
  return wanted > 0 && (number == wanted || (and_later && number > wanted));
}

void* allocate(std::size_t bytes, std::size_t alignment) noexcept {
  if (fails()) return nullptr;
  void* const memory = alignment > 0 ? std::aligned_alloc(alignment, (bytes + alignment - 1) / alignment * alignment)
                                     : std::malloc(bytes > 0 ? bytes : 1);
  if (memory) ++live;
  return memory;
}

void* allocate_or_throw(std::size_t bytes, std::size_t alignment) {
  if (void* const memory = allocate(bytes, alignment)) return memory;
  throw std::bad_alloc();
}

void give_back(void* memory) noexcept {
  if (memory) --live;
  std::free(memory);
}

}  // namespace

void* operator new(std::size_t bytes) { return allocate_or_throw(bytes, 0); }
void* operator new(std::size_t bytes, std::align_val_t a) {
  return allocate_or_throw(bytes, static_cast<std::size_t>(a));
}
void* operator new(std::size_t bytes, const std::nothrow_t&) noexcept { return allocate(bytes, 0); }
void* operator new(std::size_t bytes, std::align_val_t a, const std::nothrow_t&) noexcept {
  return allocate(bytes, static_cast<std::size_t>(a));
}
void operator delete(void* memory) noexcept { give_back(memory); }
void operator delete(void* memory, std::size_t) noexcept { give_back(memory); }
void operator delete(void* memory, std::align_val_t) noexcept { give_back(memory); }
void operator delete(void* memory, std::size_t, std::align_val_t) noexcept { give_back(memory); }
void operator delete(void* memory, const std::nothrow_t&) noexcept { give_back(memory); }

namespace latchwork::test {
namespace {

using Bits = std::vector<float>;

// work() gives the same bits before, after and, where it comes through, while allocations fail.
void each_allocation_fails(const std::string& name, const std::function<Bits()>& work) {
  const Bits expected = work();
  work();  // all that is kept from call to call is there
  for (const bool later : {false, true}) {
    long failures = 0;
    for (long n = 1;; ++n) {
      pool_trim();
      const long before = live;
      bool failed = false, right = true, reached = false;
      and_later = later, made = 0, fail_at = n;
      try {
        const Bits got = work();
        reached = made >= n;
        fail_at = 0;
        right = same_bits(got, expected);  // idle memory was given back, or the caller worked alone
      } catch (const std::bad_alloc&) {
        failed = reached = true;
      }
      fail_at = 0;
      const bool whole = (pool_trim(), live <= before);
      const std::string which = name + ": allocation " + std::to_string(n) + (later ? " and later" : "");
      check(right, which + ": the bits while it failed");
      check(whole, which + ": memory leaked");
      if (!reached) break;
      failures += failed;
      check(same_bits(work(), expected), which + ": the bits after it failed");
    }
    check(failures > 0, name + ": no allocation failed");
  }
}

Bits filled(std::uint32_t stream, std::int64_t n) { return values<float>(stream, n, 0.5); }

void append(Bits& bits, const Bits& more) { bits.insert(bits.end(), more.begin(), more.end()); }

void layers() {
  constexpr std::int64_t B = 6, T = 5, I = 3, H = 20;
  const Bits x = filled(1, B * T * I), dy = filled(2, B * T * H);
  for (const char* const cell : {"lstm", "gru", "gru_reset_before", "elman"}) {
    const LayerOptions options{.cell = cell, .input = I, .hidden = H};
    const Sequences<const float> sequences{.data = x.data(), .batch = B, .steps = T};
    const auto make = [&] {
      Layer<float> layer(options);
      const Bits parameters = filled(3, static_cast<std::int64_t>(layer.parameters().size()));
      std::copy(parameters.begin(), parameters.end(), layer.parameters().begin());
      layer.changed();
      return layer;
    };
    Layer<float> kept = make();
    const auto train = [&](Layer<float>& layer) {
      Bits y(dy.size()), dx(x.size()), gradients(layer.parameters().size());
      auto recording = layer.record(sequences, y.data());
      LayerGradients<float> g;
      g.dy = dy.data(), g.dx = dx.data(), g.d_parameters = gradients.data();
      layer.backward(std::move(recording), g);
      append(y, dx), append(y, gradients);
      return y;
    };
    const std::string name = cell;
    const Bits trained = train(kept);
    each_allocation_fails(name + ", forward", [&] {
      Bits y(dy.size());
      kept.changed();
      kept.forward(sequences, y.data());
      return y;
    });
    each_allocation_fails(name + ", forward and backward", [&] { return train(kept); });
    each_allocation_fails(name + ", from its construction", [&] {
      Layer<float> layer = make();
      try {
        return train(layer);
      } catch (const std::bad_alloc&) {  // its first use has failed: its second must not find half of it
        fail_at = 0;
        check(same_bits(train(layer), trained), name + ", from its construction: again after a failure");
        throw;
      }
    });
    Bits portable;
    each_allocation_fails(name + ", another instruction set", [&] {
      const std::string before = isa();
      use_isa("portable"), kept.changed();
      Bits y(dy.size());
      try {
        kept.forward(sequences, y.data());
      } catch (const std::bad_alloc&) {  // the layer is not left between two instruction sets
        fail_at = 0;
        kept.forward(sequences, y.data());
        check(same_bits(y, portable), name + ", another instruction set: again after a failure");
        use_isa(before);
        throw;
      }
      portable = y;
      use_isa(before);
      append(y, train(kept));
      return y;
    });
    Stream<float> stream(kept, B);
    each_allocation_fails(name + ", stream", [&] {
      Bits y(B * H);
      stream.reset();
      stream.step(x.data(), y.data());
      return y;
    });
  }
}

// After some steps that filled the pool, a step asks the system for nothing.
template <class Step>
void allocates_nothing(const std::string& name, Step step) {
  for (int i = 0; i < 4; ++i) step();
  made = 0;
  for (int i = 0; i < 20; ++i) step();
  const long found = made;
  check(found == 0, name + " allocated " + std::to_string(found) + " times in 20 steps");
}

void steady_layers() {
  constexpr std::int64_t B = 64, T = 12, I = 3, H = 40;  // enough for both threads
  const Bits x = filled(1, B * T * I), dy = filled(2, B * T * H);
  std::vector<std::int64_t> lengths(B);
  for (std::size_t b = 0; b < lengths.size(); ++b) lengths[b] = static_cast<std::int64_t>(b * 5) % (T + 1);
  for (const char* const cell : {"lstm", "gru", "gru_reset_before", "elman", "dense"}) {
    Layer<float> layer({.cell = cell, .input = I, .hidden = H});
    Bits y(dy.size()), dx(x.size()), gradients(layer.parameters().size()), last(B * H);
    LayerGradients<float> g;
    g.dy = dy.data(), g.dx = dx.data(), g.d_parameters = gradients.data();
    for (const std::int64_t* const given : {static_cast<const std::int64_t*>(nullptr), std::as_const(lengths).data()}) {
      const Sequences<const float> sequences{
          .data = x.data(), .batch = B, .steps = T, .lengths = given, .reversed = given != nullptr};
      const std::string name = std::string(cell) + (given ? ", lengths" : "");
      allocates_nothing(name + ": forward", [&] { layer.forward(sequences, y.data()); });
      allocates_nothing(name + ": last states", [&] { layer.forward(sequences, nullptr, {}, {last.data()}); });
      allocates_nothing(name + ": training", [&] {
        layer.changed();
        layer.backward(layer.record(sequences, y.data()), g);
      });
    }
    Stream<float> stream(layer, B);
    allocates_nothing(std::string(cell) + ": stream", [&] { stream.step(x.data(), y.data()); });
  }
}

// Both directions at once, over masked sequences whose outputs are not the caller's, however records are kept.
void steady_calls() {
  constexpr Index B = 64, T = 12, I = 3, H = 40;
  const Bits x = filled(1, B * T * I), d_last = filled(2, B * H), kernel = filled(3, I * 4 * H),
             recurrent = filled(4, H * 4 * H);
  const auto mask = std::make_unique<bool[]>(B * T);
  for (Index i = 0; i < B * T; ++i) mask[static_cast<std::size_t>(i)] = i % 3 != 0;
  Weights<float> weights(find_cell("lstm"), I, H, {kernel.data(), recurrent.data(), nullptr});
  prepare(weights, true);
  Bits last(2 * B * H), dx(2 * x.size()), d_kernel(2 * kernel.size()), d_recurrent(2 * recurrent.size());
  for (const Memory memory : {Memory::store, Memory::recompute, Memory::checkpoint}) {
    std::vector<RecurrentCall<float>> calls(2);
    for (std::size_t i = 0; i < 2; ++i) {
      RecurrentCall<float>& call = calls[i];
      call.weights = &weights;
      call.arrangement.batch = B, call.arrangement.steps = T;
      call.arrangement.set_mask(mask.get());
      call.reversed = i > 0;
      call.x = x.data();
      call.final[0] = last.data() + i * B * H;
      call.memory = memory;
    }
    std::array<RecurrentGradients<float>, 2> gradients;
    allocates_nothing("two calls", [&] {
      const auto contexts = recurrent_forward<float>(calls, true);
      for (std::size_t i = 0; i < 2; ++i) {
        RecurrentGradients<float> g{contexts[i].get()};
        g.d_final[0] = d_last.data();
        g.dx = dx.data() + i * x.size();
        g.d_kernel = d_kernel.data() + i * kernel.size();
        g.d_recurrent_kernel = d_recurrent.data() + i * recurrent.size();
        gradients[i] = g;
      }
      recurrent_backward<float>(gradients);
    });
  }
}

void functions() {
  constexpr Index n = 50'000;
  const Bits x = filled(1, n);
  each_allocation_fails("a sum", [&] { return Bits{static_cast<float>(sum(x.data(), n))}; });
  each_allocation_fails("mean and deviation", [&] {
    std::vector<double> mean(5), deviation(5);
    mean_std(x.data(), n / 5, 5, mean.data(), deviation.data());
    return Bits(mean.begin(), mean.end());
  });
  each_allocation_fails("an orthogonal matrix", [&] {
    Bits out(40 * 30);
    orthogonal(1, 0, 40, 30, 1.0, out.data());
    return out;
  });
  const std::vector<std::int64_t> labels(n / 5, 2);
  each_allocation_fails("a loss", [&] {
    Bits gradient(n);
    const ClassBatch<float> batch{n / 5, n / 5, 5, nullptr, labels.data(), x.data(), nullptr, gradient.data()};
    gradient.push_back(static_cast<float>(class_loss({true, 0, 1}, batch)));
    return gradient;
  });
}

// A caller whose team cannot grow works alone, and the team is not lost to later calls.
void team() {
  set_num_threads(8);
  for (const long n : {1, 2, 3}) {
    made = 0, and_later = true, fail_at = n;
    const int size = Team(8).size();
    fail_at = 0;
    check(n > 1 || size == 1, "a team that cannot grow is its caller");
    check(Team(2).size() == 2, "the team serves after its growth failed");
  }
  check(Team(8).size() == 8, "the team grows later");
  set_num_threads(2);
}

const std::string kModel = LATCHWORK_TEST_DATA "/model.safetensors";

void models() {
  const Model model = Model::load(kModel);
  const Shape shape{3, 7, model.input_shape().back()};
  const Bits x = filled(4, shape[0] * shape[1] * shape[2]);
  const auto predict = [&](const Model& m) {
    Bits y(static_cast<std::size_t>(m.output_size(shape)));
    m.predict(x.data(), shape, y.data());
    return y;
  };
  each_allocation_fails("Model::load", [&] { return predict(Model::load(kModel)); });
  each_allocation_fails("predict", [&] { return predict(model); });
  each_allocation_fails("session", [&] {
    Session<float> session = model.session<float>(3);
    Bits y(static_cast<std::size_t>(3 * session.outputs()));
    session.step(x.data(), y.data());
    return y;
  });
}

void files() {
  const std::filesystem::path folder = std::filesystem::temp_directory_path() / "latchwork_test_allocation";
  std::filesystem::create_directory(folder);
  const std::string path = (folder / "kept.safetensors").string();
  const Bits x = filled(5, 24);
  const auto content = [&] {
    std::ifstream file(path, std::ios::binary);
    return std::string(std::istreambuf_iterator<char>(file), {});
  };
  const auto write = [&] { write_safetensors(path, {{"x", "F32", {4, 6}, x.data()}}, {{"key", "value"}}); };
  write();
  const std::string expected = content();
  each_allocation_fails("write_safetensors", [&] {
    write();
    return Bits{};
  });
  check(content() == expected, "a write that failed left the file as it was");
  const auto count = std::distance(std::filesystem::directory_iterator(folder), std::filesystem::directory_iterator());
  check(count == 1, "a write that failed left nothing beside the file");
  std::filesystem::remove_all(folder);
}

// From C: a status, and handles that go on.
void c_abi() {
  latchwork_model* model = nullptr;
  latchwork_model_load(kModel.c_str(), &model);
  const Model same = Model::load(kModel);
  const std::int64_t shape[] = {3, 7, same.input_shape().back()};
  const Bits x = filled(4, shape[0] * shape[1] * shape[2]);
  const auto size = static_cast<std::size_t>(same.output_size({shape, shape + 3}));
  const auto raise = [](latchwork_status status) {
    if (status == LATCHWORK_MEMORY) throw std::bad_alloc();
    check(status == LATCHWORK_OK, std::string("a status from C: ") + latchwork_last_error());
  };
  each_allocation_fails("latchwork_model_load", [&] {
    latchwork_model* loaded = nullptr;
    const latchwork_status status = latchwork_model_load(kModel.c_str(), &loaded);
    latchwork_model_free(loaded);
    raise(status);
    return Bits{};
  });
  each_allocation_fails("latchwork_model_predict_f32", [&] {
    Bits y(size);
    raise(latchwork_model_predict_f32(model, x.data(), shape, 3, y.data()));
    return y;
  });
  each_allocation_fails("latchwork_streams", [&] {
    latchwork_streams* streams = nullptr;
    Bits y(size);
    latchwork_status status = latchwork_streams_new(model, 3, &streams);
    if (status == LATCHWORK_OK) status = latchwork_streams_step_f32(streams, x.data(), y.data());
    latchwork_streams_free(streams);
    raise(status);
    return y;
  });
  latchwork_model_free(model);
}

}  // namespace
}  // namespace latchwork::test

int main() {
  using namespace latchwork::test;
  latchwork::set_num_threads(2);
  latchwork::tolerate_late_teams(true);
  layers();
  steady_layers();
  steady_calls();
  functions();
  team();
  models();
  files();
  c_abi();
  return report("allocation");
}
