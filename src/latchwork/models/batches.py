"""Batches of rows: checked once, then gathered into buffers that every batch reuses."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import chain, islice
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from latchwork.ragged import Ragged

One: TypeAlias = "NDArray[Any] | Ragged"


class Several:
    """Arrays of the same samples, such as the inputs of a model: `parts`, of which any but the first may be None."""

    __slots__ = ("parts",)

    def __init__(self, *parts: One | None) -> None:
        self.parts = parts

    def __len__(self) -> int:
        """The number of samples."""
        return next(len(part) for part in self.parts if part is not None)


Rows: TypeAlias = "One | Several"


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
    if isinstance(rows, Several):
        return Several(*(None if part is None else _between(part, start, stop) for part in rows.parts))
    return _between(rows, start, stop)


def _between(rows: One, start: int, stop: int) -> One:
    if isinstance(rows, Ragged):
        first, last = rows.offsets[start], rows.offsets[stop]
        return Ragged(rows.values[first:last], rows.offsets[start : stop + 1] - first)
    return rows[start:stop]


def taker(rows: Rows, batch_size: int) -> Callable[[NDArray[np.int64]], Rows]:
    """A function from indices to those rows; an array's rows go into one buffer, which the next call overwrites."""
    if isinstance(rows, Several):
        takers = [None if part is None else _taker(part, batch_size) for part in rows.parts]
        return lambda indices: Several(*(None if each is None else each(indices) for each in takers))
    return _taker(rows, batch_size)


def _taker(rows: One, batch_size: int) -> Callable[[NDArray[np.int64]], One]:
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
    """x and y in batches: in order (views), or in the order of permutations (gathered into reused buffers).

    An epoch is a pass, or `steps` batches of one pass after another. `order` gives the permutation of pass number n.
    """

    resumable = True

    def __init__(
        self,
        x: Rows,
        y: Rows,
        batch_size: int,
        *,
        steps: int | None = None,
        order: Callable[[int], NDArray[np.int64]] | None = None,
    ) -> None:
        self.x, self.y, self.batch_size, self._order = x, y, batch_size, order
        self.length = -(-len(x) // batch_size)
        self.count = self.length if steps is None else steps
        self._takers: tuple[Callable[..., Rows], Callable[..., Rows]] | None = None

    def epoch(self, number: int, start: int = 0, earlier: int = 0) -> Iterator[tuple[Rows, Rows]]:
        """The batches of epoch `number` from batch `start` on; pass n has the order n + earlier."""
        at, end = number * self.count + start, (number + 1) * self.count
        spans = []
        while at < end:
            passes, first = divmod(at, self.length)
            last = min(self.length, first + end - at)
            spans.append((passes, first, last))
            at += last - first
        return chain.from_iterable(islice(self._pass(n + earlier), first, last) for n, first, last in spans)

    def passes(self, epochs: int) -> int:
        """The number of passes that so many epochs have begun."""
        return -(-epochs * self.count // self.length)

    def _pass(self, number: int) -> Iterator[tuple[Rows, Rows]]:
        return self._in_order() if self._order is None else self._shuffled(self._order(number))

    def _in_order(self) -> Iterator[tuple[Rows, Rows]]:
        for start in range(0, len(self.x), self.batch_size):
            stop = min(start + self.batch_size, len(self.x))
            yield rows_between(self.x, start, stop), rows_between(self.y, start, stop)

    def _shuffled(self, order: NDArray[np.int64]) -> Iterator[tuple[Rows, Rows]]:
        if self._takers is None:
            self._takers = taker(self.x, self.batch_size), taker(self.y, self.batch_size)
        take_x, take_y = self._takers
        for start in range(0, len(order), self.batch_size):
            indices = order[start : start + self.batch_size]
            yield take_x(indices), take_y(indices)
