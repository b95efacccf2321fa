// Aligned memory that is kept: a training step asks for the same sizes again and again, and fresh pages cost more
// than the arithmetic of a small step.
#pragma once

#include <cstddef>
#include <utility>

#include "base/types.h"

namespace latchwork {

// 64-byte aligned bytes from a process-wide pool; contents undefined. Throws std::bad_alloc.
void* pool_acquire(std::size_t bytes);
void pool_release(void* memory, std::size_t bytes) noexcept;
// What the pool takes for so many bytes; what the calling thread has acquired since it began.
std::size_t pool_size(std::size_t bytes) noexcept;
std::size_t acquired_by_this_thread() noexcept;
// Gives idle memory back to the system. The pool keeps at most as much as was in use at once.
void pool_trim() noexcept;

// What the pool has handed out, sizes as it rounds them: always counted.
struct PoolCounters {
  std::size_t bytes;  // in use now
  std::size_t peak;   // the most that was in use at once since the last reset_pool_peak
  std::size_t fresh;  // blocks that came from the system, since the process began: the pool had none that fits
};
PoolCounters pool_counters() noexcept;
void reset_pool_peak() noexcept;

// count * size in bytes, and a * b, checked: Error names the argument where a size is negative or overflows.
std::size_t checked_bytes(Index count, std::size_t size, const char* name = "size");
Index checked_product(Index a, Index b, const char* name = "size");
template <class... More>
Index checked_product(Index a, Index b, Index c, More... more) {
  return checked_product(checked_product(a, b), c, more...);
}

// An array of n elements that returns to the pool. Undefined contents.
template <class T>
class Buffer {
 public:
  Buffer() = default;
  explicit Buffer(Index n) : size_(n), bytes_(checked_bytes(n, sizeof(T))) {
    if (bytes_ > 0) data_ = static_cast<T*>(pool_acquire(bytes_));
  }
  Buffer(Buffer&& other) noexcept { swap(other); }
  Buffer& operator=(Buffer&& other) noexcept {
    Buffer(std::move(other)).swap(*this);
    return *this;
  }
  ~Buffer() {
    if (data_) pool_release(data_, bytes_);
  }

  T* data() noexcept { return data_; }
  const T* data() const noexcept { return data_; }
  Index size() const noexcept { return size_; }
  T& operator[](Index i) noexcept { return data_[i]; }
  const T& operator[](Index i) const noexcept { return data_[i]; }

 private:
  void swap(Buffer& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    std::swap(bytes_, other.bytes_);
  }
  T* data_ = nullptr;
  Index size_ = 0;
  std::size_t bytes_ = 0;
};

}  // namespace latchwork
