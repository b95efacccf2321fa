#include <algorithm>
#include <unordered_set>

#include "latchwork/error.h"
#include "model/dtypes.h"
#include "model/json.h"
#include "model/safetensors.h"
#include "runtime/buffer.h"

namespace latchwork {
namespace {

Index bytes_of(const TensorData& tensor) {
  const DtypeInfo* const dtype = find_dtype(tensor.dtype);
  if (!dtype)
    throw Error("tensor " + in_quotes(tensor.name) + " must have a known dtype, got " + in_quotes(tensor.dtype));
  if (tensor.shape.size() > kMostRank)
    throw Error("tensor " + in_quotes(tensor.name) + " must have at most " + std::to_string(kMostRank) + " axes, got " +
                std::to_string(tensor.shape.size()));
  Index bytes = dtype->bytes;
  for (const Index extent : tensor.shape) bytes = checked_product(bytes, extent);
  return bytes;
}

Json tensor_json(const TensorData& tensor, Index begin, Index end) {
  // No initializer list: where copying one of its members throws, gcc 12's -Os destroys what it has not made.
  JsonArray shape, offsets;
  for (const Index extent : tensor.shape) shape.push_back({extent});
  for (const Index offset : {begin, end}) offsets.push_back({offset});
  JsonObject fields;
  fields.push_back({"dtype", {std::string(tensor.dtype)}});
  fields.push_back({"shape", {std::move(shape)}});
  fields.push_back({"data_offsets", {std::move(offsets)}});
  return {std::move(fields)};
}

void check(const std::vector<TensorData>& tensors, const Metadata& metadata) {
  std::unordered_set<std::string_view> names{"__metadata__"}, keys;
  for (const TensorData& tensor : tensors) {
    bytes_of(tensor);
    if (!names.insert(tensor.name).second)
      throw Error("tensor names must differ, got " + in_quotes(tensor.name) + " twice");
  }
  for (const auto& [key, text] : metadata)
    if (!keys.insert(key).second) throw Error("metadata keys must differ, got " + in_quotes(key) + " twice");
  if (static_cast<Index>(tensors.size()) > kMostTensors)
    throw Error("a file holds at most " + std::to_string(kMostTensors) + " tensors, got " +
                std::to_string(tensors.size()));
}

}  // namespace

void write_safetensors(const std::string& path, const std::vector<TensorData>& tensors, const Metadata& metadata) {
  check(tensors, metadata);
  std::vector<const TensorData*> order;
  for (const TensorData& tensor : tensors) order.push_back(&tensor);
  std::stable_sort(order.begin(), order.end(), [](const TensorData* a, const TensorData* b) {
    return find_dtype(a->dtype)->bytes > find_dtype(b->dtype)->bytes;
  });
  JsonObject fields;
  if (!metadata.empty()) {
    JsonObject texts;
    for (const auto& [key, text] : metadata) texts.push_back({key, {text}});
    fields.push_back({"__metadata__", {std::move(texts)}});
  }
  std::vector<Bytes> parts(1);
  Index end = 0;
  for (const TensorData* const tensor : order) {
    const Index begin = end, bytes = bytes_of(*tensor);
    end += bytes;
    fields.push_back({tensor->name, tensor_json(*tensor, begin, end)});
    parts.emplace_back(static_cast<const std::byte*>(tensor->data), static_cast<std::size_t>(bytes));
  }
  std::string header = json_text({std::move(fields)});
  header.append(static_cast<std::size_t>(round_up(static_cast<Index>(header.size()), 8)) - header.size(), ' ');
  const Index length = static_cast<Index>(header.size());
  if (length > kMostHeaderBytes)
    throw Error("a file's header must have at most " + std::to_string(kMostHeaderBytes) + " bytes, got " +
                std::to_string(length));
  std::string head(reinterpret_cast<const char*>(&length), sizeof length);
  head += header;
  parts[0] = std::as_bytes(std::span(head));
  write_atomically(path, parts);
}

}  // namespace latchwork
