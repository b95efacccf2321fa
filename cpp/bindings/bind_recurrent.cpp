// Recurrent layers: packed weights, forward, and the backward that consumes a context.
#include <algorithm>
#include <mutex>
#include <optional>
#include <variant>

#include "bindings/ndarray.h"
#include "bindings/sequences.h"
#include "cpu/float_env.h"
#include "layers/recurrent.h"

namespace latchwork {
namespace {

using OptionalArray = std::optional<py::array>;
using Arrays = std::vector<OptionalArray>;

Activation activation_of(const std::string& name, const char* argument) {
  for (int i = 0; i < kActivationCount; ++i)
    if (name == kActivationNames[i]) return static_cast<Activation>(i);
  std::string known;
  for (const char* const each : kActivationNames) known += std::string(known.empty() ? "" : ", ") + each;
  throw Error(std::string(argument) + " must be one of " + known + ", got '" + name + "'");
}

void require_shape(const py::array& a, const std::vector<Index>& shape, const std::string& name) {
  bool equal = a.ndim() == static_cast<py::ssize_t>(shape.size());
  for (std::size_t i = 0; equal && i < shape.size(); ++i) equal = a.shape(static_cast<py::ssize_t>(i)) == shape[i];
  if (!equal) {
    std::string expected;
    for (const Index extent : shape) expected += (expected.empty() ? "" : ", ") + std::to_string(extent);
    throw Error(name + " must have shape (" + expected + (shape.size() == 1 ? ",)" : ")") + ", got " + shape_text(a));
  }
}

// Raises unless `a` has exactly this shape and dtype, C-contiguous.
template <class T>
const T* checked(const py::array& a, const std::vector<Index>& shape, const std::string& name) {
  require_shape(a, shape, name);
  return data_of<T>(a, name.c_str());
}

template <class T>
T* checked_output(py::array& a, const std::vector<Index>& shape, const std::string& name) {
  checked<T>(a, shape, name);
  return mutable_data_of<T>(a, name.c_str());
}

// Elements from one row of `a` to the next, where rows of T with feature stride 1 lie evenly; else an error.
template <class T>
Index width_of(const py::array& a, const char* name) {
  const py::ssize_t rank = a.ndim(), size = sizeof(T);
  bool even =
      a.strides(rank - 1) == size && a.strides(rank - 2) % size == 0 && a.strides(rank - 2) >= a.shape(rank - 1) * size;
  for (py::ssize_t i = 0; i + 2 < rank; ++i) even = even && a.strides(i) == a.strides(i + 1) * a.shape(i + 1);
  if (a.size() > 0 && !even && !is_contiguous(a))
    throw Error(std::string(name) + " must have rows of feature stride 1, evenly spaced");
  return even ? a.strides(rank - 2) / size : a.shape(rank - 1);
}

// Data of an array of exactly this shape whose rows lie evenly.
template <class T>
const T* checked_rows(const py::array& a, const std::vector<Index>& shape, const char* name, Index& width) {
  require_shape(a, shape, name);
  require_dtype<T>(a, name);
  if (!is_aligned(a)) throw Error(std::string(name) + " must be aligned to its elements");
  width = width_of<T>(a, name);
  return static_cast<const T*>(a.data());
}

int cell_of(const std::string& name) {
  const int cell = find_cell(name);
  if (cell < 0) throw Error("cell: no cell is named '" + name + "'");
  return cell;
}

// The caller's arrays and their packs. Prepared under a lock, so that threads may share one for inference.
class RecurrentWeights {
 public:
  RecurrentWeights(const std::string& cell_name, py::array kernel, OptionalArray recurrent_kernel, OptionalArray bias)
      : kernel_(std::move(kernel)), recurrent_kernel_(std::move(recurrent_kernel)), bias_(std::move(bias)) {
    const int cell = cell_of(cell_name);
    const CellInfo& info = *kernels().f32.cells[cell]->info;
    if (kernel_.ndim() != 2 || kernel_.shape(0) == 0 || kernel_.shape(1) == 0 || kernel_.shape(1) % info.gates != 0)
      throw Error("kernel must be [I, " + (info.gates > 1 ? std::to_string(info.gates) + "*" : std::string()) +
                  "H], got " + shape_text(kernel_));
    input_ = kernel_.shape(0);
    hidden_ = kernel_.shape(1) / info.gates;
    is_double_ = is_double(kernel_, "kernel");
    if (is_double_)
      weights_.emplace<Weights<double>>(make<double>(cell, info));
    else
      weights_.emplace<Weights<float>>(make<float>(cell, info));
  }

  Index input() const { return input_; }
  Index hidden() const { return hidden_; }
  bool holds_double() const { return is_double_; }
  const CellInfo& info() const {
    return is_double_ ? std::get<Weights<double>>(weights_).cell() : std::get<Weights<float>>(weights_).cell();
  }
  const py::array& kernel() const { return kernel_; }
  const OptionalArray& recurrent_kernel() const { return recurrent_kernel_; }
  const OptionalArray& bias() const { return bias_; }
  std::vector<Index> bias_shape() const { return bias_shape(info()); }
  void require_apart_from(const py::array& written, const std::string& name) const {
    require_apart(written, name, kernel_, "kernel");
    if (recurrent_kernel_) require_apart(written, name, *recurrent_kernel_, "recurrent_kernel");
    if (bias_) require_apart(written, name, *bias_, "bias");
  }

  void touch() {
    const std::lock_guard lock(mutex_);
    std::visit(
        [](auto& w) {
          if constexpr (!std::is_same_v<std::decay_t<decltype(w)>, std::monostate>) w.touch();
        },
        weights_);
  }

  template <class T>
  const Weights<T>& prepared(bool backward) {
    const std::lock_guard lock(mutex_);
    Weights<T>& weights = std::get<Weights<T>>(weights_);
    weights.prepare(backward);
    return weights;
  }

 private:
  std::vector<Index> bias_shape(const CellInfo& info) const {
    const Index columns = info.gates * hidden_;
    return info.biases > 1 ? std::vector<Index>{info.biases, columns} : std::vector<Index>{columns};
  }

  template <class T>
  Weights<T> make(int cell, const CellInfo& info) const {
    Parameters<T> parameters{data_of<T>(kernel_, "kernel"), nullptr, nullptr};
    bool recurrent = false;
    for (int p = 0; p < info.products; ++p) recurrent |= info.product[p].weight == Weight::recurrent_kernel;
    if (recurrent != recurrent_kernel_.has_value())
      throw Error(recurrent ? "recurrent_kernel must be given"
                            : "recurrent_kernel must be None: the cell has no recurrence");
    if (recurrent)
      parameters.recurrent_kernel = checked<T>(*recurrent_kernel_, {hidden_, info.gates * hidden_}, "recurrent_kernel");
    if (bias_) parameters.bias = checked<T>(*bias_, bias_shape(info), "bias");
    return Weights<T>(cell, input_, hidden_, parameters);
  }

  py::array kernel_;
  OptionalArray recurrent_kernel_, bias_;
  Index input_ = 0, hidden_ = 0;
  bool is_double_ = false;
  std::mutex mutex_;
  std::variant<std::monostate, Weights<float>, Weights<double>> weights_;
};

void set_writeable(const py::array& a, bool writeable) {
  auto& flags = py::detail::array_proxy(a.ptr())->flags;
  flags = writeable ? flags | py::detail::npy_api::NPY_ARRAY_WRITEABLE_
                    : flags & ~py::detail::npy_api::NPY_ARRAY_WRITEABLE_;
}

// A context as Python holds it: the arrays backward reads, and y locked until then.
class Context {
 public:
  template <class T>
  Context(std::unique_ptr<RecurrentContext<T>> context, py::object weights, py::array x, py::array y,
          py::object offsets, Arrays initial, bool sequences)
      : context_(std::move(context)),
        weights_(std::move(weights)),
        x_(std::move(x)),
        y_(std::move(y)),
        offsets_(std::move(offsets)),
        initial_(std::move(initial)),
        sequences_(sequences) {
    if (sequences_) set_writeable(y_, false);
  }
  Context(const Context&) = delete;
  Context& operator=(const Context&) = delete;
  ~Context() { release(); }

  bool consumed() const { return std::holds_alternative<std::monostate>(context_); }
  // Of one thread: backward releases the GIL.
  class Use {
   public:
    explicit Use(Context& c) : context_(c) {
      if (c.consumed()) throw Error("ctx has been used: a context serves one backward");
      if (c.in_use_) throw Error("ctx is in use by another call of backward: a context serves one");
      c.in_use_ = true;
    }
    ~Use() { context_.in_use_ = false; }
    Use(const Use&) = delete;
    Use& operator=(const Use&) = delete;

   private:
    Context& context_;
  };
  template <class T>
  RecurrentContext<T>& get() {
    return *std::get<std::unique_ptr<RecurrentContext<T>>>(context_);
  }
  RecurrentWeights& weights() const { return weights_.cast<RecurrentWeights&>(); }
  const py::array& x() const { return x_; }
  const py::array& y() const { return y_; }
  const py::object& offsets() const { return offsets_; }
  bool sequences() const { return sequences_; }
  Index batch() const {
    return weights().holds_double() ? std::get<1>(context_)->call().arrangement.batch
                                    : std::get<2>(context_)->call().arrangement.batch;
  }

  void release() {
    if (consumed()) return;
    if (sequences_) set_writeable(y_, true);
    context_ = std::monostate();
    x_ = y_ = py::array();
    initial_.clear();
  }

 private:
  std::variant<std::monostate, std::unique_ptr<RecurrentContext<double>>, std::unique_ptr<RecurrentContext<float>>>
      context_;
  py::object weights_;
  py::array x_, y_;
  py::object offsets_;
  Arrays initial_;
  bool sequences_;
  bool in_use_ = false;
};

template <class T>
void check_states(const Arrays& states, const CellInfo& info, Index batch, Index hidden, const char* name,
                  const T** out) {
  if (states.empty()) return;
  if (static_cast<int>(states.size()) != info.states)
    throw Error(std::string(name) + " must have " + std::to_string(info.states) + " arrays, got " +
                std::to_string(states.size()));
  for (int i = 0; i < info.states; ++i)
    if (const OptionalArray& state = states[static_cast<std::size_t>(i)])
      out[i] = checked<T>(*state, {batch, hidden}, std::string(name) + "[" + std::to_string(i) + "]");
}

// The plan a test forces on every call, or none.
std::optional<Plan> forced_plan;
const Plan* plan() { return forced_plan ? &*forced_plan : nullptr; }

template <class T>
py::tuple forward(const py::object& held, const py::array& x, const Arrays& initial, const SequenceOptions& o,
                  const std::string& activation, const std::string& recurrent_activation, bool training, bool sequences,
                  const OptionalArray& out) {
  auto& weights = held.cast<RecurrentWeights&>();
  RecurrentCall<T> call;
  call.x = data_of<T>(x, "x");
  call.arrangement = arrangement_of(x, weights.input(), o);
  call.reversed = o.reverse;
  call.output = {.hold = o.hold, .align = o.align};
  call.activation = activation_of(activation, "activation");
  call.recurrent_activation = activation_of(recurrent_activation, "recurrent_activation");
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
    require_apart(y, "out", x, "x");
    weights.require_apart_from(y, "out");
    for (const OptionalArray& state : initial)
      if (state) require_apart(y, "out", *state, "state");
  }
  T* const y_data = sequences ? static_cast<T*>(y.mutable_data()) : nullptr;

  std::unique_ptr<RecurrentContext<T>> context;
  {
    const py::gil_scoped_release release;
    const FloatScope scope;
    call.weights = &weights.prepared<T>(training);
    context = recurrent_forward(call, y_data, final, training, plan());
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
    if (!wanted) return nullptr;
    weights.require_apart_from(*a, name);
    for (std::size_t other = 0; other < i; ++other)
      if ((*out)[other]) require_apart(*a, name, *(*out)[other], "another entry of out");
    for (const py::array* const read : {&ctx.x(), &ctx.y()}) require_apart(*a, name, *read, "x or y");
    if (dy) require_apart(*a, name, *dy, "dy");
    return checked_output<T>(*a, shape, name);
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
    recurrent_backward(ctx.get<T>(), g, plan());
  }
  ctx.release();
  return py::make_tuple(dx, need_dstate ? py::cast(d_initial) : py::none(), (*out)[0], (*out)[1], (*out)[2]);
}

void require_within(Index value, Index least, Index most, const char* name) {
  if (value < least || value > most)
    throw Error(std::string(name) + " must be within [" + std::to_string(least) + ", " + std::to_string(most) +
                "], got " + std::to_string(value));
}

constexpr Index kMostMembers = 1024, kMostRows = 65536;  // of a plan that a test asks for

template <class T>
py::list legal(int cell, Index batch, Index steps, Index input, Index hidden, int threads) {
  const Kernels<T>& k = kernels().of<T>();
  const Layout layout(*k.cells[cell]->info, input, hidden, k.product.panel_columns, k.product.lanes);
  py::list plans;
  for (const Plan& p : legal_plans({batch, steps, &layout, sizeof(T)}, threads))
    plans.append(py::make_tuple(p.members, p.split == Split::rows ? "rows" : "units", p.strip_rows, p.hoist_steps));
  return plans;
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
      .def_property_readonly("cell", [](const Context& c) { return c.weights().info().name; });

  m.def(
      "recurrent_forward",
      [](const py::object& weights, const py::array& x, const Arrays& state, const py::object& lengths,
         const py::object& offsets, bool time_major, bool reverse, const std::string& activation,
         const std::string& recurrent_activation, bool training, bool sequences, const py::object& mask, bool hold,
         bool align, const OptionalArray& out) {
        const SequenceOptions o{lengths, offsets, mask, time_major, reverse, hold, align};
        const bool wide = object_of<RecurrentWeights>(weights, "weights").holds_double();
        const auto run = wide ? forward<double> : forward<float>;
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
        const Context::Use use(ctx);
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
  m.def(
      "legal_plans",
      [](const std::string& cell, bool is_float64, Index batch, Index steps, Index input, Index hidden, int threads) {
        require_within(threads, 1, kMostMembers, "threads");
        require_within(input, 0, kMostRows, "input");
        require_within(hidden, 1, kMostRows, "hidden");
        return is_float64 ? legal<double>(cell_of(cell), batch, steps, input, hidden, threads)
                          : legal<float>(cell_of(cell), batch, steps, input, hidden, threads);
      },
      py::arg("cell"), py::arg("float64"), py::arg("batch"), py::arg("steps"), py::arg("input"), py::arg("hidden"),
      py::arg("threads"),
      "For tests: (members, split, strip_rows, hoist_steps) of every plan a call of this size may use.");
  m.def(
      "force_plan",
      [](const std::optional<std::tuple<int, std::string, Index, Index>>& p) {
        if (!p) {
          forced_plan.reset();
          return;
        }
        const auto& [members, split, strip_rows, hoist_steps] = *p;
        if (split != "rows" && split != "units") throw Error("plan: the split must be rows or units, got " + split);
        require_within(members, 1, kMostMembers, "plan: members");
        require_within(strip_rows, 1, kMostRows, "plan: strip_rows");
        require_within(hoist_steps, 0, kMostRows, "plan: hoist_steps");
        forced_plan = Plan{members, split == "rows" ? Split::rows : Split::units, strip_rows, hoist_steps};
      },
      py::arg("plan"), "For tests: every later call uses this plan; None: the library chooses again.");
}

}  // namespace latchwork
