#include "model/rollout.h"

namespace latchwork {

void refuse(const std::string& expected, Index got) { throw Error(expected + ", got " + std::to_string(got)); }
void refuse(const std::string& expected, double got) { throw Error(expected + ", got " + std::to_string(got)); }

std::vector<Index> starts_of(const Ragged& lengths, const char* name) {
  std::vector<Index> starts{0};
  for (const Index length : lengths.lengths) {
    Index end = 0;
    if (length < 1 || __builtin_add_overflow(starts.back(), length, &end))
      refuse(std::string(name) + " must have at least one step in each sequence", length);
    starts.push_back(end);
  }
  if (static_cast<Index>(lengths.lengths.size()) >= kMostRollOut)
    throw Error(std::string(name) + " must hold fewer than 2^32 sequences");
  return starts;
}

void require_threads_and_steps(int threads, Index steps, const char* name) {
  if (threads < 1) refuse("threads must be at least 1", Index{threads});
  if (steps < 1 || steps >= kMostRollOut) refuse(std::string(name) + " must be in [1, 2^32)", steps);
}

}  // namespace latchwork
