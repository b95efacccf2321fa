"""GRU. Reset-before is Cho et al. 2014 (arXiv:1406.1078); reset-after is its variant with the reset gate behind the
recurrent product and a bias of its own, as cuDNN and Keras (reset_after=True) have it. Gate order z, r, n.

    z = s(x W_z + h R_z + b_z)    r = s(x W_r + h R_r + b_r)    h' = z h + (1 - z) n
    reset-before: n = a(x W_n + (r h) R_n + b_n)
    reset-after:  n = a(x W_n + b_n + r (h R_n + b'_n)), and z and r have a second bias too
"""

import numpy as np

from reference.activations import DERIVATIVE, FUNCTION


class _Gru:
    gates, states = 3, 1

    def __init__(self, kernel, recurrent_kernel, bias, activation="tanh", recurrent_activation="sigmoid"):
        self.parameters = (kernel, recurrent_kernel, bias)
        self.gradients = tuple(np.zeros_like(p) for p in self.parameters)
        self.a, self.da = FUNCTION[activation], DERIVATIVE[activation]
        self.s, self.ds = FUNCTION[recurrent_activation], DERIVATIVE[recurrent_activation]


class GruResetAfter(_Gru):
    bias_rows = 2

    def step(self, x, state):
        (h,) = state
        kernel, recurrent_kernel, bias = self.parameters
        xz, xr, xn = np.split(x @ kernel + bias[0], 3)
        hz, hr, hn = np.split(h @ recurrent_kernel + bias[1], 3)
        zz, zr = xz + hz, xr + hr
        zn = xn + self.s(zr) * hn
        z, n = self.s(zz), self.a(zn)
        return (z * h + (1 - z) * n,), (x, h, zz, zr, zn, hn)

    def step_backward(self, tape, d_state):
        x, h, zz, zr, zn, hn = tape
        (dh,) = d_state
        z, n = self.s(zz), self.a(zn)
        dzz = dh * (h - n) * self.ds(zz)
        dzn = dh * (1 - z) * self.da(zn)
        dzr = dzn * hn * self.ds(zr)
        dx_side = np.concatenate([dzz, dzr, dzn])
        dh_side = np.concatenate([dzz, dzr, dzn * self.s(zr)])
        terms = np.outer(x, dx_side), np.outer(h, dh_side), np.stack([dx_side, dh_side])
        for gradient, term in zip(self.gradients, terms, strict=True):
            gradient += term
        kernel, recurrent_kernel, _ = self.parameters
        return kernel @ dx_side, (dh * z + recurrent_kernel @ dh_side,)


class GruResetBefore(_Gru):
    bias_rows = 1

    def step(self, x, state):
        (h,) = state
        kernel, recurrent_kernel, bias = self.parameters
        H = len(h)
        xz, xr, xn = np.split(x @ kernel + bias, 3)
        zz = xz + h @ recurrent_kernel[:, :H]
        zr = xr + h @ recurrent_kernel[:, H : 2 * H]
        zn = xn + (self.s(zr) * h) @ recurrent_kernel[:, 2 * H :]
        z, n = self.s(zz), self.a(zn)
        return (z * h + (1 - z) * n,), (x, h, zz, zr, zn)

    def step_backward(self, tape, d_state):
        x, h, zz, zr, zn = tape
        (dh,) = d_state
        H = len(h)
        kernel, recurrent_kernel, _ = self.parameters
        z, r, n = self.s(zz), self.s(zr), self.a(zn)
        dzz = dh * (h - n) * self.ds(zz)
        dzn = dh * (1 - z) * self.da(zn)
        d_rh = recurrent_kernel[:, 2 * H :] @ dzn
        dzr = d_rh * h * self.ds(zr)
        dz = np.concatenate([dzz, dzr, dzn])
        d_recurrent = np.concatenate([np.outer(h, dzz), np.outer(h, dzr), np.outer(r * h, dzn)], axis=1)
        for gradient, term in zip(self.gradients, (np.outer(x, dz), d_recurrent, dz), strict=True):
            gradient += term
        through_gates = recurrent_kernel[:, : 2 * H] @ dz[: 2 * H]
        return kernel @ dz, (dh * z + d_rh * r + through_gates,)
