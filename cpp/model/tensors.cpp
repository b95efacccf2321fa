#include "model/tensors.h"

#include <algorithm>
#include <cstring>

#include "latchwork/error.h"
#include "model/json.h"

namespace latchwork {

const TensorData* Tensors::find(std::string_view name) const {
  const auto found = std::find_if(given_->begin(), given_->end(), [&](const TensorData& t) { return t.name == name; });
  return found == given_->end() ? nullptr : &*found;
}

void Tensors::check(const std::string& name, const std::string& expected) const {
  std::string got = "no such tensor";
  if (file_) {
    if (const TensorInfo* const tensor = file_->find(name)) got = describe(tensor->dtype, tensor->shape);
  } else if (const TensorData* const tensor = find(name)) {
    got = describe(tensor->dtype, tensor->shape);
  }
  if (got != expected)
    throw Error((file_ ? in_quotes(file_->path()) + ": " : std::string()) + "tensor " + in_quotes(name) + " must be " +
                expected + ", got " + got);
}

void Tensors::copy(const std::string& name, void* out, std::size_t bytes) {
  if (file_)
    file_->read(*file_->find(name), out);
  else
    std::memcpy(out, find(name)->data, bytes);
  read_.insert(name);
}

// Names without a slash are not weights: optimizer.*, extras.*
void Tensors::done() const {
  if (!file_) return;
  for (const TensorInfo& tensor : file_->tensors()) {
    const bool other = tensor.name.starts_with("optimizer.") || tensor.name.starts_with("extras.");
    if (!read_.count(tensor.name) && (!other || tensor.name.find('/') != std::string::npos))
      throw Error(in_quotes(file_->path()) + ": no layer has a tensor " + in_quotes(tensor.name));
  }
}

}  // namespace latchwork
