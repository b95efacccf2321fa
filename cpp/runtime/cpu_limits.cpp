#include "runtime/cpu_limits.h"

#include <sched.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <set>
#include <sstream>

#include "latchwork/error.h"

namespace latchwork {
namespace {

constexpr int kUnlimited = 1 << 20;

// Whole CPUs of quota / period: one thread more would only be stopped for the rest of each period.
int whole_cpus(double quota, double period) {
  if (!(quota > 0 && period > 0)) return kUnlimited;
  return static_cast<int>(std::clamp(quota / period + 1e-6, 1.0, static_cast<double>(kUnlimited)));
}

// "max 100000" or "150000 100000": cgroup v2's quota and period in microseconds.
int quota_v2(const std::string& folder) {
  std::ifstream file(folder + "/cpu.max");
  double quota = 0, period = 0;
  return file >> quota >> period ? whole_cpus(quota, period) : kUnlimited;
}

int quota_v1(const std::string& folder) {
  std::ifstream quota_file(folder + "/cpu.cfs_quota_us"), period_file(folder + "/cpu.cfs_period_us");
  double quota = 0, period = 0;  // quota -1: none
  return quota_file >> quota && period_file >> period ? whole_cpus(quota, period) : kUnlimited;
}

// The least of a cgroup and those above it. Inside a container the path may be the host's: then only the root is there.
template <class Quota>
int least_quota(const std::string& mount, std::string path, Quota quota) {
  int least = quota(mount);
  for (; path.size() > 1; path.erase(path.rfind('/'))) least = std::min(least, quota(mount + path));
  return least;
}

bool names_cpu(const std::string& controllers) {
  std::istringstream list(controllers);
  for (std::string each; std::getline(list, each, ',');)
    if (each == "cpu") return true;
  return false;
}

// Physical cores this process may run on: hyperthreads of one core share its FMA units.
int physical_cores() {
  cpu_set_t allowed;
  CPU_ZERO(&allowed);
  if (sched_getaffinity(0, sizeof(allowed), &allowed) != 0) return 1;
  std::set<std::string> cores;
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (!CPU_ISSET(cpu, &allowed)) continue;
    std::ifstream file("/sys/devices/system/cpu/cpu" + std::to_string(cpu) + "/topology/thread_siblings_list");
    std::string siblings;
    if (!(file >> siblings)) siblings = std::to_string(cpu);
    cores.insert(siblings);
  }
  return std::max(1, static_cast<int>(cores.size()));
}

}  // namespace

int cgroup_cpus(const std::string& root) {
  const std::string mount = root + "/sys/fs/cgroup";
  int least = std::min({quota_v2(mount), quota_v1(mount + "/cpu"), quota_v1(mount + "/cpu,cpuacct")});
  std::ifstream groups(root + "/proc/self/cgroup");  // lines of number:controllers:path; v2 names no controller
  for (std::string line; std::getline(groups, line);) {
    const std::size_t first = line.find(':'), second = line.find(':', first + 1);
    if (first == std::string::npos || second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1), path = line.substr(second + 1);
    if (path.empty() || path[0] != '/') continue;
    if (controllers.empty())
      least = std::min(least, least_quota(mount, path, quota_v2));
    else if (names_cpu(controllers))
      for (const char* const folder : {"/cpu", "/cpu,cpuacct"})
        least = std::min(least, least_quota(mount + folder, path, quota_v1));
  }
  return least;
}

int default_threads() {
  if (const char* text = std::getenv("LATCHWORK_NUM_THREADS"); text && *text) {
    char* end = nullptr;
    const long n = std::strtol(text, &end, 10);
    if (*end != '\0' || n < 1 || n > 1024)
      throw Error("LATCHWORK_NUM_THREADS must be a whole number from 1 to 1024, got '" + std::string(text) + "'");
    return static_cast<int>(n);
  }
  return std::min({physical_cores(), cgroup_cpus(), 1024});
}

}  // namespace latchwork
