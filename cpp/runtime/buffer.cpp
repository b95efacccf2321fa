#include "runtime/buffer.h"

#include <pthread.h>

#include <algorithm>
#include <bit>
#include <mutex>
#include <new>
#include <string>
#include <vector>

#include "latchwork/error.h"

namespace latchwork {
namespace {

// Sizes are rounded up to eighths of a power of two, so that nearly equal requests share blocks (waste at most 12.5 %).
std::size_t size_class(std::size_t bytes) noexcept {
  if (bytes <= 512) return round_up(static_cast<Index>(bytes), 64);
  const std::size_t step = std::bit_floor(bytes - 1) / 8;
  return (bytes + step - 1) / step * step;
}

thread_local std::size_t acquired = 0;

struct Pool {
  struct Block {
    void* memory;
    std::size_t bytes;
  };
  std::mutex mutex;
  std::vector<Block> idle;
  std::size_t idle_bytes = 0, used_bytes = 0;
  std::size_t most_used = 0;  // since the last trim: what may be kept
  std::size_t peak = 0;       // since it was reset
  std::size_t fresh = 0;

  void count(std::size_t bytes) noexcept {
    used_bytes += bytes;
    most_used = std::max(most_used, used_bytes);
    peak = std::max(peak, used_bytes);
  }

  void free_oldest() noexcept {
    idle_bytes -= idle.front().bytes;
    ::operator delete(idle.front().memory, std::align_val_t(kAlignment));
    idle.erase(idle.begin());
  }
};

// Never destroyed: buffers may outlive static destruction in a process that exits while a thread computes.
Pool& pool() {
  static Pool* const p = [] {
    auto* const made = new Pool;
    // A fork waits until no thread is in the pool: the child would find it locked by a thread that it does not have.
    pthread_atfork([] { pool().mutex.lock(); }, [] { pool().mutex.unlock(); }, [] { pool().mutex.unlock(); });
    return made;
  }();
  return *p;
}

// From the system; where it has none left, idle blocks go back to it first.
void* fresh(std::size_t bytes) {
  void* const memory = ::operator new(bytes, std::align_val_t(kAlignment), std::nothrow);
  if (memory) return memory;
  pool_trim();
  return ::operator new(bytes, std::align_val_t(kAlignment));
}

}  // namespace

std::size_t pool_size(std::size_t bytes) noexcept { return size_class(bytes); }

std::size_t acquired_by_this_thread() noexcept { return acquired; }

void* pool_acquire(std::size_t bytes) {
  const std::size_t wanted = size_class(bytes);
  acquired += wanted;
  Pool& p = pool();
  {
    const std::lock_guard lock(p.mutex);
    p.idle.reserve(p.idle.size() + 64);  // so that release never allocates
    for (std::size_t i = p.idle.size(); i-- > 0;) {
      if (p.idle[i].bytes != wanted) continue;
      void* const memory = p.idle[i].memory;
      p.idle.erase(p.idle.begin() + static_cast<std::ptrdiff_t>(i));
      p.idle_bytes -= wanted;
      p.count(wanted);
      return memory;
    }
  }
  void* const memory = fresh(wanted);
  const std::lock_guard lock(p.mutex);
  p.count(wanted);
  ++p.fresh;
  return memory;
}

void pool_release(void* memory, std::size_t bytes) noexcept {
  const std::size_t freed = size_class(bytes);
  Pool& p = pool();
  const std::lock_guard lock(p.mutex);
  p.used_bytes -= freed;
  if (p.idle.size() == p.idle.capacity()) {
    ::operator delete(memory, std::align_val_t(kAlignment));
    return;
  }
  p.idle.push_back({memory, freed});
  p.idle_bytes += freed;
  // Keep no more than the most that was ever in use: the oldest idle block goes first.
  while (p.idle_bytes + p.used_bytes > p.most_used && !p.idle.empty()) p.free_oldest();
}

void pool_trim() noexcept {
  Pool& p = pool();
  const std::lock_guard lock(p.mutex);
  while (!p.idle.empty()) p.free_oldest();
  p.most_used = p.used_bytes;
}

PoolCounters pool_counters() noexcept {
  Pool& p = pool();
  const std::lock_guard lock(p.mutex);
  return {p.used_bytes, p.peak, p.fresh};
}

void reset_pool_peak() noexcept {
  Pool& p = pool();
  const std::lock_guard lock(p.mutex);
  p.peak = p.used_bytes;
}

std::size_t checked_bytes(Index count, std::size_t size, const char* name) {
  std::size_t bytes = 0;
  if (count < 0 || __builtin_mul_overflow(static_cast<std::size_t>(count), size, &bytes) || bytes > PTRDIFF_MAX)
    throw Error(std::string(name) + ": " + std::to_string(count) + " elements of " + std::to_string(size) +
                " bytes is too large");
  return bytes;
}

Index checked_product(Index a, Index b, const char* name) {
  Index product = 0;
  if (a < 0 || b < 0 || __builtin_mul_overflow(a, b, &product))
    throw Error(std::string(name) + ": " + std::to_string(a) + " x " + std::to_string(b) + " is too large");
  return product;
}

}  // namespace latchwork
