"""Gradients of the kernels themselves against finite differences of the kernels, in float64."""

from dataclasses import replace

import numpy as np
import pytest

from latchwork import functional as F
from problems import CELLS, ISAS, answer, problem, using

STEP = 1e-6  # central differences: a truncation error of about STEP^2, a rounding error of about eps / STEP


def value(p):
    y, state, _ = p.cell.run(p.x, p.parameters, p.state, lengths=p.lengths, reverse=p.reverse, training=False)
    return (y * p.dy).sum() + sum((s * d).sum() for s, d in zip(state, p.d_state, strict=True))


def slope(function, array):
    gradient = np.zeros_like(array)
    for index in np.ndindex(array.shape):
        kept = array[index]
        array[index] = kept + STEP
        above = function()
        array[index] = kept - STEP
        gradient[index] = (above - function()) / (2 * STEP)
        array[index] = kept
    return gradient


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("reverse", [False, True], ids=["forward", "reversed"])
@pytest.mark.parametrize("cell", CELLS)
def test_gradients_are_slopes(cell, reverse, isa):
    p = problem(cell, 3, 4, 2, 3, reverse=reverse).astype(np.float64)
    with using(isa=isa):
        found = answer(p)
        inputs = {"dx": p.x, "kernel": p.parameters[0], "recurrent_kernel": p.parameters[1], "bias": p.parameters[2]}
        inputs |= {f"d_initial[{i}]": s for i, s in enumerate(p.state)}
        for name, array in inputs.items():
            wanted = slope(lambda: value(p), array)
            np.testing.assert_allclose(found.arrays()[name], wanted, rtol=1e-7, atol=1e-8, err_msg=name)


@pytest.mark.parametrize("activation", ["tanh", "sigmoid", "softplus", "elu", "softsign", "exponential", "linear"])
def test_dense_gradients_are_slopes(activation):
    rng = np.random.default_rng(2)
    x, kernel, bias, dy = (rng.uniform(-1, 1, s) for s in ((5, 3), (3, 4), (4,), (5, 4)))

    def total():
        return (F.dense(x, (kernel, bias), activation=activation, training=False)[0] * dy).sum()

    _, ctx = F.dense(x, (kernel, bias), activation=activation)
    gradients = F.dense_backward(ctx, dy)
    for found, array in ((gradients.x, x), (gradients.kernel, kernel), (gradients.bias, bias)):
        np.testing.assert_allclose(found, slope(total, array), rtol=1e-7, atol=1e-8)


@pytest.mark.parametrize("cell", CELLS)
def test_backward_is_linear_in_its_seeds(cell):
    """Doubling every seed doubles every gradient, to the bit: multiplying by two rounds nothing."""
    p = problem(cell, 4, 6, 3, 9)
    doubled = replace(p, dy=2 * p.dy, d_state=tuple(2 * d for d in p.d_state))
    once, twice = answer(p).arrays(), answer(doubled).arrays()
    for name in ("dx", "kernel", "recurrent_kernel", "bias", "d_initial[0]"):
        assert np.array_equal(twice[name], 2 * once[name]), name
