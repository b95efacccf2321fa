// What a model file's metadata holds: docs/model-files.md.
#pragma once

#include <string>

#include "model/json.h"
#include "model/safetensors.h"

namespace latchwork {

constexpr char kFormat[] = "latchwork";
constexpr char kFormatVersion[] = "1";
constexpr std::size_t kMostDescription = 1 << 20;  // bytes of one JSON text: some thousand layers

// Throws Error for a path that does not end in .safetensors.
void check_suffix(const std::string& path);
// Throws Error unless the metadata say this format and version and hold no key beside those of docs/model-files.md.
void check_format(const SafetensorsFile& file);
// The JSON under a key of the metadata. Throws Error where there is none.
Json description(const SafetensorsFile& file, const char* key);

}  // namespace latchwork
