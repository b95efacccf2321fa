// A loaded model's insides: its layers in a row.
#pragma once

#include <string>
#include <variant>
#include <vector>

#include "model/layer.h"

namespace latchwork {

template <class T>
using Layers = std::vector<LayerPointer<T>>;

struct ModelGraph {
  std::string name;
  Shape input;
  std::variant<Layers<float>, Layers<double>> layers;

  template <class T>
  const Layers<T>& of() const {
    if (const auto* const found = std::get_if<Layers<T>>(&layers)) return *found;
    throw Error("x and y must be " + std::string(sizeof(T) == 8 ? "float" : "double") + ", the model's type");
  }
};

// The model that `description` and its weights make. where: what messages begin with.
ModelGraph read_graph(const Json& description, const std::string& where, Tensors& tensors);
Model model_of(ModelGraph graph);

}  // namespace latchwork
