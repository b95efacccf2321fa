// Two things only the processor can do. The floating-point environment kernels run in: round to nearest, exceptions
// masked, subnormals flushed.
#pragma once

#include <cstdint>

#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

namespace latchwork {

// Sets the whole control word, whatever the caller had, and gives the caller's back, status flags and all.
class FloatScope {
 public:
  FloatScope() noexcept : FloatScope(kKernel) {}
  // What a process starts with: for code that is not a kernel's, such as a Python signal handler.
  static FloatScope initial() noexcept { return FloatScope(kInitial); }
  ~FloatScope() { write(saved_); }
  FloatScope(const FloatScope&) = delete;
  FloatScope& operator=(const FloatScope&) = delete;

 private:
#if defined(__x86_64__)
  explicit FloatScope(unsigned word) noexcept : saved_(read()) { write(word); }
  static constexpr unsigned kInitial = 0x1f80;  // all exceptions masked | nearest
  static constexpr unsigned kKernel = 0x9fc0;   // FTZ | DAZ | all exceptions masked | nearest
  static unsigned read() noexcept { return _mm_getcsr(); }
  static void write(unsigned word) noexcept { _mm_setcsr(word); }
  unsigned saved_;
#else
  explicit FloatScope(std::uint64_t word) noexcept : saved_(read()) { write(word); }
  static constexpr std::uint64_t kInitial = 0;
  static constexpr std::uint64_t kKernel = 1ull << 24;  // FPCR.FZ, round to nearest, no traps
  static std::uint64_t read() noexcept {
    std::uint64_t word;
    __asm__ volatile("mrs %0, fpcr" : "=r"(word));
    return word;
  }
  static void write(std::uint64_t word) noexcept { __asm__ volatile("msr fpcr, %0" : : "r"(word)); }
  std::uint64_t saved_;
#endif
};

// For the body of a spin loop.
inline void spin_pause() noexcept {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#else
  __asm__ volatile("yield");
#endif
}

}  // namespace latchwork
