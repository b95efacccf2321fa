// The one exception the library throws for a wrong argument.
#pragma once

#include <stdexcept>
#include <string>

#pragma GCC visibility push(default)

namespace latchwork {

// what() names the argument, what was expected and what came; nothing was changed.
class Error : public std::invalid_argument {
 public:
  explicit Error(const std::string& message) : std::invalid_argument(message) {}
};

}  // namespace latchwork

#pragma GCC visibility pop
