"""Concatenate: arrays one behind the other."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from latchwork.layers.arguments import Shape, shape_text
from latchwork.layers.base import Batch
from latchwork.layers.dense import values_of
from latchwork.layers.merging import Arrays, Merge, agree, texts
from latchwork.ragged import Ragged


class Concatenate(Merge):
    """The inputs one behind the other along an axis: [B, T, F1] and [B, T, F2] -> [B, T, F1 + F2].

    Args:
        axis: Counted with the batch axis, which it cannot be; -1, the features, by default. A `lw.Ragged` has no other.
        common: What every `Layer` takes.

    Raises:
        ValueError: The other axes differ, or axis is the batch's.

    A step is real where any input's mask says so; an input without one is real throughout (Keras' rule; along another
    axis than the last the masks are laid behind each other too).

    >>> import numpy as np
    >>> Concatenate()([np.ones((1, 2)), np.zeros((1, 1))]).tolist()
    [[1.0, 1.0, 0.0]]
    """

    def __init__(self, axis: int = -1, **common: Any) -> None:
        super().__init__(**common)
        if isinstance(axis, bool) or not isinstance(axis, (int, np.integer)) or axis == 0:
            raise ValueError(f"Concatenate: axis must be a whole number other than 0, the batch's, got {axis!r}")
        self.axis = int(axis)
        self.by_step = self.axis in (-1, 2)

    def _place(self, shape: Shape) -> int:
        """The axis as one of a sample's shape."""
        place = self.axis - 1 if self.axis > 0 else len(shape) + self.axis
        if not 0 <= place < len(shape):
            raise ValueError(f"{self.name}: axis must be one of x {shape_text(shape)} but the batch's, got {self.axis}")
        return place

    def y_shape(self, x_shape: Any) -> Shape:
        """The shape of a sample of y for those in the list `x_shape`, equal but for the axis."""
        shapes = self._counted(x_shape)
        place = self._place(shapes[0])
        others = [(*shape[:place], *shape[place + 1 :]) for shape in shapes]
        if any(len(a) != len(b) or not agree(a, b) for a, b in pairwise(others)):
            raise ValueError(
                f"{self.name}: x must be arrays of one shape but for axis {self.axis}, got {texts(shapes)}"
            )
        rest = [next((n for n in sizes if n is not None), None) for sizes in zip(*others, strict=True)]
        along = [shape[place] for shape in shapes]
        size = None if None in along else sum(n or 0 for n in along)
        return (*rest[:place], size, *rest[place:])

    def _read(self, x: Any) -> list[Batch]:
        parts = super()._read(x)
        if isinstance(parts[0], Ragged) and self._place((None, 1)) != 1:
            raise ValueError(f"{self.name}: axis must be -1 for Ragged inputs, got {self.axis}")
        return parts

    def compute_mask(self, x: Any, mask: Any) -> Any:
        """bool [B, T] ([N] for Ragged) of the list x; None if no input has a `mask`."""
        if mask is None or all(each is None for each in mask):
            return None
        ragged = isinstance(x[0], Ragged)
        rank = values_of(x[0]).ndim
        place = rank - 1 if ragged else self._place(values_of(x[0]).shape[1:]) + 1
        if place == rank - 1 and any(each is None for each in mask):
            # An unmasked input is real throughout, and then so is every step.
            return np.ones(values_of(x[0]).shape[: rank - 1], np.bool_)
        whole = [
            np.ones(values_of(part).shape, np.bool_) if each is None
            else np.broadcast_to(each.reshape(each.shape + (1,) * (rank - each.ndim)), values_of(part).shape)
            for part, each in zip(x, mask, strict=True)
        ]  # fmt: skip
        return np.concatenate(whole, axis=place).any(axis=-1)

    def merged(self, values: Arrays) -> tuple[NDArray[Any], Any]:
        rank = values[0].ndim
        place = self.axis if self.axis > 0 else rank + self.axis
        return np.concatenate(values, axis=place), (place, [value.shape[place] for value in values])

    def merged_backward(self, kept: Any, dy: NDArray[Any]) -> Arrays:
        place, sizes = kept
        found, start = [], 0
        for size in sizes:
            at = (slice(None),) * place + (slice(start, start + size),)
            found.append(np.ascontiguousarray(dy[at]))
            start += size
        return found
