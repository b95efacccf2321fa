"""LSTM: Hochreiter and Schmidhuber 1997, with the forget gate of Gers, Schmidhuber and Cummins 2000.

i = s(x W_i + h R_i + b_i)    f = s(x W_f + h R_f + b_f)
g = a(x W_g + h R_g + b_g)    o = s(x W_o + h R_o + b_o)
c' = f c + i g                h' = o a(c')
"""

import numpy as np

from reference.activations import DERIVATIVE, FUNCTION


class Lstm:
    gates, states, bias_rows = 4, 2, 1

    def __init__(self, kernel, recurrent_kernel, bias, activation="tanh", recurrent_activation="sigmoid"):
        self.parameters = (kernel, recurrent_kernel, bias)
        self.gradients = tuple(np.zeros_like(p) for p in self.parameters)
        self.a, self.da = FUNCTION[activation], DERIVATIVE[activation]
        self.s, self.ds = FUNCTION[recurrent_activation], DERIVATIVE[recurrent_activation]

    def step(self, x, state):
        h, c = state
        kernel, recurrent_kernel, bias = self.parameters
        zi, zf, zg, zo = np.split(x @ kernel + h @ recurrent_kernel + bias, 4)
        i, f, g, o = self.s(zi), self.s(zf), self.a(zg), self.s(zo)
        c_new = f * c + i * g
        return (o * self.a(c_new), c_new), (x, h, c, zi, zf, zg, zo, c_new)

    def step_backward(self, tape, d_state):
        x, h, c, zi, zf, zg, zo, c_new = tape
        dh, dc = d_state
        do = dh * self.a(c_new)
        dc = dc + dh * self.s(zo) * self.da(c_new)
        di, df, dg = dc * self.a(zg), dc * c, dc * self.s(zi)
        dz = np.concatenate([di * self.ds(zi), df * self.ds(zf), dg * self.da(zg), do * self.ds(zo)])
        for gradient, term in zip(self.gradients, (np.outer(x, dz), np.outer(h, dz), dz), strict=True):
            gradient += term
        kernel, recurrent_kernel, _ = self.parameters
        return kernel @ dz, (recurrent_kernel @ dz, dc * self.s(zf))
