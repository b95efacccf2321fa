#include "model/format.h"

#include "latchwork/error.h"

namespace latchwork {

void check_suffix(const std::string& path) {
  if (!path.ends_with(".safetensors")) throw Error("path must end in \".safetensors\", got " + in_quotes(path));
}

void check_format(const SafetensorsFile& file) {
  const auto must = [&](const std::string& key, const char* expected) {
    const std::string* const got = file.find_metadata(key);
    if (!got || *got != expected)
      throw Error(in_quotes(file.path()) + ": metadata " + in_quotes(key) + " must be " + in_quotes(expected) +
                  ", got " + (got ? in_quotes(got->substr(0, 80)) : "no such key"));
  };
  must("format", kFormat);
  must("format_version", kFormatVersion);
  for (const auto& [key, text] : file.metadata())
    if (key != "format" && key != "format_version" && key != "model" && key != "training" && key != "extras")
      throw Error(in_quotes(file.path()) + ": no metadata are named " + in_quotes(key));
}

Json description(const SafetensorsFile& file, const char* key) {
  const std::string* const text = file.find_metadata(key);
  const std::string what = in_quotes(file.path()) + ": metadata " + in_quotes(key);
  if (!text) throw Error(what + " must be there, got no such key (a file of weights alone?)");
  if (text->size() > kMostDescription)
    throw Error(what + " must have at most " + std::to_string(kMostDescription) + " bytes, got " +
                std::to_string(text->size()));
  return parse_json(*text, what);
}

}  // namespace latchwork
