// A layer for C++ users: parameters, sequences in and out, training by a loop of one's own, streams of single steps.
// T time, B batch, I input, H hidden, G gates. Element types: float and double.
//
//   latchwork::Layer<float> lstm({.cell = "lstm", .input = 3, .hidden = 32});
//   fill(lstm.kernel()), fill(lstm.recurrent_kernel());  // your initialisation
//   lstm.changed();
//   std::vector<float> y(batch * steps * 32);
//   lstm.forward({.data = x.data(), .batch = batch, .steps = steps}, y.data());
//
// The same sequence gives the same bits in any batch, padded or not, whole, in chunks or step by step, recorded for
// training or not, for any number of threads and on every instruction set.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#pragma GCC visibility push(default)

namespace latchwork {

struct LayerOptions {
  std::string cell = "lstm";  // "lstm", "gru" (reset after the product), "gru_reset_before", "elman", "dense"
  std::int64_t input = 0;     // I
  std::int64_t hidden = 0;    // H
  bool bias = true;
  std::string activation = "tanh";               // of the state (of the output, for "dense")
  std::string recurrent_activation = "sigmoid";  // of the gates
};

// Sequences in the caller's memory: [B, T, features], or [T, B, features] if time_major. Features lie side by side.
template <class T>
struct Sequences {
  T* data = nullptr;
  std::int64_t batch = 0;
  std::int64_t steps = 0;
  const std::int64_t* lengths = nullptr;  // [B] real steps, within [0, T]; null: all T. Steps beyond are not computed
  bool time_major = false;
  bool reversed = false;  // read from each sequence's last real step backwards; outputs are in the order read
};

// A cell's states in its order (LSTM: h, c; the others: h), each [B, H]. Null: zeros where read, not wanted where
// written.
template <class T>
using States = std::array<T*, 4>;

// What backward reads and writes. Gradients of x and of initial states are overwritten; those of parameters are added
// to.
template <class T>
struct LayerGradients {
  const T* dy = nullptr;         // like y; null: zero
  States<const T> d_final = {};  // of the final states; null: zero
  T* dx = nullptr;               // like x; null: not wanted
  States<T> d_initial = {};
  T* d_parameters = nullptr;  // like Layer::parameters(); null: not wanted
};

template <class T>
class Layer;
template <class T>
class Stream;

// What a recorded forward leaves for one backward. x, y and the initial states it was given must stay as they were.
template <class T>
class Recording {
 public:
  Recording(Recording&&) noexcept;
  Recording& operator=(Recording&&) noexcept;
  ~Recording();

 private:
  friend class Layer<T>;
  struct Content;
  explicit Recording(std::unique_ptr<Content> content);
  std::unique_ptr<Content> content_;
};

template <class T>
class Layer {
 public:
  // Parameters are zeros. Throws Error for an unknown cell or activation, or a size below 1.
  explicit Layer(const LayerOptions& options);
  Layer(Layer&&) noexcept;
  Layer& operator=(Layer&&) noexcept;
  ~Layer();

  const LayerOptions& options() const noexcept;
  int states() const noexcept;  // 2 for "lstm", else 1
  int gates() const noexcept;   // 4 for "lstm", 3 for the GRUs, else 1

  // All parameters, owned by the layer: kernel, recurrent_kernel, bias, one after the other.
  std::span<T> parameters() noexcept;
  std::span<T> kernel() noexcept;            // [I, G*H]; gates i, f, g, o (LSTM) or z, r, n (GRU)
  std::span<T> recurrent_kernel() noexcept;  // [H, G*H]; empty for "dense"
  std::span<T> bias() noexcept;              // [G*H], [2, 3*H] for "gru"; empty without
  // To be called after parameters have been written: what was packed from them is stale.
  void changed() noexcept;

  // y: [B, T, H], arranged as x, zeros beyond a length; null: only final states are wanted. Final states are those at
  // the last real step; a sequence of no steps passes its initial state through. Safe from several threads at once.
  // Throws Error for lengths outside [0, T] or negative sizes.
  void forward(const Sequences<const T>& x, T* y, const States<const T>& initial = {},
               const States<T>& final = {}) const;

  // The same, keeping what backward needs. y must be given and stay unchanged until backward.
  [[nodiscard]] Recording<T> record(const Sequences<const T>& x, T* y, const States<const T>& initial = {},
                                    const States<T>& final = {}) const;
  // Back-propagation through time; uses the recording up.
  void backward(Recording<T> recording, const LayerGradients<T>& gradients) const;

 private:
  friend class Stream<T>;
  struct Content;
  std::unique_ptr<Content> content_;
};

// Sequences that arrive step by step: holds the states of some rows between steps.
template <class T>
class Stream {
 public:
  // The layer must outlive the stream. States are zeros. threads: the most that share a step. They do where it takes
  // some 10 us or more and follows the one before within 40 us; else, and with 1, the calling thread does it alone.
  explicit Stream(const Layer<T>& layer, std::int64_t rows = 1, int threads = 1);
  Stream(Stream&&) noexcept;
  Stream& operator=(Stream&&) noexcept;
  ~Stream();

  void step(const T* x, T* y);  // x [rows, I] -> y [rows, H]; allocates nothing while the layer stays as it is
  void reset() noexcept;        // states to zero
  std::span<T> state(
      int index);  // [rows, H], to read or write until the next step or reset; throws Error beyond states()

 private:
  struct Content;
  std::unique_ptr<Content> content_;
};

extern template class Recording<float>;
extern template class Recording<double>;
extern template class Layer<float>;
extern template class Layer<double>;
extern template class Stream<float>;
extern template class Stream<double>;

}  // namespace latchwork

#pragma GCC visibility pop
