// Which instruction set the kernels use, and how many threads.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#pragma GCC visibility push(default)

namespace latchwork {

// Instruction sets compiled into this library, the widest first: of "avx512", "avx2", "neon", "portable".
std::vector<std::string> isas();
// Those this CPU has and the operating system saves.
std::vector<std::string> supported_isas();
// The one in use: LATCHWORK_ISA if set, else the widest supported.
std::string isa();
// Forces one. Throws Error for an unknown or unsupported name. Results are the same bits on each.
void use_isa(std::string_view name);
// Features found, e.g. "avx2", "fma", "avx512f".
std::vector<std::string> cpu_features();

// Threads a call may use, the caller's own included. Results do not depend on it.
// Default: LATCHWORK_NUM_THREADS, else the physical cores within the process' affinity and cgroup quota.
int num_threads();
void set_num_threads(int threads);  // Throws Error below 1 or above 1024.

}  // namespace latchwork

#pragma GCC visibility pop
