"""Values that are not drawn: constants and the identity."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from latchwork.fields import Value
from latchwork.initializers.base import Initializer

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(eq=False, repr=False)
class Zeros(Value, Initializer):
    """All zeros.

    Example:
        >>> Zeros()((2,)).tolist()
        [0.0, 0.0]
    """

    def draw(self, shape: list[int], dtype: str, seed: int, stream: int) -> NDArray[Any]:
        return np.zeros(shape, dtype)


@dataclass(eq=False, repr=False)
class Ones(Value, Initializer):
    """All ones.

    Example:
        >>> Ones()((2,)).tolist()
        [1.0, 1.0]
    """

    def draw(self, shape: list[int], dtype: str, seed: int, stream: int) -> NDArray[Any]:
        return np.ones(shape, dtype)


@dataclass(eq=False, repr=False)
class Constant(Value, Initializer):
    """All `value` (default 0).

    Example:
        >>> Constant(0.5)((2,)).tolist()
        [0.5, 0.5]
    """

    value: float = 0.0

    def draw(self, shape: list[int], dtype: str, seed: int, stream: int) -> NDArray[Any]:
        return np.full(shape, self.value, dtype)


@dataclass(eq=False, repr=False)
class Identity(Value, Initializer):
    """`gain` (default 1) on the diagonal, zeros beside it; two axes only.

    Example:
        >>> Identity()((2, 3)).tolist()
        [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]
    """

    gain: float = 1.0

    def draw(self, shape: list[int], dtype: str, seed: int, stream: int) -> NDArray[Any]:
        if len(shape) != 2:
            raise ValueError(f"shape must have two axes for Identity, got {tuple(shape)}")
        values = np.zeros(shape, dtype)
        np.fill_diagonal(values, self.gain)
        return values
