// A model trained and saved in Python, run in C++: the same kernels, the same bits.
//
//   const auto model = latchwork::Model::load("m.safetensors");
//   std::vector<float> y(model.output_size({1, 52, 1}));
//   model.predict(x, {1, 52, 1}, y.data());
//
// Shapes: B batch, T time steps, F features. Arrays are the caller's, C-contiguous; nothing is kept.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#pragma GCC visibility push(default)

namespace latchwork {

using Shape = std::vector<std::int64_t>;

class Streams;

class Model {
 public:
  // Reads a file that `model.save` wrote. Throws FileError where the system refuses, Error for anything else that is
  // not right: the message names the file and the field.
  static Model load(const std::string& path);

  Model(Model&&) noexcept;
  Model& operator=(Model&&) noexcept;
  ~Model();

  const std::string& name() const;
  bool float64() const;              // what it computes in: double, else float
  const Shape& input_shape() const;  // of one sample, [T, F] say; -1 where any size runs

  // The shape of y for x of `shape` (batch first). Throws Error where x does not fit.
  Shape output_shape(const Shape& shape) const;
  std::int64_t output_size(const Shape& shape) const;  // its product

  // y [output_shape(shape)] of x [shape]. Throws Error for the other type or a shape that does not fit, before y is
  // written. Several threads may call it at once.
  void predict(const float* x, const Shape& shape, float* y) const;
  void predict(const double* x, const Shape& shape, double* y) const;

  // For a model of sequences [T, F]: `batch` streams that have seen nothing. The model must outlive them.
  Streams streams(std::int64_t batch) const;
  // One time step of every stream: x [B, F], y [B, outputs]. After t steps y is predict's output on those t steps: its
  // last row, if it has one a step. Throws Error as predict does, and for layers that read a sequence backwards.
  void step(Streams& streams, const float* x, float* y) const;
  void step(Streams& streams, const double* x, double* y) const;

 private:
  friend class Streams;
  struct Graph;
  explicit Model(std::unique_ptr<Graph> graph);
  std::unique_ptr<Graph> graph_;
};

// What streams carry from step to step. For one thread at a time.
class Streams {
 public:
  Streams(Streams&&) noexcept;
  Streams& operator=(Streams&&) noexcept;
  ~Streams();

  std::int64_t batch() const;
  std::int64_t steps() const;  // taken since the start or the last reset
  void reset();                // all streams have seen nothing

 private:
  friend class Model;
  struct Carried;
  explicit Streams(std::unique_ptr<Carried> carried);
  std::unique_ptr<Carried> carried_;
};

}  // namespace latchwork

#pragma GCC visibility pop
