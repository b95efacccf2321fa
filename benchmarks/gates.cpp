// What the gates cost: nanoseconds of one unit of one row in a cell's pointwise pass, on one thread, data in L1.
//
//   gates        prints one line of JSON: {"lstm": {"forward": ns, "saving": ns, "backward": ns}, "gru": ...}
//
// Compiled by limits.py together with the cells' own files for one instruction set: the floor of compare.py adds what
// the library's passes take when nothing else does.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <vector>

#include "kernels/cell_table.h"

namespace latchwork {
namespace LATCHWORK_ISA {
extern const CellKernels<float> lstm_f32, gru_f32, elman_f32;
}

namespace {

constexpr Index kRows = 4, kUnits = 64;
constexpr double kSeconds = 0.005;

// The arrays of one pass, small enough for L1.
class Pass {
 public:
  explicit Pass(const CellKernels<float>& cell) : cell_(cell) {
    float* at = data_.data();
    const auto rows = [&at](Index width) {
      const Rows<float> made{at, width};
      at += kRows * width;
      return made;
    };
    args_.rows = kRows, args_.units = args_.padded_hidden = args_.slot_stride = kUnits;
    args_.activation = Activation::tanh, args_.recurrent_activation = Activation::sigmoid;
    args_.slots = rows(cell.info->slots * kUnits);
    saved_ = rows((cell.info->saved + 1) * kUnits);
    for (int state = 0; state < 2; ++state) {
      args_.previous[state] = rows(kUnits), args_.next[state] = rows(kUnits);
      args_.d_next[state] = rows(kUnits), args_.d_previous[state] = rows(kUnits);
    }
    for (Index row = 0; row < kRows; ++row) {
      h_previous_.push_back(args_.previous[0].data + row * kUnits);
      h_next_.push_back(args_.next[0].data + row * kUnits);
    }
    args_.h_previous = h_previous_.data(), args_.h_next = h_next_.data();
  }

  // Nanoseconds a unit: the best of five samples.
  double forward(bool saving) {
    args_.saved = saving ? saved_ : Rows<float>{nullptr, 0};
    return measure(cell_.forward[0]);
  }
  double backward() {
    args_.saved = saved_;
    return measure(cell_.backward[0]);
  }

 private:
  double measure(Pointwise<float> pass) {
    using Clock = std::chrono::steady_clock;
    double best = 1e30;
    for (int sample = 0; sample < 5; ++sample) {
      const auto start = Clock::now();
      double elapsed = 0;
      Index calls = 0;
      do {
        for (int i = 0; i < 100; ++i) pass(args_);
        calls += 100;
        elapsed = std::chrono::duration<double>(Clock::now() - start).count();
      } while (elapsed < kSeconds);
      best = std::min(best, elapsed / static_cast<double>(calls * kRows * kUnits) * 1e9);
    }
    return best;
  }

  const CellKernels<float>& cell_;
  std::vector<float> data_ = std::vector<float>(kRows * kUnits * 32, 0.25f);
  std::vector<const float*> h_previous_;
  std::vector<float*> h_next_;
  PointwiseArgs<float> args_{};
  Rows<float> saved_;
};

void print(const char* name, const CellKernels<float>& cell, const char* after) {
  Pass pass(cell);
  const double forward = pass.forward(false), saving = pass.forward(true), backward = pass.backward();
  std::printf("\"%s\": {\"forward\": %.4f, \"saving\": %.4f, \"backward\": %.4f}%s", name, forward, saving, backward,
              after);
}

}  // namespace
}  // namespace latchwork

int main() {
  using namespace latchwork;
  std::printf("{");
  print("lstm", LATCHWORK_ISA::lstm_f32, ", ");
  print("gru", LATCHWORK_ISA::gru_f32, ", ");
  print("rnn", LATCHWORK_ISA::elman_f32, "}\n");
}
