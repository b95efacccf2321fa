// Weights by name, from a file or from arrays in memory: each is checked against the shape it must have, then read.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "latchwork/model.h"
#include "model/safetensors.h"

namespace latchwork {

class Tensors {
 public:
  explicit Tensors(const SafetensorsFile& file) : file_(&file) {}
  explicit Tensors(const std::vector<TensorData>& given) : given_(&given) {}

  // Throws Error unless there is such a tensor of T of this shape: to be called before memory of that size is taken.
  template <class T>
  void check(const std::string& name, const Shape& shape) const {
    check(name, describe(sizeof(T) == 8 ? "F64" : "F32", shape));
  }
  // What has been checked.
  template <class T>
  void read(const std::string& name, std::span<T> out) {
    copy(name, out.data(), out.size_bytes());
  }
  // Throws Error if the file has a weight that nobody read.
  void done() const;

 private:
  void check(const std::string& name, const std::string& expected) const;
  void copy(const std::string& name, void* out, std::size_t bytes);
  const TensorData* find(std::string_view name) const;

  const SafetensorsFile* file_ = nullptr;
  const std::vector<TensorData>* given_ = nullptr;
  std::unordered_set<std::string> read_;
};

}  // namespace latchwork
