"""Flatten and RepeatVector: between layers that read sequences and layers that do not."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import numpy as np

from latchwork.data.series import as_count
from latchwork.layers.arguments import Shape, as_array, shape_text
from latchwork.layers.base import Layer
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
