// Plain types shared by every floor. No standard library beyond freestanding headers: kernels include this file.
#pragma once

#include <cstddef>
#include <cstdint>

namespace latchwork {

using Index = std::int64_t;

// Units are padded to this multiple in the library's own buffers, on every ISA (never in a caller's array).
constexpr Index kUnitPadding = 16;
constexpr std::size_t kAlignment = 64;  // bytes; one cache line, one AVX-512 vector

constexpr Index ceil_div(Index a, Index b) { return (a + b - 1) / b; }
constexpr Index round_up(Index a, Index b) { return ceil_div(a, b) * b; }

}  // namespace latchwork
