// What this CPU can run and the operating system saves.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace latchwork {

bool supports_isa(std::string_view isa);
std::vector<std::string> cpu_features();

}  // namespace latchwork
