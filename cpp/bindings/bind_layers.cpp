// Normalization, windows over steps (convolutions, pools), attention.
#include <limits>

#include "bindings/arrays.h"
#include "bindings/training.h"
#include "layers/attention.h"
#include "layers/normalization.h"
#include "layers/windows.h"

namespace latchwork {
namespace {

using Vector = std::optional<py::array>;

// A vector with an element a column, or null.
template <class T>
const T* vector_of(const Vector& vector, Index columns, const char* name) {
  return vector ? checked<T>(*vector, {columns}, name) : nullptr;
}

Index rows_of(const py::array& x, Index columns) { return x.size() / columns; }

// A bool for each of `rows`, or null.
const bool* real_of(const Vector& real, Index rows) {
  if (!real) return nullptr;
  if (real->dtype().kind() != 'b' || real->size() != rows || !is_contiguous(*real))
    throw Error("real must be bool, one for each of " + std::to_string(rows) + " rows, C-contiguous, got " +
                dtype_text(*real) + " of shape " + shape_text(*real));
  return static_cast<const bool*>(real->data());
}

std::span<const Index> offsets_of(const py::array& offsets, const char* name) {
  if (!offsets.dtype().is(py::dtype::of<Index>()) || !is_contiguous(offsets) || !is_aligned(offsets) ||
      offsets.ndim() != 1 || offsets.shape(0) < 1)
    throw Error(std::string(name) + " must be int64 [B + 1], C-contiguous, got " + dtype_text(offsets) + " of shape " +
                shape_text(offsets));
  const std::span found(static_cast<const Index*>(offsets.data()), static_cast<std::size_t>(offsets.shape(0)));
  if (found[0] != 0 || !std::is_sorted(found.begin(), found.end()))
    throw Error(std::string(name) + " must begin with 0 and never fall");
  return found;
}

constexpr Index kMost = std::numeric_limits<std::int32_t>::max();

void check_sizes(Index size, Index stride, Index dilation) {
  if (std::min({size, stride, dilation}) < 1 || std::max({size, stride, dilation}) > kMost)
    throw Error("size, stride and dilation must be within [1, 2^31)");
}

// x_offsets, y_offsets, real, size, stride, dilation, before
using GivenWindows = std::tuple<py::array, py::array, Vector, Index, Index, Index, Index>;

Windows windows_of(const GivenWindows& given) {
  const auto& [x, y, real, size, stride, dilation, before] = given;
  Windows w{offsets_of(x, "x_offsets"), offsets_of(y, "y_offsets"), nullptr, size, stride, dilation, before};
  if (w.x_offsets.size() != w.y_offsets.size()) throw Error("y_offsets must be as many as x_offsets");
  check_sizes(size, stride, dilation);
  if (before < 0 || before > kMost) throw Error("before must be within [0, 2^31), got " + std::to_string(before));
  checked_product(w.outputs(), stride, "stride");
  w.real = real_of(real, w.rows());
  return w;
}

// f(y's data) fills an array of T.
template <class T, class F>
py::array made(const std::vector<Index>& shape, F f) {
  auto y = make_array<T>(shape);
  T* const data = y.mutable_data();
  const Compute compute;
  f(data);
  return y;
}

// What can be done with windows: forward passes read steps, backward ones windows.
enum class Pass { gather, scatter, max, max_backward, mean, mean_backward };
constexpr const char* kPassNames[] = {"gather", "scatter", "max", "max_backward", "mean", "mean_backward"};

// `which` is written by max and read by its backward.
template <class T>
void run_pass(Pass pass, const Windows& w, const T* a, Index features, T* out, std::int32_t* which) {
  const Compute compute;
  switch (pass) {
    case Pass::gather:
      return gather_windows(w, a, features, out);
    case Pass::scatter:
      return scatter_windows(w, a, features, out);
    case Pass::max:
      return max_windows(w, a, features, out, which);
    case Pass::max_backward:
      return max_windows_backward(w, a, which, features, out);
    case Pass::mean:
      return mean_windows(w, a, features, out);
    case Pass::mean_backward:
      return mean_windows_backward(w, a, features, out);
  }
}

using Which = py::array_t<std::int32_t, py::array::c_style>;

py::tuple window_pass(const std::string& name, const py::array& a, const GivenWindows& given,
                      const std::optional<Which>& taken) {
  const auto* const found = std::find(std::begin(kPassNames), std::end(kPassNames), name);
  if (found == std::end(kPassNames)) throw Error("unknown pass " + name);
  const Pass pass = static_cast<Pass>(found - kPassNames);
  const Windows w = windows_of(given);
  const bool backward = pass == Pass::scatter || pass == Pass::max_backward || pass == Pass::mean_backward;
  const Index rows = backward ? w.outputs() : w.rows();
  if (a.ndim() != 2 || a.shape(0) != rows || (pass == Pass::scatter && a.shape(1) % w.size != 0))
    throw Error("a must be [" + std::to_string(rows) + ", F], got " + shape_text(a));
  const Index features = pass == Pass::scatter ? a.shape(1) / w.size : a.shape(1);
  const Index width = pass == Pass::gather ? checked_product(w.size, features) : features;
  Which which;
  if (pass == Pass::max) which = make_array<std::int32_t>({w.outputs(), features});
  if (pass == Pass::max_backward) {
    if (!taken) throw Error("which must be given");
    require_shape(*taken, "which", a, "a");
    which = *taken;
  }
  std::int32_t* const steps = const_cast<std::int32_t*>(which.data());  // written by max alone, which made it
  return by_dtype(a, "a", [&]<class T>(T) -> py::tuple {
    const T* const in = data_of<T>(a, "a");
    auto out = make_array<T>({backward ? w.rows() : w.outputs(), width});
    run_pass(pass, w, in, features, out.mutable_data(), steps);
    return py::make_tuple(out, pass == Pass::max ? py::object(which) : py::none());
  });
}

void bind_normalization(py::module_& m) {
  m.def(
      "normalize_rows",
      [](const py::array& x, double epsilon) {
        const Index columns = classes_of(x, "x"), rows = rows_of(x, columns);
        return by_dtype(x, "x", [&]<class T>(T) -> py::tuple {
          const T* const in = data_of<T>(x, "x");
          auto inverse = make_array<T>({rows});
          T* const inverse_data = inverse.mutable_data();
          const py::array y =
              made<T>(shape_of(x), [&](T* out) { normalize_rows(in, rows, columns, epsilon, out, inverse_data); });
          return py::make_tuple(y, inverse);
        });
      },
      py::arg("x"), py::arg("epsilon"));
  m.def(
      "normalize_rows_backward",
      [](const py::array& dy, const py::array& normalized, const py::array& inverse, const Vector& gamma) {
        const Index columns = classes_of(dy, "dy"), rows = rows_of(dy, columns);
        return by_dtype(dy, "dy", [&]<class T>(T) {
          const T *const d = data_of<T>(dy, "dy"), *const hat = checked<T>(normalized, shape_of(dy), "normalized"),
                         *const scale = checked<T>(inverse, {rows}, "inverse"),
                         *const g = vector_of<T>(gamma, columns, "gamma");
          return made<T>(shape_of(dy), [&](T* dx) { normalize_rows_backward(d, hat, scale, g, rows, columns, dx); });
        });
      },
      py::arg("dy"), py::arg("normalized"), py::arg("inverse"), py::arg("gamma"));
  m.def(
      "affine_columns",
      [](const py::array& x, const Vector& center, const Vector& factor, const Vector& shift) {
        const Index columns = classes_of(x, "x"), rows = rows_of(x, columns);
        return by_dtype(x, "x", [&]<class T>(T) {
          const T* const in = data_of<T>(x, "x");
          const Affine<T> affine{vector_of<T>(center, columns, "center"), vector_of<T>(factor, columns, "factor"),
                                 vector_of<T>(shift, columns, "shift")};
          return made<T>(shape_of(x), [&](T* y) { affine_columns(in, affine, rows, columns, y); });
        });
      },
      py::arg("x"), py::arg("center"), py::arg("factor"), py::arg("shift"));
  m.def(
      "column_sums",
      [](const py::array& a, const py::array& b) {
        const Index columns = classes_of(a, "a"), rows = rows_of(a, columns);
        return by_dtype(a, "a", [&]<class T>(T) {
          const T *const u = data_of<T>(a, "a"), *const v = checked<T>(b, shape_of(a), "b");
          return made<double>({2, columns}, [&](double* out) { column_sums(u, v, rows, columns, out, out + columns); });
        });
      },
      py::arg("a"), py::arg("b"));
  m.def(
      "batch_norm_backward",
      [](const py::array& dy, const py::array& normalized, const py::array& factor, const py::array& d_mean,
         const py::array& d_deviation, const Vector& real) {
        const Index columns = classes_of(dy, "dy"), rows = rows_of(dy, columns);
        return by_dtype(dy, "dy", [&]<class T>(T) {
          const T *const d = data_of<T>(dy, "dy"), *const hat = checked<T>(normalized, shape_of(dy), "normalized");
          const BatchNormGradient<T> gradient{checked<T>(factor, {columns}, "factor"),
                                              checked<T>(d_mean, {columns}, "d_mean"),
                                              checked<T>(d_deviation, {columns}, "d_deviation"), real_of(real, rows)};
          return made<T>(shape_of(dy), [&](T* dx) { batch_norm_backward(d, hat, gradient, rows, columns, dx); });
        });
      },
      py::arg("dy"), py::arg("normalized"), py::arg("factor"), py::arg("d_mean"), py::arg("d_deviation"),
      py::arg("real"));
}

void bind_windows(py::module_& m) {
  m.def(
      "window_frame",
      [](const std::string& padding, Index steps, Index size, Index stride, Index dilation) {
        check_sizes(size, stride, dilation);
        if (steps < 0 || steps > Index(1) << 61)
          throw Error("steps must not be negative, got " + std::to_string(steps));
        for (int i = 0; i < kPaddingCount; ++i)
          if (padding == kPaddingNames[i]) {
            const Frame frame = frame_of(static_cast<Padding>(i), steps, size, stride, dilation);
            return py::make_tuple(frame.outputs, frame.before);
          }
        throw Error("padding must be valid, same or causal, got " + padding);
      },
      py::arg("padding"), py::arg("steps"), py::arg("size"), py::arg("stride"), py::arg("dilation"));
  m.def("window_pass", &window_pass, py::arg("name"), py::arg("a"), py::arg("windows"), py::arg("which") = py::none());
}

// What `attention` is given, in this order, None where it is not there.
enum Part {
  query,
  key,
  value,
  query_offsets,
  value_offsets,
  query_real,
  value_real,
  keep,
  additive,
  dy,
  weights,
  d_weights,
  kParts
};
constexpr const char* kPartNames[] = {"query",         "key",        "value",      "query_offsets",
                                      "value_offsets", "query_real", "value_real", "keep",
                                      "additive",      "dy",         "weights",    "d_weights"};

AttentionPlaces attention_places(const Arrays& given, bool causal) {
  if (given.size() != kParts) throw Error("given must be " + std::to_string(kParts) + " arrays or None");
  for (const Part part : {query, key, value, query_offsets, value_offsets})
    if (!given[part]) throw Error(std::string(kPartNames[part]) + " must be given");
  for (const Part part : {query, value})
    if (given[part]->ndim() != 3 || std::min(given[part]->shape(1), given[part]->shape(2)) < 1)
      throw Error(std::string(kPartNames[part]) + " must be [N, heads, features], got " + shape_text(*given[part]));
  AttentionPlaces p{offsets_of(*given[query_offsets], kPartNames[query_offsets]),
                    offsets_of(*given[value_offsets], kPartNames[value_offsets])};
  if (p.query_offsets.size() != p.value_offsets.size()) throw Error("value_offsets must be as many as query_offsets");
  const auto longest = [](std::span<const Index> offsets) {
    Index most = 0;
    for (std::size_t i = 1; i < offsets.size(); ++i) most = std::max(most, offsets[i] - offsets[i - 1]);
    return most;
  };
  p.query_real = real_of(given[query_real], p.query_offsets.back());
  p.value_real = real_of(given[value_real], p.value_offsets.back());
  p.causal = causal;
  p.heads = given[query]->shape(1), p.key_size = given[query]->shape(2), p.value_size = given[value]->shape(2);
  p.most_queries = longest(p.query_offsets), p.most_values = longest(p.value_offsets);
  return p;
}

// y and weights, or the gradients of query, key, value and additive where dy is given.
py::tuple attention(const Arrays& given, bool causal, bool want_weights) {
  const AttentionPlaces p = attention_places(given, causal);
  const Index queries = p.query_offsets.back(), values = p.value_offsets.back();
  const Index batch = static_cast<Index>(p.query_offsets.size()) - 1;
  const std::vector<Index> of_query{queries, p.heads, p.key_size}, of_key{values, p.heads, p.key_size},
      of_value{values, p.heads, p.value_size}, of_y{queries, p.heads, p.value_size},
      of_weights{batch, p.heads, p.most_queries, p.most_values};
  const void* data[kParts] = {};
  const auto check = [&](Part part, const std::vector<Index>& shape) {
    if (!given[part]) return;
    require_shape(*given[part], shape, kPartNames[part]);
    if (is_double(*given[query], "query"))
      data[part] = data_of<double>(*given[part], kPartNames[part]);
    else
      data[part] = data_of<float>(*given[part], kPartNames[part]);
  };
  check(query, of_query), check(key, of_key), check(value, of_value), check(additive, {p.key_size}), check(dy, of_y);
  check(keep, {batch, p.most_queries, p.heads, p.most_values}), check(weights, of_weights);
  check(d_weights, of_weights);
  if (data[dy] && !data[weights]) throw Error("weights must be given with dy");
  return by_dtype(*given[query], "query", [&]<class T>(T) -> py::tuple {
    const auto at = [&](Part part) { return static_cast<const T*>(data[part]); };
    const AttentionArrays<T> in{at(query), at(key), at(value), at(keep), at(additive)};
    const bool back = data[dy] != nullptr;
    const std::vector<Index> none{0};
    py::array_t<T> made[] = {make_array<T>(back ? of_query : of_y),
                             make_array<T>(back           ? of_key
                                           : want_weights ? of_weights
                                                          : none),
                             make_array<T>(back ? of_value : none),
                             make_array<T>(back && data[additive] ? of_query : none)};
    T* to[4];
    for (int i = 0; i < 4; ++i) to[i] = made[i].mutable_data();
    {
      const Compute compute;
      if (back)
        attend_backward<T>(p, in, {at(dy), at(weights), at(d_weights), to[0], to[1], to[2], to[3]});
      else
        attend<T>(p, in, to[0], want_weights ? to[1] : nullptr);
    }
    return py::make_tuple(made[0], made[1], made[2], made[3]);
  });
}

}  // namespace

void bind_layers(py::module_& m) {
  m.def("attention", &attention, py::arg("given"), py::arg("causal"), py::arg("want_weights"));
  bind_normalization(m);
  bind_windows(m);
}

}  // namespace latchwork
