// A problem run through the library's layer, forward and backward, with or without a forced plan.
#pragma once

#include <algorithm>

#include "check.h"
#include "layers/recurrent.h"
#include "naive.h"

namespace latchwork::test {

inline Problem problem(const std::string& cell, long B, long T, long I, long H) {
  const CellInfo& info = *kernels().f32.cells[find_cell(cell)]->info;
  Problem p{B, T, I, H, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}};
  for (long b = 0; b < B; ++b) p.lengths.push_back(b == 0 ? T : (b * 5 + 3) % (T + 1));  // some equal, some zero
  const long G = info.gates * H;
  const double weight = 1.0 / std::sqrt(static_cast<double>(I + H));
  p.x = values<double>(1, B * T * I, 2);
  p.kernel = values<double>(2, I * G, weight);
  p.recurrent = values<double>(3, H * G, weight);
  p.bias = values<double>(4, info.biases * G, 0.5);
  p.h0 = values<double>(5, B * H, 1);
  p.c0 = values<double>(6, B * H, 1);
  p.dy = values<double>(7, B * T * H, 1);
  p.dh = values<double>(8, B * H, 1);
  p.dc = values<double>(9, B * H, 1);
  return p;
}

inline Answer naive(const std::string& cell, const Problem& p) {
  if (cell == "lstm") return naive_lstm(p);
  if (cell == "elman") return naive_elman(p);
  return naive_gru(p, cell == "gru");
}

template <class T>
std::vector<T> as(const Array& a) {
  return {a.begin(), a.end()};
}

template <class T>
struct Result {
  std::vector<T> y, h, c, dx, dkernel, drecurrent, dbias, dh0, dc0;
};

template <class T>
bool equal(const Result<T>& a, const Result<T>& b) {
  return same_bits(a.y, b.y) && same_bits(a.h, b.h) && same_bits(a.c, b.c) && same_bits(a.dx, b.dx) &&
         same_bits(a.dkernel, b.dkernel) && same_bits(a.drecurrent, b.drecurrent) && same_bits(a.dbias, b.dbias) &&
         same_bits(a.dh0, b.dh0) && same_bits(a.dc0, b.dc0);
}

// The same problem as several calls at once.
template <class T>
class Runs {
 public:
  std::vector<Result<T>> results;

  Runs(const std::string& cell, const Problem& p, std::size_t count)
      : results(count),
        p_(p),
        x_(as<T>(p.x)),
        kernel_(as<T>(p.kernel)),
        recurrent_(as<T>(p.recurrent)),
        bias_(as<T>(p.bias)),
        h0_(as<T>(p.h0)),
        c0_(as<T>(p.c0)),
        dy_(as<T>(p.dy)),
        dh_(as<T>(p.dh)),
        dc_(as<T>(p.dc)),
        weights_(find_cell(cell), p.I, p.H, {kernel_.data(), recurrent_.data(), bias_.data()}) {
    prepare(weights_, true);
    const auto like = [](const std::vector<T>& a) { return std::vector<T>(a.size(), T(0)); };
    for (Result<T>& r : results)
      r = {like(dy_),        like(h0_),   like(c0_), like(x_), like(kernel_),
           like(recurrent_), like(bias_), like(h0_), like(c0_)};
  }

  void forward(const Plan* plan, Memory memory = Memory::store) {
    std::vector<RecurrentCall<T>> calls;
    for (Result<T>& r : results) {
      RecurrentCall<T> call;
      call.weights = &weights_;
      call.memory = memory;
      call.arrangement = {
          .batch = p_.B, .steps = p_.T, .offsets = {}, .lengths = {p_.lengths.begin(), p_.lengths.end()}};
      call.x = x_.data();
      call.initial[0] = h0_.data();
      call.initial[1] = two() ? c0_.data() : nullptr;
      call.y = r.y.data();
      call.final[0] = r.h.data();
      call.final[1] = two() ? r.c.data() : nullptr;
      calls.push_back(call);
    }
    contexts_ = recurrent_forward<T>(calls, true, plan);
  }

  void backward(const Plan* plan) {
    std::vector<RecurrentGradients<T>> calls;
    for (std::size_t i = 0; i < results.size(); ++i) {
      Result<T>& r = results[i];
      RecurrentGradients<T> g{contexts_[i].get()};
      g.dy = dy_.data();
      g.d_final[0] = dh_.data();
      g.d_final[1] = two() ? dc_.data() : nullptr;
      g.dx = r.dx.data();
      g.d_initial[0] = r.dh0.data();
      g.d_initial[1] = two() ? r.dc0.data() : nullptr;
      for (std::vector<T>* const sum : {&r.dkernel, &r.drecurrent, &r.dbias}) std::fill(sum->begin(), sum->end(), T(0));
      g.d_kernel = r.dkernel.data();
      g.d_recurrent_kernel = r.drecurrent.data();
      g.d_bias = r.dbias.data();
      calls.push_back(g);
    }
    recurrent_backward<T>(calls, plan);
  }

 private:
  bool two() const { return weights_.cell().states > 1; }

  const Problem& p_;
  const std::vector<T> x_, kernel_, recurrent_, bias_, h0_, c0_, dy_, dh_, dc_;
  Weights<T> weights_;
  PoolVector<std::unique_ptr<RecurrentContext<T>>> contexts_;
};

template <class T>
Result<T> run(const std::string& cell, const Problem& p, const Plan* plan = nullptr, Memory memory = Memory::store) {
  Runs<T> one(cell, p, 1);
  one.forward(plan, memory);
  one.backward(plan);
  return one.results.front();
}

inline const std::vector<std::string>& recurrent_cells() {
  static const std::vector<std::string> cells{"lstm", "gru", "gru_reset_before", "elman"};
  return cells;
}

}  // namespace latchwork::test
