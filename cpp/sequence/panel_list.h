// Panels that share a chain, gathered for one call of the product kernel: with few rows it computes several at once.
#pragma once

#include "kernels/product.h"

namespace latchwork {

template <class T>
class PanelList {
 public:
  // args: what all panels share.
  PanelList(const ProductKernels<T>& kernels, const ProductArgs<T>& args) : kernels_(kernels), args_(args) {}

  // columns: of the panel; out_stride: from a row of its output to the next. Panels that differ go in calls of their
  // own.
  void add(Index columns, Index out_stride, const ProductPanel<T>& panel) {
    if (count_ == kMost || columns != args_.columns || out_stride != args_.out_stride) run();
    args_.columns = columns;
    args_.out_stride = out_stride;
    panels_[count_++] = panel;
  }

  void run() {
    args_.panels = panels_;
    args_.panel_count = count_;
    if (count_ > 0) kernels_.product(args_);
    count_ = 0;
  }

 private:
  static constexpr Index kMost = 16;

  const ProductKernels<T>& kernels_;
  ProductArgs<T> args_;
  ProductPanel<T> panels_[kMost];
  Index count_ = 0;
};

}  // namespace latchwork
