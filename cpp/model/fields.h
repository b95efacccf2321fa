// The fields of one object of a model's description: each is asked for once, by type and range; what nobody asked for
// is an error. Messages name the file, the object, the field, what was expected and what came.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/activation.h"
#include "base/types.h"
#include "model/json.h"

namespace latchwork {

class Fields {
 public:
  Fields(const Json& object, std::string where);

  const std::string& where() const { return where_; }

  Index whole(const char* field, Index least, Index most);
  double number(const char* field, double least, double below);
  double any_number(const char* field);  // or "nan", "inf", "-inf", which JSON has no numbers for
  bool flag(const char* field);
  const std::string& text(const char* field);
  // "name", a text without slashes; messages name it from then on.
  const std::string& name();
  // A name among kActivationNames, or "softmax": -1, where it is allowed.
  int activation(const char* field, bool softmax);
  void seed(const char* field);  // null, or a whole number from 0 to 2^64 - 1
  const JsonArray& array(const char* field);
  const Json& any(const char* field);
  void done() const;

  [[noreturn]] void fail(const char* field, const std::string& expected, const Json& got) const;

 private:
  std::string where_;
  const JsonObject* members_;
  std::vector<bool> asked_;
};

}  // namespace latchwork
