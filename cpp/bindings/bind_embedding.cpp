// Embedding: rows of a table by number.
#include "bindings/training.h"
#include "layers/embedding.h"

namespace latchwork {
namespace {

// The numbers, all within [0, rows).
const Index* numbers_of(const py::array& numbers, Index rows) {
  if (!numbers.dtype().is(py::dtype::of<Index>()) || !is_contiguous(numbers) || !is_aligned(numbers))
    throw Error("numbers must be int64, C-contiguous and aligned, got " + dtype_text(numbers));
  const auto* const data = static_cast<const Index*>(numbers.data());
  for (Index n = 0; n < numbers.size(); ++n)
    if (data[n] < 0 || data[n] >= rows)
      throw Error("numbers must lie within [0, " + std::to_string(rows) + "), got " + std::to_string(data[n]));
  return data;
}

void require_table(const py::array& table, const char* name) {
  if (table.ndim() != 2) throw Error(std::string(name) + " must be [rows, width], got " + shape_text(table));
}

}  // namespace

void bind_embedding(py::module_& m) {
  m.def(
      "gather_rows",
      [](const py::array& table, const py::array& numbers) {
        require_table(table, "table");
        return by_dtype(table, "table", [&](auto zero) -> py::array {
          using T = decltype(zero);
          const T* const rows = data_of<T>(table, "table");
          const Index* const which = numbers_of(numbers, table.shape(0));
          std::vector<Index> shape = shape_of(numbers);
          shape.push_back(table.shape(1));
          py::array_t<T> out = make_array<T>(shape);
          T* const data = out.mutable_data();
          const Index width = table.shape(1), count = numbers.size();
          const Compute compute;
          gather_rows(rows, width, which, count, data);
          return out;
        });
      },
      py::arg("table"), py::arg("numbers"));
  m.def(
      "scatter_add_rows",
      [](const py::array& d_rows, const py::array& numbers, py::array& d_table) {
        require_table(d_table, "d_table");
        std::vector<Index> shape = shape_of(numbers);
        shape.push_back(d_table.shape(1));
        if (shape_of(d_rows) != shape) throw Error("d_rows must be shaped like the rows, got " + shape_text(d_rows));
        require_apart(d_table, "d_table", d_rows, "d_rows");
        require_apart(d_table, "d_table", numbers, "numbers");
        by_dtype(d_table, "d_table", [&](auto zero) {
          using T = decltype(zero);
          const T* const rows = data_of<T>(d_rows, "d_rows");
          const Index* const which = numbers_of(numbers, d_table.shape(0));
          T* const table = mutable_data_of<T>(d_table, "d_table");
          const Index width = d_table.shape(1), count = numbers.size();
          const Compute compute;
          scatter_add_rows(rows, width, which, count, table);
        });
      },
      py::arg("d_rows"), py::arg("numbers"), py::arg("d_table"));
}

}  // namespace latchwork
