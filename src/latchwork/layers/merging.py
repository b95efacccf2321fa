"""Layers that make one array of several, number by number: Add, Subtract, Multiply, Average, Maximum, Minimum.

In the order of the inputs: what numpy adds, multiplies and compares elementwise is exact to the bit
on every machine.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from latchwork.floats import usual_floats
from latchwork.layers.arguments import Shape, as_array, open_steps, shape_text
from latchwork.layers.base import Batch, Layer
from latchwork.layers.dense import like, values_of
from latchwork.ragged import Ragged

Arrays = list[NDArray[Any]]


class Merge(Layer):
    """What layers of several inputs share: x is a list of arrays, or of `lw.Ragged` with the same lengths.

    Subclasses write `merged` and `merged_backward`; the rules of masks are Keras'.

    Args:
        common: What every `Layer` takes.

    Raises:
        ValueError: When called, x is no list of two or more, or their shapes do not fit.

    >>> import numpy as np
    >>> class Sum(Merge):
    ...     def merged(self, values):
    ...         return values[0] + values[1], None
    ...     def merged_backward(self, kept, dy):
    ...         return [dy, dy]
    >>> Sum()([np.ones((1, 2)), np.ones((1, 2))]).tolist()
    [[2.0, 2.0]]
    """

    many_inputs: ClassVar[bool] = True
    most_inputs: ClassVar[int | None] = None

    def __init__(self, **common: Any) -> None:
        super().__init__(**common)

    # ---- shapes and masks ---------------------------------------------------------------------------------------

    def any_steps(self, x_shape: Any) -> Any:
        """The shapes in the list `x_shape`, their steps left open."""
        return [open_steps(shape) for shape in x_shape] if isinstance(x_shape, list) else open_steps(x_shape)

    def y_shape(self, x_shape: Any) -> Shape:
        """The shape of a sample of y for samples of the shapes in the list `x_shape`, which must be equal."""
        shapes = self._counted(x_shape)
        if any(len(shape) != len(shapes[0]) or not agree(shape, shapes[0]) for shape in shapes):
            raise ValueError(f"{self.name}: x must be arrays of one shape, got {texts(shapes)}")
        return tuple(next((n for n in sizes if n is not None), None) for sizes in zip(*shapes, strict=True))

    def _counted(self, given: Any) -> list[Any]:
        least, most = 2, self.most_inputs
        if not isinstance(given, (list, tuple)) or not least <= len(given) <= (most or len(given)):
            got = len(given) if isinstance(given, (list, tuple)) else f"one {type(given).__name__}"
            raise ValueError(f"{self.name}: x must be a list of {'two' if most else 'two or more'} arrays, got {got}")
        return list(given)

    def compute_mask(self, x: Any, mask: Any) -> Any:
        """A step is real where it is in any input (bool [B, T]); None if an input has no `mask`, as in Keras."""
        if mask is None or any(each is None for each in mask):
            return None
        return reduce(np.logical_or, mask)

    # ---- running ------------------------------------------------------------------------------------------------

    @usual_floats
    def forward(self, x: Any, *, training: bool = True, step: int | None = None) -> tuple[Any, Any]:
        parts = self._read(x)
        y, kept = self.merged([values_of(part) for part in parts])
        return like(parts[0], y), (kept, y.shape) if training else None

    @usual_floats
    def backward(self, ctx: Any, dy: Any, *, need_dx: bool = True) -> Any:
        if not need_dx:
            return None
        kept, shape = ctx
        grad = as_array(values_of(dy), "dy", self.dtype)
        if grad.shape != shape:
            raise ValueError(f"{self.name}: dy must have the shape of y, {shape}, got {grad.shape}")
        return [like(dy, dx) for dx in self.merged_backward(kept, grad)]

    def merged(self, values: Arrays) -> tuple[NDArray[Any], Any]:
        """y of arrays `values` [B, ...], all of one float dtype, and what `merged_backward` needs.

        Raises:
            TypeError: The class does not define it.
        """
        raise TypeError(f"{type(self).__name__} must define merged")

    def merged_backward(self, kept: Any, dy: NDArray[Any]) -> Arrays:
        """The gradient of each input, from `kept` and dy [B, ...] of the same dtype.

        Raises:
            TypeError: The class does not define it.
        """
        raise TypeError(f"{type(self).__name__} must define merged_backward")

    def _read(self, x: Any) -> list[Batch]:
        """The arrays of x, cast and checked against each other."""
        parts = [self._checked_part(part) for part in self._counted(x)]
        self._check_lengths(parts)
        shapes = [(None, *p.values.shape[1:]) if isinstance(p, Ragged) else p.shape[1:] for p in parts]
        self.y_shape(shapes)
        return parts

    def _checked_part(self, part: Any) -> Batch:
        if isinstance(part, Ragged):
            return like(part, as_array(part.values, "x.values", self.dtype))
        array = as_array(part, "x", self.dtype)
        if not array.ndim:
            raise ValueError(f"{self.name}: x must have a batch axis, got a single number")
        return array

    def _check_lengths(self, parts: Sequence[Batch]) -> None:
        first = parts[0]
        for part in parts[1:]:
            same = isinstance(part, Ragged) == isinstance(first, Ragged) and len(part) == len(first)
            if same and isinstance(part, Ragged) and isinstance(first, Ragged):
                same = part.offsets is first.offsets or np.array_equal(part.offsets, first.offsets)
            if not same:
                raise ValueError(f"{self.name}: x must hold as many samples each, of the same lengths")


def agree(a: Shape, b: Shape) -> bool:
    return all(n is None or m is None or n == m for n, m in zip(a, b, strict=True))


def texts(shapes: list[Shape]) -> str:
    return ", ".join(map(shape_text, shapes))


class Add(Merge):
    """y = x0 + x1 + ..., added in that order; arrays of one shape.

    >>> import numpy as np
    >>> Add()([np.ones((1, 2)), np.ones((1, 2)), np.ones((1, 2))]).tolist()
    [[3.0, 3.0]]
    """

    by_step = True

    def merged(self, values: Arrays) -> tuple[NDArray[Any], Any]:
        return reduce(np.add, values), len(values)

    def merged_backward(self, kept: int, dy: NDArray[Any]) -> Arrays:
        return [dy] * kept


class Subtract(Merge):
    """y = x0 - x1; two arrays of one shape.

    >>> import numpy as np
    >>> Subtract()([np.ones((1, 2)), np.zeros((1, 2))]).tolist()
    [[1.0, 1.0]]
    """

    by_step = True

    most_inputs = 2

    def merged(self, values: Arrays) -> tuple[NDArray[Any], Any]:
        return values[0] - values[1], None

    def merged_backward(self, kept: Any, dy: NDArray[Any]) -> Arrays:
        return [dy, -dy]


class Multiply(Merge):
    """y = x0 * x1 * ..., multiplied in that order; arrays of one shape. dx_i is dy times the others, in their order.

    >>> import numpy as np
    >>> Multiply()([np.full((1, 2), 2.0), np.full((1, 2), 3.0)]).tolist()
    [[6.0, 6.0]]
    """

    by_step = True

    def merged(self, values: Arrays) -> tuple[NDArray[Any], Any]:
        return reduce(np.multiply, values), values

    def merged_backward(self, kept: Arrays, dy: NDArray[Any]) -> Arrays:
        return [
            reduce(np.multiply, [value for j, value in enumerate(kept) if j != i], dy) for i in range(len(kept))
        ]  # fmt: skip


class Average(Merge):
    """y = (x0 + x1 + ...) / n, for n arrays of one shape.

    >>> import numpy as np
    >>> Average()([np.zeros((1, 2)), np.ones((1, 2))]).tolist()
    [[0.5, 0.5]]
    """

    by_step = True

    def merged(self, values: Arrays) -> tuple[NDArray[Any], Any]:
        return reduce(np.add, values) / values[0].dtype.type(len(values)), len(values)

    def merged_backward(self, kept: int, dy: NDArray[Any]) -> Arrays:
        return [dy / dy.dtype.type(kept)] * kept


class _Extreme(Merge):
    """The largest or smallest of the inputs; the first of equal ones is the one that gets the gradient."""

    by_step = True

    def _beats(self, a: NDArray[Any], b: NDArray[Any]) -> NDArray[np.bool_]:
        raise NotImplementedError

    def merged(self, values: Arrays) -> tuple[NDArray[Any], Any]:
        y, winner = values[0], np.zeros(values[0].shape, np.int64)
        for i, value in enumerate(values[1:], 1):
            better = self._beats(value, y) | (np.isnan(value) & ~np.isnan(y))  # NaN stays NaN
            y, winner = np.where(better, value, y), np.where(better, i, winner)
        return y, (winner, len(values))

    def merged_backward(self, kept: Any, dy: NDArray[Any]) -> Arrays:
        winner, count = kept
        return [np.where(winner == i, dy, np.zeros((), dy.dtype)) for i in range(count)]


class Maximum(_Extreme):
    """y = max(x0, x1, ...), NaN where one is; arrays of one shape. Of equal numbers the first has the gradient.

    >>> import numpy as np
    >>> Maximum()([np.array([[1.0, 5.0]]), np.array([[2.0, 3.0]])]).tolist()
    [[2.0, 5.0]]
    """

    def _beats(self, a: NDArray[Any], b: NDArray[Any]) -> NDArray[np.bool_]:
        return np.asarray(a > b)


class Minimum(_Extreme):
    """y = min(x0, x1, ...), NaN where one is; arrays of one shape. Of equal numbers the first has the gradient.

    >>> import numpy as np
    >>> Minimum()([np.array([[1.0, 5.0]]), np.array([[2.0, 3.0]])]).tolist()
    [[1.0, 3.0]]
    """

    def _beats(self, a: NDArray[Any], b: NDArray[Any]) -> NDArray[np.bool_]:
        return np.asarray(a < b)
