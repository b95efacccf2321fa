// A loaded model's insides: layers, and the order of their calls.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "model/layer.h"

namespace latchwork {

// One call of a layer. Slots number the arrays of a pass: inputs first, then what each node makes.
struct Node {
  std::size_t layer;
  std::vector<std::size_t> x, states;  // slots it reads ...
  std::size_t y, count;                // ... and those it fills: the first, and how many
};

struct ModelGraph {
  std::string name;
  std::vector<ModelInput> inputs;
  std::vector<Node> nodes;
  std::vector<std::size_t> outputs;  // slots
  std::vector<std::string> output_names;
  std::vector<std::size_t> last;  // of each slot, the last node that reads it; if none does, the number of nodes
  bool float64 = false;
  std::vector<std::unique_ptr<const AnyLayer>> layers;  // of that type

  template <class T>
  const GraphLayer<T>& layer(const Node& node) const {
    return static_cast<const GraphLayer<T>&>(*layers[node.layer]);
  }
  void require_type(bool wide) const;  // throws Error unless the model's is double, or not
  // Throws Error unless there is one input.
  const Shape& input() const;
  void require_one_output() const;
};

// Those in the slots that a node reads.
template <class S>
std::vector<S> taken(const std::vector<std::size_t>& read, const std::vector<S>& slots) {
  std::vector<S> found;
  for (const std::size_t slot : read) found.push_back(slots[slot]);
  return found;
}

// Throws Error unless the initial states, samples of these shapes, are as many and as large as the layer's.
void check_states(const AnyLayer& layer, const std::vector<Shape>& states);

// The model that `description` and its weights make. where: what messages begin with.
ModelGraph read_graph(const Json& description, const std::string& where, Tensors& tensors);
Model model_of(ModelGraph graph);

}  // namespace latchwork
