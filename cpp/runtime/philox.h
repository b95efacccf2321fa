// Philox4x32-10: random numbers as a pure function of a key and a counter, so that a draw hangs on what it is for,
// never on how many were made before it. J. K. Salmon, M. A. Moraes, R. O. Dror, D. E. Shaw, "Parallel random numbers:
// as easy as 1, 2, 3", SC 2011; the tests hold it to the paper's published vectors.
#pragma once

#include <array>
#include <cstdint>

namespace latchwork {

using PhiloxBlock = std::array<std::uint32_t, 4>;

// About 6 ns a block; eight counters side by side took 4, which dropout does not notice (Zen 5, gcc 12).
inline PhiloxBlock philox(std::uint64_t key, const PhiloxBlock& counter) noexcept {
  constexpr std::uint64_t kMultiplier0 = 0xd2511f53, kMultiplier1 = 0xcd9e8d57;
  constexpr std::uint32_t kGolden = 0x9e3779b9, kSqrt3 = 0xbb67ae85;  // added to the key from round to round
  auto key0 = static_cast<std::uint32_t>(key);
  auto key1 = static_cast<std::uint32_t>(key >> 32);
  auto [a, b, c, d] = counter;
  for (int round = 0; round < 10; ++round) {
    const std::uint64_t product0 = kMultiplier0 * a;
    const std::uint64_t product1 = kMultiplier1 * c;
    a = static_cast<std::uint32_t>(product1 >> 32) ^ b ^ key0;
    b = static_cast<std::uint32_t>(product1);
    c = static_cast<std::uint32_t>(product0 >> 32) ^ d ^ key1;
    d = static_cast<std::uint32_t>(product0);
    key0 += kGolden;
    key1 += kSqrt3;
  }
  return {a, b, c, d};
}

// The key is the 64-bit seed. The counter, from the lowest bit of word 0 up:
//
//              word 0                                                          word 1      word 2       word 3
//   masks      unit block:16  gate:4  direction:1  purpose:3  layer:8          time step   sample       training step
//   sequence   0:21                                purpose:3  0:8              block low   block high   stream
//   roll-out   pair:21                             purpose:3  0:8              step        path         stream
//
// Masks (dropout): a block is eight draws of 16 bits, for units 8 * block .. + 7 (so up to 524,288 units); noise: four
// of 32 bits. The sample is its index in the whole batch of the training step (a micro-batch adds its offset), the time
// step counts from the sequence's own start and is 0 for one mask per sequence. A mask therefore does not depend on how
// a batch or a sequence is cut. Sequences (initialisers, shuffles): block i of a numbered stream. Roll-outs: two draws
// of 64 bits for what a stream's path feeds back after a step.
enum class Purpose : std::uint32_t {
  initialize = 0,
  shuffle = 1,
  dropout = 2,
  recurrent_dropout = 3,
  roll_out = 4,
  seeds = 5,
  noise = 6
};

struct MaskCounter {
  Purpose purpose;
  std::uint32_t step;
  std::uint32_t sample;
  std::uint32_t time;
  std::uint32_t layer;      // < 256
  std::uint32_t direction;  // 0 forward, 1 backward
  std::uint32_t gate;       // < 16

  PhiloxBlock at(std::uint32_t unit_block) const noexcept {
    const std::uint32_t word =
        unit_block | gate << 16 | direction << 20 | static_cast<std::uint32_t>(purpose) << 21 | layer << 24;
    return {word, time, sample, step};
  }
};

// Draw j of a mask's block, j in [0, 8).
inline std::uint32_t mask_draw(const PhiloxBlock& block, unsigned j) noexcept {
  return block[j / 2] >> (16 * (j % 2)) & 0xffffu;
}

inline PhiloxBlock sequence_block(std::uint64_t seed, Purpose purpose, std::uint32_t stream,
                                  std::uint64_t block) noexcept {
  return philox(seed, {static_cast<std::uint32_t>(purpose) << 21, static_cast<std::uint32_t>(block),
                       static_cast<std::uint32_t>(block >> 32), stream});
}

}  // namespace latchwork
