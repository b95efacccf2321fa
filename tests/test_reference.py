"""The references themselves: their hand-written gradients against finite differences, in float64."""

import numpy as np
import pytest

import reference
from reference.activations import DERIVATIVE, FUNCTION

B, T, I, H = 3, 4, 2, 3
SHAPES = {
    "lstm": (reference.Lstm, (4 * H,)),
    "gru_reset_after": (reference.GruResetAfter, (2, 3 * H)),
    "gru_reset_before": (reference.GruResetBefore, (3 * H,)),
    "elman": (reference.Elman, (H,)),
}


def slope(value, array, step=1e-6):
    """Central differences of value() with respect to every element of `array`."""
    gradient = np.zeros_like(array)
    for index in np.ndindex(array.shape):
        kept = array[index]
        array[index] = kept + step
        above = value()
        array[index] = kept - step
        gradient[index] = (above - value()) / (2 * step)
        array[index] = kept
    return gradient


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("name", SHAPES)
def test_gradients_are_slopes(name, reverse):
    cell_type, bias_shape = SHAPES[name]
    G = cell_type.gates
    rng = np.random.default_rng(3)
    parameters = tuple(rng.normal(size=s) for s in ((I, G * H), (H, G * H), bias_shape))
    x = rng.normal(size=(B, T, I))
    state = tuple(rng.normal(size=(B, H)) for _ in range(cell_type.states))
    dy = rng.normal(size=(B, T, H))
    d_state = tuple(rng.normal(size=(B, H)) for _ in range(cell_type.states))
    lengths = [T, 0, 2]

    def value():
        run = reference.forward(cell_type(*parameters), x, state, lengths, reverse)
        return (run.y * dy).sum() + sum((s * d).sum() for s, d in zip(run.state, d_state, strict=True))

    cell = cell_type(*parameters)
    run = reference.forward(cell, x, state, lengths, reverse)
    dx, d_initial = reference.backward(cell, x, run, dy, d_state)
    pairs = [(dx, x), *zip(d_initial, state, strict=True), *zip(cell.gradients, parameters, strict=True)]
    for gradient, array in pairs:
        np.testing.assert_allclose(gradient, slope(value, array), rtol=1e-7, atol=1e-8)


def test_dense_gradients_are_slopes():
    rng = np.random.default_rng(4)
    kernel, bias, rows, d_rows = (rng.normal(size=s) for s in ((3, 2), (2,), (5, 3), (5, 2)))
    dense = reference.Dense(kernel, bias, "tanh")
    dx = dense.backward(rows, d_rows)

    def value():
        return (reference.Dense(kernel, bias, "tanh").forward(rows) * d_rows).sum()

    for gradient, array in ((dx, rows), (dense.gradients[0], kernel), (dense.gradients[1], bias)):
        np.testing.assert_allclose(gradient, slope(value, array), rtol=1e-7, atol=1e-8)


@pytest.mark.parametrize("name", FUNCTION)
def test_activation_derivatives_are_slopes(name):
    x = np.array([-3.5, -2.1, -0.7, -0.01, 0.02, 0.9, 2.2, 4.1])
    np.testing.assert_allclose(
        DERIVATIVE[name](x), (FUNCTION[name](x + 1e-6) - FUNCTION[name](x - 1e-6)) / 2e-6, rtol=1e-7, atol=1e-9
    )


def test_a_length_stops_a_sequence():
    rng = np.random.default_rng(5)
    cell = reference.Elman(*(rng.normal(size=s) for s in ((I, H), (H, H), (H,))))
    x, h = rng.normal(size=(B, T, I)), rng.normal(size=(B, H))
    run = reference.forward(cell, x, (h,), [T, 0, 2])
    assert (run.y[1] == 0).all()
    assert (run.y[2, 2:] == 0).all()
    assert (run.state[0][1] == h[1]).all()
    assert (run.state[0][2] == run.y[2, 1]).all()
    backwards = reference.forward(cell, x, (h,), [T, 0, 2], reverse=True)
    flipped = reference.forward(cell, x[:, [1, 0, 2, 3]], (h,), [T, 0, 2])
    assert (backwards.y[2] == flipped.y[2]).all()
