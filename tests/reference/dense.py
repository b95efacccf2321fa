"""y = a(x W + b), for one row after another."""

import numpy as np

from reference.activations import DERIVATIVE, FUNCTION


class Dense:
    def __init__(self, kernel, bias, activation="linear"):
        self.parameters = (kernel, bias)
        self.gradients = tuple(np.zeros_like(p) for p in self.parameters)
        self.a, self.da = FUNCTION[activation], DERIVATIVE[activation]

    def forward(self, rows):
        kernel, bias = self.parameters
        return np.stack([self.a(x @ kernel + bias) for x in rows])

    def backward(self, rows, d_rows):
        kernel, bias = self.parameters
        dx = np.zeros_like(rows)
        for row, (x, dy) in enumerate(zip(rows, d_rows, strict=True)):
            dz = dy * self.da(x @ kernel + bias)
            dx[row] = kernel @ dz
            self.gradients[0][...] += np.outer(x, dz)
            self.gradients[1][...] += dz
        return dx
