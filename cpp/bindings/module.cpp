// The extension module: one bind_* function per topic.
#include "bindings/ndarray.h"
#include "cpu/float_env.h"
#include "latchwork/cpu.h"
#include "runtime/interrupt.h"

namespace latchwork {

void bind_cpu(py::module_& m);
void bind_embedding(py::module_& m);
void bind_layers(py::module_& m);
void bind_losses(py::module_& m);
void bind_model(py::module_& m);
void bind_optimizers(py::module_& m);
void bind_plans(py::module_& m);
void bind_random(py::module_& m);
void bind_recurrent(py::module_& m);
void bind_rollout(py::module_& m);
void bind_session(py::module_& m);
void bind_training(py::module_& m);
void bind_unary(py::module_& m);

namespace {

// Python runs signal handlers on its main thread only, and only there a Ctrl-C becomes an exception.
bool signal_raised() noexcept {
  const py::gil_scoped_acquire acquire;
  const FloatScope scope = FloatScope::initial();  // a handler is any Python code
  return PyErr_CheckSignals() != 0;
}

}  // namespace

}  // namespace latchwork

PYBIND11_MODULE(_core, m) {
  m.doc() = "latchwork's compiled core; use it through latchwork.functional and the modules above";
  m.attr("__version__") = LATCHWORK_VERSION;
  latchwork::isa();  // a wrong LATCHWORK_ISA is an error at import, not at the first call
  latchwork::set_interrupt_check(&latchwork::signal_raised);
  pybind11::register_local_exception_translator([](std::exception_ptr raised) {
    try {
      if (raised) std::rethrow_exception(raised);
    } catch (const latchwork::Interrupted&) {
      if (!PyErr_Occurred()) PyErr_SetNone(PyExc_KeyboardInterrupt);
    } catch (const latchwork::FileError& error) {  // FileNotFoundError, PermissionError, ... by its errno
      PyErr_SetObject(PyExc_OSError, pybind11::make_tuple(error.code(), error.what()).ptr());
    }
  });
  latchwork::bind_cpu(m);
  latchwork::bind_embedding(m);
  latchwork::bind_layers(m);
  latchwork::bind_losses(m);
  latchwork::bind_model(m);
  latchwork::bind_optimizers(m);
  latchwork::bind_plans(m);
  latchwork::bind_random(m);
  latchwork::bind_recurrent(m);
  latchwork::bind_rollout(m);
  latchwork::bind_session(m);
  latchwork::bind_training(m);
  latchwork::bind_unary(m);
}
