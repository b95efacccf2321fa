// Cells on top of each other: read from a description, and run.
#include <algorithm>

#include "model/layers_recurrent.h"

namespace latchwork {
namespace {

// Appends the cell that `described` is, or the cells of the stack it is; returns its name.
template <class T>
std::string read_cells(const Json& described, const Origin& around, const char* field, CellStack<T>& cells) {
  Fields fields(described, around.fields.where() + ": " + field);
  const std::string name = fields.name();
  const Origin origin{fields, around.tensors, around.path + "/" + name,
                      cells.empty() ? around.x : Shape{cells.back()->units()}};
  const std::string& kind = fields.text("class");
  fields.flag("trainable");
  if (kind == "StackedRNNCells") {
    const JsonArray& inner = fields.array("cells");
    if (inner.empty()) fields.fail("cells", "at least one cell", {inner});
    std::vector<std::string> names;
    for (const Json& each : inner) {
      names.push_back(read_cells(each, origin, "cells", cells));
      if (std::count(names.begin(), names.end(), names.back()) > 1)
        fields.fail("cells", "cells of different names", {names.back()});
    }
  } else if (kind == "LSTMCell" || kind == "GRUCell" || kind == "SimpleRNNCell") {
    cells.push_back(read_cell<T>(kind.substr(0, kind.size() - 4), origin));
  } else {
    fields.fail("class", "one of LSTMCell, GRUCell, SimpleRNNCell, StackedRNNCells", {kind});
  }
  fields.done();
  return name;
}

}  // namespace

template <class T>
std::vector<Index> state_sizes_of(const CellStack<T>& cells) {
  std::vector<Index> sizes;
  for (const auto& cell : cells)
    sizes.insert(sizes.end(), static_cast<std::size_t>(cell->info().states), cell->units());
  return sizes;
}

template <class T>
CellStack<T> read_stack(const std::string& kind, const Origin& origin) {
  CellStack<T> cells;
  if (kind == "RNN")
    read_cells(origin.fields.any("cell"), origin, "cell", cells);
  else
    cells.push_back(read_cell<T>(kind, origin));
  return cells;
}

template <class T>
void run_stacks(std::vector<StackRun<T>> runs) {
  std::vector<Buffer<T>> outputs;  // of the level below
  for (std::size_t level = 0;; ++level) {
    std::vector<Buffer<T>> made;
    std::vector<CellRun<T>> now;
    for (StackRun<T>& run : runs) {
      if (level >= run.cells->size()) continue;
      const ModelCell<T>& cell = *(*run.cells)[level];
      const T* const* const initial = run.initial;
      T* const* const final = run.final;
      if (initial) run.initial += cell.info().states;
      if (final) run.final += cell.info().states;
      if (&cell == run.cells->back().get()) {
        now.push_back({&cell, run.x, run.reading, run.y, initial, final});
        continue;
      }
      made.emplace_back(checked_product(size_of({run.x.shape.begin(), run.x.shape.end() - 1}), cell.units()));
      now.push_back(
          {&cell, run.x, {.reversed = run.reading.reversed, .align = true}, made.back().data(), initial, final});
      run.x.data = made.back().data();
      run.x.shape.back() = cell.units();
    }
    if (now.empty()) return;
    run_cells<T>(now);
    outputs = std::move(made);
  }
}

#define LATCHWORK_INSTANTIATE(T)                                       \
  template std::vector<Index> state_sizes_of(const CellStack<T>&);     \
  template CellStack<T> read_stack(const std::string&, const Origin&); \
  template void run_stacks(std::vector<StackRun<T>>);
LATCHWORK_INSTANTIATE(float)
LATCHWORK_INSTANTIATE(double)
#undef LATCHWORK_INSTANTIATE

}  // namespace latchwork
