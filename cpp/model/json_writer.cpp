#include <charconv>
#include <cmath>

#include "latchwork/error.h"
#include "model/json.h"

namespace latchwork {
namespace {

// Bytes of the UTF-8 character that `text` begins with; 0: it begins with none.
std::size_t utf8_length(std::string_view text) {
  const auto byte = [&](std::size_t i) { return i < text.size() ? static_cast<unsigned char>(text[i]) : 0u; };
  const auto follows = [&](std::size_t i) { return (byte(i) & 0xc0) == 0x80; };
  const unsigned first = byte(0);
  if (first < 0x80) return 1;
  if (first < 0xc2 || first > 0xf4 || !follows(1)) return 0;  // 0xc0, 0xc1: overlong
  if (first < 0xe0) return 2;
  if (!follows(2)) return 0;
  if (first < 0xf0) {
    const bool overlong = first == 0xe0 && byte(1) < 0xa0, surrogate = first == 0xed && byte(1) >= 0xa0;
    return overlong || surrogate ? 0 : 3;
  }
  const bool overlong = first == 0xf0 && byte(1) < 0x90, beyond = first == 0xf4 && byte(1) >= 0x90;
  return !follows(3) || overlong || beyond ? 0 : 4;
}

void append_escape(std::string& out, const char* prefix, unsigned char byte) {
  constexpr char digits[] = "0123456789abcdef";
  out += prefix;
  out += digits[byte >> 4];
  out += digits[byte & 15];
}

// Shortest digits, and a mark by which a whole float stays a float.
std::string number_text(double value) {
  if (!std::isfinite(value)) throw Error("a number in a model's description must be finite, got NaN or infinity");
  char digits[32];
  const auto [end, error] = std::to_chars(digits, digits + sizeof digits, value);
  std::string text(digits, error == std::errc() ? end : digits);
  return text.find_first_of(".e") == std::string::npos ? text + ".0" : text;
}

struct Writer {
  std::string out;

  void operator()(std::nullptr_t) { out += "null"; }
  void operator()(bool value) { out += value ? "true" : "false"; }
  void operator()(std::int64_t value) { out += std::to_string(value); }
  void operator()(std::uint64_t value) { out += std::to_string(value); }
  void operator()(double value) { out += number_text(value); }
  void operator()(const std::string& value) {
    if (!is_utf8(value)) throw Error("a text in a model's description must be UTF-8, got " + in_quotes(value));
    out += in_quotes(value);
  }
  void operator()(const JsonArray& elements) {
    out += '[';
    for (const Json& element : elements) {
      if (&element != elements.data()) out += ',';
      std::visit(*this, element.value);
    }
    out += ']';
  }
  void operator()(const JsonObject& members) {
    out += '{';
    for (const JsonMember& member : members) {
      if (&member != members.data()) out += ',';
      (*this)(member.key);
      out += ':';
      std::visit(*this, member.value.value);
    }
    out += '}';
  }
};

}  // namespace

bool is_utf8(std::string_view text) {
  while (!text.empty()) {
    const std::size_t length = utf8_length(text);
    if (length == 0) return false;
    text.remove_prefix(length);
  }
  return true;
}

std::string in_quotes(std::string_view text) {
  std::string out = "\"";
  while (!text.empty()) {
    const std::size_t length = utf8_length(text);
    const auto first = static_cast<unsigned char>(text[0]);
    if (length == 0)
      append_escape(out, "\\x", first);
    else if (first < 0x20)
      append_escape(out, "\\u00", first);
    else
      (out += first == '"' || first == '\\' ? "\\" : "") += text.substr(0, length);
    text.remove_prefix(length > 0 ? length : 1);
  }
  return out + '"';
}

std::string json_text(const Json& json) {
  Writer writer;
  std::visit(writer, json.value);
  return std::move(writer.out);
}

}  // namespace latchwork
