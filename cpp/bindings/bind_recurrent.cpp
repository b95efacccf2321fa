// Recurrent layers: packed weights, forward, and the backward that consumes a context.
#include <algorithm>

#include "bindings/plans.h"
#include "bindings/recurrent_context.h"
#include "bindings/sequences.h"
#include "cpu/float_env.h"

namespace latchwork {
namespace {

Activation activation_of(const std::string& name, const char* argument) {
  for (int i = 0; i < kActivationCount; ++i)
    if (name == kActivationNames[i]) return static_cast<Activation>(i);
  std::string known;
  for (const char* const each : kActivationNames) known += std::string(known.empty() ? "" : ", ") + each;
  throw Error(std::string(argument) + " must be one of " + known + ", got '" + name + "'");
}

template <class T>
py::tuple forward(const py::object& held, const py::array& x, const Arrays& initial, const SequenceOptions& o,
                  const std::string& activation, const std::string& recurrent_activation, bool training, bool sequences,
                  const OptionalArray& out) {
  auto& weights = held.cast<RecurrentWeights&>();
  require_dtype<T>(x, "x");
  RecurrentCall<T> call;
  call.arrangement = arrangement_of(x, weights.input(), o);
  call.reversed = o.reverse;
  call.output = {.hold = o.hold, .align = o.align};
  call.activation = activation_of(activation, "activation");
  call.recurrent_activation = activation_of(recurrent_activation, "recurrent_activation");
  call.x = data_of<T>(x, "x");
  const CellInfo& info = weights.info();
  const Index batch = call.arrangement.batch, hidden = weights.hidden();
  check_states<T>(initial, info, batch, hidden, "state", call.initial);

  std::vector<Index> shape = shape_of(x);
  shape.back() = hidden;
  std::vector<py::array> states;
  T* final[kMaxStates] = {};
  for (int i = 0; i < info.states; ++i) {
    py::array_t<T> state = make_array<T>({batch, hidden});
    final[i] = state.mutable_data();
    states.push_back(std::move(state));
  }
  py::array y = out ? *out : sequences ? py::array(make_array<T>(shape)) : states[0];
  if (out) {
    if (!sequences) throw Error("out must be None without return_sequences");
    checked_rows<T>(y, shape, "out", call.output.width);
    if (!y.writeable()) throw Error("out must be writeable");
  }
  T* const y_data = sequences ? static_cast<T*>(y.mutable_data()) : nullptr;

  std::unique_ptr<RecurrentContext<T>> context;
  {
    const py::gil_scoped_release release;
    const FloatScope scope;
    call.weights = &weights.prepared<T>(training);
    context = recurrent_forward(call, y_data, final, training, forced_plan());
  }
  py::object ctx = py::none();
  if (training)
    ctx = py::cast(std::make_unique<Context>(std::move(context), held, x, y, o.offsets, initial, sequences));
  return py::make_tuple(y, py::cast(states), ctx);
}

template <class T>
py::tuple backward(Context& ctx, const OptionalArray& dy, const Arrays& d_final, bool need_dx, bool need_dstate,
                   std::optional<Arrays>& out) {
  RecurrentWeights& weights = ctx.weights();
  const CellInfo& info = weights.info();
  const Index hidden = weights.hidden(), batch = ctx.batch(), columns = info.gates * hidden;
  RecurrentGradients<T> g;
  check_states<T>(d_final, info, batch, hidden, "dstate", g.d_final);
  std::vector<T> last;  // the output of a layer that keeps no sequence is its last state: dy + dstate
  if (dy) {
    const T* const given = ctx.sequences() ? checked_rows<T>(*dy, shape_of(ctx.y()), "dy", g.dy_width)
                                           : checked<T>(*dy, shape_of(ctx.y()), "dy");
    if (ctx.sequences()) {
      g.dy = given;
    } else if (g.d_final[0]) {
      const FloatScope scope;
      last.assign(given, given + batch * hidden);
      for (std::size_t i = 0; i < last.size(); ++i) last[i] += g.d_final[0][i];
      g.d_final[0] = last.data();
    } else {
      g.d_final[0] = given;
    }
  }

  const bool fresh = !out.has_value();
  if (fresh) {
    out = Arrays{py::array(make_array<T>({weights.input(), columns})), OptionalArray(), OptionalArray()};
    if (weights.recurrent_kernel()) (*out)[1] = py::array(make_array<T>({hidden, columns}));
    if (weights.bias()) (*out)[2] = py::array(make_array<T>(weights.bias_shape()));
  }
  if (out->size() != 3)
    throw Error("out must have 3 entries (kernel, recurrent_kernel, bias), got " + std::to_string(out->size()));
  const auto output = [&](std::size_t i, bool wanted, const std::vector<Index>& shape, const char* name) -> T* {
    OptionalArray& a = (*out)[i];
    if (a.has_value() != wanted)
      throw Error(std::string(name) +
                  (wanted ? " must be given, as the parameter is" : " must be None: there is no such parameter"));
    return wanted ? checked_output<T>(*a, shape, name) : nullptr;
  };
  g.d_kernel = output(0, true, {weights.input(), columns}, "out[0] (kernel)");
  g.d_recurrent_kernel =
      output(1, weights.recurrent_kernel().has_value(), {hidden, columns}, "out[1] (recurrent_kernel)");
  g.d_bias = output(2, weights.bias().has_value(), weights.bias_shape(), "out[2] (bias)");

  OptionalArray dx;
  if (need_dx) {
    py::array_t<T> made = make_array<T>(shape_of(ctx.x()));
    g.dx = made.mutable_data();
    dx = made;
  }
  std::vector<py::array> d_initial;
  for (int i = 0; i < info.states && need_dstate; ++i) {
    py::array_t<T> made = make_array<T>({batch, hidden});
    g.d_initial[i] = made.mutable_data();
    d_initial.push_back(std::move(made));
  }
  {
    const py::gil_scoped_release release;
    const FloatScope scope;
    if (fresh)
      for (const auto& [data, a] :
           {std::pair{g.d_kernel, &(*out)[0]}, {g.d_recurrent_kernel, &(*out)[1]}, {g.d_bias, &(*out)[2]}})
        if (data) std::fill_n(data, (*a)->size(), T(0));
    weights.prepared<T>(true);
    recurrent_backward(ctx.get<T>(), g, forced_plan());
  }
  ctx.release();
  return py::make_tuple(dx, need_dstate ? py::cast(d_initial) : py::none(), (*out)[0], (*out)[1], (*out)[2]);
}

}  // namespace

void bind_recurrent(py::module_& m) {
  py::class_<RecurrentWeights>(m, "RecurrentWeights")
      .def(py::init<const std::string&, py::array, OptionalArray, OptionalArray>(), py::arg("cell"), py::arg("kernel"),
           py::arg("recurrent_kernel"), py::arg("bias"))
      .def("touch", &RecurrentWeights::touch)
      .def_property_readonly("cell", [](const RecurrentWeights& w) { return w.info().name; })
      .def_property_readonly("states", [](const RecurrentWeights& w) { return w.info().states; })
      .def_property_readonly("input", &RecurrentWeights::input)
      .def_property_readonly("hidden", &RecurrentWeights::hidden)
      .def_property_readonly("dtype", [](const RecurrentWeights& w) { return w.kernel().dtype(); });

  py::class_<Context>(m, "Context")
      .def_property_readonly("consumed", &Context::consumed)
      .def_property_readonly("states", [](const Context& c) { return c.weights().info().states; })
      .def_property_readonly("y_shape", [](const Context& c) { return py::tuple(py::cast(shape_of(c.y()))); })
      .def_property_readonly("offsets", &Context::offsets)
      .def_property_readonly("sequences", &Context::sequences)
      .def_property_readonly("cell", [](const Context& c) { return c.weights().info().name; });

  m.def(
      "recurrent_forward",
      [](const py::object& weights, const py::array& x, const Arrays& state, const py::object& lengths,
         const py::object& offsets, bool time_major, bool reverse, const std::string& activation,
         const std::string& recurrent_activation, bool training, bool sequences, const py::object& mask, bool hold,
         bool align, const OptionalArray& out) {
        const SequenceOptions o{lengths, offsets, mask, time_major, reverse, hold, align};
        const auto run = weights.cast<RecurrentWeights&>().holds_double() ? forward<double> : forward<float>;
        return run(weights, x, state, o, activation, recurrent_activation, training, sequences, out);
      },
      py::arg("weights"), py::arg("x"), py::arg("state"), py::arg("lengths"), py::arg("offsets"), py::arg("time_major"),
      py::arg("reverse"), py::arg("activation"), py::arg("recurrent_activation"), py::arg("training"),
      py::arg("sequences"), py::arg("mask") = py::none(), py::arg("hold") = false, py::arg("align") = false,
      py::arg("out") = py::none());
  m.def(
      "recurrent_backward",
      [](Context& ctx, const OptionalArray& dy, const Arrays& dstate, bool need_dx, bool need_dstate,
         std::optional<Arrays> out) {
        if (ctx.consumed()) throw Error("ctx has been used: a context serves one backward");
        return ctx.weights().holds_double() ? backward<double>(ctx, dy, dstate, need_dx, need_dstate, out)
                                            : backward<float>(ctx, dy, dstate, need_dx, need_dstate, out);
      },
      py::arg("ctx"), py::arg("dy"), py::arg("dstate"), py::arg("need_dx"), py::arg("need_dstate"), py::arg("out"));

  m.def(
      "empty",
      [](const std::vector<Index>& shape, bool is_float64) -> py::array {
        if (is_float64) return make_array<double>(shape);
        return make_array<float>(shape);
      },
      py::arg("shape"), py::arg("float64"), "An array from the pool, its contents undefined.");
}

}  // namespace latchwork
