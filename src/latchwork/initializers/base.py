"""What an initializer is."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from latchwork import random
from latchwork.floats import usual_floats

if TYPE_CHECKING:
    from numpy.typing import DTypeLike, NDArray


class Initializer:
    """Base: subclass it and write `draw(shape, dtype, seed, stream)`.

    Calling one checks the arguments. A `seed` given to the constructor wins over the call's, with stream 0: such an
    initializer gives the same values each time it is called, as in Keras.

    Example:
        >>> class Halves(Initializer):
        ...     def draw(self, shape, dtype, seed, stream):
        ...         return np.full(shape, 0.5, dtype)
        >>> Halves()((2,)).tolist()
        [0.5, 0.5]
    """

    seed: int | None = None

    @usual_floats
    def __call__(
        self,
        shape: Sequence[int],
        dtype: DTypeLike = "float32",
        seed: int | None = None,
        stream: int | None = None,
    ) -> NDArray[Any]:
        """Return a new array.

        Args:
            shape: Its shape.
            dtype: float32 (default) or float64.
            seed: Default: the global seed (`latchwork.set_seed`).
            stream: Number of the stream to draw from. Default: the next of `random.next_stream`.

        Raises:
            ValueError: Another dtype, a negative extent, or a shape the initializer cannot fill.

        Example:
            >>> from latchwork.initializers import Zeros
            >>> Zeros()((2, 2))
            array([[0., 0.],
                   [0., 0.]], dtype=float32)
        """
        extents = [int(extent) for extent in shape]
        if math.prod(extents) >= 2**60:
            raise ValueError(f"shape must hold fewer than 2^60 elements, got {tuple(extents)}")
        if any(extent < 0 for extent in extents):
            raise ValueError(f"shape must not be negative, got {tuple(shape)}")
        name = np.dtype(dtype).name
        if name not in ("float32", "float64"):
            raise ValueError(f"dtype must be float32 or float64, got {name}")
        if self.seed is not None:
            return self.draw(extents, name, self.seed, 0)
        if stream is None:
            stream = random.next_stream()
        return self.draw(extents, name, random.seed() if seed is None else seed, stream)

    def draw(self, shape: list[int], dtype: str, seed: int, stream: int) -> NDArray[Any]:
        """The values, as a pure function of shape, dtype ("float32" or "float64"), seed and `stream`.

        Raises:
            TypeError: The class does not define it.
        """
        raise TypeError(f"{type(self).__name__} must define draw(shape, dtype, seed, stream)")
