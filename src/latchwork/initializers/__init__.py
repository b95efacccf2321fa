"""Initial values of parameters: names, defaults and formulas of Keras 3, bits of our own.

An initializer is called with a shape, a dtype, a seed and the number of a stream, and is a pure function of them; the
draws are `latchwork.random`'s, the QR decomposition of `Orthogonal` is the core's. Values are computed in float64 and
rounded, so float32 weights are the float64 ones rounded.
"""

from __future__ import annotations

from latchwork.initializers.base import Initializer
from latchwork.initializers.constants import Constant, Identity, Ones, Zeros
from latchwork.initializers.draws import Orthogonal, RandomNormal, RandomUniform, TruncatedNormal
from latchwork.initializers.scaling import (
    GlorotNormal,
    GlorotUniform,
    HeNormal,
    HeUniform,
    LecunNormal,
    LecunUniform,
    VarianceScaling,
    fans,
)
from latchwork.names import resolve

__all__ = [
    "Constant",
    "GlorotNormal",
    "GlorotUniform",
    "HeNormal",
    "HeUniform",
    "Identity",
    "Initializer",
    "LecunNormal",
    "LecunUniform",
    "Ones",
    "Orthogonal",
    "RandomNormal",
    "RandomUniform",
    "TruncatedNormal",
    "VarianceScaling",
    "Zeros",
    "fans",
    "get",
]

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
