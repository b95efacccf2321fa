"""Values drawn from a distribution that the shape does not decide, and orthogonal matrices."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from latchwork import _core
from latchwork.fields import Value
from latchwork.initializers.base import Initializer

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(eq=False, repr=False)
class RandomUniform(Value, Initializer):
    """Uniform in [`minval`, `maxval`), default [-0.05, 0.05).

    Example:
        >>> values = RandomUniform(0.0, 1.0, seed=1)((100,))
        >>> bool((values >= 0).all() and (values <= 1).all())
        True
    """

    minval: float = -0.05
    maxval: float = 0.05
    seed: int | None = None

    def draw(self, shape: list[int], dtype: str, seed: int, stream: int) -> NDArray[Any]:
        return _core.philox_uniform(seed, stream, shape, self.minval, self.maxval, dtype)


@dataclass(eq=False, repr=False)
class RandomNormal(Value, Initializer):
    """Normal with `mean` 0 and standard deviation `stddev` 0.05, by inversion (M. Wichura, algorithm AS 241, 1988).

    Example:
        >>> RandomNormal(seed=1)((3,)).shape
        (3,)
    """

    mean: float = 0.0
    stddev: float = 0.05
    seed: int | None = None

    def draw(self, shape: list[int], dtype: str, seed: int, stream: int) -> NDArray[Any]:
        return _core.philox_normal(seed, stream, shape, self.mean, self.stddev, False, dtype)


@dataclass(eq=False, repr=False)
class TruncatedNormal(Value, Initializer):
    """As `RandomNormal`, drawn within two standard deviations of `mean`; `stddev` is that before truncation (Keras).

    Example:
        >>> values = TruncatedNormal(stddev=1.0, seed=1)((1000,))
        >>> bool((abs(values) <= 2).all())
        True
    """

    mean: float = 0.0
    stddev: float = 0.05
    seed: int | None = None

    def draw(self, shape: list[int], dtype: str, seed: int, stream: int) -> NDArray[Any]:
        return _core.philox_normal(seed, stream, shape, self.mean, self.stddev, True, dtype)


@dataclass(eq=False, repr=False)
class Orthogonal(Value, Initializer):
    """`gain` (default 1) times an orthogonal matrix, drawn uniformly: orthonormal columns, or rows if there are fewer.
    The default of recurrent kernels (A. Saxe et al., 2014). Leading axes are flattened.

    Q of the QR decomposition of a normal matrix with R's diagonal made positive (F. Mezzadri, 2007), in float64.

    Example:
        >>> q = Orthogonal(seed=1)((3, 3), "float64")
        >>> bool(abs(q @ q.T - [[1, 0, 0], [0, 1, 0], [0, 0, 1]]).max() < 1e-15)
        True
    """

    gain: float = 1.0
    seed: int | None = None

    def draw(self, shape: list[int], dtype: str, seed: int, stream: int) -> NDArray[Any]:
        if len(shape) < 2:
            raise ValueError(f"shape must have two axes or more for Orthogonal, got {tuple(shape)}")
        rows = math.prod(shape[:-1])
        return _core.orthogonal(seed, stream, rows, shape[-1], self.gain, dtype).reshape(shape)
