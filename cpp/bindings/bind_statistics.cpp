// Sums, means, softmax.
#include "layers/statistics.h"

#include "bindings/training.h"

namespace latchwork {

void bind_statistics(py::module_& m) {
  m.def(
      "sum",
      [](const py::array& a) {
        return by_dtype(a, "a", [&](auto zero) {
          const auto* const data = data_of<decltype(zero)>(a, "a");
          const Compute compute;
          return sum(data, a.size());
        });
      },
      py::arg("a"));
  m.def(
      "sum_squares",
      [](const py::array& a) {
        return by_dtype(a, "a", [&](auto zero) {
          const auto* const data = data_of<decltype(zero)>(a, "a");
          const Compute compute;
          return sum_squares(data, a.size());
        });
      },
      py::arg("a"));
  m.def(
      "all_finite",
      [](const py::array& a) {
        return by_dtype(a, "a", [&](auto zero) {
          const auto* const data = data_of<decltype(zero)>(a, "a");
          const Compute compute;
          return all_finite(data, a.size());
        });
      },
      py::arg("a"));
  m.def(
      "mean_std",
      [](const py::array& a) {
        if (a.ndim() != 2 || a.shape(0) < 1) {
          throw Error("a must be [N, F] with at least one row, got " + shape_text(a));
        }
        return by_dtype(a, "a", [&](auto zero) {
          const auto* const data = data_of<decltype(zero)>(a, "a");
          auto mean = make_array<double>({a.shape(1)});
          auto deviation = make_array<double>({a.shape(1)});
          double* const mean_data = mean.mutable_data();
          double* const deviation_data = deviation.mutable_data();
          {
            const Compute compute;
            mean_std(data, a.shape(0), a.shape(1), mean_data, deviation_data);
          }
          return py::make_tuple(mean, deviation);
        });
      },
      py::arg("a"));
  m.def(
      "softmax",
      [](const py::array& x) -> py::object {
        const Index columns = classes_of(x, "x");
        return by_dtype(x, "x", [&](auto zero) -> py::object {
          const auto* const in = data_of<decltype(zero)>(x, "x");
          auto y = make_array<decltype(zero)>(shape_of(x));
          auto* const out = y.mutable_data();
          {
            const Compute compute;
            softmax(in, out, x.size() / columns, columns);
          }
          return y;
        });
      },
      py::arg("x"));
  m.def(
      "softmax_backward",
      [](const py::array& y, const py::array& dy) -> py::object {
        const Index columns = classes_of(y, "y");
        require_shape(dy, "dy", y, "y");
        return by_dtype(y, "y", [&](auto zero) -> py::object {
          const auto* const y_data = data_of<decltype(zero)>(y, "y");
          const auto* const dy_data = data_of<decltype(zero)>(dy, "dy");
          auto dx = make_array<decltype(zero)>(shape_of(y));
          auto* const out = dx.mutable_data();
          {
            const Compute compute;
            softmax_backward(y_data, dy_data, out, y.size() / columns, columns);
          }
          return dx;
        });
      },
      py::arg("y"), py::arg("dy"));
}

}  // namespace latchwork
