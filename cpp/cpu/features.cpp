#include "cpu/features.h"

#include <cstdint>

#if defined(__x86_64__)
#include <cpuid.h>
#endif

namespace latchwork {

#if defined(__x86_64__)
namespace {

struct Features {
  bool avx2 = false, fma = false, f16c = false;
  bool avx512f = false, avx512bw = false, avx512dq = false, avx512vl = false, avx512cd = false;
  bool saves_ymm = false, saves_zmm = false;
};

bool bit(unsigned reg, int position) { return (reg >> position & 1u) != 0; }

// Intel SDM vol. 2, CPUID leaves 1 and 7; vol. 1, section 13.3 for XCR0.
Features detect() {
  Features f;
  unsigned a = 0, b = 0, c = 0, d = 0;
  if (!__get_cpuid(1, &a, &b, &c, &d)) return f;
  f.fma = bit(c, 12);
  f.f16c = bit(c, 29);
  if (bit(c, 27)) {  // OSXSAVE
    unsigned low = 0, high = 0;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    f.saves_ymm = (low & 0x6u) == 0x6u;
    f.saves_zmm = (low & 0xe6u) == 0xe6u;
  }
  if (__get_cpuid_count(7, 0, &a, &b, &c, &d)) {
    f.avx2 = bit(b, 5);
    f.avx512f = bit(b, 16);
    f.avx512dq = bit(b, 17);
    f.avx512cd = bit(b, 28);
    f.avx512bw = bit(b, 30);
    f.avx512vl = bit(b, 31);
  }
  return f;
}

const Features& features() {
  static const Features f = detect();
  return f;
}

}  // namespace

bool supports_isa(std::string_view isa) {
  const Features& f = features();
  const bool avx2 = f.avx2 && f.fma && f.f16c && f.saves_ymm;
  if (isa == "portable") return true;
  if (isa == "avx2") return avx2;
  if (isa == "avx512") return avx2 && f.saves_zmm && f.avx512f && f.avx512bw && f.avx512dq && f.avx512vl && f.avx512cd;
  return false;
}

std::vector<std::string> cpu_features() {
  const Features& f = features();
  std::vector<std::string> names;
  const auto add = [&](bool present, const char* name) {
    if (present) names.emplace_back(name);
  };
  add(f.avx2 && f.saves_ymm, "avx2");
  add(f.fma && f.saves_ymm, "fma");
  add(f.f16c && f.saves_ymm, "f16c");
  add(f.avx512f && f.saves_zmm, "avx512f");
  add(f.avx512bw && f.saves_zmm, "avx512bw");
  add(f.avx512dq && f.saves_zmm, "avx512dq");
  add(f.avx512vl && f.saves_zmm, "avx512vl");
  add(f.avx512cd && f.saves_zmm, "avx512cd");
  return names;
}
#elif defined(__aarch64__)
bool supports_isa(std::string_view isa) { return isa == "neon"; }  // part of the AArch64 baseline
std::vector<std::string> cpu_features() { return {"neon"}; }
#else
#error "latchwork supports x86-64 and AArch64"
#endif

}  // namespace latchwork
