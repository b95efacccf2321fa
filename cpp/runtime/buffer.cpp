#include "runtime/buffer.h"

#include <pthread.h>

#include <algorithm>
#include <array>
#include <bit>
#include <mutex>
#include <new>
#include <string>
#include <vector>

#include "latchwork/error.h"

namespace latchwork {
namespace {

constexpr std::size_t kSmall = 64 * 1024;  // up to here blocks of a size are all alike; larger ones serve smaller
                                           // requests too

// What may be kept beyond the most that was in use at once: forward and backward need blocks of other sizes in turn.
constexpr std::size_t kSpare = 16 << 20;

// Sizes are rounded up, to eighths of a power of two while small (waste at most 12.5 %), to 64ths beyond.
std::size_t size_class(std::size_t bytes) {
  if (bytes <= 512) return round_up(static_cast<Index>(bytes), 64);
  const std::size_t step = std::bit_floor(bytes - 1) / (bytes <= kSmall ? 8 : 64);
  return (bytes + step - 1) / step * step;
}

// The number of a small size: 64, 128, ..., 512, 576, ..., 1024, 1152, ...
std::size_t bin_of(std::size_t bytes) {
  if (bytes <= 512) return bytes / 64;
  const auto power = static_cast<std::size_t>(std::bit_width(bytes - 1)) - 1;  // bytes are in (2^power, 2^(power + 1)]
  return (power - 8) * 8 + (bytes >> (power - 3)) - 8;
}

struct Pool {
  struct Block {
    void* memory;
    std::size_t bytes;
    std::size_t asked = 0;  // while it is used
  };
  struct Small {
    Small* next;
  };
  std::mutex mutex;
  std::array<Small*, 65> small = {};           // idle ones, by their size
  std::vector<Block> idle, used;               // large ones; idle: the oldest first
  std::size_t idle_bytes = 0, used_bytes = 0;  // used: as asked for
  std::size_t most_used = 0;                   // since the last trim: what may be kept
  std::size_t peak = 0;                        // since it was reset
  std::size_t fresh = 0;

  void count(std::size_t bytes) noexcept {
    used_bytes += bytes;
    most_used = std::max(most_used, used_bytes);
    peak = std::max(peak, used_bytes);
  }

  void* take_small(std::size_t bytes) noexcept {
    Small*& first = small[bin_of(bytes)];
    Small* const taken = first;
    if (taken) {
      first = taken->next;
      idle_bytes -= bytes;
      count(bytes);
    }
    return taken;
  }

  // The idle block that fits best, at most twice as large as it must be: batches of ragged sequences differ from step
  // to step, and fresh pages would cost more than their arithmetic.
  void* take_large(std::size_t bytes) {
    idle.reserve(idle.size() + used.size() + 64);  // so that a release never allocates
    used.reserve(used.size() + 64);
    std::size_t best = idle.size();
    for (std::size_t i = idle.size(); i-- > 0;)
      if (idle[i].bytes >= bytes && idle[i].bytes - bytes <= bytes &&
          (best == idle.size() || idle[i].bytes < idle[best].bytes))
        best = i;
    if (best == idle.size()) return nullptr;
    const Block taken = {idle[best].memory, idle[best].bytes, bytes};
    idle.erase(idle.begin() + static_cast<std::ptrdiff_t>(best));
    used.push_back(taken);
    idle_bytes -= taken.bytes;
    count(bytes);
    return taken.memory;
  }

  void give_back_small(void* memory, std::size_t bytes) noexcept {
    Small*& first = small[bin_of(bytes)];
    first = ::new (memory) Small{first};
    idle_bytes += bytes;
    used_bytes -= bytes;
  }

  void give_back_large(void* memory) noexcept {
    const auto found = std::find_if(used.begin(), used.end(), [&](const Block& b) { return b.memory == memory; });
    idle.push_back(*found);
    idle_bytes += found->bytes;
    used_bytes -= found->asked;
    used.erase(found);
    // The oldest idle block goes first.
    while (idle_bytes + used_bytes > most_used + kSpare && !idle.empty()) free_oldest();
  }

  void free_oldest() noexcept {
    idle_bytes -= idle.front().bytes;
    ::operator delete(idle.front().memory, std::align_val_t(kAlignment));
    idle.erase(idle.begin());
  }

  void trim() noexcept {
    while (!idle.empty()) free_oldest();
    for (Small*& first : small)
      while (first) {
        Small* const next = first->next;
        ::operator delete(first, std::align_val_t(kAlignment));
        first = next;
      }
    idle_bytes = 0;
    most_used = used_bytes;
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

thread_local std::size_t asked = 0;

// From the system; where it has none left, idle blocks go back to it first.
void* fresh(std::size_t bytes) {
  void* const memory = ::operator new(bytes, std::align_val_t(kAlignment), std::nothrow);
  if (memory) return memory;
  pool_trim();
  return ::operator new(bytes, std::align_val_t(kAlignment));
}

}  // namespace

void* pool_acquire(std::size_t bytes) {
  const std::size_t wanted = size_class(bytes);
  const bool is_small = wanted <= kSmall;
  asked += wanted;
  Pool& p = pool();
  {
    const std::lock_guard lock(p.mutex);
    if (void* const kept = is_small ? p.take_small(wanted) : p.take_large(wanted)) return kept;
  }
  void* const memory = fresh(wanted);
  const std::lock_guard lock(p.mutex);
  if (!is_small) p.used.push_back({memory, wanted, wanted});
  p.count(wanted);
  ++p.fresh;
  return memory;
}

void pool_release(void* memory, std::size_t bytes) noexcept {
  const std::size_t freed = size_class(bytes);
  Pool& p = pool();
  const std::lock_guard lock(p.mutex);
  if (freed <= kSmall)
    p.give_back_small(memory, freed);
  else
    p.give_back_large(memory);
}

void pool_trim() noexcept {
  Pool& p = pool();
  const std::lock_guard lock(p.mutex);
  p.trim();
}

std::size_t pool_asked() noexcept { return asked; }

std::size_t pool_rounded(std::size_t bytes) noexcept { return size_class(bytes); }

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
