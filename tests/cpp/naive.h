// The cells again, in float64, from the papers: one row at a time, plain loops, libm. Written without the kernels.
#pragma once

#include <cmath>
#include <vector>

namespace latchwork::test {

using Array = std::vector<double>;

inline double sigma(double x) { return 1 / (1 + std::exp(-x)); }

// Sequences batch-first [B, T, I]; length of each; gates side by side, [.., G * H].
struct Problem {
  long B, T, I, H;
  std::vector<long> lengths;
  Array x, kernel, recurrent, bias, h0, c0;  // c0 for the LSTM
  Array dy, dh, dc;                          // gradients of outputs and final states
};

struct Answer {
  Array y, h, c;
  Array dx, dkernel, drecurrent, dbias, dh0, dc0;
};

// x[0..n) · w[:, column] of a row-major [n, columns] matrix.
inline double dot(const double* x, long n, const Array& w, long columns, long column) {
  double sum = 0;
  for (long k = 0; k < n; ++k) sum += x[k] * w[static_cast<std::size_t>(k * columns + column)];
  return sum;
}

// d = gradient of the pre-activation `column`: spreads it to the operand and to the weights.
inline void spread(double d, const double* x, double* dx, long n, const Array& w, Array& dw, long columns,
                   long column) {
  for (long k = 0; k < n; ++k) {
    dx[k] += d * w[static_cast<std::size_t>(k * columns + column)];
    dw[static_cast<std::size_t>(k * columns + column)] += d * x[k];
  }
}

inline Answer prepare(const Problem& p) {
  const auto size = [](long n) { return static_cast<std::size_t>(n); };
  Answer a;
  a.y.resize(size(p.B * p.T * p.H));
  a.h = p.h0;
  a.c = p.c0;
  a.dx.resize(p.x.size());
  a.dkernel.resize(p.kernel.size());
  a.drecurrent.resize(p.recurrent.size());
  a.dbias.resize(p.bias.size());
  a.dh0 = p.dh;
  a.dc0 = p.dc;
  return a;
}

inline Answer naive_lstm(const Problem& p) {
  Answer a = prepare(p);
  const long H = p.H, I = p.I, G = 4 * H;
  for (long b = 0; b < p.B; ++b) {
    const long T = p.lengths[static_cast<std::size_t>(b)];
    std::vector<Array> hs{Array(a.h.begin() + b * H, a.h.begin() + (b + 1) * H)},
        cs{Array(a.c.begin() + b * H, a.c.begin() + (b + 1) * H)}, gates;
    for (long t = 0; t < T; ++t) {
      const double* const x = p.x.data() + (b * p.T + t) * I;
      Array gate(static_cast<std::size_t>(G)), h(static_cast<std::size_t>(H)), c(static_cast<std::size_t>(H));
      for (long g = 0; g < G; ++g) {
        const double z = dot(x, I, p.kernel, G, g) + dot(hs.back().data(), H, p.recurrent, G, g) +
                         p.bias[static_cast<std::size_t>(g)];
        gate[static_cast<std::size_t>(g)] = g / H == 2 ? std::tanh(z) : sigma(z);
      }
      for (std::size_t u = 0; u < h.size(); ++u) {
        c[u] = gate[h.size() + u] * cs.back()[u] + gate[u] * gate[2 * h.size() + u];
        h[u] = gate[3 * h.size() + u] * std::tanh(c[u]);
        a.y[static_cast<std::size_t>((b * p.T + t) * H) + u] = h[u];
      }
      hs.push_back(h), cs.push_back(c), gates.push_back(gate);
    }
    Array dh(p.dh.begin() + b * H, p.dh.begin() + (b + 1) * H), dc(p.dc.begin() + b * H, p.dc.begin() + (b + 1) * H);
    for (long t = T - 1; t >= 0; --t) {
      const std::size_t now = static_cast<std::size_t>(t);
      Array d(static_cast<std::size_t>(G)), dh_before(dh.size()), dc_before(dc.size());
      for (std::size_t u = 0; u < dh.size(); ++u) {
        const double i = gates[now][u], f = gates[now][dh.size() + u], g = gates[now][2 * dh.size() + u],
                     o = gates[now][3 * dh.size() + u];
        const double th = std::tanh(cs[now + 1][u]),
                     dhu = dh[u] + p.dy[static_cast<std::size_t>((b * p.T + t) * H) + u];
        const double dcu = dc[u] + dhu * o * (1 - th * th);
        d[u] = dcu * g * i * (1 - i);
        d[dh.size() + u] = dcu * cs[now][u] * f * (1 - f);
        d[2 * dh.size() + u] = dcu * i * (1 - g * g);
        d[3 * dh.size() + u] = dhu * th * o * (1 - o);
        dc_before[u] = dcu * f;
      }
      for (long g = 0; g < G; ++g) {
        spread(d[static_cast<std::size_t>(g)], p.x.data() + (b * p.T + t) * I, a.dx.data() + (b * p.T + t) * I, I,
               p.kernel, a.dkernel, G, g);
        spread(d[static_cast<std::size_t>(g)], hs[now].data(), dh_before.data(), H, p.recurrent, a.drecurrent, G, g);
        a.dbias[static_cast<std::size_t>(g)] += d[static_cast<std::size_t>(g)];
      }
      dh = dh_before, dc = dc_before;
    }
    for (long u = 0; u < H; ++u) {
      const auto at = static_cast<std::size_t>(b * H + u), unit = static_cast<std::size_t>(u);
      a.h[at] = hs.back()[unit], a.c[at] = cs.back()[unit], a.dh0[at] = dh[unit], a.dc0[at] = dc[unit];
    }
  }
  return a;
}

// Both forms: `after` with bias [2, 3H], else [3H].
inline Answer naive_gru(const Problem& p, bool after) {
  Answer a = prepare(p);
  const long H = p.H, I = p.I, G = 3 * H;
  const auto n = static_cast<std::size_t>(H);
  for (long b = 0; b < p.B; ++b) {
    const long T = p.lengths[static_cast<std::size_t>(b)];
    std::vector<Array> hs{Array(a.h.begin() + b * H, a.h.begin() + (b + 1) * H)}, zs, rs, ns, inners;
    for (long t = 0; t < T; ++t) {
      const double* const x = p.x.data() + (b * p.T + t) * I;
      const Array& before = hs.back();
      Array z(n), r(n), candidate(n), inner(n), h(n), reset(n);
      for (std::size_t u = 0; u < n; ++u) {
        const long c = static_cast<long>(u);
        z[u] = sigma(dot(x, I, p.kernel, G, c) + dot(before.data(), H, p.recurrent, G, c) + p.bias[u] +
                     (after ? p.bias[3 * n + u] : 0));
        r[u] = sigma(dot(x, I, p.kernel, G, H + c) + dot(before.data(), H, p.recurrent, G, H + c) + p.bias[n + u] +
                     (after ? p.bias[4 * n + u] : 0));
      }
      for (std::size_t u = 0; u < n; ++u) reset[u] = r[u] * before[u];
      for (std::size_t u = 0; u < n; ++u) {
        const long c = 2 * H + static_cast<long>(u);
        inner[u] = after ? dot(before.data(), H, p.recurrent, G, c) + p.bias[5 * n + u]
                         : dot(reset.data(), H, p.recurrent, G, c);
        candidate[u] = std::tanh(dot(x, I, p.kernel, G, c) + p.bias[2 * n + u] + (after ? r[u] : 1.0) * inner[u]);
        h[u] = z[u] * before[u] + (1 - z[u]) * candidate[u];
        a.y[static_cast<std::size_t>((b * p.T + t) * H) + u] = h[u];
      }
      hs.push_back(h), zs.push_back(z), rs.push_back(r), ns.push_back(candidate), inners.push_back(inner);
    }
    Array dh(p.dh.begin() + b * H, p.dh.begin() + (b + 1) * H);
    for (long t = T - 1; t >= 0; --t) {
      const auto now = static_cast<std::size_t>(t);
      Array before(n), d_reset(n), dz(n), dn(n);
      double* const dx = a.dx.data() + (b * p.T + t) * I;
      const double* const x = p.x.data() + (b * p.T + t) * I;
      for (std::size_t u = 0; u < n; ++u) {
        const double d = dh[u] + p.dy[static_cast<std::size_t>((b * p.T + t) * H) + u];
        const double z = zs[now][u], c = ns[now][u];
        before[u] = d * z;
        dz[u] = d * (hs[now][u] - c) * z * (1 - z);
        dn[u] = d * (1 - z) * (1 - c * c);
      }
      Array reset(n);
      for (std::size_t u = 0; u < n; ++u) reset[u] = rs[now][u] * hs[now][u];
      for (std::size_t u = 0; u < n; ++u) {
        const long c = 2 * H + static_cast<long>(u);
        spread(dn[u], x, dx, I, p.kernel, a.dkernel, G, c);
        a.dbias[2 * n + u] += dn[u];
        if (after) {
          spread(dn[u] * rs[now][u], hs[now].data(), before.data(), H, p.recurrent, a.drecurrent, G, c);
          a.dbias[5 * n + u] += dn[u] * rs[now][u];
        } else {
          spread(dn[u], reset.data(), d_reset.data(), H, p.recurrent, a.drecurrent, G, c);
        }
      }
      for (std::size_t u = 0; u < n; ++u) {
        const double r = rs[now][u];
        const double dr = (after ? dn[u] * inners[now][u] : d_reset[u] * hs[now][u]) * r * (1 - r);
        if (!after) before[u] += d_reset[u] * r;
        for (const auto& [gate, d] : {std::pair{0L, dz[u]}, {1L, dr}}) {
          const long c = gate * H + static_cast<long>(u);
          spread(d, x, dx, I, p.kernel, a.dkernel, G, c);
          spread(d, hs[now].data(), before.data(), H, p.recurrent, a.drecurrent, G, c);
          a.dbias[static_cast<std::size_t>(c)] += d;
          if (after) a.dbias[3 * n + static_cast<std::size_t>(c)] += d;
        }
      }
      dh = before;
    }
    for (std::size_t u = 0; u < n; ++u) {
      a.h[static_cast<std::size_t>(b) * n + u] = hs.back()[u];
      a.dh0[static_cast<std::size_t>(b) * n + u] = dh[u];
    }
  }
  return a;
}

inline Answer naive_elman(const Problem& p) {
  Answer a = prepare(p);
  const long H = p.H, I = p.I;
  const auto n = static_cast<std::size_t>(H);
  for (long b = 0; b < p.B; ++b) {
    const long T = p.lengths[static_cast<std::size_t>(b)];
    std::vector<Array> hs{Array(a.h.begin() + b * H, a.h.begin() + (b + 1) * H)};
    for (long t = 0; t < T; ++t) {
      Array h(n);
      for (std::size_t u = 0; u < n; ++u) {
        const long c = static_cast<long>(u);
        h[u] = std::tanh(dot(p.x.data() + (b * p.T + t) * I, I, p.kernel, H, c) +
                         dot(hs.back().data(), H, p.recurrent, H, c) + p.bias[u]);
        a.y[static_cast<std::size_t>((b * p.T + t) * H) + u] = h[u];
      }
      hs.push_back(h);
    }
    Array dh(p.dh.begin() + b * H, p.dh.begin() + (b + 1) * H);
    for (long t = T - 1; t >= 0; --t) {
      const auto now = static_cast<std::size_t>(t);
      Array before(n);
      for (std::size_t u = 0; u < n; ++u) {
        const double h = hs[now + 1][u],
                     d = (dh[u] + p.dy[static_cast<std::size_t>((b * p.T + t) * H) + u]) * (1 - h * h);
        spread(d, p.x.data() + (b * p.T + t) * I, a.dx.data() + (b * p.T + t) * I, I, p.kernel, a.dkernel, H,
               static_cast<long>(u));
        spread(d, hs[now].data(), before.data(), H, p.recurrent, a.drecurrent, H, static_cast<long>(u));
        a.dbias[u] += d;
      }
      dh = before;
    }
    for (std::size_t u = 0; u < n; ++u) {
      a.h[static_cast<std::size_t>(b) * n + u] = hs.back()[u];
      a.dh0[static_cast<std::size_t>(b) * n + u] = dh[u];
    }
  }
  return a;
}

}  // namespace latchwork::test
