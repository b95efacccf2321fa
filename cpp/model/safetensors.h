// The safetensors format: 8 bytes of header length, a JSON header of names, types, shapes and places, then the tensors.
// One strict reader and one writer. Whatever the reader takes, the safetensors package takes; not the other way round.
#pragma once

#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/types.h"
#include "model/file.h"

namespace latchwork {

constexpr Index kMostHeaderBytes = 100'000'000;  // the format's own limit
constexpr Index kMostTensors = 100'000;
constexpr std::size_t kMostRank = 8, kMostMetadata = 1000;

using Metadata = std::vector<std::pair<std::string, std::string>>;

struct TensorInfo {
  std::string name;
  std::string_view dtype;    // "F32", "F64", ... as the format calls them
  std::vector<Index> shape;  // [] is one number
  Index begin = 0, end = 0;  // bytes, from the first tensor's
};

// "F32 of shape [2, 20]"
std::string describe(std::string_view dtype, const std::vector<Index>& shape);

// The header is read and checked in full by the constructor; tensors are read when they are asked for.
class SafetensorsFile {
 public:
  // Throws FileError, or Error naming the file, the tensor or field, what was expected and what came.
  explicit SafetensorsFile(const std::string& path);

  const std::string& path() const { return path_; }
  const std::vector<TensorInfo>& tensors() const { return tensors_; }  // in the order of their bytes
  const Metadata& metadata() const { return metadata_; }
  const TensorInfo* find(std::string_view name) const;  // null: there is none
  const std::string* find_metadata(std::string_view key) const;
  // out: as many bytes as the tensor has.
  void read(const TensorInfo& tensor, void* out) const;

 private:
  void parse(std::string_view header);
  void check_places() const;

  std::string path_;
  InputFile file_;
  Index data_start_ = 0;
  std::vector<TensorInfo> tensors_;
  std::unordered_map<std::string_view, std::size_t> places_;  // by name
  Metadata metadata_;
};

struct TensorData {
  std::string name;
  std::string_view dtype;
  std::vector<Index> shape;
  const void* data;  // C-contiguous, little-endian
};

// Atomically (file.h). Tensors of wider types come first, so that all are aligned; else in the order given.
void write_safetensors(const std::string& path, const std::vector<TensorData>& tensors, const Metadata& metadata);

}  // namespace latchwork
