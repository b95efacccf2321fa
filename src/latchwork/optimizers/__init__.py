"""Optimizers: names, defaults and formulas of Keras 3, one fused pass of the core over flat arrays.

A model keeps its parameters in one flat array, their gradients in another. `build` makes the moments, also flat;
`apply` clips, steps every trainable range in place, and counts. The result is the same bits on every CPU and for any
number of threads.
"""

from __future__ import annotations

from latchwork.names import resolve
from latchwork.optimizers.adam import Adam, AdamW, Lion, Nadam
from latchwork.optimizers.base import Optimizer
from latchwork.optimizers.descent import SGD, Adadelta, Adagrad, RMSprop

__all__ = ["SGD", "Adadelta", "Adagrad", "Adam", "AdamW", "Lion", "Nadam", "Optimizer", "RMSprop", "get"]

_NAMES: dict[str, type[Optimizer]] = {
    kind.__name__.lower(): kind for kind in (SGD, RMSprop, Adam, AdamW, Nadam, Adagrad, Adadelta, Lion)
}

# By the names that files use.
CLASSES = {known.__name__: known for known in _NAMES.values()}


def get(identifier: str | Optimizer) -> Optimizer:
    """Return a new optimizer of a name, in any case ("adam", "Adam"), or the object itself.

    Args:
        identifier: The name, or an Optimizer.

    Raises:
        ValueError: An unknown name (the nearest known ones are told), or neither a name nor an Optimizer.

    Example:
        >>> get("adam").learning_rate
        0.001
    """
    if isinstance(identifier, Optimizer):
        return identifier
    if not isinstance(identifier, str):
        raise ValueError(f"optimizer must be a name or an Optimizer, got {identifier!r}")
    name = identifier.lower() if identifier.lower() in _NAMES else resolve("optimizer", identifier, _NAMES)
    return _NAMES[name]()
