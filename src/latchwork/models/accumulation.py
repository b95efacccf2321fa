"""Gradients of a batch from those of its parts."""

from __future__ import annotations

from typing import Any

from latchwork import _core
from latchwork.layers.dense import values_of
from latchwork.models.batches import Rows, Several
from latchwork.ragged import Ragged


class Counts:
    """How many elements the losses of each part have counted, output by output."""

    def __init__(self) -> None:
        self._first: tuple[int, ...] | None = None  # of the first part with any
        self._total = 0  # of the first output

    def share(self, seen: Any) -> float:
        """How many times the first part's count this part has counted.

        Raises:
            ValueError: Several outputs, and not as many times in all of them.
        """
        counts = tuple(each[1] for each in seen) if isinstance(seen[0], tuple) else (seen[1],)
        if self._first is None and any(counts):
            self._first = counts
        first = counts if self._first is None else self._first
        if any(counts[0] * other != count * first[0] for count, other in zip(counts, first, strict=True)):
            raise ValueError(
                "accumulate: outputs must count elements in the same proportion in each part of a batch, got "
                f"{first} and then {counts}: masks, lengths or missing targets differ. Train with accumulate=1"
            )
        self._total += counts[0]
        return counts[0] / first[0] if first[0] else 1.0

    def division(self) -> float:
        """What the sum of the gradients is to be multiplied by."""
        return self._first[0] / self._total if self._first is not None else 1.0


def scaled(gradient: Any, factor: float) -> None:
    """Multiply the gradient of an output, or of each of several, in place."""
    if factor != 1.0:
        for each in gradient if isinstance(gradient, list) else [gradient]:
            if each is not None:
                _core.scale(values_of(each), factor)


def steps_before(x: Rows, start: int) -> int:
    """Steps of the samples before `start`, of the first part of x that is Ragged; 0 without one."""
    parts = x.parts if isinstance(x, Several) else (x,)
    return next((int(part.offsets[start]) for part in parts if isinstance(part, Ragged)), 0)
