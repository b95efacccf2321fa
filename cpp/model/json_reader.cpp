#include <charconv>

#include "cpu/float_env.h"
#include "latchwork/error.h"
#include "model/json.h"

namespace latchwork {
namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }

void append_utf8(std::string& out, std::uint32_t code) {
  const auto byte = [&](std::uint32_t value) { out += static_cast<char>(value); };
  if (code < 0x80) {
    byte(code);
  } else if (code < 0x800) {
    byte(0xc0 | code >> 6), byte(0x80 | (code & 0x3f));
  } else if (code < 0x10000) {
    byte(0xe0 | code >> 12), byte(0x80 | (code >> 6 & 0x3f)), byte(0x80 | (code & 0x3f));
  } else {
    byte(0xf0 | code >> 18), byte(0x80 | (code >> 12 & 0x3f));
    byte(0x80 | (code >> 6 & 0x3f)), byte(0x80 | (code & 0x3f));
  }
}

}  // namespace

JsonReader::JsonReader(std::string_view text, std::string what) : text_(text), what_(std::move(what)) {
  if (!is_utf8(text)) throw Error(what_ + " must be UTF-8, got other bytes");
}

void JsonReader::fail(const std::string& expected, const std::string& got) const {
  throw Error(what_ + " must have " + expected + " before byte " + std::to_string(at_) + ", got " + got);
}

std::string JsonReader::here() const { return at_ < text_.size() ? in_quotes(text_.substr(at_, 1)) : "the end"; }

void JsonReader::white_space() {
  while (at_ < text_.size() && std::string_view(" \t\r\n").find(text_[at_]) != std::string_view::npos) ++at_;
}

char JsonReader::peek() {
  white_space();
  return at_ < text_.size() ? text_[at_] : '\0';
}

void JsonReader::take(char c) {
  if (peek() != c) fail(in_quotes({&c, 1}), here());
  ++at_;
}

void JsonReader::open(char bracket, const char* name) {
  if (peek() != bracket) fail(name, here());
  if (++depth_ > kJsonDepth) fail("at most " + std::to_string(kJsonDepth) + " levels", "more");
  ++at_;
}

bool JsonReader::close(char bracket, bool first) {
  if (peek() == bracket) {
    ++at_;
    --depth_;
    return true;
  }
  if (!first) take(',');
  return false;
}

void JsonReader::end() {
  if (peek() != '\0' || at_ < text_.size()) fail("nothing more", here());
}

std::uint32_t JsonReader::escaped_unit() {
  std::uint32_t unit = 0;
  const char* const first = text_.data() + at_;
  if (text_.size() - at_ < 4 || std::from_chars(first, first + 4, unit, 16).ptr != first + 4)
    fail("four hexadecimal digits behind \\u", here());
  at_ += 4;
  return unit;
}

void JsonReader::escape(std::string& out) {
  constexpr std::string_view names = "\"\\/bfnrt", meant = "\"\\/\b\f\n\r\t";
  const char c = at_ < text_.size() ? text_[at_] : '\0';
  if (const std::size_t i = names.find(c); i != std::string_view::npos) {
    ++at_;
    out += meant[i];
    return;
  }
  if (c != 'u') fail("a known escape", here());
  ++at_;
  std::uint32_t code = escaped_unit();
  if (code >= 0xdc00 && code < 0xe000) fail("a pair of surrogates", "half of one");
  if (code >= 0xd800 && code < 0xdc00) {
    if (text_.substr(at_, 2) != "\\u") fail("a pair of surrogates", "half of one");
    at_ += 2;
    const std::uint32_t low = escaped_unit();
    if (low < 0xdc00 || low >= 0xe000) fail("a pair of surrogates", "half of one");
    code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
  }
  append_utf8(out, code);
}

std::string JsonReader::string() {
  if (peek() != '"') fail("a text in quotes", here());
  ++at_;
  std::string out;
  for (;;) {
    if (at_ == text_.size()) fail("a closing quote", "the end");
    const char c = text_[at_];
    if (static_cast<unsigned char>(c) < 0x20) fail("escaped control characters", here());
    ++at_;
    if (c == '"') return out;
    if (c == '\\')
      escape(out);
    else
      out += c;
  }
}

// Its extent by the grammar: -?(0|[1-9][0-9]*)(.[0-9]+)?([eE][+-]?[0-9]+)?
std::string_view JsonReader::number_text(bool& whole) {
  white_space();
  std::size_t i = at_;
  const auto at = [&] { return i < text_.size() ? text_[i] : '\0'; };
  const auto digits = [&] {
    if (!is_digit(at())) fail("a number", here());
    while (is_digit(at())) ++i;
  };
  if (at() == '-') ++i;
  if (at() == '0')
    ++i;
  else
    digits();
  whole = true;
  if (at() == '.') whole = false, ++i, digits();
  if (at() == 'e' || at() == 'E') {
    whole = false, ++i;
    if (at() == '+' || at() == '-') ++i;
    digits();
  }
  const std::string_view text = text_.substr(at_, i - at_);
  at_ = i;
  return text;
}

std::int64_t JsonReader::size() {
  bool whole = false;
  const std::size_t start = (white_space(), at_);
  const std::string_view text = is_digit(peek()) ? number_text(whole) : text_.substr(at_, 1);
  std::int64_t value = 0;
  if (!whole || std::from_chars(text.data(), text.data() + text.size(), value).ec != std::errc()) {
    at_ = start;
    fail("a whole number from 0 to 2^63 - 1", std::string(text.substr(0, 40)));
  }
  return value;
}

Json JsonReader::number() {
  bool whole = false;
  const std::string_view text = number_text(whole);
  const char *const first = text.data(), *const last = first + text.size();
  std::int64_t integer = 0;
  std::uint64_t large = 0;
  double real = 0;
  if (whole && text != "-0") {
    if (std::from_chars(first, last, integer).ec == std::errc()) return {integer};
    if (text[0] != '-' && std::from_chars(first, last, large).ec == std::errc()) return {large};
    fail("whole numbers of 64 bits", std::string(text.substr(0, 40)));
  }
  const FloatScope scope = FloatScope::initial();  // gcc 12's from_chars rounds as the processor is set
  if (std::from_chars(first, last, real).ec != std::errc())
    fail("numbers within float64", std::string(text.substr(0, 40)));
  return {real};
}

Json JsonReader::value() {
  const auto literal = [&](std::string_view word, Json meant) {
    if (text_.substr(at_, word.size()) != word) fail("a value", here());
    at_ += word.size();
    return meant;
  };
  switch (peek()) {
    case '{': {
      JsonObject members;
      object([&](std::string key) { members.push_back({std::move(key), value()}); });
      return {std::move(members)};
    }
    case '[': {
      JsonArray elements;
      array([&] { elements.push_back(value()); });
      return {std::move(elements)};
    }
    case '"':
      return {string()};
    case 't':
      return literal("true", {true});
    case 'f':
      return literal("false", {false});
    case 'n':
      return literal("null", {nullptr});
    default:
      return number();
  }
}

Json parse_json(std::string_view text, const std::string& what) {
  JsonReader reader(text, what);
  Json json = reader.value();
  reader.end();
  return json;
}

}  // namespace latchwork
