// Random numbers: initialisers, shuffles, dropout.
#include "bindings/training.h"
#include "layers/random.h"

namespace latchwork {

namespace {

// A new array of a shape and a named dtype, filled by fill(data, n).
template <class T, class F>
py::object filled(const std::vector<Index>& shape, F fill) {
  const Index n = element_count(shape);
  py::array_t<T> a = make_array<T>(shape);
  T* const data = a.mutable_data();
  {
    const Compute compute;
    fill(data, n);
  }
  return a;
}

template <class F>
py::object filled(const std::string& dtype, const std::vector<Index>& shape, F fill) {
  if (dtype == "float32") return filled<float>(shape, fill);
  if (dtype == "float64") return filled<double>(shape, fill);
  throw Error("dtype must be float32 or float64, got " + dtype);
}

// What is drawn for x; per_block: units that one block of random bits serves.
DrawArgs draws_for(const py::array& x, std::uint64_t seed, std::uint32_t step, std::uint32_t layer,
                   std::uint32_t sample_offset, Index per_block) {
  if (x.ndim() < 2) throw Error("x must be [N, ..., F], got " + shape_text(x));
  if (layer > 255) throw Error("layer must be in [0, 256), got " + std::to_string(layer));
  const Index units = x.shape(x.ndim() - 1), most = per_block * 65536;
  if (units > most) throw Error("x must have at most " + std::to_string(most) + " features, got " + shape_text(x));
  Index times = 1;
  for (py::ssize_t i = 1; i + 1 < x.ndim(); ++i) times *= x.shape(i);
  constexpr Index kNumbers = Index(1) << 32;  // samples and steps count in 32 bits
  if (times > kNumbers || x.shape(0) > kNumbers - sample_offset)
    throw Error("x must hold at most 2^32 samples, sample_offset included, and steps, got " + shape_text(x));
  return {seed, step, layer, sample_offset, x.shape(0), times, units};
}

py::tuple dropout_forward(const py::array& x, double rate, std::uint64_t seed, std::uint32_t step, std::uint32_t layer,
                          std::uint32_t sample_offset) {
  if (!(rate >= 0 && rate < 1)) throw Error("rate must be in [0, 1), got " + std::to_string(rate));
  const DrawArgs args = draws_for(x, seed, step, layer, sample_offset, 8);
  return by_dtype(x, "x", [&]<class T>(T) -> py::tuple {
    const T* const in = data_of<T>(x, "x");
    auto y = make_array<T>(shape_of(x)), mask = make_array<T>(shape_of(x));
    T* const out = y.mutable_data();
    T* const mask_out = mask.mutable_data();
    {
      const Compute compute;
      dropout(args, rate, in, out, mask_out);
    }
    return py::make_tuple(y, mask);
  });
}

py::object noise_forward(const py::array& x, double deviation, std::uint64_t seed, std::uint32_t step,
                         std::uint32_t layer, std::uint32_t sample_offset) {
  const DrawArgs args = draws_for(x, seed, step, layer, sample_offset, 4);
  return by_dtype(x, "x", [&]<class T>(T) {
    const T* const in = data_of<T>(x, "x");
    return filled<T>(shape_of(x), [&](T* out, Index) { gaussian_noise(args, deviation, in, out); });
  });
}

template <class T>
py::object dropout_backward_of(const py::array& dy, const py::array& mask) {
  const T* const dy_data = data_of<T>(dy, "dy");
  const T* const mask_data = data_of<T>(mask, "mask");
  return filled<T>({dy.shape(), dy.shape() + dy.ndim()},
                   [&](T* out, Index n) { dropout_backward(dy_data, mask_data, out, n); });
}

}  // namespace

void bind_random(py::module_& m) {
  m.def(
      "philox", [](std::uint64_t key, const PhiloxBlock& counter) { return philox(key, counter); }, py::arg("key"),
      py::arg("counter"));
  m.def(
      "philox_uniform",
      [](std::uint64_t seed, std::uint32_t stream, const std::vector<Index>& shape, double low, double high,
         const std::string& dtype) {
        return filled(dtype, shape, [&](auto* out, Index n) { uniform(seed, stream, low, high, out, n); });
      },
      py::arg("seed"), py::arg("stream"), py::arg("shape"), py::arg("low"), py::arg("high"), py::arg("dtype"));
  m.def(
      "philox_normal",
      [](std::uint64_t seed, std::uint32_t stream, const std::vector<Index>& shape, double mean, double deviation,
         bool truncated, const std::string& dtype) {
        const NormalShape normal_shape{mean, deviation, truncated};
        return filled(dtype, shape, [&](auto* out, Index n) { normal(seed, stream, normal_shape, out, n); });
      },
      py::arg("seed"), py::arg("stream"), py::arg("shape"), py::arg("mean"), py::arg("deviation"), py::arg("truncated"),
      py::arg("dtype"));
  m.def(
      "orthogonal",
      [](std::uint64_t seed, std::uint32_t stream, Index rows, Index columns, double gain, const std::string& dtype) {
        return filled(dtype, {rows, columns},
                      [&](auto* out, Index) { orthogonal(seed, stream, rows, columns, gain, out); });
      },
      py::arg("seed"), py::arg("stream"), py::arg("rows"), py::arg("columns"), py::arg("gain"), py::arg("dtype"));
  m.def(
      "permutation",
      [](std::uint64_t seed, std::uint32_t epoch, Index n) {
        if (n < 0 || n >= Index(1) << 32) throw Error("n must be within [0, 2^32), got " + std::to_string(n));
        return filled<std::int64_t>({n}, [&](std::int64_t* out, Index) { permutation(seed, epoch, n, out); });
      },
      py::arg("seed"), py::arg("epoch"), py::arg("n"));
  m.def("dropout", &dropout_forward, py::arg("x"), py::arg("rate"), py::arg("seed"), py::arg("step"), py::arg("layer"),
        py::arg("sample_offset") = 0);
  m.def("gaussian_noise", &noise_forward, py::arg("x"), py::arg("deviation"), py::arg("seed"), py::arg("step"),
        py::arg("layer"), py::arg("sample_offset") = 0);
  m.def(
      "dropout_backward",
      [](const py::array& dy, const py::array& mask) {
        if (dy.ndim() != mask.ndim() || shape_text(dy) != shape_text(mask)) {
          throw Error("dy must have the shape of mask, " + shape_text(mask) + ", got " + shape_text(dy));
        }
        return is_double(dy, "dy") ? dropout_backward_of<double>(dy, mask) : dropout_backward_of<float>(dy, mask);
      },
      py::arg("dy"), py::arg("mask"));
}

}  // namespace latchwork
