"""Keras' lower-case names: `add([a, b])` is `Add()([a, b])`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from latchwork.layers.concatenate import Concatenate
from latchwork.layers.dot import Dot
from latchwork.layers.merging import Add, Average, Maximum, Minimum, Multiply, Subtract

__all__ = ["add", "average", "concatenate", "dot", "maximum", "minimum", "multiply", "subtract"]


def add(inputs: Sequence[Any], **options: Any) -> Any:
    """`Add(**options)(inputs)`, with `inputs` a list of arrays [B, ...] or symbols.

    >>> import numpy as np
    >>> add([np.ones((1, 2)), np.ones((1, 2))]).tolist()
    [[2.0, 2.0]]
    """
    return Add(**options)(inputs)


def subtract(inputs: Sequence[Any], **options: Any) -> Any:
    """`Subtract(**options)(inputs)`, with `inputs` a list of two arrays [B, ...] or symbols.

    >>> import numpy as np
    >>> subtract([np.ones((1, 2)), np.ones((1, 2))]).tolist()
    [[0.0, 0.0]]
    """
    return Subtract(**options)(inputs)


def multiply(inputs: Sequence[Any], **options: Any) -> Any:
    """`Multiply(**options)(inputs)`, with `inputs` a list of arrays [B, ...] or symbols.

    >>> import numpy as np
    >>> multiply([np.full((1, 2), 3.0), np.full((1, 2), 2.0)]).tolist()
    [[6.0, 6.0]]
    """
    return Multiply(**options)(inputs)


def average(inputs: Sequence[Any], **options: Any) -> Any:
    """`Average(**options)(inputs)`, with `inputs` a list of arrays [B, ...] or symbols.

    >>> import numpy as np
    >>> average([np.zeros((1, 2)), np.ones((1, 2))]).tolist()
    [[0.5, 0.5]]
    """
    return Average(**options)(inputs)


def maximum(inputs: Sequence[Any], **options: Any) -> Any:
    """`Maximum(**options)(inputs)`, with `inputs` a list of arrays [B, ...] or symbols.

    >>> import numpy as np
    >>> maximum([np.zeros((1, 2)), np.ones((1, 2))]).tolist()
    [[1.0, 1.0]]
    """
    return Maximum(**options)(inputs)


def minimum(inputs: Sequence[Any], **options: Any) -> Any:
    """`Minimum(**options)(inputs)`, with `inputs` a list of arrays [B, ...] or symbols.

    >>> import numpy as np
    >>> minimum([np.zeros((1, 2)), np.ones((1, 2))]).tolist()
    [[0.0, 0.0]]
    """
    return Minimum(**options)(inputs)


def concatenate(inputs: Sequence[Any], axis: int = -1, **options: Any) -> Any:
    """`Concatenate(axis=axis, **options)(inputs)`, with `inputs` a list of arrays [B, ...] or symbols.

    >>> import numpy as np
    >>> concatenate([np.zeros((1, 2)), np.ones((1, 1))]).tolist()
    [[0.0, 0.0, 1.0]]
    """
    return Concatenate(axis, **options)(inputs)


def dot(inputs: Sequence[Any], axes: Any, normalize: bool = False, **options: Any) -> Any:
    """`Dot(axes=axes, normalize=normalize, **options)(inputs)`, with `inputs` a list of two arrays [B, ...] or symbols.

    >>> import numpy as np
    >>> dot([np.ones((1, 2)), np.ones((1, 2))], axes=1).tolist()
    [[2.0]]
    """
    return Dot(axes, normalize, **options)(inputs)
