// The one exception the library throws for a wrong argument, and its form for files.
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

// The operating system refused: a file is missing, a disk is full. code() is its errno.
class FileError : public Error {
 public:
  FileError(const std::string& message, int code) : Error(message), code_(code) {}
  int code() const noexcept { return code_; }

 private:
  int code_;
};

}  // namespace latchwork

#pragma GCC visibility pop
