// What a training forward leaves, as Python holds it.
#pragma once

#include <memory>
#include <variant>

#include "bindings/recurrent_weights.h"
#include "layers/recurrent.h"

namespace latchwork {

inline void set_writeable(const py::array& a, bool writeable) {
  auto& flags = py::detail::array_proxy(a.ptr())->flags;
  flags = writeable ? flags | py::detail::npy_api::NPY_ARRAY_WRITEABLE_
                    : flags & ~py::detail::npy_api::NPY_ARRAY_WRITEABLE_;
}

// A context as Python holds it: the arrays backward reads, and y locked until then.
class Context {
 public:
  template <class T>
  Context(std::unique_ptr<RecurrentContext<T>> context, py::object weights, py::array x, py::array y,
          py::object offsets, Arrays initial, bool sequences)
      : context_(std::move(context)),
        weights_(std::move(weights)),
        x_(std::move(x)),
        y_(std::move(y)),
        offsets_(std::move(offsets)),
        initial_(std::move(initial)),
        sequences_(sequences) {
    if (sequences_) set_writeable(y_, false);
  }
  Context(const Context&) = delete;
  Context& operator=(const Context&) = delete;
  ~Context() { release(); }

  bool consumed() const { return std::holds_alternative<std::monostate>(context_); }
  // Of one call of backward, which releases the GIL.
  class Use {
   public:
    explicit Use(Context& c) : context_(c) {
      if (c.consumed()) throw Error("ctx has been used: a context serves one backward");
      if (c.in_use_) throw Error("ctx is in use by another call of backward: a context serves one");
      c.in_use_ = true;
    }
    ~Use() { context_.in_use_ = false; }
    Use(const Use&) = delete;
    Use& operator=(const Use&) = delete;

   private:
    Context& context_;
  };
  template <class T>
  RecurrentContext<T>& get() {
    return *std::get<std::unique_ptr<RecurrentContext<T>>>(context_);
  }
  RecurrentWeights& weights() const { return weights_.cast<RecurrentWeights&>(); }
  const py::array& x() const { return x_; }
  const py::array& y() const { return y_; }
  const py::object& offsets() const { return offsets_; }
  bool sequences() const { return sequences_; }
  Index batch() const {
    return weights().holds_double() ? std::get<1>(context_)->call().arrangement.batch
                                    : std::get<2>(context_)->call().arrangement.batch;
  }

  // What forward keeps for backward, beside the caller's arrays.
  Index kept_bytes() const {
    if (consumed()) return 0;
    const auto of = [](const auto& context) { return context ? context->kept_bytes() : Index{0}; };
    return weights().holds_double() ? of(std::get<1>(context_)) : of(std::get<2>(context_));
  }

  // That forward took.
  Plan plan() const {
    if (consumed()) throw Error("ctx has been used: its plan is gone");
    return weights().holds_double() ? std::get<1>(context_)->plan() : std::get<2>(context_)->plan();
  }

  // How it keeps it.
  const char* memory() const {
    if (consumed()) throw Error("ctx has been used: it keeps nothing");
    const auto of = [](const auto& context) { return kMemoryNames[static_cast<int>(context->memory())]; };
    return weights().holds_double() ? of(std::get<1>(context_)) : of(std::get<2>(context_));
  }

  void release() {
    if (consumed()) return;
    if (sequences_) set_writeable(y_, true);
    context_ = std::monostate();
    x_ = y_ = py::array();
    initial_.clear();
  }

 private:
  std::variant<std::monostate, std::unique_ptr<RecurrentContext<double>>, std::unique_ptr<RecurrentContext<float>>>
      context_;
  py::object weights_;
  py::array x_, y_;
  py::object offsets_;
  Arrays initial_;
  bool sequences_;
  bool in_use_ = false;
};

}  // namespace latchwork
