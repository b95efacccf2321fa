"""Truncated back-propagation through time: a batch cut along its steps, states carried from chunk to chunk."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from latchwork.layers.base import Layer
from latchwork.layers.sequence import SequenceLayer
from latchwork.models.batches import One, Rows, Several
from latchwork.models.carried import Carried
from latchwork.models.forms import Form
from latchwork.models.heads import Head
from latchwork.ragged import Ragged


class Chunks:
    """Batches in chunks of `steps` steps, for a model whose layers all go step by step.

    Raises:
        ValueError: A layer that cannot be cut, none that carries states, or an initial state from within the model.
    """

    def __init__(self, layers: Sequence[Layer], carried: Carried, steps: int, given_states: Sequence[Layer]) -> None:
        for layer in layers:
            if not layer.by_step:
                raise ValueError(f"tbptt: layer {layer.name!r} ({layer.label}) does not go step by step")
        if given_states:
            raise ValueError(
                f"tbptt: layer {given_states[0].name!r} must carry its states, but is given some or called often"
            )
        recurrent = [layer for layer in layers if isinstance(layer, SequenceLayer)]
        if not recurrent:
            raise ValueError("tbptt: there must be a recurrent layer, as only that carries states from chunk to chunk")
        self.steps = steps
        self._carried = carried
        self._borrowed = [layer for layer in recurrent if not layer.stateful]  # they forget at the end of a batch

    def check(self, x: Rows, heads: Sequence[Head], names: Sequence[str], forms: Sequence[Form]) -> None:
        """Refuse data and outputs that are no sequences of the same steps."""
        parts = x.parts if isinstance(x, Several) else (x,)
        for part in parts:
            if part is not None and not isinstance(part, Ragged) and part.ndim < 2:
                raise ValueError(f"tbptt: x must be sequences [N, T, ...], got shape {part.shape}")
        steps = {part.shape[1] for part in parts if part is not None and not isinstance(part, Ragged)}
        if len(steps) > 1:
            raise ValueError(f"tbptt: all inputs must have the same number of steps, got {sorted(steps)}")
        for head, name, form in zip(heads, names, forms, strict=True):
            if head.loss is not None and (head.loss.sequences or len(form.shape) < 2):
                what = "with a target for each step" if head.loss.sequences else "(return_sequences=True)"
                raise ValueError(f"tbptt: output {name!r} must be a sequence {what}")

    def cut(self, x: Rows, y: Rows) -> Iterator[tuple[Rows, Rows]]:
        """The chunks of a batch."""
        first = next(part for part in (x.parts if isinstance(x, Several) else (x,)) if part is not None)
        longest = int(first.lengths.max(initial=0)) if isinstance(first, Ragged) else first.shape[1]
        for start in range(0, longest, self.steps):
            stop = min(start + self.steps, longest)
            yield steps_between(x, start, stop), steps_between(y, start, stop)

    @contextmanager
    def carrying(self) -> Iterator[None]:
        """Within it every recurrent layer carries its states; those that are not stateful begin at zero, and end so."""
        for layer in self._borrowed:
            layer.stateful = True
        try:
            yield
        finally:
            for layer in self._borrowed:
                layer.stateful = False
                self._carried.reset(layer=layer.number)


def steps_between(rows: Rows, start: int, stop: int) -> Rows:
    """Steps start to stop of every sequence, as far as it has them; weights a sample stay whole."""
    if isinstance(rows, Several):
        return Several(*(None if part is None else _between(part, start, stop) for part in rows.parts))
    return _between(rows, start, stop)


def _between(rows: One, start: int, stop: int) -> One:
    if not isinstance(rows, Ragged):
        return rows if rows.ndim < 2 else np.ascontiguousarray(rows[:, start:stop])
    lengths: Any = np.clip(rows.lengths - start, 0, stop - start)
    offsets = np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])
    places = np.arange(offsets[-1]) + np.repeat(rows.offsets[:-1] + start - offsets[:-1], lengths)
    return Ragged(rows.values[places], offsets)
