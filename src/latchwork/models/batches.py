"""Batches of rows: checked once, then gathered into buffers that every batch reuses."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from latchwork.layers.arguments import Shape, as_input
from latchwork.losses import Loss
from latchwork.ragged import Ragged

Rows = NDArray[Any] | Ragged


def gives_sequences(x: Rows, output: Shape) -> bool:
    """Whether a model's output on x is Ragged: x is, and one sample of the output has as many steps as x has."""
    return isinstance(x, Ragged) and len(output) == 2 and output[0] is None


def as_target(y: Any, output: Shape, x: Rows, loss: Loss, dtype: np.dtype[Any]) -> Rows:
    """y cast, and of the shape and range that the loss wants for the output on x; (N,) and (N, 1) are the same.

    output: the shape of one sample of the output on x.
    """
    labels = loss.labels
    wanted = loss.target_shape((None, *output))[1:]
    target = as_input(y, "y", np.dtype(np.float64 if labels else dtype))
    if loss.sequences:
        return _labels_of_sequences(target, output, x, loss)
    shape: tuple[int, ...]
    if isinstance(x, Ragged) and gives_sequences(x, output):
        if not isinstance(target, Ragged) or not np.array_equal(target.offsets, x.offsets):
            raise ValueError("y must be Ragged with the lengths of x, as the output is a sequence for each of them")
        rows: Rows = target
        shape = (len(target.values), *(size or 1 for size in wanted[1:] or (1,)))
    else:
        if isinstance(target, Ragged):
            raise ValueError("y must be an array: only a sequence for each sequence of a Ragged x is Ragged")
        rows = target
        shape = (len(x), *(size or 0 for size in wanted))
    values = rows.values if isinstance(rows, Ragged) else rows
    spare = shape[-1:] == (1,) and (len(shape) == 2 or wanted != output)
    one_more = [(*shape, 1)] if labels else [shape[:-1]] if spare else []
    if values.shape != shape and values.shape not in one_more:
        hint = " (class numbers)" if labels else ""
        raise ValueError(f"y must have shape {shape}{hint} to match the model's output, got {values.shape}")
    values = _whole(values.reshape(shape)) if labels else values.reshape(shape)
    loss.check_targets(values, output)
    return Ragged(values, rows.offsets) if isinstance(rows, Ragged) else values


def _labels_of_sequences(y: Rows, output: Shape, x: Rows, loss: Loss) -> Rows:
    """Labels of whole sequences, [B, L] padded or Ragged, which are as long as they are."""
    if len(y) != len(x):
        raise ValueError(f"y must hold the labels of {len(x)} sequences, got {len(y)}")
    labels = _whole(y.values if isinstance(y, Ragged) else y)
    loss.check_targets(labels, output)
    return Ragged(labels, y.offsets) if isinstance(y, Ragged) else labels


def _whole(labels: NDArray[Any]) -> NDArray[np.int64]:
    with np.errstate(invalid="ignore"):  # NaN and infinity are told by the comparison
        numbers = labels.astype(np.int64)
    if not np.array_equal(numbers, labels):
        raise ValueError("y must hold whole class numbers, got fractions or NaN")
    return numbers


def split_rows(x: Rows, y: Rows, share: float) -> tuple[tuple[Rows, Rows], tuple[Rows, Rows]]:
    """The first rows to train on and the last `share` of them to validate on."""
    if isinstance(share, bool) or not isinstance(share, (int, float)) or not 0 < share < 1:
        raise ValueError(f"validation_split must be in [0, 1), got {share!r}")
    at = int(len(x) * (1.0 - share))
    if at == 0 or at == len(x):
        raise ValueError(f"validation_split={share} of {len(x)} samples leaves no sample on one side")
    return (rows_between(x, 0, at), rows_between(y, 0, at)), (rows_between(x, at, len(x)), rows_between(y, at, len(x)))


def rows_between(rows: Rows, start: int, stop: int) -> Rows:
    """Rows start to stop: a view."""
    if isinstance(rows, Ragged):
        first, last = rows.offsets[start], rows.offsets[stop]
        return Ragged(rows.values[first:last], rows.offsets[start : stop + 1] - first)
    return rows[start:stop]


def taker(rows: Rows, batch_size: int) -> Callable[[NDArray[np.int64]], Rows]:
    """A function from indices to those rows; an array's rows go into one buffer, which the next call overwrites."""
    if isinstance(rows, Ragged):
        return lambda indices: _take_sequences(rows, indices)
    buffer = np.empty((min(batch_size, len(rows)), *rows.shape[1:]), rows.dtype)

    def take(indices: NDArray[np.int64]) -> NDArray[Any]:
        out = buffer if len(indices) == len(buffer) else buffer[: len(indices)]
        return rows.take(indices, 0, out, "clip")  # numpy would buffer `out` once more if it had to be able to raise

    return take


def _take_sequences(rows: Ragged, indices: NDArray[np.int64]) -> Ragged:
    counts = (rows.offsets[1:] - rows.offsets[:-1])[indices]
    offsets = np.concatenate([[0], np.cumsum(counts, dtype=np.int64)])
    places = np.arange(offsets[-1]) + np.repeat(rows.offsets[indices] - offsets[:-1], counts)
    return Ragged(rows.values[places], offsets)


class Batches:
    """x and y in batches: in order (views), or in the order of a permutation (gathered into reused buffers)."""

    def __init__(self, x: Rows, y: Rows, batch_size: int) -> None:
        self.x, self.y, self.batch_size = x, y, batch_size
        self.count = -(-len(x) // batch_size)
        self._takers: tuple[Callable[..., Rows], Callable[..., Rows]] | None = None

    def in_order(self) -> Iterator[tuple[Rows, Rows]]:
        for start in range(0, len(self.x), self.batch_size):
            stop = min(start + self.batch_size, len(self.x))
            yield rows_between(self.x, start, stop), rows_between(self.y, start, stop)

    def shuffled(self, order: NDArray[np.int64]) -> Iterator[tuple[Rows, Rows]]:
        if self._takers is None:
            self._takers = taker(self.x, self.batch_size), taker(self.y, self.batch_size)
        take_x, take_y = self._takers
        for start in range(0, len(order), self.batch_size):
            indices = order[start : start + self.batch_size]
            yield take_x(indices), take_y(indices)
