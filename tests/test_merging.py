"""Layers that merge arrays, and Dot: formulas, gradients, masks, Ragged, messages."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import latchwork as lw
from latchwork.layers import Add, Average, Concatenate, Dot, Maximum, Minimum, Multiply, Subtract

RNG = np.random.default_rng(5)
FORMULAS = {
    Add: lambda arrays: np.sum(arrays, axis=0),
    Multiply: lambda arrays: np.prod(arrays, axis=0),
    Average: lambda arrays: np.mean(arrays, axis=0),
    Maximum: lambda arrays: np.max(arrays, axis=0),
    Minimum: lambda arrays: np.min(arrays, axis=0),
    Subtract: lambda arrays: arrays[0] - arrays[1],
}


def arrays(count, *shape):
    return [RNG.normal(size=shape) for _ in range(count)]


def check_gradients(layer, x, eps=1e-6):
    """backward against central differences of sum(y * weight)."""
    y, ctx = layer.forward(x)
    weight = RNG.normal(size=y.shape)
    found = layer.backward(ctx, weight)
    assert len(found) == len(x)
    for part, dx in zip(x, found, strict=True):
        assert dx.shape == part.shape
        for at in np.ndindex(part.shape):
            kept, sides = part[at], []
            for step in (eps, -eps):
                part[at] = kept + step
                sides.append((layer.forward(x, training=False)[0] * weight).sum())
            part[at] = kept
            assert dx[at] == pytest.approx((sides[0] - sides[1]) / (2 * eps), rel=1e-6, abs=1e-8)


@pytest.mark.parametrize("kind", FORMULAS)
@pytest.mark.parametrize("count", [2, 4])
def test_elementwise(kind, count):
    count = 2 if kind is Subtract else count
    x = arrays(count, 2, 3, 2)
    layer = kind(dtype="float64")
    np.testing.assert_allclose(layer(x), FORMULAS[kind](x), rtol=4e-16, atol=1e-300)
    check_gradients(layer, x)


@pytest.mark.parametrize("kind", [Maximum, Minimum])
def test_extremes_keep_nan_and_give_the_gradient_to_the_first_of_equals(kind):
    layer, nan = kind(dtype="float64"), np.nan
    x = [np.array([[nan, 1.0, 2.0, 0.0]]), np.array([[1.0, nan, 2.0, -0.0]])]
    y, ctx = layer.forward(x)
    assert np.isnan(y[0, :2]).all()
    assert not np.signbit(y[0, 3])
    first, second = layer.backward(ctx, np.ones((1, 4)))
    assert first[0, 2:].tolist() == [1, 1]
    assert second[0, 2:].tolist() == [0, 0]


@pytest.mark.parametrize("axis", [-1, 1, 2, -2])
def test_concatenate(axis):
    shapes = [(2, 3, 4), (2, 3, 1)] if axis in (-1, 2) else [(2, 3, 4), (2, 1, 4)]
    x = [RNG.normal(size=shape) for shape in shapes]
    layer = Concatenate(axis, dtype="float64")
    np.testing.assert_array_equal(layer(x), np.concatenate(x, axis))
    assert layer.y_shape([shape[1:] for shape in shapes]) == layer(x).shape[1:]
    check_gradients(layer, x)


DOTS = [
    ((2, 3), (2, 3), 1, "bi,bi->b"),
    ((2, 3), (2, 3), -1, "bi,bi->b"),
    ((2, 4, 3), (2, 5, 3), 2, "bik,bjk->bij"),
    ((2, 3, 4), (2, 3, 5), 1, "bki,bkj->bij"),
    ((2, 4, 3), (2, 3, 5), (2, 1), "bik,bkj->bij"),
    ((2, 3), (2, 4, 3), (1, 2), "bk,bjk->bj"),
    ((2, 4, 3), (2, 4), (-2, -1), "bki,bk->bi"),
]


@pytest.mark.parametrize(("first", "second", "axes", "sums"), DOTS)
def test_dot(first, second, axes, sums):
    x = [RNG.normal(size=first), RNG.normal(size=second)]
    layer = Dot(axes, dtype="float64")
    expected = np.einsum(sums, *x)
    expected = expected[:, None] if expected.ndim == 1 else expected
    np.testing.assert_allclose(layer(x), expected, rtol=1e-14, atol=1e-14)
    assert layer.y_shape([first[1:], second[1:]]) == expected.shape[1:]
    check_gradients(layer, x)


@given(st.integers(1, 5), st.integers(1, 40), st.integers(0, 2**32 - 1))
def test_dot_does_not_depend_on_the_batch(batch, terms, seed):
    x = [np.random.default_rng(seed + i).normal(size=(batch, 2, terms)).astype(np.float32) for i in range(2)]
    whole, layer = Dot(2)(x), Dot(2)
    for row in range(batch):
        np.testing.assert_array_equal(layer([part[row : row + 1] for part in x])[0], whole[row])


def test_ragged():
    a = lw.Ragged.from_list(arrays(1, 3, 2) + arrays(1, 1, 2))
    b = lw.Ragged(RNG.normal(size=(4, 2)), a.offsets)
    layer = Add(dtype="float64")
    y, ctx = layer.forward([a, b])
    np.testing.assert_array_equal(y.values, a.values + b.values)
    dx = layer.backward(ctx, lw.Ragged(np.ones((4, 2)), a.offsets))
    assert all(isinstance(part, lw.Ragged) for part in dx)
    assert Concatenate(dtype="float64")([a, b]).values.shape == (4, 4)


M = np.array([[True, False, True]])
N = np.array([[True, True, False]])
X = np.ones((1, 3, 2))
MASKS = {
    "or": (Add(), [M, N], [[True, True, True]]),
    "one has none": (Add(), [M, None], None),
    "concatenate": (Concatenate(), [M, N], [[True, True, True]]),
    "concatenate, one has none": (Concatenate(), [M, None], [[True, True, True]]),
    "concatenate, none": (Concatenate(), [None, None], None),
    "concatenate in time": (Concatenate(1), [M, N], [[True, False, True, True, True, False]]),
    "concatenate in time, one has none": (Concatenate(1), [M, None], [[True, False, True, True, True, True]]),
    "dot": (Dot(2), [M, N], None),
}


@pytest.mark.parametrize("name", MASKS)
def test_masks(name):
    layer, masks, expected = MASKS[name]
    found = layer.compute_mask([X, X], masks)
    assert (None if found is None else found.tolist()) == expected


def test_functions():
    x = arrays(2, 2, 3)
    for name, kind in (("add", Add), ("subtract", Subtract), ("multiply", Multiply), ("average", Average),
                       ("maximum", Maximum), ("minimum", Minimum), ("concatenate", Concatenate)):  # fmt: skip
        np.testing.assert_array_equal(getattr(lw.layers, name)(x), kind()(x))
    np.testing.assert_array_equal(lw.layers.dot(x, 1), Dot(1)(x))
    assert lw.layers.add(x, name="sum", dtype="float64").dtype == np.float64


RAGGED = lw.Ragged.from_list([np.ones((3, 2)), np.ones((1, 2))])
WRONG = {
    "no list": (lambda: Add()(X), "add: x must be a list of two or more arrays, got one ndarray"),
    "one": (lambda: Add()([X]), "add: x must be a list of two or more arrays, got 1"),
    "three": (lambda: Subtract()([X, X, X]), "subtract: x must be a list of two arrays, got 3"),
    "shapes": (lambda: Add()([X, X[..., :1]]), r"add: x must be arrays of one shape, got \(B, 3, 2\), \(B, 3, 1\)"),
    "ranks": (lambda: Multiply()([X, X[:, 0]]), "multiply: x must be arrays of one shape"),
    "samples": (lambda: Add()([X, np.ones((2, 3, 2))]), "add: x must hold as many samples each"),
    "kinds": (lambda: Add()([RAGGED, np.ones((2, 3, 2))]), "as many samples each, of the same lengths"),
    "lengths": (
        lambda: Add()([RAGGED, lw.Ragged.from_list([np.ones((2, 2)), np.ones((2, 2))])]), "of the same lengths",
    ),
    "dtype": (lambda: Add()([X, X.astype(complex)]), "x must hold numbers"),
    "number": (lambda: Add()([np.float64(1), np.float64(1)]), "add: x must have a batch axis"),
    "axis 0": (lambda: Concatenate(0), "Concatenate: axis must be a whole number other than 0"),
    "axis beyond": (lambda: Concatenate(3)([X, X]), r"concatenate: axis must be one of x \(B, 3, 2\).* got 3"),
    "axis of the batch": (lambda: Concatenate(-3)([X, X]), "but the batch's, got -3"),
    "axis of ragged": (lambda: Concatenate(1)([RAGGED, RAGGED]), "axis must be -1 for Ragged inputs, got 1"),
    "other axes": (lambda: Concatenate()([X, X[:, :2]]), "concatenate: x must be arrays of one shape but for axis -1"),
    "dot axes": (lambda: Dot((1, 2, 3)), "Dot: axes must be a whole number or two"),
    "dot batch": (lambda: Dot(0), "none of them 0"),
    "dot sizes": (lambda: Dot((1, 2))([X, X]), r"dot: axes \[1, 2\] of x must be of one size"),
    "dot beyond": (lambda: Dot(3)([X, X]), r"dot: axes must be axes of x, of \(B, F\) or \(B, T, F\), got 3"),
    "dot normalize": (lambda: Dot(1, normalize=True), "normalize must be False"),
    "dot ragged": (lambda: Dot(2)([RAGGED, RAGGED]), "dot: x must be arrays, got a Ragged"),
    "dy": (lambda: (a := Add()).backward(a.forward([X, X])[1], X[:, :1]), r"add: dy must have the shape of y"),
    "in a row": (lambda: lw.models.Sequential([lw.layers.Dense(2), Add()]), r"add reads several arrays: use Model"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_wrong(name):
    call, text = WRONG[name]
    with pytest.raises(ValueError, match=text):
        call()
