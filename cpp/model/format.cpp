#include "model/format.h"

#include "latchwork/error.h"

namespace latchwork {

void check_suffix(const std::string& path) {
  if (!path.ends_with(".safetensors")) throw Error("path must end in \".safetensors\", got " + quoted(path));
}

void check_format(const SafetensorsFile& file) {
  const auto must = [&](const std::string& key, const char* expected) {
    const std::string* const got = file.find_metadata(key);
    if (!got || *got != expected)
      throw Error(quoted(file.path()) + ": metadata " + quoted(key) + " must be " + quoted(expected) + ", got " +
                  (got ? quoted(got->substr(0, 80)) : "no such key"));
  };
  must("format", kFormat);
  must("format_version", kFormatVersion);
  for (const auto& [key, text] : file.metadata())
    if (key != "format" && key != "format_version" && key != "model" && key != "training" && key != "extras")
      throw Error(quoted(file.path()) + ": no metadata are named " + quoted(key));
}

Json description(const SafetensorsFile& file, const char* key) {
  const std::string* const text = file.find_metadata(key);
  const std::string what = quoted(file.path()) + ": metadata " + quoted(key);
  if (!text) throw Error(what + " must be there, got no such key (a file of weights alone?)");
  if (text->size() > kMostDescription)
    throw Error(what + " must have at most " + std::to_string(kMostDescription) + " bytes, got " +
                std::to_string(text->size()));
  return parse_json(*text, what);
}

}  // namespace latchwork
