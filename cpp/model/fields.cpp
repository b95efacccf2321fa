#include "model/fields.h"

#include <limits>

#include "latchwork/error.h"

namespace latchwork {

Fields::Fields(const Json& object, std::string where) : where_(std::move(where)) {
  members_ = std::get_if<JsonObject>(&object.value);
  if (!members_) throw Error(where_ + " must be an object, got " + json_text(object).substr(0, 80));
  asked_.resize(members_->size());
}

void Fields::fail(const char* field, const std::string& expected, const Json& got) const {
  throw Error(where_ + ": " + field + " must be " + expected + ", got " + json_text(got).substr(0, 80));
}

const Json& Fields::any(const char* field) {
  for (std::size_t i = 0; i < members_->size(); ++i)
    if ((*members_)[i].key == field) {
      asked_[i] = true;
      return (*members_)[i].value;
    }
  throw Error(where_ + ": " + field + " must be there, got no such field");
}

void Fields::done() const {
  for (std::size_t i = 0; i < members_->size(); ++i)
    if (!asked_[i]) throw Error(where_ + ": no field is named " + in_quotes((*members_)[i].key));
}

Index Fields::whole(const char* field, Index least, Index most) {
  const Json& json = any(field);
  const auto* const value = std::get_if<std::int64_t>(&json.value);
  if (!value || *value < least || *value > most)
    fail(field, "a whole number from " + std::to_string(least) + " to " + std::to_string(most), json);
  return *value;
}

double Fields::number(const char* field, double least, double below) {
  const Json& json = any(field);
  const auto* const value = std::get_if<double>(&json.value);
  if (!value || !(*value >= least && *value < below))
    fail(field, "a number in [" + json_text({least}) + ", " + json_text({below}) + ")", json);
  return *value;
}

double Fields::any_number(const char* field) {
  const Json& json = any(field);
  if (const auto* const value = std::get_if<double>(&json.value)) return *value;
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  if (const auto* const text = std::get_if<std::string>(&json.value)) {
    if (*text == "nan") return std::numeric_limits<double>::quiet_NaN();
    if (*text == "inf") return kInfinity;
    if (*text == "-inf") return -kInfinity;
  }
  fail(field, "a number, or \"nan\", \"inf\", \"-inf\"", json);
}

bool Fields::flag(const char* field) {
  const Json& json = any(field);
  const auto* const value = std::get_if<bool>(&json.value);
  if (!value) fail(field, "true or false", json);
  return *value;
}

const std::string& Fields::text(const char* field) {
  const Json& json = any(field);
  const auto* const value = std::get_if<std::string>(&json.value);
  if (!value) fail(field, "a text", json);
  return *value;
}

const std::string& Fields::name() {
  const std::string& given = text("name");
  if (given.empty() || given.find('/') != std::string::npos) fail("name", "a text without \"/\"", {given});
  where_ += " " + in_quotes(given);
  return given;
}

int Fields::activation(const char* field, bool softmax) {
  const std::string& name = text(field);
  std::string known;
  for (int i = 0; i < kActivationCount; ++i) {
    if (name == kActivationNames[i]) return i;
    known += std::string(known.empty() ? "" : ", ") + kActivationNames[i];
  }
  if (softmax && name == "softmax") return -1;
  fail(field, "one of " + known + (softmax ? ", softmax" : ""), {name});
}

void Fields::seed(const char* field) {
  const Json& json = any(field);
  const auto* const whole = std::get_if<std::int64_t>(&json.value);
  const bool other =
      std::holds_alternative<std::uint64_t>(json.value) || std::holds_alternative<std::nullptr_t>(json.value);
  if (!other && !(whole && *whole >= 0)) fail(field, "null or a whole number from 0 to 2^64 - 1", json);
}

const JsonArray& Fields::array(const char* field) {
  const Json& json = any(field);
  const auto* const value = std::get_if<JsonArray>(&json.value);
  if (!value) fail(field, "a list", json);
  return *value;
}

}  // namespace latchwork
