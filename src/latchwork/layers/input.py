"""The shape of what a model takes."""

from __future__ import annotations

from typing import Any

from latchwork.layers.arguments import as_dtype, as_shape, refuse, shape_text
from latchwork.layers.symbol import Symbol


class Input(Symbol):
    """Says the shape of one sample, without the batch axis: `Sequential([Input((32, 1)), LSTM(50), Dense(1)])`.

    It is the symbol that a graph begins with, too: `Model(x, Dense(1)(LSTM(50)(x)))` for `x = Input((32, 1))`.

    Args:
        shape: A tuple; None where any size runs, such as the number of steps.
        dtype: The model's, "float32" or "float64"; None leaves it to the layers.
        name: In errors, and the key of its array in a dict of inputs; a model calls those without input, input_1, ...

    Raises:
        ValueError: No shape, or one that does not hold whole numbers of at least 1 or None.

    >>> Input((None, 3)).shape
    (None, 3)
    """

    def __init__(self, shape: Any = None, *, dtype: Any = None, name: str | None = None, **others: Any) -> None:
        unbuilt = {
            "batch_size": None,
            "sparse": None,
            "ragged": None,
            "batch_shape": None,
            "tensor": None,
            "optional": False,
        }
        refuse("Input", others, unbuilt, ("shape", "dtype", "name"))
        if shape is None:
            raise ValueError("Input: shape must be given, for example Input((32, 1)) for 32 steps of 1 feature")
        if name is not None and (not isinstance(name, str) or not name or "/" in name):
            raise ValueError(f"Input: name must be a text without '/', got {name!r}")
        super().__init__(as_shape(shape, "shape", "Input"))
        self.dtype = None if dtype is None else as_dtype(dtype, "Input")
        self.given_name = name
        self.name = name or "input"

    def __repr__(self) -> str:
        return f"<Input {self.name!r} {shape_text(self.shape)}>"
