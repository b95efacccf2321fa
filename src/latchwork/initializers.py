"""Initial values of parameters: names, defaults and formulas of Keras 3, bits of our own.

An initializer is called with a shape, a dtype, a seed and the number of a stream, and is a pure function of them; the
draws are `latchwork.random`'s, the QR decomposition of `Orthogonal` is the core's. Values are computed in float64 and
rounded, so float32 weights are the float64 ones rounded.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from . import _core, random
from .fields import Value
from .floats import usual_floats
from .names import resolve

if TYPE_CHECKING:
    from numpy.typing import DTypeLike, NDArray

# Deviation of a normal distribution cut at two deviations, as Keras writes it.
_TRUNCATED_DEVIATION = 0.87962566103423978


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


_CLASSES: dict[str, type[Initializer]] = {
    "constant": Constant,
    "glorot_normal": GlorotNormal,
    "glorot_uniform": GlorotUniform,
    "he_normal": HeNormal,
    "he_uniform": HeUniform,
    "identity": Identity,
    "lecun_normal": LecunNormal,
    "lecun_uniform": LecunUniform,
    "ones": Ones,
    "orthogonal": Orthogonal,
    "random_normal": RandomNormal,
    "random_uniform": RandomUniform,
    "truncated_normal": TruncatedNormal,
    "variance_scaling": VarianceScaling,
    "zeros": Zeros,
}
_NAMES: dict[str, type[Initializer]] = {
    **_CLASSES,
    **{cls.__name__: cls for cls in _CLASSES.values()},
    "one": Ones,
    "zero": Zeros,
    "normal": RandomNormal,
    "uniform": RandomUniform,
}


def get(identifier: str | Initializer) -> Initializer:
    """Return the initializer of a name ("glorot_uniform", "GlorotUniform", ...), or the object itself.

    Args:
        identifier: The name, or an Initializer.

    Raises:
        ValueError: An unknown name (the nearest known ones are told), or neither a name nor an Initializer.

    Example:
        >>> get("glorot_uniform")((2, 3), "float64", seed=1, stream=0).shape
        (2, 3)
    """
    if isinstance(identifier, Initializer):
        return identifier
    if not isinstance(identifier, str):
        raise ValueError(f"initializer must be a name or an Initializer, got {identifier!r}")
    return _NAMES[resolve("initializer", identifier, _NAMES)]()
