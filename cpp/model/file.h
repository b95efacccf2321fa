// Files: read by place, written whole or not at all.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace latchwork {

using Bytes = std::span<const std::byte>;

// An open file's number, closed once.
class Descriptor {
 public:
  explicit Descriptor(int descriptor) : descriptor_(descriptor) {}
  Descriptor(Descriptor&& other) noexcept : descriptor_(std::exchange(other.descriptor_, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    std::swap(descriptor_, other.descriptor_);
    return *this;
  }
  ~Descriptor() { close(); }

  int get() const { return descriptor_; }
  int close() noexcept;  // what the system's close says

 private:
  int descriptor_;
};

// A regular file open for reading. Nothing is mapped: a file that another process cuts short is an error, not a signal.
class InputFile {
 public:
  explicit InputFile(const std::string& path);  // throws FileError
  std::uint64_t size() const { return size_; }
  // Exactly out.size() bytes from `offset`, else FileError.
  void read(std::uint64_t offset, std::span<std::byte> out) const;

 private:
  std::string path_;
  Descriptor file_;
  std::uint64_t size_ = 0;
};

// The parts one after another, into a temporary file beside `path` that takes its name once it is on the disk: whatever
// happens, `path` is the old file or the new one, whole. Throws FileError, the old file untouched, the temporary gone.
void write_atomically(const std::string& path, const std::vector<Bytes>& parts);

}  // namespace latchwork
