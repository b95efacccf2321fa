// The element types a tensor may have: those of the format that fill whole bytes.
#pragma once

#include <string_view>

#include "base/types.h"

namespace latchwork {

struct DtypeInfo {
  const char* name;
  Index bytes;
};

constexpr DtypeInfo kDtypes[] = {
    {"BOOL", 1}, {"U8", 1},  {"I8", 1},  {"F8_E5M2", 1}, {"F8_E4M3", 1}, {"I16", 2}, {"U16", 2}, {"F16", 2},
    {"BF16", 2}, {"I32", 4}, {"U32", 4}, {"F32", 4},     {"F64", 8},     {"I64", 8}, {"U64", 8},
};

constexpr const DtypeInfo* find_dtype(std::string_view name) {
  for (const DtypeInfo& dtype : kDtypes)
    if (name == dtype.name) return &dtype;
  return nullptr;
}

}  // namespace latchwork
