"""Flatten, RepeatVector, Reshape, Permute: the numbers stay, their axes change."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import numpy as np

from latchwork.data.series import as_count
from latchwork.layers.arguments import Shape, as_array, shape_text
from latchwork.layers.base import Layer, gradient_like
from latchwork.ragged import Ragged


class Flatten(Layer):
    """y [B, F] = all numbers of a sample in a row: x [B, T, F] -> y [B, T * F]; [B] -> [B, 1]. Ends a mask.

    What stands behind it depends on T, so a model with a Flatten runs one number of steps only.

    Raises:
        ValueError: When called on a `lw.Ragged`, whose sequences have no common size.

    >>> import numpy as np
    >>> Flatten()(np.ones((2, 3, 4))).shape
    (2, 12)
    """

    unbuilt: ClassVar[dict[str, Any]] = {**Layer.unbuilt, "data_format": None}
    fixes_steps = True

    def __init__(self, **common: Any) -> None:  # a signature of its own: what files describe
        super().__init__(**common)

    def y_shape(self, x_shape: Shape) -> Shape:
        sizes = [size for size in x_shape if size is not None]
        return (math.prod(sizes) if len(sizes) == len(x_shape) else None,)

    def forward(self, x: Any, *, training: bool = True, step: int | None = None) -> tuple[Any, Any]:
        if isinstance(x, Ragged):
            raise ValueError(f"{self.name}: x must be an array, got a Ragged: its sequences have no common size")
        x = self._checked(x)
        return x.reshape(len(x), math.prod(x.shape[1:])), x.shape if training else None

    def backward(self, ctx: Any, dy: Any, *, need_dx: bool = True) -> Any:
        if not need_dx:
            return None
        grad = as_array(dy, "dy", self.dtype)
        if grad.shape != (ctx[0], math.prod(ctx[1:])):
            raise ValueError(f"{self.name}: dy must be {(ctx[0], math.prod(ctx[1:]))}, got {grad.shape}")
        return grad.reshape(ctx)


class RepeatVector(Layer):
    """y[b, t] = x[b] for t in [0, n): x [B, F] -> y [B, n, F]. The gradient is summed over t, ascending.

    Args:
        n: At least 1.

    Raises:
        ValueError: n below 1; when called, x is not [B, F].

    >>> import numpy as np
    >>> RepeatVector(3)(np.ones((2, 4))).shape
    (2, 3, 4)
    """

    def __init__(self, n: int, **common: Any) -> None:
        super().__init__(**common)
        self.n = as_count(n, "RepeatVector: n", 1)

    def y_shape(self, x_shape: Shape) -> Shape:
        if len(x_shape) != 1:
            raise ValueError(f"{self.name}: x must be (B, F), got {shape_text(x_shape)}")
        return (self.n, *x_shape)

    def forward(self, x: Any, *, training: bool = True, step: int | None = None) -> tuple[Any, Any]:
        if isinstance(x, Ragged):
            raise ValueError(f"{self.name}: x must be an array (B, F), got a Ragged")
        x = self._checked(x)
        self.y_shape(x.shape[1:])
        return np.repeat(x[:, None], self.n, axis=1), x.shape if training else None

    def backward(self, ctx: Any, dy: Any, *, need_dx: bool = True) -> Any:
        if not need_dx:
            return None
        grad = as_array(dy, "dy", self.dtype)
        if grad.shape != (ctx[0], self.n, ctx[1]):
            raise ValueError(f"{self.name}: dy must be {(ctx[0], self.n, ctx[1])}, got {grad.shape}")
        dx = grad[:, 0].copy()
        for t in range(1, self.n):
            dx += grad[:, t]
        return dx


def _whole_numbers(values: Any, name: str) -> list[int]:
    """A list of them; Keras' tuple, or one number."""
    sizes = list(values) if isinstance(values, (tuple, list)) else [values]
    for size in sizes:
        if isinstance(size, bool) or not isinstance(size, (int, np.integer)):
            raise ValueError(f"{name} must be a tuple of whole numbers, got {values!r}")
    return [int(size) for size in sizes]


def _as_array_input(layer: Layer, x: Any) -> Any:
    if isinstance(x, Ragged):
        raise ValueError(f"{layer.name}: x must be an array, got a Ragged: its sequences have no common size")
    return layer._checked(x)


class Reshape(Layer):
    """y = the numbers of each sample in another shape, row by row: x [B, ...] -> y [B, *target_shape]. Ends a mask.

    Args:
        target_shape: Sizes of at least 1; one of them may be -1: what is left.

    Raises:
        ValueError: target_shape is something else; when called, a sample has another number of numbers, or x is a
            `lw.Ragged`.

    >>> import numpy as np
    >>> Reshape((-1, 2))(np.arange(6.0).reshape(1, 6)).tolist()
    [[[0.0, 1.0], [2.0, 3.0], [4.0, 5.0]]]
    """

    def __init__(self, target_shape: Any, **common: Any) -> None:
        super().__init__(**common)
        self.target_shape = _whole_numbers(target_shape, "Reshape: target_shape")
        sizes = [size for size in self.target_shape if size != -1]
        if not 1 <= len(self.target_shape) <= 7 or min(sizes, default=1) < 1 or len(self.target_shape) > len(sizes) + 1:
            raise ValueError(
                "Reshape: target_shape must hold 1 to 7 sizes of at least 1, one of them -1 at most, "
                f"got {target_shape!r}"
            )
        # with the steps left open, y is another number of steps of the same size
        self.fixes_steps = len(self.target_shape) == 1 or self.target_shape[0] != -1

    def y_shape(self, x_shape: Shape) -> Shape:
        known = math.prod(size for size in self.target_shape if size != -1)
        if None in x_shape:
            return tuple(None if size == -1 else size for size in self.target_shape)
        size = math.prod(n or 0 for n in x_shape)
        if size % known if -1 in self.target_shape else size != known:
            raise ValueError(f"{self.name}: x must fill {tuple(self.target_shape)}, got {shape_text(x_shape)}")
        return tuple(size // known if n == -1 else n for n in self.target_shape)

    def forward(self, x: Any, *, training: bool = True, step: int | None = None) -> tuple[Any, Any]:
        x = _as_array_input(self, x)
        return x.reshape(len(x), *self.y_shape(x.shape[1:])), x.shape if training else None

    def backward(self, ctx: Any, dy: Any, *, need_dx: bool = True) -> Any:
        if not need_dx:
            return None
        return gradient_like(self, dy, (ctx[0], *self.y_shape(ctx[1:]))).reshape(ctx)


class Permute(Layer):
    """y = x with the axes of a sample in the order `dims`: Permute((2, 1)) makes x [B, T, F] y [B, F, T]. Ends a mask.

    Args:
        dims: The numbers 1 .. n in any order; 1 is the first axis behind the batch.

    Raises:
        ValueError: dims is something else; when called, x has another number of axes, or is a `lw.Ragged`.

    >>> import numpy as np
    >>> Permute((2, 1))(np.ones((2, 3, 4))).shape
    (2, 4, 3)
    """

    fixes_steps = True

    def __init__(self, dims: Any, **common: Any) -> None:
        super().__init__(**common)
        self.dims = _whole_numbers(dims, "Permute: dims")
        if sorted(self.dims) != list(range(1, len(self.dims) + 1)) or not 1 <= len(self.dims) <= 7:
            raise ValueError(f"Permute: dims must be the numbers 1 .. n in any order, got {dims!r}")

    def y_shape(self, x_shape: Shape) -> Shape:
        if len(x_shape) != len(self.dims):
            raise ValueError(f"{self.name}: x must have {len(self.dims)} axes, got {shape_text(x_shape)}")
        return tuple(x_shape[axis - 1] for axis in self.dims)

    def forward(self, x: Any, *, training: bool = True, step: int | None = None) -> tuple[Any, Any]:
        x = _as_array_input(self, x)
        self.y_shape(x.shape[1:])
        return np.ascontiguousarray(x.transpose(0, *self.dims)), x.shape if training else None

    def backward(self, ctx: Any, dy: Any, *, need_dx: bool = True) -> Any:
        if not need_dx:
            return None
        grad = gradient_like(self, dy, (ctx[0], *self.y_shape(ctx[1:])))
        back = [0, *(self.dims.index(axis) + 1 for axis in range(1, len(ctx)))]
        return np.ascontiguousarray(grad.transpose(back))
