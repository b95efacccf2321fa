"""What a model's outputs will be, before it runs."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from latchwork.layers.arguments import Shape
from latchwork.ragged import Ragged


class Form(NamedTuple):
    """What an output will be: the shape of one sample, and where its sequences begin if it is to be Ragged."""

    shape: Shape
    offsets: NDArray[np.int64] | None = None

    def empty(self, count: int, dtype: np.dtype[Any]) -> NDArray[Any]:
        """Room for all numbers of `count` samples."""
        if self.offsets is not None:
            return np.empty((int(self.offsets[-1]), self.shape[-1] or 0), dtype)
        return np.empty((count, *(size or 0 for size in self.shape)), dtype)

    def rows(self, start: int, stop: int) -> slice:
        """Where those of samples `start` to `stop` lie."""
        return slice(start, stop) if self.offsets is None else slice(self.offsets[start], self.offsets[stop])


def form_of(rows: NDArray[Any] | Ragged) -> Form:
    """The form that an array of data has."""
    if isinstance(rows, Ragged):
        return Form((None, *rows.values.shape[1:]), rows.offsets)
    return Form(rows.shape[1:])


def form_behind(shape: Shape, offsets: NDArray[np.int64] | None) -> Form:
    """The form of what is made of sequences that begin at `offsets`: Ragged if a sample has as many steps as theirs."""
    return Form(shape, offsets if len(shape) == 2 and shape[0] is None else None)
