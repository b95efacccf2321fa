"""What the tests of layers share: built layers, bits, gradients against finite differences, a user's cell."""

import numpy as np

import latchwork as lw
from latchwork.layers import Cell

RNG = np.random.default_rng(0)


def built(layer, *shape):
    """A float64 layer with all its parameters random, biases too."""
    lw.set_seed(1)
    layer.build((None, *shape))
    layer.set_weights([RNG.normal(size=v.shape) * 0.4 for v in layer.variables])
    return layer


def assert_same(a, b):
    assert a.dtype == b.dtype
    assert np.array_equal(a, b)


def differences(f, array):
    """Central differences of the number f() with respect to `array`, which f reads."""
    gradient = np.zeros_like(array)
    for i in np.ndindex(array.shape):
        value = array[i]
        array[i] = value + 1e-5
        above = f()
        array[i] = value - 1e-5
        gradient[i] = (above - f()) / 2e-5
        array[i] = value
    return gradient


def check_gradients(layer, x, **call):
    """Forward and backward of a layer with random dy against finite differences: x, initial states, parameters."""
    outputs, _ = layer.forward(x, **call)
    outputs = outputs if isinstance(outputs, list) else [outputs]
    weights = [RNG.normal(size=y.shape) for y in outputs]

    def value():
        layer.touch()
        y = layer.forward(x, training=False, **call)[0]
        return sum((a * w).sum() for a, w in zip(y if isinstance(y, list) else [y], weights, strict=True))

    for variable in layer.variables:
        variable.gradient[...] = 0
    _, ctx = layer.forward(x, **call)
    back = layer.backward(ctx, weights if len(weights) > 1 else weights[0])
    back = back if isinstance(back, list) else [back]
    arrays = [x, *call.get("initial_state", [])]
    for gradient, array in zip(back, arrays, strict=True):
        assert abs(gradient - differences(value, array)).max() < 1e-8
    for variable in layer.variables:
        assert abs(variable.gradient - differences(value, variable.value)).max() < 1e-8, variable.name


class Forgetful(Cell):
    """A user's cell: h' = x W + b + 0.1 h^2 + 0.3 s, s' = 0.5 s + h', y = (h', h)."""

    def __init__(self, units, **common):
        super().__init__(**common)
        self.units = units

    @property
    def state_size(self):
        return [self.units, self.units]

    @property
    def output_size(self):
        return 2 * self.units

    def create(self, features):
        self.kernel = self.add_weight((features, self.units), "glorot_uniform", "kernel")
        self.bias = self.add_weight((self.units,), "zeros", "bias")

    def forward(self, x, states, training=False):
        h, s = states
        new = x @ self.kernel.value + self.bias.value + 0.1 * h * h + 0.3 * s
        return np.concatenate([new, h], axis=1), [new, 0.5 * s + new], (x, h)

    def backward(self, ctx, dy, dstates):
        x, h = ctx
        d_new = dy[:, : self.units] + dstates[0] + dstates[1]
        self.kernel.gradient += x.T @ d_new
        self.bias.gradient += d_new.sum(axis=0)
        return d_new @ self.kernel.value.T, [0.2 * h * d_new + dy[:, self.units :], 0.5 * dstates[1] + 0.3 * d_new]
