// Sizes up to 2^63 and a little beyond, and the CPUs a process may use, from folders that stand for /proc and /sys.
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <functional>
#include <limits>

#include "check.h"
#include "latchwork/error.h"
#include "latchwork/layer.h"
#include "latchwork/model.h"
#include "layers/recurrent.h"
#include "runtime/buffer.h"
#include "runtime/cpu_limits.h"

namespace latchwork::test {
namespace {

constexpr Index kMost = std::numeric_limits<Index>::max();
constexpr Index k31 = Index(1) << 31;

// f() throws Error and says `named`.
void refused(const std::string& what, const std::string& named, const std::function<void()>& f) {
  try {
    f();
    check(false, what + ": no Error");
  } catch (const Error& error) {
    check(std::string(error.what()).find(named) != std::string::npos, what + ": " + error.what());
  } catch (const std::exception& error) {
    check(false, what + ": another exception, " + error.what());
  }
}

void products() {
  for (const Index n : {k31 - 1, k31, k31 + 1}) {
    check(checked_product(n, 4) == n * 4, "a product around 2^31");
    check(checked_product(n, n) == n * n, "a square around 2^31 squared");
    check(checked_bytes(n, 8) == static_cast<std::size_t>(n) * 8, "bytes around 2^31 elements");
    check(ceil_div(n, 16) == (n >> 4) + (n % 16 != 0) && round_up(n, 16) % 16 == 0, "rounding around 2^31");
  }
  check(checked_product(kMost, 1) == kMost, "2^63 - 1");
  check(checked_product(kMost / 7, 7) == kMost / 7 * 7, "just below 2^63");
  check(checked_product(0, kMost, kMost) == 0, "nothing of much");
  refused("2^62 x 2", "size", [] { checked_product(Index(1) << 62, 2); });
  refused("three factors", "size", [] { checked_product(Index(1) << 21, Index(1) << 21, Index(1) << 21); });
  refused("a negative size", "shape", [] { checked_product(-1, 2, "shape"); });
  refused("2^61 doubles", "size", [] { checked_bytes(Index(1) << 61, 8); });
  refused("2^60 doubles: no pointer difference holds them", "size", [] { checked_bytes(Index(1) << 60, 8); });
  refused("a buffer of 2^61", "size", [] { Buffer<double>{Index(1) << 61}; });
}

// Rows of an array that nobody has made, for arithmetic alone.
void rows() {
  const Index T = k31 + 1, F = 3;
  for (const bool time_major : {false, true}) {
    Arrangement a{.batch = 2, .steps = T, .time_major = time_major, .offsets = {}, .lengths = {T, T - 1}};
    const RowMap<const float> forwards = row_map<const float>(nullptr, F, a, false);
    const RowMap<const float> backwards = row_map<const float>(nullptr, F, a, true);
    const auto offset = [&](const RowMap<const float>& map, Index b, Index t) {
      return map.offset[static_cast<std::size_t>(b)] + t * map.step;
    };
    const Index last = time_major ? ((T - 2) * 2 + 1) * F : (2 * T - 2) * F;
    check(offset(forwards, 1, T - 2) == last, "the last row of a large array");
    check(offset(backwards, 1, 0) == last, "the same, read backwards");
    check(offset(backwards, 1, T - 2) == offset(forwards, 1, 0), "its first row, read backwards");
  }
  Arrangement ragged{.batch = 2, .steps = 0, .offsets = {0, k31 - 1, k31 + 1}, .lengths = {k31 - 1, 2}};
  check(row_map<const float>(nullptr, F, ragged, false).offset[1] == (k31 - 1) * F, "a ragged array's second sequence");
  check(row_map<const float>(nullptr, F, ragged, true).offset[1] == k31 * F, "the same, read backwards");
}

// What a caller says of memory it does not have: an Error, and nothing is taken or touched.
void claims() {
  const Index huge = Index(1) << 62;
  refused("a layer's hidden", "hidden", [&] { Layer<float>({.input = 1, .hidden = huge}); });
  refused("a layer's input", "input", [&] { Layer<float>({.input = huge, .hidden = 4}); });
  refused("a layer's sum", "hidden", [&] { Layer<float>({.input = 1, .hidden = 1'500'000'000}); });
  Layer<float> layer({.input = 2, .hidden = 4});
  float one[8] = {};
  for (const auto& [batch, steps] : {std::pair{huge, Index(4)}, {Index(4), huge}, {k31, k31}}) {
    refused("a call's batch and steps", "x: ", [&, batch = batch, steps = steps] {
      layer.forward({.data = one, .batch = batch, .steps = steps}, one);
    });
  }
  refused("a stream's rows", "rows", [&] { Stream<float>(layer, huge); });
  const Model model = Model::load(LATCHWORK_TEST_DATA "/model.safetensors");
  refused("a model's batch", "shape: ", [&] { model.output_size({huge, 8, model.input_shape().back()}); });
  refused("a session", "streams", [&] { model.session<float>(huge); });
}

void plans() {
  const CellInfo& info = *kernels().f32.cells[find_cell("lstm")]->info;
  const Layout layout(info, 3, 5, kernels().f32.product.panel_columns, kernels().f32.product.lanes);
  for (const Index batch : {Index(1), k31 - 1, k31 + 1})
    for (const Index steps : {Index(1), k31 - 1, k31 + 1}) {
      const Plan plan = choose_plan({batch, steps, &layout, 4}, 8).plan;
      check(plan.members >= 1 && plan.members <= 8 && plan.strip_rows >= 1 && plan.hoist_steps >= 0 &&
                plan.hoist_steps <= steps,
            "a plan for a large call");
    }
  check(group_steps(k31 + 1) == 1 && group_steps(1) == 256, "steps of a group");
}

class Root {
 public:
  Root() : path_(std::filesystem::temp_directory_path() / "latchwork_test_limits") {
    std::filesystem::remove_all(path_);
  }
  ~Root() { std::filesystem::remove_all(path_); }
  Root& with(const std::string& file, const std::string& text) {
    const std::filesystem::path whole = path_ / file;
    std::filesystem::create_directories(whole.parent_path());
    std::ofstream(whole) << text;
    return *this;
  }
  int cpus() const { return cgroup_cpus(path_.string()); }

 private:
  std::filesystem::path path_;
};

void quotas() {
  const int none = 1 << 20;
  check(Root().cpus() == none, "no cgroup");
  check(Root().with("sys/fs/cgroup/cpu.max", "max 100000\n").cpus() == none, "v2 without a quota");
  check(Root().with("sys/fs/cgroup/cpu.max", "300000 100000\n").cpus() == 3, "v2, 3 CPUs");
  check(Root().with("sys/fs/cgroup/cpu.max", "250000 100000\n").cpus() == 2, "v2, 2.5 CPUs: two whole ones");
  check(Root().with("sys/fs/cgroup/cpu.max", "50000 100000\n").cpus() == 1, "v2, half a CPU");
  check(Root().with("sys/fs/cgroup/cpu.max", "99999999999 100000\n").cpus() == 999999, "v2, a large quota");
  check(Root().with("sys/fs/cgroup/cpu.max", "rubbish\n").cpus() == none, "v2, unreadable");
  check(Root().with("sys/fs/cgroup/cpu.max", "100000 0\n").cpus() == none, "v2, no period");
  check(Root().with("proc/self/cgroup", "0::/a.slice/b.service\n")
                .with("sys/fs/cgroup/a.slice/cpu.max", "200000 100000\n")
                .with("sys/fs/cgroup/a.slice/b.service/cpu.max", "400000 100000\n")
                .cpus() == 2,
        "v2, the parent's quota is less");
  check(Root().with("proc/self/cgroup", "0::/a/b\n")
                .with("sys/fs/cgroup/a/b/cpu.max", "100000 100000\n")
                .with("sys/fs/cgroup/other/cpu.max", "50000 100000\n")
                .cpus() == 1,
        "v2, the process's own");
  check(Root().with("proc/self/cgroup", "0::/../x\n").with("sys/fs/cgroup/cpu.max", "200000 100000").cpus() == 2,
        "v2, a path from outside the container");
  check(Root().with("sys/fs/cgroup/cpu/cpu.cfs_quota_us", "200000\n")
                .with("sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n")
                .cpus() == 2,
        "v1");
  check(Root().with("sys/fs/cgroup/cpu/cpu.cfs_quota_us", "-1\n")
                .with("sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n")
                .cpus() == none,
        "v1 without a quota");
  check(Root().with("proc/self/cgroup", "5:memory:/x\n3:cpu,cpuacct:/docker/1\n0::/\n")
                .with("sys/fs/cgroup/cpu,cpuacct/docker/1/cpu.cfs_quota_us", "300000\n")
                .with("sys/fs/cgroup/cpu,cpuacct/docker/1/cpu.cfs_period_us", "100000\n")
                .cpus() == 3,
        "v1, the process's own");
}

}  // namespace
}  // namespace latchwork::test

int main() {
  using namespace latchwork::test;
  products();
  rows();
  claims();
  plans();
  quotas();
  return report("limits");
}
