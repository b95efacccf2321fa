// The layers a loaded model is made of: built from their description and the file's tensors, then run for inference.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <unordered_set>

#include "latchwork/layer.h"
#include "latchwork/model.h"
#include "model/fields.h"
#include "model/safetensors.h"

namespace latchwork {

// The file's weights: each is checked against the shape it must have, then read; in the end all must have been.
class Tensors {
 public:
  explicit Tensors(const SafetensorsFile& file) : file_(file) {}

  // Throws Error unless there is such a tensor of T of this shape: to be called before memory of that size is taken.
  template <class T>
  void check(const std::string& name, const Shape& shape) const;
  template <class T>
  void read(const std::string& name, std::span<T> out);
  void done() const;

 private:
  const SafetensorsFile& file_;
  std::unordered_set<std::string_view> read_;
};

// States [B, H] before and after a call; null: start at zeros, keep nothing.
template <class T>
struct Carry {
  States<const T> before = {};
  States<T> after = {};
};

template <class T>
class GraphLayer {
 public:
  virtual ~GraphLayer() = default;
  // The shape of y for x of `shape`, batch first. Throws Error where x does not fit.
  virtual Shape y_shape(const Shape& shape) const = 0;
  // Several threads may call it at once.
  virtual void forward(const T* x, const Shape& shape, const Carry<T>& carry, T* y) const = 0;
  virtual int states() const { return 0; }
  virtual Index units() const { return 0; }  // of a state
  virtual bool reads_backwards() const { return false; }
};

// The layer that `fields` describe, on samples of `features`. Its name and class are what the registry knows; unknown
// classes, fields left over and values out of range are errors.
template <class T>
std::unique_ptr<GraphLayer<T>> make_layer(Fields& fields, Tensors& tensors, Index features);

Index size_of(const Shape& shape);  // Throws Error where the product overflows.
std::string shape_text(const Shape& shape);

}  // namespace latchwork
