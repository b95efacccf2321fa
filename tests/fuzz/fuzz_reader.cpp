// Any bytes as a model file are an error or a model, never a crash. The first byte says what the others are:
//
//     F  a whole file
//     H  a header up to the first zero byte, then the tensors; its length is put in front
//     M  a model's description, put into a file with the tensors of tests/cpp/data/model.safetensors
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <span>

#include "latchwork/error.h"
#include "latchwork/model.h"
#include "model/format.h"
#include "model/safetensors.h"

namespace latchwork {
namespace {

void must(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "%s\n", what);
  std::abort();
}

// A file in memory under a name that models may have: no disk is used.
class MemoryFile {
 public:
  MemoryFile() : descriptor_(::memfd_create("fuzz", 0)) {
    const auto folder = std::filesystem::temp_directory_path();
    path_ = folder / ("latchwork-fuzz-" + std::to_string(::getpid()) + ".safetensors");
    std::filesystem::remove(path_);
    std::filesystem::create_symlink("/proc/self/fd/" + std::to_string(descriptor_), path_);
  }
  ~MemoryFile() { std::filesystem::remove(path_); }

  const std::string& with(std::string_view bytes) {
    const auto size = static_cast<ssize_t>(bytes.size());
    must(::ftruncate(descriptor_, 0) == 0 && ::pwrite(descriptor_, bytes.data(), bytes.size(), 0) == size, "memfd");
    return path_;
  }

 private:
  int descriptor_;
  std::string path_;
};

std::string file_of(std::string_view header, std::string_view data) {
  const std::uint64_t length = header.size();
  std::string file(reinterpret_cast<const char*>(&length), sizeof length);
  return file.append(header).append(data);
}

// The saved model's file with another description.
std::string described(std::string_view description) {
  static const SafetensorsFile saved(LATCHWORK_TEST_DATA "/model.safetensors");
  static const std::string data = [] {
    std::string all;
    for (const TensorInfo& tensor : saved.tensors()) {
      all.resize(static_cast<std::size_t>(tensor.end));
      saved.read(tensor, all.data() + tensor.begin);
    }
    return all;
  }();
  JsonObject header, metadata;
  for (const auto& [key, text] : saved.metadata())
    metadata.push_back({key, {key == "model" ? std::string(description) : text}});
  header.push_back({"__metadata__", {metadata}});
  for (const TensorInfo& tensor : saved.tensors()) {
    JsonArray shape;
    for (const Index extent : tensor.shape) shape.push_back({extent});
    header.push_back({tensor.name,
                      {JsonObject{{"dtype", {std::string(tensor.dtype)}},
                                  {"shape", {std::move(shape)}},
                                  {"data_offsets", {JsonArray{{tensor.begin}, {tensor.end}}}}}}});
  }
  return file_of(json_text({header}), data);
}

// What Python's reader asks for: every tensor, every description.
void read(const std::string& path) {
  const SafetensorsFile file(path);
  Index bytes = 0;
  for (const TensorInfo& tensor : file.tensors()) {
    must(tensor.begin == bytes && tensor.end >= bytes && file.find(tensor.name) == &tensor, "tensors fill the file");
    bytes = tensor.end;
    std::vector<std::byte> values(static_cast<std::size_t>(tensor.end - tensor.begin));
    file.read(tensor, values.data());
  }
  for (const char* const key : {"model", "training", "extras"}) {
    if (!file.find_metadata(key)) continue;
    const std::string text = json_text(description(file, key));
    must(json_text(parse_json(text, key)) == text, "JSON read back");
  }
  check_format(file);
}

// The product, or more than `most`.
std::int64_t size_within(const Shape& shape, std::int64_t most) {
  std::int64_t size = 1;
  for (const std::int64_t extent : shape)
    if (__builtin_mul_overflow(size, extent, &size) || size > most) return most + 1;
  return size;
}

template <class T>
void step(Session<T>& session) {
  std::vector<T> x(static_cast<std::size_t>(session.features())), y(static_cast<std::size_t>(session.outputs()));
  for (std::size_t i = 0; i < x.size(); ++i) x[i] = static_cast<T>(i % 2);
  for (int t = 0; t < 2; ++t) session.step(x.data(), y.data());
}

template <class T>
void run(const Model& model) {
  std::vector<Shape> shapes;
  std::vector<std::vector<T>> x, y;
  for (const ModelInput& input : model.inputs()) {
    Shape& shape = shapes.emplace_back(Shape{2});
    for (const std::int64_t extent : input.shape) shape.push_back(extent < 0 ? 3 : extent);
    const std::int64_t size = size_within(shape, 10'000);
    if (size > 10'000) return;
    x.emplace_back(static_cast<std::size_t>(size));
    for (std::size_t i = 0; i < x.back().size(); ++i) x.back()[i] = static_cast<T>(i % 2);  // an Embedding's, too
  }
  const std::vector<Shape> made = model.output_shapes(shapes);
  must(made.size() == model.outputs().size(), "a shape for each output");
  for (const Shape& shape : made) {
    const std::int64_t size = size_within(shape, 100'000);
    if (size > 100'000) return;
    y.emplace_back(static_cast<std::size_t>(size));
  }
  std::vector<const T*> from;
  std::vector<T*> to;
  for (const auto& each : x) from.push_back(each.data());
  for (auto& each : y) to.push_back(each.data());
  model.predict(std::span<const T* const>(from), shapes, std::span<T* const>(to));
  Session<T> session = model.session<T>(1);
  step(session);
}

template <class F>
void allow_errors(F f) {
  try {
    f();
  } catch (const Error&) {
  }
}

}  // namespace
}  // namespace latchwork

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace latchwork;
  static MemoryFile memory;
  if (size == 0) return 0;
  std::string_view rest(reinterpret_cast<const char*>(data) + 1, size - 1);
  std::string bytes(rest);
  if (data[0] == 'H') {
    const std::string_view header = rest.substr(0, rest.find('\0'));
    rest.remove_prefix(std::min(rest.size(), header.size() + 1));
    bytes = file_of(header, rest);
  } else if (data[0] == 'M') {
    if (!is_utf8(rest)) return -1;  // not into the corpus
    bytes = described(rest);
  }
  const std::string path = memory.with(bytes);
  allow_errors([&] { read(path); });
  allow_errors([&] {
    const Model model = Model::load(path);
    if (model.float64())
      run<double>(model);
    else
      run<float>(model);
  });
  return 0;
}
