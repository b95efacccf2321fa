#include <algorithm>
#include <bit>
#include <cstring>
#include <tuple>

#include "latchwork/error.h"
#include "model/dtypes.h"
#include "model/json.h"
#include "model/safetensors.h"

namespace latchwork {
namespace {

static_assert(std::endian::native == std::endian::little, "tensors are read as they lie: little-endian");

// The header's bytes: its length is checked against the file before memory is asked for.
std::string read_header(const std::string& path, const InputFile& file) {
  const auto fail = [&](const std::string& message) { throw Error(in_quotes(path) + ": " + message); };
  if (file.size() < 8)
    fail("must begin with 8 bytes of header length, got a file of " + std::to_string(file.size()) + " bytes");
  std::uint64_t length = 0;
  file.read(0, std::as_writable_bytes(std::span(&length, 1)));
  const std::uint64_t most = std::min<std::uint64_t>(file.size() - 8, kMostHeaderBytes);
  if (length > most)
    fail("the header must have at most " + std::to_string(most) + " bytes (the file's, and " +
         std::to_string(kMostHeaderBytes) + "), got a length of " + std::to_string(length));
  std::string header(length, '\0');
  file.read(8, std::as_writable_bytes(std::span(header)));
  if (header.empty() || header[0] != '{')
    fail("the header must begin with \"{\", got " + (header.empty() ? "no header" : in_quotes(header.substr(0, 1))));
  return header;
}

// One tensor's {"dtype": .., "shape": [..], "data_offsets": [.., ..]}.
TensorInfo read_tensor(JsonReader& reader, std::string name) {
  TensorInfo tensor;
  tensor.name = std::move(name);
  bool shape = false;
  std::vector<Index> places;
  reader.object([&](const std::string& field) {
    if (field == "dtype") {
      const std::string dtype = reader.string();
      const DtypeInfo* const known = find_dtype(dtype);
      if (!known) reader.fail("a known dtype of tensor " + in_quotes(tensor.name), in_quotes(dtype));
      tensor.dtype = known->name;
    } else if (field == "shape") {
      shape = true;
      reader.array([&] {
        if (tensor.shape.size() == kMostRank)
          reader.fail("at most " + std::to_string(kMostRank) + " axes of tensor " + in_quotes(tensor.name), "more");
        tensor.shape.push_back(reader.size());
      });
    } else if (field == "data_offsets") {
      reader.array([&] {
        if (places.size() == 2) reader.fail("two data_offsets of tensor " + in_quotes(tensor.name), "more");
        places.push_back(reader.size());
      });
    } else {
      reader.fail("dtype, shape and data_offsets of tensor " + in_quotes(tensor.name), "field " + in_quotes(field));
    }
  });
  if (tensor.dtype.empty() || !shape || places.size() != 2)
    reader.fail("dtype, shape and two data_offsets of tensor " + in_quotes(tensor.name), "too few fields");
  tensor.begin = places[0], tensor.end = places[1];
  return tensor;
}

}  // namespace

std::string describe(std::string_view dtype, const std::vector<Index>& shape) {
  std::string text;
  for (const Index extent : shape) text += (text.empty() ? "" : ", ") + std::to_string(extent);
  return std::string(dtype) + " of shape [" + text + "]";
}

SafetensorsFile::SafetensorsFile(const std::string& path) : path_(path), file_(path) {
  const std::string header = read_header(path, file_);
  data_start_ = 8 + static_cast<Index>(header.size());
  parse(header);
  std::stable_sort(tensors_.begin(), tensors_.end(), [](const TensorInfo& a, const TensorInfo& b) {
    return std::tie(a.begin, a.end) < std::tie(b.begin, b.end);
  });
  check_places();
  for (std::size_t i = 0; i < tensors_.size(); ++i) places_.emplace(tensors_[i].name, i);
}

void SafetensorsFile::parse(std::string_view header) {
  JsonReader reader(header, in_quotes(path_) + ": the header");
  reader.object([&](std::string name) {
    if (name == "__metadata__") {
      reader.object([&](std::string key) {
        if (metadata_.size() == kMostMetadata)
          reader.fail("at most " + std::to_string(kMostMetadata) + " entries of metadata", "more");
        metadata_.emplace_back(std::move(key), reader.string());
      });
      return;
    }
    if (static_cast<Index>(tensors_.size()) == kMostTensors)
      reader.fail("at most " + std::to_string(kMostTensors) + " tensors", "more");
    tensors_.push_back(read_tensor(reader, std::move(name)));
  });
  reader.end();
}

// Tensors fill the rest of the file: no overlap, no hole, nothing behind.
void SafetensorsFile::check_places() const {
  const Index total = static_cast<Index>(file_.size()) - data_start_;
  Index at = 0;
  for (const TensorInfo& tensor : tensors_) {
    const auto fail = [&](const std::string& expected, const std::string& got) {
      throw Error(in_quotes(path_) + ": tensor " + in_quotes(tensor.name) + " must " + expected + ", got " + got);
    };
    Index bytes = find_dtype(tensor.dtype)->bytes, count = 1;
    bool overflow = false;
    for (const Index extent : tensor.shape) overflow |= __builtin_mul_overflow(count, extent, &count);
    if (overflow || __builtin_mul_overflow(count, bytes, &bytes))
      fail("have less than 2^63 bytes", describe(tensor.dtype, tensor.shape));
    const std::string places =
        "data_offsets [" + std::to_string(tensor.begin) + ", " + std::to_string(tensor.end) + "]";
    if (tensor.begin != at) fail("begin at byte " + std::to_string(at) + ", where the one before it ends", places);
    if (tensor.end < tensor.begin || tensor.end - tensor.begin != bytes)
      fail("have the " + std::to_string(bytes) + " bytes of " + describe(tensor.dtype, tensor.shape), places);
    if (tensor.end > total) fail("end by byte " + std::to_string(total) + ", where the file ends", places);
    at = tensor.end;
  }
  if (at != total)
    throw Error(in_quotes(path_) + ": the file must end with its last tensor, got " + std::to_string(total - at) +
                " bytes behind it");
}

const TensorInfo* SafetensorsFile::find(std::string_view name) const {
  const auto found = places_.find(name);
  return found == places_.end() ? nullptr : &tensors_[found->second];
}

const std::string* SafetensorsFile::find_metadata(std::string_view key) const {
  const auto found = std::find_if(metadata_.begin(), metadata_.end(), [&](const auto& m) { return m.first == key; });
  return found == metadata_.end() ? nullptr : &found->second;
}

void SafetensorsFile::read(const TensorInfo& tensor, void* out) const {
  const auto bytes = static_cast<std::size_t>(tensor.end - tensor.begin);
  file_.read(static_cast<std::uint64_t>(data_start_ + tensor.begin), {static_cast<std::byte*>(out), bytes});
}

}  // namespace latchwork
