"""check_gradients: finds what is wrong with a layer, and says what. Layers of a user's own with parameters."""

import numpy as np
import pytest

import latchwork as lw
from latchwork.layers import GRU, LSTM, Bidirectional, Dense, Dropout, Embedding, Layer, Masking, TimeDistributed
from latchwork.models import Sequential
from latchwork.testing import check_gradients


class Gated(Layer):
    """y = x @ kernel * gate, with all that can go wrong on demand."""

    def __init__(self, units, wrong="", **common):
        super().__init__(**common)
        self.units, self.wrong, self.calls = units, wrong, 0

    def build(self, input_shape):
        self.kernel = self.add_weight((input_shape[-1], self.units), "glorot_uniform", name="kernel")
        self.gate = self.add_weight((self.units,), "ones", name="gate")
        self.seen = self.add_weight((1,), "zeros", name="seen", trainable=False)

    def y_shape(self, x_shape):
        return (*x_shape[:-1], self.units + (self.wrong == "shape"))

    def forward(self, x, *, training=True, step=None):
        self.calls += 1
        inner = x @ self.kernel.value
        y = inner * self.gate.value
        return y + (self.calls if self.wrong == "repeat" else 0), (x, inner)

    def backward(self, ctx, dy, *, need_dx=True):
        x, inner = ctx
        if self.wrong == "dy missing":
            dy = dy * (np.arange(self.units) != 1)
        gate = (dy * inner).sum(axis=tuple(range(x.ndim - 1)))
        if self.wrong == "overwrites":
            self.gate.gradient[...] = gate
        elif self.wrong != "gate" or not need_dx:
            self.gate.gradient += gate
        if self.wrong == "need_dx" and not need_dx:
            self.gate.gradient += 1
        d_inner = dy * self.gate.value
        self.kernel.gradient += np.tensordot(x, d_inner, (range(x.ndim - 1), range(x.ndim - 1)))
        if self.wrong == "dx shape":
            return d_inner
        return d_inner @ self.kernel.value.T * (1 + 1e-4 * (self.wrong == "dx")) if need_dx else None


def test_a_layer_of_ones_own():
    """Alone, in a check, and in a model; twice derived."""
    layer = Gated(3)
    assert set(check_gradients(layer, (2, 4, 5))) == {"x", "gated/kernel", "gated/gate"}
    assert layer.dtype == np.float64
    assert Gated(3)(np.ones((2, 5))).shape == (2, 3)
    built = Gated(3)
    built.build((None, 7, 5))
    assert [v.shape for v in built.variables] == [(5, 3), (3,), (1,)]
    built.build((None, 7, 5))
    assert len(built.variables) == 3

    class Shifted(Gated):
        def build(self, input_shape):
            super().build(input_shape)
            self.shift = self.add_weight((self.units,), "zeros", name="shift")

        def forward(self, x, *, training=True, step=None):
            y, ctx = super().forward(x)
            return y + self.shift.value, ctx

        def backward(self, ctx, dy, *, need_dx=True):
            self.shift.gradient += dy.sum(axis=(0, 1))
            return super().backward(ctx, dy, need_dx=need_dx)

    assert "shifted/shift" in check_gradients(Shifted(2), (2, 4, 5))
    model = Sequential([LSTM(4, return_sequences=True, input_shape=(None, 2)), Shifted(3), GRU(2)])
    model.compile("adam", "mse")
    x = np.random.default_rng(0).normal(size=(8, 5, 2))
    before = [w.copy() for w in (model.build(), model.layers[1].get_weights())[1]]
    model.fit(x, np.ones((8, 2)), epochs=1, verbose=0)
    changed = [bool((a != b).any()) for a, b in zip(before, model.layers[1].get_weights(), strict=True)]
    assert changed == [True, True, False, True]
    assert model.layers[1].variables[0].value.dtype == np.float32


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ("shape", r"gated: y_shape says \(4, 4\) for a sample, forward gives \(4, 3\)"),
        ("repeat", "forward gives other numbers when it is called again"),
        ("dx", r"the gradient of x is wrong at \d+ of 40 places, most at \[\d, \d, \d\]: backward gives .* off by"),
        ("dy missing", "the gradient of x is wrong"),
        ("gate", r"the gradient of gated/gate is wrong at 3 of 3|gated/gate: backward adds something else"),
        ("overwrites", "the gradient of gated/gate: backward must ADD to it"),
        ("need_dx", "the gradient of gated/gate: backward adds something else with need_dx=False"),
        ("dx shape", r"dx must have the shape of x, \(2, 4, 5\), backward gives \(2, 4, 3\)"),
    ],
)
def test_what_is_wrong_is_found(wrong, message):
    with pytest.raises(AssertionError, match=message):
        check_gradients(Gated(3, wrong), (2, 4, 5))


def test_nothing_is_left_behind():
    layer = Dense(3, dtype="float64")
    layer.build((None, 2))
    layer.variables[0].gradient[...] = 5
    before = layer.get_weights()
    x = np.ones((2, 2))
    check_gradients(layer, x=x)
    assert all(np.array_equal(a, b) for a, b in zip(layer.get_weights(), before, strict=True))
    assert (layer.variables[0].gradient == 5).all()
    assert (x == 1).all()
    assert np.array_equal(layer(x), x @ before[0])


@pytest.mark.parametrize(
    ("layer", "given"),
    [
        (lambda: LSTM(3), {"x_shape": (2, 4, 2)}),
        (
            lambda: GRU(3, return_sequences=True),
            {"x_shape": (2, 4, 2), "mask": np.array([[1, 0, 1, 1], [1, 1, 0, 0]]) > 0},
        ),
        (
            lambda: Bidirectional(LSTM(2, return_sequences=True)),
            {"x": lw.Ragged(np.ones((5, 2)) / 3, np.array([0, 2, 5]))},
        ),
        (lambda: TimeDistributed(Dense(2, "softmax")), {"x_shape": (2, 3, 4)}),
        (lambda: Dropout(0.5), {"x_shape": (2, 3, 4)}),
        (lambda: Embedding(5, 3), {"x": np.array([[0, 4, 4]])}),
        (lambda: Masking(), {"x_shape": (2, 3, 2)}),
        (lambda: Dense(3, trainable=False), {"x_shape": (2, 3)}),
    ],
)
def test_layers_of_the_library(layer, given):
    assert max(check_gradients(layer(), **given).values()) < 1e-6


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: check_gradients("dense", (2, 3)), "layer must be a layer"),
        (lambda: check_gradients(Dense(2)), "give one of x_shape and x"),
        (lambda: check_gradients(Dense(2), [(2, 3), (2, 3)]), "takes one input, got 2"),
        (lambda: check_gradients(Dense(2, dtype="float32"), (2, 3)), "dense: dtype must be 'float64' to be checked"),
    ],
)
def test_bad_arguments(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_a_layer_built_in_float32():
    layer = Dense(2)
    layer.build((None, 3))
    with pytest.raises(ValueError, match="dense: dtype must be 'float64' to be checked, got float32"):
        check_gradients(layer, (2, 3))


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda layer, shape: layer.add_weight((None, 3)), "shape must be known throughout"),
        (lambda layer, shape: [layer.add_weight((3,)), layer.add_weight((3,))], "name 'kernel' is taken"),
        (lambda layer, shape: layer.add_weight((3,), "glorott"), "glorott"),
        (lambda layer, shape: layer.add_weight((3,), trainable=1), "trainable must be True or False"),
    ],
)
def test_bad_weights(build, message):
    class Wrong(Layer):
        pass

    wrong = type("Wrong", (Layer,), {"build": build})()
    for _ in range(2):  # nothing is left of the first try
        with pytest.raises(ValueError, match=message):
            wrong.build((None, 3))
        assert wrong.variables == []
    layer = Gated(2)
    layer.build((None, 3))
    with pytest.raises(ValueError, match="built already"):
        layer.add_weight((3,), name="late")
