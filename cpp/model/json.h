// JSON as RFC 8259 has it and nothing beside: UTF-8, no key twice, no deep nesting, no NaN. Texts come from files that
// nobody vouches for.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_set>
#include <utility>
#include <variant>
#include <vector>

namespace latchwork {

struct Json;
struct JsonMember;
using JsonArray = std::vector<Json>;
using JsonObject = std::vector<JsonMember>;  // in the text's order

struct Json {
  // Whole numbers: int64, and uint64 beyond it.
  std::variant<std::nullptr_t, bool, std::int64_t, std::uint64_t, double, std::string, JsonArray, JsonObject> value;
};

struct JsonMember {
  std::string key;
  Json value;
};

constexpr int kJsonDepth = 32;  // arrays and objects within each other

// True unless `text` holds a byte sequence that is no UTF-8 (overlong forms and surrogates are none).
bool is_utf8(std::string_view text);
// In quotes, escaped; bytes that are no UTF-8 as \xNN. For messages, and for JSON where the text is UTF-8.
std::string in_quotes(std::string_view text);

// Reads a text piece by piece, so that a caller who knows what must come builds nothing else. Every error is an
// Error that begins with `what` and names the place.
class JsonReader {
 public:
  JsonReader(std::string_view text, std::string what);

  // member(key) is called for each key and must read its value.
  template <class F>
  void object(F member) {
    std::unordered_set<std::string> seen;
    open('{', "an object");
    for (bool first = true; !close('}', first); first = false) {
      std::string key = string();
      if (!seen.insert(key).second) fail("each key once", "a second " + in_quotes(key));
      take(':');
      member(std::move(key));
    }
  }
  // element() is called for each element and must read it.
  template <class F>
  void array(F element) {
    open('[', "an array");
    for (bool first = true; !close(']', first); first = false) element();
  }
  std::string string();
  std::int64_t size();  // a whole number from 0
  Json value();
  void end();  // nothing but white space may follow

  [[noreturn]] void fail(const std::string& expected, const std::string& got) const;

 private:
  void open(char bracket, const char* name);
  bool close(char bracket, bool first);  // else takes the comma before an element
  void take(char c);
  char peek();  // behind white space; 0 at the end
  void white_space();
  std::string_view number_text(bool& whole);
  Json number();
  std::uint32_t escaped_unit();
  void escape(std::string& out);
  std::string here() const;

  std::string_view text_;
  std::string what_;
  std::size_t at_ = 0;
  int depth_ = 0;
};

Json parse_json(std::string_view text, const std::string& what);
// The shortest text; numbers read back to the same bits. Throws Error for NaN, infinity and what is no UTF-8.
std::string json_text(const Json& json);

}  // namespace latchwork
