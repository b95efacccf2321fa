// Sessions: a model in memory, one time step at a time.
#include <variant>

#include "bindings/model_in_memory.h"

namespace latchwork {
namespace {

// Steps of fewer products (about 30 us) keep the GIL: taking it back may cost milliseconds where threads compete.
constexpr Index kLongStep = 1'000'000;

template <class T>
py::array zeros(Index rows, Index columns) {
  py::array_t<T> made = make_array<T>({rows, columns});
  std::fill_n(made.mutable_data(), made.size(), T(0));
  return made;
}

// A session, and where its arrays are.
template <class T>
struct Placed : Session<T> {
  explicit Placed(Session<T> session)
      : Session<T>(std::move(session)), x(Session<T>::inputs()), y(Session<T>::all_outputs()) {}
  std::vector<const T*> x;
  std::vector<T*> y;
};

class BoundSession {
 public:
  BoundSession(const py::object& description, const NamedArrays& weights, Index streams, int threads)
      : BoundSession(make(description, weights, streams, threads)) {
    for (const auto& [name, array] : weights) work_ += array.size() * streams;
    std::visit(
        [&]<class T>(Placed<T>& session) {
          streams_ = session.streams();
          for (std::size_t i = 0; i < session.inputs(); ++i) features_.push_back(session.features(i));
          for (std::size_t o = 0; o < session.all_outputs(); ++o) {
            y_.push_back(zeros<T>(session.streams(), session.outputs(o)));
            session.y[o] = static_cast<T*>(y_.back().mutable_data());
          }
          dtype_ = py::dtype::of<T>();
        },
        session_);
  }

  // y, the same array every time.
  const py::array& step(const py::array& x) {
    if (features_.size() != 1 || y_.size() != 1)
      throw Error("x must be a list of " + std::to_string(features_.size()) + " arrays, got one");
    require_free();
    read(x, 0);
    run_all();
    return y_[0];
  }
  // The same of all inputs and outputs.
  const std::vector<py::array>& step_all(const std::vector<py::array>& x) {
    if (x.size() != features_.size())
      throw Error("x must be " + std::to_string(features_.size()) + " arrays, got " + std::to_string(x.size()));
    require_free();
    for (std::size_t i = 0; i < x.size(); ++i) read(x[i], i);
    run_all();
    return y_;
  }

  void reset(const std::optional<Index>& stream) {
    require_free();
    std::visit([&](auto& session) { stream ? session.reset(*stream) : session.reset(); }, session_);
  }

  py::dict state() const {
    require_free();
    py::dict states;
    std::visit(
        [&]<class T>(const Session<T>& session) {
          for (std::size_t i = 0; i < session.states().size(); ++i) {
            py::array_t<T> values = make_array<T>({session.streams(), session.states()[i].units});
            session.get_state(i, values.mutable_data());
            states[py::str(session.states()[i].name)] = values;
          }
        },
        session_);
    return states;
  }

  // Arrays like those of `state`, in its order.
  void set_state(const std::vector<py::array>& states) {
    require_free();
    std::visit(
        [&]<class T>(Session<T>& session) {
          std::vector<const T*> data;
          if (states.size() != session.states().size())
            throw Error("states must be " + std::to_string(session.states().size()) + " arrays, got " +
                        std::to_string(states.size()));
          for (std::size_t i = 0; i < session.states().size(); ++i) {
            const SessionState& state = session.states()[i];
            const py::array& given = states[i];
            if (shape_of(given) != std::vector<Index>{session.streams(), state.units})
              throw Error("state: " + state.name + " must be [" + std::to_string(session.streams()) + ", " +
                          std::to_string(state.units) + "], got " + shape_text(given));
            data.push_back(data_of<T>(given, state.name.c_str()));
          }
          for (std::size_t i = 0; i < data.size(); ++i) session.set_state(i, data[i]);
        },
        session_);
  }

 private:
  using Any = std::variant<Placed<float>, Placed<double>>;

  explicit BoundSession(Any session) : session_(std::move(session)) {}

  static Any make(const py::object& description, const NamedArrays& weights, Index streams, int threads) {
    const Model model = model_in_memory(description, weights, "session");
    const py::gil_scoped_release release;
    if (model.float64()) return Placed<double>(model.session<double>(streams, threads));
    return Placed<float>(model.session<float>(streams, threads));
  }

  void require_free() const {
    if (busy_) throw Error("a session serves one thread at a time");
  }

  // [streams, features], or flat where one of them is 1.
  bool fits(const py::array& x, Index features) const {
    if (x.ndim() == 2) return x.shape(0) == streams_ && x.shape(1) == features;
    return x.ndim() == 1 && (streams_ == 1 || features == 1) && x.shape(0) == streams_ * features;
  }

  void read(const py::array& x, std::size_t input) {
    const py::dtype dtype = x.dtype();
    if (!(dtype.is(dtype_) || dtype.equal(dtype_)) || !is_contiguous(x) || !is_aligned(x) || !fits(x, features_[input]))
      throw Error((features_.size() > 1 ? "x[" + std::to_string(input) + "]" : std::string("x")) + " must be " +
                  std::string(py::str(dtype_)) + " [" + std::to_string(streams_) + ", " +
                  std::to_string(features_[input]) + "], got " + dtype_text(x) + " " + shape_text(x));
    std::visit([&]<class T>(Placed<T>& session) { session.x[input] = static_cast<const T*>(x.data()); }, session_);
  }

  void run_all() {
    const bool taken = work_ < kLongStep ? run() : run_long();
    if (!taken) throw Error("x must hold whole numbers within the Embedding's table");
  }

  bool run() noexcept {
    return std::visit([](auto& session) { return session.step_all(session.x.data(), session.y.data()); }, session_);
  }

  bool run_long() {
    busy_ = true;
    bool taken = false;
    {
      const py::gil_scoped_release release;
      taken = run();
    }
    busy_ = false;
    return taken;
  }

  Any session_;
  py::dtype dtype_;
  Index streams_ = 0, work_ = 0;
  std::vector<Index> features_;  // of each input
  std::vector<py::array> y_;
  bool busy_ = false;  // read and written under the GIL
};

}  // namespace

void bind_session(py::module_& m) {
  py::class_<BoundSession>(m, "Session")
      .def(py::init<const py::object&, const NamedArrays&, Index, int>(), py::arg("description"), py::arg("weights"),
           py::arg("streams"), py::arg("threads") = 1)
      .def("step", method(&BoundSession::step), py::arg("x"), py::return_value_policy::copy)
      .def("step_all", method(&BoundSession::step_all), py::arg("x"))
      .def("reset", method(&BoundSession::reset), py::arg("stream") = py::none())
      .def("state", method(&BoundSession::state))
      .def("set_state", method(&BoundSession::set_state), py::arg("states"));
}

}  // namespace latchwork
