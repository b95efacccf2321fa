// How many threads this process may use well: the machine's cores, its affinity, its cgroup.
#pragma once

#include <string>

namespace latchwork {

// CPUs that the process's cgroup (v2 or v1) and those above it grant, from their quotas; at least 1, and 2^20 where
// there is none. `root` stands before /proc and /sys: tests bring their own.
int cgroup_cpus(const std::string& root = "");

// LATCHWORK_NUM_THREADS, or the physical cores within affinity and quota. Throws Error for a value that is no count.
int default_threads();

}  // namespace latchwork
