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

template <class T>
Result<T> run(const std::string& cell, const Problem& p, const Plan* plan = nullptr, Memory memory = Memory::store) {
  const auto x = as<T>(p.x), kernel = as<T>(p.kernel), recurrent = as<T>(p.recurrent), bias = as<T>(p.bias),
             h0 = as<T>(p.h0), c0 = as<T>(p.c0), dy = as<T>(p.dy), dh = as<T>(p.dh), dc = as<T>(p.dc);
  Result<T> r;
  const auto like = [](const std::vector<T>& a) { return std::vector<T>(a.size(), T(0)); };
  r.y = like(dy), r.h = like(h0), r.c = like(c0), r.dx = like(x), r.dkernel = like(kernel),
  r.drecurrent = like(recurrent), r.dbias = like(bias);
  r.dh0 = like(h0), r.dc0 = like(c0);

  Weights<T> weights(find_cell(cell), p.I, p.H, {kernel.data(), recurrent.data(), bias.data()});
  weights.prepare(true);
  const bool two = weights.cell().states > 1;
  RecurrentCall<T> call;
  call.weights = &weights;
  call.memory = memory;
  call.arrangement = {.batch = p.B, .steps = p.T, .offsets = {}, .lengths = {p.lengths.begin(), p.lengths.end()}};
  call.x = x.data();
  call.initial[0] = h0.data();
  call.initial[1] = two ? c0.data() : nullptr;
  call.y = r.y.data();
  call.final[0] = r.h.data();
  call.final[1] = two ? r.c.data() : nullptr;
  const auto contexts = recurrent_forward<T>({&call, 1}, true, plan);
  RecurrentGradients<T> g{contexts.front().get()};
  g.dy = dy.data();
  g.d_final[0] = dh.data();
  g.d_final[1] = two ? dc.data() : nullptr;
  g.dx = r.dx.data();
  g.d_initial[0] = r.dh0.data();
  g.d_initial[1] = two ? r.dc0.data() : nullptr;
  g.d_kernel = r.dkernel.data();
  g.d_recurrent_kernel = r.drecurrent.data();
  g.d_bias = r.dbias.data();
  recurrent_backward<T>({&g, 1}, plan);
  return r;
}

inline const std::vector<std::string>& recurrent_cells() {
  static const std::vector<std::string> cells{"lstm", "gru", "gru_reset_before", "elman"};
  return cells;
}

}  // namespace latchwork::test
