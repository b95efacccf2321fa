"""Batches that someone else makes: generators, data sets, Keras' sequences."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import chain, islice
from typing import Any

import numpy as np

from latchwork.ragged import Ragged

Read = Callable[[Any], Any]


def is_stream(x: Any) -> bool:
    """Whether x makes batches: an iterable or a function, not an array, a dict of arrays or a list of them."""
    if x is None or isinstance(x, (np.ndarray, Ragged, Mapping, str, bytes)) or hasattr(x, "__array__"):
        return False
    if isinstance(x, (list, tuple)):  # a list of arrays means several inputs, one of tuples of numbers is an array
        return isinstance(x, list) and bool(x) and all(_is_batch(each) for each in x)
    return callable(x) or hasattr(x, "__iter__") or (hasattr(x, "__getitem__") and hasattr(x, "__len__"))


def _is_batch(item: Any) -> bool:
    """Whether an entry of a list is (x, y) or (x, y, sample_weight)."""
    if not isinstance(item, tuple) or len(item) not in (2, 3):
        return False
    x = item[0][0] if isinstance(item[0], (list, tuple)) and item[0] else item[0]
    return isinstance(x, (Ragged, Mapping)) or (hasattr(x, "__array__") and not isinstance(x, np.generic))


def training_parts(item: Any) -> tuple[Any, Any, Any]:
    """(x, y, sample_weight or None) of a batch."""
    if not isinstance(item, (tuple, list)) or len(item) not in (2, 3):
        got = f"{type(item).__name__} of {len(item)}" if isinstance(item, (tuple, list)) else type(item).__name__
        raise ValueError(f"must be (x, y) or (x, y, sample_weight), got {got}")
    return item[0], item[1], item[2] if len(item) == 3 else None


class Stream:
    """Batches of `source`, each passed through `read`, in epochs of `steps` batches; None: an epoch is a pass.

    What is iterable, has indices and a length, or is a function that gives an iterable, is begun anew for each pass:
    epochs of `steps` batches go through one pass after another. An iterator, such as a generator, goes on from epoch
    to epoch and ends once. `source.set_epoch(number of the pass)` is called before a pass, `source.on_epoch_end()`
    behind it, where there are such methods.
    """

    batch_size = None  # its own

    def __init__(self, source: Any, name: str, steps: int | None, steps_name: str, read: Read) -> None:
        self.name, self.steps, self.again = name, steps, not isinstance(source, Iterator)
        self._source, self._steps_name, self._read = source, steps_name, read
        self.length: int | None = len(source) if hasattr(source, "__len__") else None
        self.count = self.length if steps is None else steps
        self._peeked: tuple[int, Iterator[Any]] | None = None  # the number of a pass, and its batches
        self._tape: Iterator[Any] | None = None  # of epochs of `steps` batches

    @property
    def resumable(self) -> bool:
        """Whether a place can be found again; behind several passes only by their length."""
        return self.again and (self.length is not None or self.steps is None)

    def passes(self, epochs: int) -> int:
        """The number of passes that so many epochs have begun, as far as that can be known."""
        return epochs if self.steps is None or not self.length else -(-epochs * self.steps // self.length)

    def rewind(self) -> None:
        """Begin anew, where that is possible."""
        self._tape = None if self.again else self._tape

    def first(self, number: int = 0) -> Any:
        """The first batch of pass `number`, which that will still begin with."""
        items = self._pass(number)
        for item in items:
            self._peeked = number, chain([item], items)
            return self._checked(item, 0)
        raise ValueError(f"{self.name} must have at least one batch, got none")

    def epoch(self, number: int = 0, start: int = 0, earlier: int = 0) -> Iterator[Any]:
        """The batches of epoch `number` from batch `start` on; `earlier` passes were made before epoch 0.

        Raises:
            ValueError: The source ends too early or goes on for too long, or a batch cannot be read.
        """
        if self.steps is None:
            items = islice(self._pass(number + earlier), start, None)
        else:
            if self._tape is None:
                self._tape = self._passes(number * self.steps + start, earlier)
            items = islice(self._tape, self.steps - start)
        done = start
        for item in items:
            if done == self.count:
                raise ValueError(f"{self.name} has more batches than its length, {self.length}")
            yield self._checked(item, done)
            done += 1
        if done < (self.count or 1):
            said = f"{self._steps_name} is {self.steps}" if self.steps is not None else f"its length is {self.length}"
            why = f", but {said}" if self.count is not None else ""
            batches = f"{done} batch" if done == 1 else f"{done} batches"
            raise ValueError(f"{self.name} ended after {batches} of epoch {number + 1}{why}")

    def _passes(self, at: int, earlier: int) -> Iterator[Any]:
        """One pass after another, from the batch that `at` others are before, as far as that can be known."""
        number, skipped = divmod(at, self.length) if self.again and self.length else (0, 0)
        while True:
            empty = True
            for item in islice(self._pass(number + earlier), skipped, None):
                empty = False
                yield item
            if empty or not self.again:
                return
            number, skipped = number + 1, 0

    def _pass(self, number: int) -> Iterator[Any]:
        peeked, self._peeked = self._peeked, None
        return peeked[1] if peeked is not None and (peeked[0] == number or not self.again) else self._items(number)

    def _items(self, number: int) -> Iterator[Any]:
        source = self._source
        if hasattr(source, "set_epoch"):
            source.set_epoch(number)
        if hasattr(source, "__getitem__") and self.length is not None:
            yield from (source[i] for i in range(self.length))
        else:
            yield from source if hasattr(source, "__iter__") else source()
        if hasattr(source, "on_epoch_end"):
            source.on_epoch_end()

    def _checked(self, item: Any, done: int) -> Any:
        try:
            return self._read(item)
        except ValueError as error:
            raise ValueError(f"{self.name}: batch {done + 1}: {error}") from None


def joined(parts: Sequence[Any]) -> Any:
    """Outputs of batches, one behind the other: an array, or a Ragged."""
    if isinstance(parts[0], Ragged):
        lengths = np.concatenate([part.lengths for part in parts])
        offsets = np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])
        return Ragged(np.concatenate([part.values for part in parts]), offsets)
    shapes = sorted({part.shape[1:] for part in parts})
    if len(shapes) > 1:
        raise ValueError(f"predict: batches must give outputs of one shape, got samples of {shapes[0]} and {shapes[1]}")
    return np.concatenate(parts)
