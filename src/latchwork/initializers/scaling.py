"""Values whose variance follows from the shape: that of signals then stays from layer to layer."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from latchwork import _core
from latchwork.fields import Value
from latchwork.initializers.base import Initializer
from latchwork.names import resolve

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Deviation of a normal distribution cut at two deviations, as Keras writes it.
_TRUNCATED_DEVIATION = 0.87962566103423978


def fans(shape: Sequence[int]) -> tuple[int, int]:
    """(fan_in, fan_out) of a kernel of `shape`: (shape[0], shape[1]) of a matrix, whole width for the gates of a
    recurrent kernel; for more axes the leading ones multiply both, as in Keras.

    Example:
        >>> fans((3, 8)), fans((5,)), fans((2, 3, 4))
        ((3, 8), (5, 5), (6, 8))
    """
    if len(shape) == 0:
        return 1, 1
    if len(shape) == 1:
        return shape[0], shape[0]
    field = math.prod(shape[:-2])
    return shape[-2] * field, shape[-1] * field


@dataclass(eq=False, repr=False)
class VarianceScaling(Value, Initializer):
    """Variance scale / n, where n is fan_in, fan_out or their mean (formulas and defaults of Keras 3).

    Args:
        scale: Default 1.
        mode: "fan_in" (default), "fan_out" or "fan_avg".
        distribution: "truncated_normal" (default; "normal" is the same), "untruncated_normal", or "uniform" in
            [-limit, limit) with limit = sqrt(3 scale / n).
        seed: See `Initializer`.

    Raises:
        ValueError: A scale not above 0, an unknown mode or distribution.

    Example:
        >>> VarianceScaling(2.0, "fan_avg", "uniform", seed=1)((4, 2)).shape
        (4, 2)
    """

    scale: float = 1.0
    mode: str = "fan_in"
    distribution: str = "truncated_normal"
    seed: int | None = None

    def __post_init__(self) -> None:
        if not self.scale > 0:
            raise ValueError(f"scale must be above 0, got {self.scale}")
        resolve("mode", self.mode, ("fan_in", "fan_out", "fan_avg"))
        resolve("distribution", self.distribution, ("truncated_normal", "normal", "untruncated_normal", "uniform"))

    def draw(self, shape: list[int], dtype: str, seed: int, stream: int) -> NDArray[Any]:
        fan_in, fan_out = fans(shape)
        n = {"fan_in": fan_in, "fan_out": fan_out, "fan_avg": (fan_in + fan_out) / 2}[self.mode]
        variance = self.scale / max(1.0, n)
        if self.distribution == "uniform":
            limit = math.sqrt(3 * variance)
            return _core.philox_uniform(seed, stream, shape, -limit, limit, dtype)
        truncated = self.distribution != "untruncated_normal"
        deviation = math.sqrt(variance) / (_TRUNCATED_DEVIATION if truncated else 1.0)
        return _core.philox_normal(seed, stream, shape, 0.0, deviation, truncated, dtype)


class GlorotUniform(VarianceScaling):
    """Uniform in +-sqrt(6 / (fan_in + fan_out)) (X. Glorot, Y. Bengio, 2010). The default of kernels.

    Example:
        >>> limit = (6 / (4 + 8)) ** 0.5
        >>> bool((abs(GlorotUniform(seed=1)((4, 8))) <= limit).all())
        True
    """

    def __init__(self, seed: int | None = None) -> None:
        super().__init__(1.0, "fan_avg", "uniform", seed)


class GlorotNormal(VarianceScaling):
    """Truncated normal of variance 2 / (fan_in + fan_out) (X. Glorot, Y. Bengio, 2010).

    Example:
        >>> GlorotNormal(seed=1)((4, 8)).shape
        (4, 8)
    """

    def __init__(self, seed: int | None = None) -> None:
        super().__init__(1.0, "fan_avg", "truncated_normal", seed)


class HeUniform(VarianceScaling):
    """Uniform in +-sqrt(6 / fan_in) (K. He et al., 2015).

    Example:
        >>> HeUniform(seed=1)((4, 8)).shape
        (4, 8)
    """

    def __init__(self, seed: int | None = None) -> None:
        super().__init__(2.0, "fan_in", "uniform", seed)


class HeNormal(VarianceScaling):
    """Truncated normal of variance 2 / fan_in (K. He et al., 2015).

    Example:
        >>> HeNormal(seed=1)((4, 8)).shape
        (4, 8)
    """

    def __init__(self, seed: int | None = None) -> None:
        super().__init__(2.0, "fan_in", "truncated_normal", seed)


class LecunUniform(VarianceScaling):
    """Uniform in +-sqrt(3 / fan_in) (Y. LeCun et al., 1998).

    Example:
        >>> LecunUniform(seed=1)((4, 8)).shape
        (4, 8)
    """

    def __init__(self, seed: int | None = None) -> None:
        super().__init__(1.0, "fan_in", "uniform", seed)


class LecunNormal(VarianceScaling):
    """Truncated normal of variance 1 / fan_in (Y. LeCun et al., 1998).

    Example:
        >>> LecunNormal(seed=1)((4, 8)).shape
        (4, 8)
    """

    def __init__(self, seed: int | None = None) -> None:
        super().__init__(1.0, "fan_in", "truncated_normal", seed)
