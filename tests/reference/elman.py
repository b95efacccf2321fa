"""The simple recurrent network of Elman 1990: h' = a(x W + h R + b)."""

import numpy as np

from reference.activations import DERIVATIVE, FUNCTION


class Elman:
    gates, states, bias_rows = 1, 1, 1

    def __init__(self, kernel, recurrent_kernel, bias, activation="tanh"):
        self.parameters = (kernel, recurrent_kernel, bias)
        self.gradients = tuple(np.zeros_like(p) for p in self.parameters)
        self.a, self.da = FUNCTION[activation], DERIVATIVE[activation]

    def step(self, x, state):
        (h,) = state
        kernel, recurrent_kernel, bias = self.parameters
        z = x @ kernel + h @ recurrent_kernel + bias
        return (self.a(z),), (x, h, z)

    def step_backward(self, tape, d_state):
        x, h, z = tape
        (dh,) = d_state
        dz = dh * self.da(z)
        for gradient, term in zip(self.gradients, (np.outer(x, dz), np.outer(h, dz), dz), strict=True):
            gradient += term
        kernel, recurrent_kernel, _ = self.parameters
        return kernel @ dz, (recurrent_kernel @ dz,)
