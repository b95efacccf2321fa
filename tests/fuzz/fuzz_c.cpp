// The C ABI called in any order with any arguments that its contract allows, and many that it does not: a status and a
// text, never a crash; nothing written where a call fails. Each byte or few of the input are a call or its arguments.
#include <algorithm>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <iterator>
#include <limits>
#include <new>
#include <vector>

#include "latchwork/c.h"

namespace {

// The address sanitizer's own operator new ends the process where there is no memory; these throw, as they must.
constexpr std::size_t kMostBytes = std::size_t{1} << 28;

void* try_allocate(std::size_t bytes, std::size_t alignment) noexcept {
  return bytes > kMostBytes ? nullptr : std::aligned_alloc(alignment, (bytes + alignment - 1) / alignment * alignment);
}

void* allocate(std::size_t bytes, std::size_t alignment = alignof(std::max_align_t)) {
  void* const memory = try_allocate(bytes, alignment);
  return memory ? memory : throw std::bad_alloc();
}

}  // namespace

void* operator new(std::size_t bytes) { return allocate(bytes); }
void* operator new[](std::size_t bytes) { return allocate(bytes); }
void* operator new(std::size_t bytes, std::align_val_t alignment) { return allocate(bytes, std::size_t(alignment)); }
void* operator new(std::size_t bytes, const std::nothrow_t&) noexcept {
  return try_allocate(bytes, alignof(std::max_align_t));
}
void* operator new(std::size_t bytes, std::align_val_t alignment, const std::nothrow_t&) noexcept {
  return try_allocate(bytes, std::size_t(alignment));
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete[](void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
void operator delete[](void* memory, std::size_t) noexcept { std::free(memory); }
void operator delete(void* memory, const std::nothrow_t&) noexcept { std::free(memory); }
void operator delete(void* memory, std::align_val_t) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t, std::align_val_t) noexcept { std::free(memory); }

namespace {

constexpr std::int64_t kMostElements = 4096;  // of an array that is really made
constexpr std::size_t kSlots = 3;
struct Saved {
  const char* path;
  std::int64_t features;  // of a step
};
constexpr Saved kSaved[] = {{LATCHWORK_TEST_DATA "/model.safetensors", 2},
                            {LATCHWORK_FUZZ_MODELS "/double.safetensors", 2},
                            {LATCHWORK_FUZZ_MODELS "/dense.safetensors", 3},
                            {LATCHWORK_FUZZ_MODELS "/backwards.safetensors", 2},
                            {LATCHWORK_FUZZ_MODELS "/numbers.safetensors", 1},
                            {LATCHWORK_TEST_DATA "/model_data.safetensors", 1},  // no model
                            {LATCHWORK_TEST_DATA, 1},
                            {"", 1},
                            {nullptr, 1},
                            {LATCHWORK_TEST_DATA "/graph.safetensors", 1},  // three inputs
                            {LATCHWORK_FUZZ_MODELS "/graph.safetensors", 2},
                            {LATCHWORK_FUZZ_MODELS "/writer.safetensors", 1}};

void must(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "%s (%s)\n", what, latchwork_last_error());
  std::abort();
}

using Shape = std::vector<std::int64_t>;

// Zeros behind the end.
class Input {
 public:
  Input(const std::uint8_t* data, std::size_t size) : at_(data), end_(data + size) {}
  bool empty() const { return at_ == end_; }
  std::uint8_t byte() { return empty() ? 0 : *at_++; }
  std::int64_t extent() {  // small, negative or huge
    const std::uint8_t kind = byte();
    if (kind < 192) return kind % 6;
    if (kind < 224) return -static_cast<std::int64_t>(byte());
    const std::int64_t odd[] = {std::numeric_limits<std::int64_t>::max(), std::numeric_limits<std::int64_t>::min(),
                                std::int64_t{1} << (44 + kind % 20), (std::int64_t{1} << 62) + kind};
    return odd[kind % 4];
  }
  Shape shape() {
    Shape shape(byte() % 16 < 12 ? 2 + byte() % 2 : byte() % 12);
    for (std::int64_t& each : shape) each = extent();
    return shape;
  }

 private:
  const std::uint8_t *at_, *end_;
};

struct Model {
  latchwork_model* handle = nullptr;
  std::int64_t features = 1;
};

struct Streams {
  latchwork_streams* handle = nullptr;
  const Model* model = nullptr;
  std::int64_t batch = 0, features = 1, outputs = 1, state = 1;
};

bool ok(latchwork_status status) {
  must(status >= LATCHWORK_OK && status < LATCHWORK_INTERNAL, "a defect of the library");
  must(status == LATCHWORK_OK || latchwork_last_error()[0], "a failure has a text");
  return status == LATCHWORK_OK;
}

constexpr std::int64_t kRefused = -1, kTooMany = kMostElements + 1;

std::int64_t product(const Shape& shape) {
  std::int64_t size = 1;
  for (const std::int64_t extent : shape)
    if (__builtin_mul_overflow(size, extent, &size)) return kTooMany;
  return size < 0 ? kTooMany : std::min(size, kTooMany);
}

std::int64_t sum(const Shape& lengths) {
  std::int64_t total = 0;
  for (const std::int64_t length : lengths) {
    if (length < 0 || length > kMostElements) return kTooMany;
    total += length;
  }
  return std::min(total, kTooMany);
}

// Calls f(x, y) on arrays of these sizes; y must be as it was where that fails.
template <class T, class F>
void call_with(Input& in, std::int64_t x_size, std::int64_t y_size, bool null, F f) {
  const std::uint8_t kind = in.byte();
  const T value = static_cast<T>(kind % 8) / static_cast<T>(kind < 128 ? 1 : 4);
  const std::vector<T> x(static_cast<std::size_t>(x_size), value), untouched(static_cast<std::size_t>(y_size), T(-7));
  std::vector<T> y = untouched;
  if (!ok(f(null ? nullptr : x.data(), y.data()))) must(y == untouched, "nothing written where a call fails");
}

class World {
 public:
  ~World() {
    for (Model& model : models_) free(model);
  }
  void call(Input& in);

 private:
  void load(Model& model, const Saved& saved) {
    free(model);
    model.features = saved.features;
    if (!ok(latchwork_model_load(saved.path, &model.handle))) must(!model.handle, "no model where loading fails");
  }
  void free(Model& model) {
    for (Streams& each : streams_)
      if (each.model == &model) free(each);
    latchwork_model_free(model.handle);
    model.handle = nullptr;
  }
  static void free(Streams& streams) {
    latchwork_streams_free(streams.handle);
    streams = {};
  }
  static void start(Streams& streams, const Model& model, std::int64_t batch);
  template <class T>
  static void step(Input& in, Streams& streams, bool null);
  template <class T>
  static void keep(Input& in, Streams& streams, bool null);

  Model models_[kSlots];
  Streams streams_[kSlots];
};

void World::start(Streams& streams, const Model& model, std::int64_t batch) {
  free(streams);
  const bool made = ok(latchwork_streams_new(model.handle, batch, &streams.handle));
  must(made == (streams.handle != nullptr), "streams or an error");
  if (!made) return;
  streams.model = &model, streams.batch = batch;
  must(ok(latchwork_streams_sizes(streams.handle, &streams.features, &streams.outputs, &streams.state)), "sizes");
}

template <class T>
void World::step(Input& in, Streams& streams, bool null) {
  const std::int64_t batch = std::max<std::int64_t>(streams.batch, 1);
  call_with<T>(in, batch * streams.features, batch * streams.outputs, null, [&](const T* x, T* y) {
    if constexpr (sizeof(T) == 4)
      return latchwork_streams_step_f32(streams.handle, x, y);
    else
      return latchwork_streams_step_f64(streams.handle, x, y);
  });
}

// States out, and others in.
template <class T>
void World::keep(Input& in, Streams& streams, bool null) {
  call_with<T>(in, streams.state, streams.state, null, [&](const T* x, T* y) {
    const auto get = sizeof(T) == 4 ? latchwork_streams_get_state_f32(streams.handle, reinterpret_cast<float*>(y))
                                    : latchwork_streams_get_state_f64(streams.handle, reinterpret_cast<double*>(y));
    const auto set = sizeof(T) == 4
                         ? latchwork_streams_set_state_f32(streams.handle, reinterpret_cast<const float*>(x))
                         : latchwork_streams_set_state_f64(streams.handle, reinterpret_cast<const double*>(x));
    ok(set);
    return get;
  });
}

// Elements of y for this x; kRefused, and then nothing was written.
template <class F>
std::int64_t outputs(std::size_t room, F f) {
  Shape y(room, -7);
  std::size_t rank = room;
  if (!ok(f(y.data(), &rank))) {
    must(rank == room && y == Shape(room, -7), "no shape written");
    return kRefused;
  }
  must(rank <= room, "rank within the room");
  y.resize(rank);
  return product(y);
}

std::int64_t outputs(const Model& model, const Shape& shape, std::size_t room) {
  return outputs(room, [&](std::int64_t* y, std::size_t* rank) {
    return latchwork_model_output_shape(model.handle, shape.data(), shape.size(), y, rank);
  });
}

std::int64_t ragged_outputs(const Model& model, const Shape& lengths) {
  return outputs(8, [&](std::int64_t* y, std::size_t* rank) {
    return latchwork_model_ragged_output_shape(model.handle, lengths.data(), lengths.size(), y, rank);
  });
}

// An x that is refused meets arrays of one number.
template <class T>
void predict(Input& in, const Model& model, const Shape& shape, bool null) {
  const std::int64_t y_size = outputs(model, shape, 8), x_size = y_size == kRefused ? 1 : product(shape);
  if (std::max(x_size, y_size) > kMostElements) return;
  call_with<T>(in, x_size, std::max<std::int64_t>(y_size, 1), null, [&](const T* x, T* y) {
    if constexpr (sizeof(T) == 4)
      return latchwork_model_predict_f32(model.handle, x, shape.data(), shape.size(), y);
    else
      return latchwork_model_predict_f64(model.handle, x, shape.data(), shape.size(), y);
  });
}

template <class T>
void predict_ragged(Input& in, const Model& model, const Shape& lengths, bool null) {
  const std::int64_t y_size = ragged_outputs(model, lengths),
                     x_size = y_size == kRefused ? 1 : sum(lengths) * model.features;
  if (std::max(x_size, y_size) > kMostElements) return;
  call_with<T>(in, x_size, std::max<std::int64_t>(y_size, 1), null, [&](const T* x, T* y) {
    if constexpr (sizeof(T) == 4)
      return latchwork_model_predict_ragged_f32(model.handle, x, lengths.data(), lengths.size(), y);
    else
      return latchwork_model_predict_ragged_f64(model.handle, x, lengths.data(), lengths.size(), y);
  });
}

// Options as they may be, and as they may not.
latchwork_generate_options generate_options(Input& in) {
  const std::uint8_t kind = in.byte();
  return {kind % 4 * 0.5 - (kind > 250),
          in.extent(),
          kind > 240 ? 2.0 : 1 - kind % 3 * 0.25,
          kind,
          std::max<std::int64_t>(in.extent(), 0) - 1,
          kind % 4 - 1,
          kind % 7 > 0};
}

void generate(Input& in, const Model& model, const Shape& lengths, bool null) {
  const std::int64_t n = in.extent(), size = sum(lengths), made = std::max<std::int64_t>(n, 1);
  if (size > kMostElements || made > 64) return;
  const latchwork_generate_options options = generate_options(in);
  const std::vector<std::int64_t> prompts(static_cast<std::size_t>(size), in.byte() % 8 - 1),
      untouched(lengths.size() * static_cast<std::size_t>(made), -7);
  std::vector<std::int64_t> tokens = untouched;
  const bool done = ok(latchwork_model_generate(model.handle, null ? nullptr : prompts.data(), lengths.data(),
                                                lengths.size(), n, in.byte() % 2 ? &options : nullptr, tokens.data()));
  const bool late = !done && std::strstr(latchwork_last_error(), "y must hold scores");  // behind the first tokens
  must(done || late || tokens == untouched, "nothing written where a call fails");
}

template <class T>
void forecast(Input& in, const Model& model, const Shape& lengths, bool null) {
  static constexpr double kLevels[] = {0.25, 0.5, 0.75, 0.5};
  const std::int64_t horizon = in.extent();
  const std::uint8_t kind = in.byte();
  const latchwork_forecast_options options{kind % 5 - (kind > 250),
                                           kLevels,
                                           static_cast<std::size_t>(kind / 5 % 5),
                                           in.extent() % 100,
                                           kind > 128 ? 0.5 : 0,
                                           kind,
                                           kind % 11 > 8,
                                           kind % 13 > 0};
  if (horizon > 8) return;
  const std::int64_t x_size = sum(lengths) * std::max<std::int64_t>(model.features, 3),
                     made = std::max<std::int64_t>(horizon, 1);
  const std::int64_t y_size = static_cast<std::int64_t>(lengths.size()) * made * 3 * 100;
  if (std::max(x_size, y_size) > 64 * kMostElements) return;
  const std::vector<T> known(lengths.size() * static_cast<std::size_t>(made));
  call_with<T>(in, x_size, y_size, null, [&](const T* x, T* y) {
    const T* const beside = options.known_features ? known.data() : nullptr;
    if constexpr (sizeof(T) == 4)
      return latchwork_model_forecast_f32(model.handle, x, lengths.data(), lengths.size(), horizon, &options, beside,
                                          y);
    else
      return latchwork_model_forecast_f64(model.handle, x, lengths.data(), lengths.size(), horizon, &options, beside,
                                          y);
  });
}

void World::call(Input& in) {
  const std::uint8_t what = in.byte();
  Model& model = models_[in.byte() % kSlots];
  Streams& streams = streams_[in.byte() % kSlots];
  const bool null = what >= 240;
  switch (what % 18) {
    case 0:
      return load(model, kSaved[in.byte() % std::size(kSaved)]);
    case 1:
      return free(model);
    case 2:
      return must((latchwork_model_float64(model.handle) < 0) == !model.handle, "a type or -1");
    case 3:
      outputs(model, in.shape(), in.byte() % 10);
      return;
    case 4:
      return predict<float>(in, model, in.shape(), null);
    case 5:
      return predict<double>(in, model, in.shape(), null);
    case 6:
      return start(streams, model, in.extent());
    case 7:
      return free(streams);
    case 8:
      return step<float>(in, streams, null);
    case 9:
      return step<double>(in, streams, null);
    case 10:
      return predict_ragged<float>(in, model, in.shape(), null);
    case 11:
      return predict_ragged<double>(in, model, in.shape(), null);
    case 12:
      return keep<float>(in, streams, null);
    case 13:
      return keep<double>(in, streams, null);
    case 15:
      return generate(in, model, in.shape(), null);
    case 16:
      return forecast<float>(in, model, in.shape(), null);
    case 17:
      return forecast<double>(in, model, in.shape(), null);
    default:
      ok(latchwork_streams_reset(streams.handle));
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Input in(data, size);
  World world;
  for (int calls = 0; !in.empty() && calls < 40; ++calls) world.call(in);
  return 0;
}
