// Roll-outs: a model goes on from what it is given, in the core alone.
#include "bindings/model_in_memory.h"

namespace latchwork {
namespace {

// The lengths of sequences laid end to end in `rows` rows.
Ragged ragged_of(const std::vector<Index>& lengths, Index rows, const char* name) {
  Index sum = 0;
  for (const Index length : lengths) sum += std::clamp<Index>(length, 0, rows + 1 - sum);
  if (sum != rows)
    throw Error(std::string(name) + " must have as many rows as the sum of lengths, got " + std::to_string(rows));
  return {lengths};
}

py::array generate(const py::object& description, const NamedArrays& weights, const py::array& prompts,
                   const std::vector<Index>& lengths, Index n, const GenerateOptions& options) {
  const Model model = model_in_memory(description, weights, "generate");
  if (!prompts.dtype().equal(py::dtype::of<std::int64_t>()) || prompts.ndim() != 1 || !is_contiguous(prompts) ||
      !is_aligned(prompts))
    throw Error("prompts must be int64 [N], got " + dtype_text(prompts) + " " + shape_text(prompts));
  const Ragged ragged = ragged_of(lengths, prompts.size(), "prompts");
  if (n < 1) throw Error("n must be at least 1, got " + std::to_string(n));
  py::array_t<std::int64_t> tokens = make_array<std::int64_t>({static_cast<Index>(lengths.size()), n});
  std::int64_t* const out = tokens.mutable_data();
  const std::span given{static_cast<const std::int64_t*>(prompts.data()), static_cast<std::size_t>(prompts.size())};
  const py::gil_scoped_release release;
  model.generate(given, ragged, n, options, out);
  return tokens;
}

template <class T>
py::array forecast_of(const Model& model, const py::array& x, const std::vector<Index>& lengths, Index horizon,
                      const std::optional<py::array>& known, const ForecastOptions& options) {
  const T* const data = data_of<T>(x, "x");
  const T* const beside = known ? data_of<T>(*known, "known") : nullptr;
  const Ragged ragged = ragged_of(lengths, x.shape(0), "x");
  py::array_t<T> y = make_array<T>(model.forecast_shape(ragged, horizon, options));
  T* const out = y.mutable_data();
  const py::gil_scoped_release release;
  model.forecast(data, ragged, horizon, options, out, beside);
  return y;
}

py::array forecast(const py::object& description, const NamedArrays& weights, const py::array& x,
                   const std::vector<Index>& lengths, Index horizon, const std::optional<py::array>& known,
                   const std::string& outputs, const std::vector<double>& quantiles, Index paths, double min_scale,
                   std::uint64_t seed, int threads) {
  constexpr const char* kOutputs[] = {"values", "quantiles", "gaussian"};
  const auto* const kind = std::find(std::begin(kOutputs), std::end(kOutputs), outputs);
  if (kind == std::end(kOutputs)) throw Error("outputs must be values, quantiles or gaussian, got " + outputs);
  ForecastOptions options{.outputs = static_cast<Outputs>(kind - std::begin(kOutputs)),
                          .quantiles = quantiles,
                          .paths = paths,
                          .min_scale = min_scale,
                          .seed = seed,
                          .threads = threads};
  const Model model = model_in_memory(description, weights, "forecast");
  if (x.ndim() != 2 || x.shape(1) != model.input_shape().back())
    throw Error("x must be [N, F] with the model's features, got " + shape_text(x));
  if (known) {
    if (known->ndim() != 3 || known->shape(0) != static_cast<Index>(lengths.size()) || known->shape(1) != horizon)
      throw Error("known must be [" + std::to_string(lengths.size()) + ", " + std::to_string(horizon) + ", K], got " +
                  shape_text(*known));
    options.known_features = known->shape(2);
  }
  return model.float64() ? forecast_of<double>(model, x, lengths, horizon, known, options)
                         : forecast_of<float>(model, x, lengths, horizon, known, options);
}

}  // namespace

void bind_rollout(py::module_& m) {
  m.def(
      "generate",
      [](const py::object& description, const NamedArrays& weights, const py::array& prompts,
         const std::vector<Index>& lengths, Index n, double temperature, Index top_k, double top_p, std::uint64_t seed,
         Index end, std::optional<bool> from_logits, int threads) {
        return generate(description, weights, prompts, lengths, n,
                        {temperature, top_k, top_p, seed, end, from_logits, threads});
      },
      py::arg("description"), py::arg("weights"), py::arg("prompts"), py::arg("lengths"), py::arg("n"),
      py::arg("temperature"), py::arg("top_k"), py::arg("top_p"), py::arg("seed"), py::arg("end"),
      py::arg("from_logits"), py::arg("threads"));
  m.def("forecast", &forecast, py::arg("description"), py::arg("weights"), py::arg("x"), py::arg("lengths"),
        py::arg("horizon"), py::arg("known"), py::arg("outputs"), py::arg("quantiles"), py::arg("paths"),
        py::arg("min_scale"), py::arg("seed"), py::arg("threads"));
}

}  // namespace latchwork
