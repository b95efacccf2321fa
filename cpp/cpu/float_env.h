// Two things only the processor can do. The floating-point environment kernels run in: round to nearest, exceptions
// masked, subnormals flushed.
#pragma once

#include <cstdint>

#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

namespace latchwork {

// Sets the whole control word, whatever the caller had, and gives the caller's back.
class FloatScope {
 public:
  FloatScope() noexcept : saved_(read()) { write(kKernel); }
  ~FloatScope() { write(saved_); }
  FloatScope(const FloatScope&) = delete;
  FloatScope& operator=(const FloatScope&) = delete;

 private:
#if defined(__x86_64__)
  static constexpr unsigned kKernel = 0x9fc0;  // FTZ | DAZ | all exceptions masked | nearest
  static unsigned read() noexcept { return _mm_getcsr(); }
  static void write(unsigned word) noexcept { _mm_setcsr(word); }
  unsigned saved_;
#else
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
