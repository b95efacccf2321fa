// The CPU: instruction sets, threads and time.
#include "bindings/compute.h"
#include "bindings/ndarray.h"
#include "cpu/dispatch.h"
#include "cpu/float_env.h"

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
  m.def("nanoseconds", &compute_nanoseconds);
}

}  // namespace latchwork
