"""Proofs for layers: what a test of your own layer needs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from latchwork.layers import Layer
from latchwork.layers.arguments import Shape
from latchwork.ragged import Ragged

__all__ = ["check_gradients"]

# Central differences in float64 at numbers around 1: the step's square, and eps over the step, are both 1e-10 or less.
STEP = 1e-5
ONE_STEP = 0  # of the random masks: the same in every call


def check_gradients(
    layer: Layer,
    x_shape: Any = None,
    *,
    x: Any = None,
    mask: Any = None,
    training: bool = True,
    tolerance: float = 1e-6,
    seed: int = 0,
) -> dict[str, float]:
    """Prove that `layer.backward` is the derivative of `layer.forward`: for x and for every parameter.

    Both run in float64 on random numbers, and every gradient is compared with finite differences, number by number:
    (f(v + 1e-5) - f(v - 1e-5)) / 2e-5 of f = sum(y * random weights). Also checked: that forward gives the shape
    `y_shape` says and the same numbers twice, that backward gives dx the shape of x, ADDS to the gradients of
    parameters instead of writing them, and gives the same ones with need_dx=False. The layer keeps its values and
    gradients. Where a function has a kink (relu at 0) within 1e-5 of a number drawn, another seed helps.

    Args:
        layer: Of dtype float64, or not built yet: then it is built in float64. Yours, or one of `lw.layers`.
        x_shape: Of a batch, (4, 6, 3) say; a list of shapes for a layer of several inputs. x is then drawn.
        x: The batch itself instead, an array or a `lw.Ragged`; whole numbers have no gradient.
        mask: bool [B, T], for a layer that takes one.
        training: Given to forward; random masks are those of one step.
        tolerance: A gradient may be off by this part of the largest of its array, or of 1 if that is more.
        seed: Of the numbers drawn.

    Returns:
        The largest difference found, by name: "x", "dense/kernel", ...

    Raises:
        AssertionError: Something is wrong: it says what, where and by how much.
        ValueError: An argument does not fit.

    >>> import latchwork as lw
    >>> found = check_gradients(lw.layers.Dense(3, "tanh"), (4, 2))
    >>> sorted(found), max(found.values()) < 1e-8
    (['dense/bias', 'dense/kernel', 'x'], True)
    """
    if not isinstance(layer, Layer):
        raise ValueError(f"check_gradients: layer must be a layer, got {layer!r}")
    if (x_shape is None) == (x is None):
        raise ValueError("check_gradients: give one of x_shape and x")
    rng = np.random.default_rng(seed)
    inputs = _drawn(x_shape, rng) if x is None else [_own(each) for each in (x if isinstance(x, list) else [x])]
    many = getattr(layer, "many_inputs", False)
    if not many and len(inputs) != 1:
        raise ValueError(f"{layer.name}: takes one input, got {len(inputs)}")
    shapes = [_sample_shape(each) for each in inputs]
    _build(layer, shapes if many else shapes[0])
    probe = _Probe(layer, inputs if many else inputs[0], {} if mask is None else {"mask": mask}, training)
    kept = [(array, array.copy()) for v in layer.variables for array in (v.value, v.gradient)]
    try:
        return probe.run(inputs, shapes if many else shapes[0], tolerance, rng)
    finally:
        for array, before in kept:
            array[...] = before
        layer.touch()


def _drawn(x_shape: Any, rng: np.random.Generator) -> list[NDArray[np.float64]]:
    shapes = x_shape if isinstance(x_shape, list) else [x_shape]
    return [np.asarray(rng.normal(size=shape)) for shape in shapes]


def _own(x: Any) -> Any:
    """A copy to change; numbers in float64, whole ones as they are."""
    values = _values(x)
    own = np.array(values, np.float64 if values.dtype.kind == "f" else values.dtype)
    return Ragged(own, x.offsets) if isinstance(x, Ragged) else own


def _values(x: Any) -> NDArray[Any]:
    return x.values if isinstance(x, Ragged) else np.asarray(x)


def _sample_shape(x: Any) -> Shape:
    return (None, *x.values.shape[1:]) if isinstance(x, Ragged) else tuple(np.shape(x)[1:])


def _build(layer: Layer, shape: Any) -> None:
    if not layer.built and layer.given_dtype is None:
        layer.given_dtype = np.dtype(np.float64)
    if layer.dtype != np.float64:
        raise ValueError(f"{layer.name}: dtype must be 'float64' to be checked, got {layer.dtype}: give a new layer")
    layer.build([(None, *each) for each in shape] if isinstance(shape, list) else (None, *shape))


class _Probe:
    """One layer on one batch."""

    def __init__(self, layer: Layer, x: Any, given: dict[str, Any], training: bool) -> None:
        self.layer, self.x, self.given, self.training = layer, x, given, training

    def fail(self, what: str) -> None:
        raise AssertionError(f"{self.layer.name}: {what}")

    def forward(self) -> tuple[Any, Any]:
        self.layer.touch()
        y, ctx = self.layer.forward(self.x, training=self.training, step=ONE_STEP, **self.given)
        return y, ctx

    def backward(self, seeds: NDArray[Any], need_dx: bool = True) -> Any:
        y, ctx = self.forward()
        return self.layer.backward(ctx, Ragged(seeds, y.offsets) if isinstance(y, Ragged) else seeds, need_dx=need_dx)

    def run(self, inputs: list[Any], shape: Any, tolerance: float, rng: np.random.Generator) -> dict[str, float]:
        y, _ = self.forward()
        values = np.array(_values(y))
        self._check_shape(y, shape)
        if not np.array_equal(values, _values(self.forward()[0])):
            self.fail("forward gives other numbers when it is called again with the same x")
        seeds = rng.normal(size=values.shape)
        parameters = [v for v in self.layer.variables if v.trainable and self.layer.trainable]
        gradients = self._gradients(inputs, seeds, rng)
        found = {}
        for i, each in enumerate(inputs):
            name = "x" if len(inputs) == 1 else f"x[{i}]"
            if _values(each).dtype.kind == "f":
                found[name] = self._compare(name, gradients[i], _values(each), seeds, tolerance)
        for variable, gradient in zip(parameters, gradients[len(inputs) :], strict=True):
            found[variable.name] = self._compare(variable.name, gradient, variable.value, seeds, tolerance)
        return found

    def _check_shape(self, y: Any, shape: Any) -> None:
        said = self.layer.y_shape(shape)
        got = (None, *y.values.shape[1:]) if isinstance(y, Ragged) else _values(y).shape[1:]
        if len(said) != len(got) or any(n is not None and n != m for n, m in zip(said, got, strict=True)):
            self.fail(f"y_shape says {said} for a sample, forward gives {got}")

    def _gradients(self, inputs: list[Any], seeds: NDArray[Any], rng: np.random.Generator) -> list[Any]:
        """Of inputs, then of parameters, as backward gives them: checked for shapes, and for being added."""
        parameters = [v for v in self.layer.variables if v.trainable and self.layer.trainable]
        for variable in self.layer.variables:
            variable.gradient[...] = 0
        dx = self.backward(seeds)
        parts = dx if isinstance(dx, list) else [dx]
        if len(parts) != len(inputs):
            self.fail(f"backward must give {len(inputs)} gradients of inputs, gives {len(parts)}")
        for part, each in zip(parts, inputs, strict=True):
            if _values(each).dtype.kind == "f" and (part is None or _values(part).shape != _values(each).shape):
                got = None if part is None else _values(part).shape
                self.fail(f"dx must have the shape of x, {_values(each).shape}, backward gives {got}")
        gradients = [variable.gradient.copy() for variable in parameters]
        for need_dx in (True, False):
            before = [rng.normal(size=variable.shape) for variable in parameters]
            for variable, start in zip(parameters, before, strict=True):
                variable.gradient[...] = start
            self.backward(seeds, need_dx)
            for variable, start, gradient in zip(parameters, before, gradients, strict=True):
                if not np.allclose(variable.gradient, start + gradient, rtol=1e-9, atol=1e-9):
                    how = "adds something else with need_dx=False" if not need_dx else "must ADD to it"
                    self.fail(f"the gradient of {variable.name}: backward {how}")
        return [None if part is None else _values(part) for part in parts] + gradients

    def _compare(
        self, name: str, gradient: NDArray[Any], array: NDArray[Any], seeds: NDArray[Any], tolerance: float
    ) -> float:
        """The largest difference between `gradient` and the slopes of `array`; AssertionError if it is too large."""
        slopes = np.zeros(array.shape)
        for index, slope in _slopes(lambda: _values(self.forward()[0]), array, seeds):
            slopes[index] = slope
        off = np.array(np.abs(slopes - gradient))
        off[np.isnan(off)] = np.inf
        largest = float(off.max(initial=0.0))
        allowed = tolerance * max(1.0, float(np.abs(slopes).max(initial=0.0)))
        if largest > allowed:
            at = tuple(int(i) for i in np.unravel_index(int(off.argmax()), off.shape))
            wrong = np.count_nonzero(off > allowed)
            self.fail(
                f"the gradient of {name} is wrong at {wrong} of {off.size} places, most at {list(at)}: backward gives "
                f"{gradient[at]:.9g}, finite differences {slopes[at]:.9g}, off by {largest:.3g}, allowed {allowed:.3g}"
            )
        return largest


def _slopes(
    forward: Callable[[], NDArray[Any]], array: NDArray[Any], seeds: NDArray[Any]
) -> Iterator[tuple[tuple[int, ...], float]]:
    """The slope of sum(forward() * seeds) with respect to each number of `array`."""
    for index in np.ndindex(array.shape):
        value = array[index]
        array[index] = value + STEP
        above = np.array(forward())
        array[index] = value - STEP
        difference = above - forward()
        array[index] = value
        yield index, sum((difference * seeds).ravel().tolist()) / (2 * STEP)
