"""A recurrence whose steps are Python: the cell runs on the rows that have a real step, one step after the other."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from latchwork.layers.cell import Cell, States
from latchwork.layers.dense import like, values_of
from latchwork.ragged import Ragged

Rows = NDArray[np.int64]


class Step(NamedTuple):
    """One step in the order read."""

    rows: Rows  # that are not finished
    written: Rows  # where their outputs go in [N, H]
    real: Rows  # those that are not masked
    read: Rows  # where their inputs stand in [N, F]


class _Context(NamedTuple):
    steps: list[tuple[Step, Any]]
    x: Any


class Loop:
    """Runs a cell over sequences, forwards and back.

    align: outputs lie where their inputs do, not in the order read.
    """

    def __init__(
        self, cell: Cell, *, sequences: bool, backwards: bool, align: bool, zero_output_for_mask: bool
    ) -> None:
        self.cell, self.sequences, self.backwards, self.align = cell, sequences, backwards, align
        self.zero = zero_output_for_mask

    def advance(self, x: Any, states: States, mask: Any, training: bool) -> tuple[Any, States, Any]:
        values = values_of(x)
        rows = values.reshape(-1, values.shape[-1])
        states = [state.copy() for state in states]
        held = np.zeros((len(x), self.cell.output_size), rows.dtype)  # the last output of each row
        outputs = np.zeros((len(rows), self.cell.output_size), rows.dtype)
        contexts = []
        for step in steps_of(x, mask, self.backwards, self.align):
            ctx = None
            if len(step.real):
                y, new, ctx = self.cell.forward(rows[step.read], [state[step.real] for state in states], training)
                self._check(y, new, len(step.real))
                held[step.real] = y
                for state, value in zip(states, new, strict=True):
                    state[step.real] = value
            if self.zero:
                held[np.setdiff1d(step.rows, step.real)] = 0
            outputs[step.written] = held[step.rows]
            contexts.append((step, ctx))
        y = like(x, outputs.reshape(*values.shape[:-1], -1)) if self.sequences else held
        return y, states, _Context(contexts, x) if training else None

    def backward(self, ctx: _Context, dy: Any, d_states: States) -> tuple[Any, States]:
        x = values_of(ctx.x)
        dx = np.zeros((x.size // x.shape[-1] if x.shape[-1] else 0, x.shape[-1]), x.dtype)
        d_outputs = None if dy is None or not self.sequences else values_of(dy).reshape(len(dx), -1)
        d_held = np.zeros((len(ctx.x), self.cell.output_size), x.dtype)
        if dy is not None and not self.sequences:
            d_held[...] = dy
        d_states = [d.copy() for d in d_states]
        for step, inner in reversed(ctx.steps):
            if d_outputs is not None:
                d_held[step.rows] += d_outputs[step.written]
            if self.zero:
                d_held[np.setdiff1d(step.rows, step.real)] = 0
            if len(step.real):
                before = [d[step.real] for d in d_states]
                dx[step.read], new = self.cell.backward(inner, d_held[step.real], before)
                for d, value in zip(d_states, new, strict=True):
                    d[step.real] = value
                d_held[step.real] = 0
        return like(ctx.x, dx.reshape(x.shape)), d_states

    def _check(self, y: Any, states: Any, batch: int) -> None:
        """A user's cell returns what it declares."""
        cell = self.cell
        if np.shape(y) != (batch, cell.output_size):
            raise ValueError(f"{cell.name}: y must be {(batch, cell.output_size)} (output_size), got {np.shape(y)}")
        found = [np.shape(state) for state in states]
        if found != [(batch, size) for size in cell.state_sizes]:
            raise ValueError(f"{cell.name}: states must have the sizes {cell.state_sizes} (state_size), got {found}")


def steps_of(x: Any, mask: Any, backwards: bool, align: bool) -> Iterator[Step]:
    """The steps of a batch in the order they run; mask: bool [B, T], or like the rows of a Ragged."""
    if isinstance(x, Ragged):
        first, lengths = x.offsets[:-1], x.lengths
    else:
        batch, steps = x.shape[:2]
        first, lengths = np.arange(batch) * steps, np.full(batch, steps)
    real = None if mask is None else mask.ravel()
    for t in range(int(lengths.max(initial=0))):
        rows = np.flatnonzero(lengths > t)
        read = first[rows] + (lengths[rows] - 1 - t if backwards else t)
        chosen = slice(None) if real is None else real[read]
        yield Step(rows, read if align else first[rows] + t, rows[chosen], read[chosen])
