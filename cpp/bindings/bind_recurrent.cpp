// Recurrent layers: packed weights, forward, and the backward that consumes a context.
#include <algorithm>
#include <deque>
#include <set>
#include <tuple>

#include "bindings/compute.h"
#include "bindings/plans.h"
#include "bindings/recurrent_context.h"
#include "bindings/sequences.h"

namespace latchwork {

Memory memory_of(const std::string& name) {
  for (const Memory memory : {Memory::store, Memory::recompute, Memory::checkpoint})
    if (name == kMemoryNames[static_cast<int>(memory)]) return memory;
  throw Error("memory must be one of store, recompute, checkpoint, or a size such as 200MB, got '" + name + "'");
}

namespace {

Activation activation_of(const std::string& name, const char* argument) {
  for (int i = 0; i < kActivationCount; ++i)
    if (name == kActivationNames[i]) return static_cast<Activation>(i);
  std::string known;
  for (const char* const each : kActivationNames) known += std::string(known.empty() ? "" : ", ") + each;
  throw Error(std::string(argument) + " must be one of " + known + ", got '" + name + "'");
}

// pybind11's own conversion of a list writes all of its numbers into the error, thousands of calls if need be.
template <class Given>
std::vector<Given> each_as(const py::list& calls) {
  std::vector<Given> given;
  given.reserve(calls.size());
  for (const py::handle call : calls) try {
      given.push_back(py::cast<Given>(call));
    } catch (const py::cast_error&) {
      throw py::type_error("an argument of call " + std::to_string(given.size()) + " is of a type that it cannot have");
    }
  return given;
}

// A call as Python gives it: the fields of functional's `Call`.
using GivenCall =
    std::tuple<RecurrentWeights*, py::array, Arrays, py::object, py::object, bool, bool, std::string, std::string, bool,
               py::object, bool, bool, OptionalArray, std::variant<Index, std::string>>;

// Checked, and with what it writes.
template <class T>
struct Forward {
  explicit Forward(GivenCall& given);

  RecurrentWeights* weights;
  py::object held;  // the weights, in Python
  py::array x, y;
  Arrays initial;
  py::object offsets;
  bool sequences;
  std::vector<py::array> states;
  RecurrentCall<T> call;
};

template <class T>
Forward<T>::Forward(GivenCall& given) {
  auto& [given_weights, values, state, lengths, row_offsets, time_major, reverse, activation, recurrent_activation,
         return_sequences, mask, hold, align, out, memory] = given;
  if (!given_weights) throw Error("weights must be RecurrentWeights, got None");
  weights = given_weights, held = py::cast(weights), x = values, initial = std::move(state), offsets = row_offsets,
  sequences = return_sequences;
  require_dtype<T>(weights->kernel(), "kernel");
  call.x = data_of<T>(x, "x");
  const bool rowwise = !weights->recurrent_kernel() && row_offsets.is_none() && !time_major;
  call.arrangement =
      arrangement_of(x, weights->input(), {lengths, offsets, mask, time_major, reverse, hold, align, rowwise});
  call.reversed = reverse;
  call.output = {.hold = hold, .align = align};
  call.activation = activation_of(activation, "activation");
  call.recurrent_activation = activation_of(recurrent_activation, "recurrent_activation");
  if (const Index* const budget = std::get_if<Index>(&memory)) {
    if (*budget < 1) throw Error("memory must be at least 1 byte, got " + std::to_string(*budget));
    call.budget = *budget;
  } else {
    call.memory = memory_of(std::get<std::string>(memory));
  }
  const CellInfo& info = weights->info();
  const Index batch = call.arrangement.batch, hidden = weights->hidden();
  check_states<T>(initial, info, batch, hidden, "state", call.initial);

  std::vector<Index> shape = shape_of(x);
  shape.back() = hidden;
  for (int i = 0; i < info.states; ++i) {
    py::array_t<T> made = make_array<T>({batch, hidden});
    call.final[i] = made.mutable_data();
    states.push_back(std::move(made));
  }
  y = out ? *out : sequences ? py::array(make_array<T>(shape)) : states[0];
  if (out) {
    if (!sequences) throw Error("out must be None without return_sequences");
    checked_rows<T>(y, shape, "out", call.output.width);
    if (!y.writeable()) throw Error("out must be writeable");
    require_apart(y, "out", x, "x");
    weights->require_apart_from(y, "out");
    for (const OptionalArray& given_state : initial)
      if (given_state) require_apart(y, "out", *given_state, "state");
  }
  if (sequences) call.y = static_cast<T*>(y.mutable_data());
}

py::tuple as_tuple(const std::vector<py::array>& arrays) {
  py::tuple made(arrays.size());
  for (std::size_t i = 0; i < arrays.size(); ++i) made[i] = arrays[i];
  return made;
}

template <class T>
py::list forward(std::vector<GivenCall>& given, bool training) {
  std::vector<Forward<T>> made(given.begin(), given.end());
  PoolVector<std::unique_ptr<RecurrentContext<T>>> contexts;
  {
    const Compute compute;
    std::vector<RecurrentWeights*> weights;
    for (const Forward<T>& f : made) weights.push_back(f.weights);
    const auto prepared = RecurrentWeights::prepared<T>(weights, training);
    std::vector<RecurrentCall<T>> calls;
    for (std::size_t i = 0; i < made.size(); ++i) {
      made[i].call.weights = prepared[i];
      calls.push_back(std::move(made[i].call));
    }
    contexts = recurrent_forward<T>(calls, training, forced_plan());
  }
  py::list results;
  for (std::size_t i = 0; i < made.size(); ++i) {
    Forward<T>& f = made[i];
    py::object ctx = py::none();
    if (training)
      ctx = py::cast(
          std::make_unique<Context>(std::move(contexts[i]), f.held, f.x, f.y, f.offsets, f.initial, f.sequences));
    results.append(py::make_tuple(f.y, as_tuple(f.states), ctx));
  }
  return results;
}

// A backward call as Python gives it: context, dy, dstate, need_dx, need_dstate, out.
using GivenGradients = std::tuple<Context*, OptionalArray, Arrays, bool, bool, std::optional<Arrays>>;

template <class T>
struct Backward {
  explicit Backward(const GivenGradients& given);
  void take_dy(const OptionalArray& dy);
  void take_outputs(const OptionalArray& dy);
  void require_apart_from_inputs(std::size_t output, const char* name, const OptionalArray& dy) const;

  Context* ctx;
  py::object held;  // the context, in Python
  bool fresh;       // the parameters' gradients start from zero, not from what the caller's arrays hold
  Arrays out;
  OptionalArray dx;
  std::optional<std::vector<py::array>> d_initial;
  std::vector<T> last;
  RecurrentGradients<T> g{};
};

// The output of a layer that keeps no sequence is its last state: dy + dstate.
template <class T>
void Backward<T>::take_dy(const OptionalArray& dy) {
  if (!dy) return;
  if (ctx->sequences()) {
    g.dy = checked_rows<T>(*dy, shape_of(ctx->y()), "dy", g.dy_width);
    return;
  }
  const T* const given = checked<T>(*dy, shape_of(ctx->y()), "dy");
  if (g.d_final[0]) {
    const FloatScope scope;
    last.assign(given, given + dy->size());
    for (std::size_t i = 0; i < last.size(); ++i) last[i] += g.d_final[0][i];
  }
  g.d_final[0] = g.d_final[0] ? last.data() : given;
}

template <class T>
void Backward<T>::require_apart_from_inputs(std::size_t output, const char* name, const OptionalArray& dy) const {
  const py::array& a = *out[output];
  ctx->weights().require_apart_from(a, name);
  for (std::size_t other = 0; other < output; ++other)
    if (out[other]) require_apart(a, name, *out[other], "another entry of out");
  for (const py::array* const read : {&ctx->x(), &ctx->y()}) require_apart(a, name, *read, "x or y");
  if (dy) require_apart(a, name, *dy, "dy");
}

template <class T>
void Backward<T>::take_outputs(const OptionalArray& dy) {
  const RecurrentWeights& weights = ctx->weights();
  const bool recurrent = weights.recurrent_kernel().has_value(), bias = weights.bias().has_value();
  const Index columns = weights.info().gates * weights.hidden();
  const std::vector<Index> kernel_shape{weights.input(), columns}, recurrent_shape{weights.hidden(), columns};
  if (fresh) {
    out = Arrays{py::array(make_array<T>(kernel_shape)), OptionalArray(), OptionalArray()};
    if (recurrent) out[1] = py::array(make_array<T>(recurrent_shape));
    if (bias) out[2] = py::array(make_array<T>(weights.bias_shape()));
  }
  if (out.size() != 3)
    throw Error("out must have 3 entries (kernel, recurrent_kernel, bias), got " + std::to_string(out.size()));
  const auto output = [&](std::size_t i, bool wanted, const std::vector<Index>& shape, const char* name) -> T* {
    OptionalArray& a = out[i];
    if (a.has_value() != wanted)
      throw Error(std::string(name) +
                  (wanted ? " must be given, as the parameter is" : " must be None: there is no such parameter"));
    if (!wanted) return nullptr;
    T* const data = checked_output<T>(*a, shape, name);
    if (fresh)
      std::fill_n(data, a->size(), T(0));
    else
      require_apart_from_inputs(i, name, dy);
    return data;
  };
  g.d_kernel = output(0, true, kernel_shape, "out[0] (kernel)");
  g.d_recurrent_kernel = output(1, recurrent, recurrent_shape, "out[1] (recurrent_kernel)");
  g.d_bias = output(2, bias, weights.bias_shape(), "out[2] (bias)");
}

template <class T>
Backward<T>::Backward(const GivenGradients& given) {
  const auto& [given_ctx, dy, dstate, need_dx, need_dstate, into] = given;
  ctx = given_ctx, held = py::cast(ctx), fresh = !into.has_value();
  require_dtype<T>(ctx->y(), "ctx");
  if (into) out = *into;
  g.context = &ctx->get<T>();
  const RecurrentWeights& weights = ctx->weights();
  const CellInfo& info = weights.info();
  check_states<T>(dstate, info, ctx->batch(), weights.hidden(), "dstate", g.d_final);
  take_dy(dy);
  take_outputs(dy);
  if (need_dx) {
    py::array_t<T> made = make_array<T>(shape_of(ctx->x()));
    g.dx = made.mutable_data();
    dx = made;
  }
  if (need_dstate) d_initial.emplace();
  for (int i = 0; i < info.states && need_dstate; ++i) {
    py::array_t<T> made = make_array<T>({ctx->batch(), weights.hidden()});
    g.d_initial[i] = made.mutable_data();
    d_initial->push_back(std::move(made));
  }
}

template <class T>
py::list backward(const std::vector<GivenGradients>& given) {
  std::vector<Backward<T>> made(given.begin(), given.end());
  {
    const Compute compute;
    std::vector<RecurrentWeights*> weights;
    std::vector<RecurrentGradients<T>> calls;
    for (const Backward<T>& b : made) {
      weights.push_back(&b.ctx->weights());
      calls.push_back(b.g);
    }
    RecurrentWeights::prepared<T>(weights, true);
    recurrent_backward<T>(calls, forced_plan());
  }
  for (std::size_t i = made.size(); i-- > 0;) made[i].ctx->release();  // as calls.h drops its parts
  py::list results;
  for (Backward<T>& b : made) {
    const py::object d_initial = b.d_initial ? py::object(as_tuple(*b.d_initial)) : py::none();
    results.append(py::make_tuple(b.dx, d_initial, b.out[0], b.out[1], b.out[2]));
  }
  return results;
}

// The contexts of the calls, for these calls alone.
std::deque<Context::Use> taken(const std::vector<GivenGradients>& calls) {
  std::set<const Context*> seen;
  std::deque<Context::Use> uses;
  for (const GivenGradients& call : calls) {
    Context* const ctx = std::get<0>(call);
    if (!ctx) throw Error("ctx must be the context of a training call, got None");
    if (!seen.insert(ctx).second) throw Error("ctx has been used: a context serves one backward");
    uses.emplace_back(*ctx);
  }
  return uses;
}

}  // namespace

void bind_recurrent(py::module_& m) {
  py::class_<RecurrentWeights>(m, "RecurrentWeights")
      .def(py::init<const std::string&, py::array, OptionalArray, OptionalArray>(), py::arg("cell"), py::arg("kernel"),
           py::arg("recurrent_kernel"), py::arg("bias"))
      .def("touch", method(&RecurrentWeights::touch), py::call_guard<py::gil_scoped_release>())
      .def_property_readonly("cell", [](const RecurrentWeights& w) { return w.info().name; })
      .def_property_readonly("states", [](const RecurrentWeights& w) { return w.info().states; })
      .def_property_readonly("input", method(&RecurrentWeights::input))
      .def_property_readonly("hidden", method(&RecurrentWeights::hidden))
      .def_property_readonly("dtype", [](const RecurrentWeights& w) { return w.kernel().dtype(); });

  py::class_<Context>(m, "Context")
      .def_property_readonly("consumed", method(&Context::consumed))
      .def_property_readonly("states", [](const Context& c) { return c.weights().info().states; })
      .def_property_readonly("y_shape", [](const Context& c) { return py::tuple(py::cast(shape_of(c.y()))); })
      .def_property_readonly("offsets", method(&Context::offsets))
      .def_property_readonly("sequences", method(&Context::sequences))
      .def_property_readonly("cell", [](const Context& c) { return c.weights().info().name; })
      .def_property_readonly("kept_bytes", method(&Context::kept_bytes))
      .def_property_readonly("memory", method(&Context::memory))
      .def_property_readonly("plan", [](const Context& c) { return plan_tuple(c.plan()); });

  m.def(
      "recurrent_forward",
      [](const py::list& list, bool training) {
        auto calls = each_as<GivenCall>(list);
        const RecurrentWeights* const first = calls.empty() ? nullptr : std::get<0>(calls.front());
        return first && first->holds_double() ? forward<double>(calls, training) : forward<float>(calls, training);
      },
      py::arg("calls"), py::arg("training"));
  m.def(
      "recurrent_backward",
      [](const py::list& list) {
        const auto calls = each_as<GivenGradients>(list);
        const std::deque<Context::Use> uses = taken(calls);
        const bool is_double = !calls.empty() && std::get<0>(calls.front())->weights().holds_double();
        return is_double ? backward<double>(calls) : backward<float>(calls);
      },
      py::arg("calls"));

  m.def(
      "empty",
      [](const std::vector<Index>& shape, bool is_float64) -> py::array {
        if (is_float64) return make_array<double>(shape);
        return make_array<float>(shape);
      },
      py::arg("shape"), py::arg("float64"), "An array from the pool, its contents undefined.");
}

}  // namespace latchwork
