// The machine: instruction sets, threads, time and memory.
#include "bindings/compute.h"
#include "bindings/ndarray.h"
#include "cpu/dispatch.h"
#include "cpu/float_env.h"
#include "runtime/buffer.h"
#include "runtime/thread_team.h"

namespace latchwork {
void bind_cpu(py::module_& m) {
  m.def(
      "with_usual_floats",
      [](const py::function& f, const py::args& arguments, const py::kwargs& named) {
        const FloatScope scope = FloatScope::initial();
        return f(*arguments, **named);
      },
      "f(*arguments, **named), rounding to nearest and with subnormal numbers, whatever the caller has set.");
  m.def("isa", &isa);
  m.def("isas", &isas);
  m.def("supported_isas", &supported_isas);
  m.def("use_isa", [](const std::string& name) { use_isa(name); }, py::arg("name"));
  m.def("features", &cpu_features);
  m.def("num_threads", &num_threads);
  m.def("set_num_threads", &set_num_threads, py::arg("threads"));
  m.def("tolerate_late_teams", &tolerate_late_teams, py::arg("tolerated"));
  m.def("nanoseconds", &compute_nanoseconds);
  m.def(
      "pool_bytes", [] { return pool_counters().bytes; },
      "Bytes that the core's memory pool has handed out now: packed weights, contexts, large arrays and work space.");
  m.def(
      "pool_peak", [] { return pool_counters().peak; },
      "The most bytes that the pool had handed out at once since `reset_pool_peak`.");
  m.def("reset_pool_peak", &reset_pool_peak, "`pool_peak` counts from what is handed out now.");
  m.def(
      "pool_fresh", [] { return pool_counters().fresh; },
      "How many blocks the pool has taken from the system since the process began: it had none that fits.");
}

}  // namespace latchwork
