// The C ABI called in any order with any arguments that its contract allows, and many that it does not: a status and a
// text, never a crash; nothing written where a call fails. Each byte or few of the input are a call or its arguments.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <iterator>
#include <limits>
#include <vector>

#include "latchwork/c.h"

namespace {

constexpr std::int64_t kMostElements = 4096;  // of an array that is really made
constexpr std::size_t kSlots = 3;
constexpr const char* kPaths[] = {LATCHWORK_TEST_DATA "/model.safetensors",
                                  LATCHWORK_FUZZ_MODELS "/double.safetensors",
                                  LATCHWORK_FUZZ_MODELS "/dense.safetensors",
                                  LATCHWORK_FUZZ_MODELS "/backwards.safetensors",
                                  LATCHWORK_TEST_DATA "/model_data.safetensors",  // no model
                                  LATCHWORK_TEST_DATA,
                                  "",
                                  nullptr};

void must(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "%s (%s)\n", what, latchwork_last_error());
  std::abort();
}

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
  std::vector<std::int64_t> shape() {
    std::vector<std::int64_t> shape(byte() % 16 < 12 ? 2 + byte() % 2 : byte() % 12);
    for (std::int64_t& each : shape) each = extent();
    return shape;
  }

 private:
  const std::uint8_t *at_, *end_;
};

struct Streams {
  latchwork_streams* handle = nullptr;
  std::size_t model = 0;
  std::int64_t batch = 0;
};

class World {
 public:
  ~World() {
    for (std::size_t slot = 0; slot < kSlots; ++slot) free_model(slot);
  }
  void call(Input& in);

 private:
  static bool ok(latchwork_status status) {
    must(status >= LATCHWORK_OK && status < LATCHWORK_INTERNAL, "a defect of the library");
    must(status == LATCHWORK_OK || latchwork_last_error()[0], "a failure has a text");
    return status == LATCHWORK_OK;
  }
  void load(std::size_t slot, const char* path) {
    free_model(slot);
    if (!ok(latchwork_model_load(path, &models_[slot]))) must(!models_[slot], "no model where loading fails");
  }
  void free_model(std::size_t slot) {
    for (Streams& each : streams_)
      if (each.handle && each.model == slot) free_streams(each);
    latchwork_model_free(models_[slot]);
    models_[slot] = nullptr;
  }
  static void free_streams(Streams& streams) {
    latchwork_streams_free(streams.handle);
    streams.handle = nullptr;
  }
  void start(Streams& streams, std::size_t slot, std::int64_t batch) {
    free_streams(streams);
    if (batch > 5 && batch < std::int64_t{1} << 61) return;  // without memory the address sanitizer ends the process
    const bool made = ok(latchwork_streams_new(models_[slot], batch, &streams.handle));
    must(made == (streams.handle != nullptr), "streams or an error");
    streams.model = slot, streams.batch = batch;
  }
  // Elements of y for x of this shape; -1 where the model refuses it.
  std::int64_t outputs(std::size_t slot, const std::vector<std::int64_t>& shape, std::size_t room) const;
  template <class T>
  void predict(std::size_t slot, const std::vector<std::int64_t>& shape, bool null);
  template <class T>
  void step(Streams& streams, std::int64_t features);

  latchwork_model* models_[kSlots] = {};
  Streams streams_[kSlots];
};

// False: more than is made here.
bool product(const std::vector<std::int64_t>& shape, std::int64_t& size) {
  size = 1;
  for (const std::int64_t extent : shape)
    if (__builtin_mul_overflow(size, extent, &size)) return false;
  return size >= 0 && size <= kMostElements;
}

std::int64_t World::outputs(std::size_t slot, const std::vector<std::int64_t>& shape, std::size_t room) const {
  std::vector<std::int64_t> y(room, -7);
  std::size_t rank = room;
  if (!ok(latchwork_model_output_shape(models_[slot], shape.data(), shape.size(), y.data(), &rank))) {
    must(rank == room && y == std::vector<std::int64_t>(room, -7), "nothing written");
    return -1;
  }
  must(rank <= room, "rank within the room");
  y.resize(rank);
  std::int64_t size = 0;
  return product(y, size) ? size : kMostElements + 1;
}

template <class T>
void World::predict(std::size_t slot, const std::vector<std::int64_t>& shape, bool null) {
  const auto f = [&](const T* x, T* y) {
    if constexpr (sizeof(T) == 4)
      return latchwork_model_predict_f32(models_[slot], x, shape.data(), shape.size(), y);
    else
      return latchwork_model_predict_f64(models_[slot], x, shape.data(), shape.size(), y);
  };
  const std::int64_t size = outputs(slot, shape, 8);
  std::int64_t elements = 0;
  if (size > kMostElements || (size >= 0 && !product(shape, elements))) return;
  const auto count = static_cast<std::size_t>(std::max<std::int64_t>(size, 1));
  const std::vector<T> x(size < 0 ? 1 : static_cast<std::size_t>(elements), T(0.25)), untouched(count, T(-7));
  std::vector<T> y = untouched;
  if (!ok(f(null ? nullptr : x.data(), y.data()))) must(y == untouched, "nothing written where predict fails");
}

template <class T>
void World::step(Streams& streams, std::int64_t features) {
  const std::int64_t batch = streams.handle ? streams.batch : 1;
  const std::int64_t size = streams.handle ? outputs(streams.model, {batch, 1, features}, 8) : 1;
  if (size < 0 || size > kMostElements) return;  // not the streams' features
  const std::vector<T> x(static_cast<std::size_t>(batch * features), T(0.25)),
      untouched(static_cast<std::size_t>(size), T(-7));
  std::vector<T> y = untouched;
  latchwork_status status;
  if constexpr (sizeof(T) == 4)
    status = latchwork_streams_step_f32(streams.handle, x.data(), y.data());
  else
    status = latchwork_streams_step_f64(streams.handle, x.data(), y.data());
  if (!ok(status)) must(y == untouched, "nothing written where a step fails");
}

void World::call(Input& in) {
  const std::uint8_t what = in.byte();
  const std::size_t slot = in.byte() % kSlots;
  Streams& streams = streams_[in.byte() % kSlots];
  switch (what % 10) {
    case 0:
      return load(slot, kPaths[in.byte() % std::size(kPaths)]);
    case 1:
      return free_model(slot);
    case 2:
      return must((latchwork_model_float64(models_[slot]) < 0) == !models_[slot], "a type or -1");
    case 3:
      outputs(slot, in.shape(), in.byte() % 10);
      return;
    case 4:
      return predict<float>(slot, in.shape(), what >= 240);
    case 5:
      return predict<double>(slot, in.shape(), what >= 240);
    case 6:
      return start(streams, slot, in.extent());
    case 7:
      return what < 240 ? free_streams(streams) : void(ok(latchwork_streams_reset(streams.handle)));
    case 8:
      return step<float>(streams, 1 + in.byte() % 4);
    default:
      return step<double>(streams, 1 + in.byte() % 4);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Input in(data, size);
  World world;
  for (int calls = 0; !in.empty() && calls < 40; ++calls) world.call(in);
  return 0;
}
