// Aligned memory that is kept: a training step asks for the same sizes again and again, and fresh pages cost more
// than the arithmetic of a small step.
#pragma once

#include <cstddef>
#include <utility>
#include <vector>

#include "base/types.h"

namespace latchwork {

// 64-byte aligned bytes from a process-wide pool; contents undefined. Throws std::bad_alloc.
void* pool_acquire(std::size_t bytes);
void pool_release(void* memory, std::size_t bytes) noexcept;
// Gives idle memory back to the system. The pool keeps at most as much as was in use at once, and 16 MB.
void pool_trim() noexcept;

// What the pool has handed out, sizes as it rounds them: always counted.
struct PoolCounters {
  std::size_t bytes;  // in use now
  std::size_t peak;   // the most that was in use at once since the last reset_pool_peak
  std::size_t fresh;  // blocks that came from the system, since the process began: the pool had none that fits
};
PoolCounters pool_counters() noexcept;
void reset_pool_peak() noexcept;
// Bytes that this thread has asked for since it began, as the pool rounds them: what an object takes is what it adds.
std::size_t pool_asked() noexcept;
// What a request counts as.
std::size_t pool_rounded(std::size_t bytes) noexcept;

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

// For containers: from the pool too, so that those made call by call allocate nothing once it has filled.
template <class T>
struct PoolAllocator {
  using value_type = T;
  PoolAllocator() = default;
  template <class U>
  PoolAllocator(const PoolAllocator<U>&) noexcept {}
  T* allocate(std::size_t n) { return static_cast<T*>(pool_acquire(n * sizeof(T))); }
  void deallocate(T* memory, std::size_t n) noexcept { pool_release(memory, n * sizeof(T)); }
  bool operator==(const PoolAllocator&) const = default;
};
template <class T>
using PoolVector = std::vector<T, PoolAllocator<T>>;

// For classes whose objects are made call by call: `new` and std::make_unique take them from the pool.
struct InPool {
  static void* operator new(std::size_t bytes) { return pool_acquire(bytes); }
  static void operator delete(void* memory, std::size_t bytes) noexcept { pool_release(memory, bytes); }
};

}  // namespace latchwork
