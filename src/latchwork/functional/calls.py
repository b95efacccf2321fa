"""A recurrent call, of any cell."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, cast

import numpy as np
import numpy.typing as npt

from latchwork import _core
from latchwork.functional.arrays import (
    Array,
    Context,
    Params,
    Sequences,
    State,
    check_context,
    contiguous,
    count_text,
    describe,
    even_rows,
    packed_weights,
)
from latchwork.ragged import Ragged


class Gradients(NamedTuple):
    """Gradients of a recurrent call; `x` and `bias` are None where not wanted or not there.

    Attributes:
        x: like the call's x (a Ragged for a Ragged).
        state: gradients of the initial states, each `[B, H]`.
        kernel, recurrent_kernel, bias: like the parameters.
    """

    x: Sequences | None
    state: State
    kernel: Array
    recurrent_kernel: Array
    bias: Array | None


def forward(
    cell: str,
    x: Sequences,
    params: Params,
    state: State | None,
    lengths: npt.ArrayLike | None,
    time_major: bool,
    reverse: bool,
    activation: str | None,
    recurrent_activation: str | None,
    training: bool,
    return_sequences: bool,
    mask: npt.NDArray[np.bool_] | None,
    hold: bool,
    align: bool,
    out: Array | None,
) -> tuple[Sequences, State, Context | None]:
    weights = packed_weights(cell, params, ("kernel", "recurrent_kernel", "bias"))
    values, offsets = (x.values, x.offsets) if isinstance(x, Ragged) else (x, None)
    if not isinstance(values, np.ndarray):
        raise ValueError(f"x must be a numpy array or a Ragged, got {describe(values)}")
    states = _states(state, weights.states, "state")
    if lengths is not None:
        lengths = np.asarray(lengths)
    y, final, ctx = _core.recurrent_forward(
        weights,
        contiguous(values),
        states,
        lengths,
        offsets,
        time_major,
        reverse,
        activation or "linear",
        recurrent_activation or "linear",
        training,
        return_sequences,
        None if mask is None else np.ascontiguousarray(mask),
        hold,
        align,
        out,
    )
    if offsets is not None and return_sequences:
        return _ragged(y, offsets), tuple(final), ctx
    return y, tuple(final), ctx


def _ragged(values: Array, offsets: npt.NDArray[np.int64]) -> Ragged:
    """A Ragged of known good parts."""
    ragged = Ragged.__new__(Ragged)
    ragged.values, ragged.offsets = values, offsets
    return ragged


def _states(states: Sequence[Array | None] | None, count: int, name: str) -> list[Array | None]:
    if states is None:
        return []
    if not isinstance(states, (tuple, list)) or len(states) != count:
        raise ValueError(
            f"{name} must be a tuple of {count} arrays, got {type(states).__name__} of {count_text(states)}"
        )
    for i, a in enumerate(states):
        if a is not None and not isinstance(a, np.ndarray):
            raise ValueError(f"{name}[{i}] must be a numpy array, got {describe(a)}")
    return [None if a is None else contiguous(a) for a in states]


def backward(
    cells: tuple[str, ...],
    ctx: Context | None,
    dy: Sequences | None,
    dstate: Sequence[Array | None] | None,
    need_dx: bool,
    out: Sequence[Array | None] | None,
) -> Gradients:
    check_context(cells, ctx)
    assert ctx is not None
    offsets = ctx.offsets
    values = dy.values if isinstance(dy, Ragged) else dy
    if values is not None:
        if not isinstance(values, np.ndarray):
            raise ValueError(f"dy must be a numpy array, a Ragged or None, got {describe(values)}")
        if isinstance(dy, Ragged) and (offsets is None or not np.array_equal(offsets, dy.offsets)):
            raise ValueError("dy must have the lengths of y")
        values = values if ctx.sequences and even_rows(values) else contiguous(values)
    states = _states(dstate, ctx.states, "dstate")
    arrays = None if out is None else list(out)
    dx, d_initial, kernel, recurrent_kernel, bias = _core.recurrent_backward(ctx, values, states, need_dx, True, arrays)
    d_sequences = dx if dx is None or offsets is None else _ragged(dx, offsets)
    return Gradients(d_sequences, tuple(d_initial or ()), cast(Array, kernel), cast(Array, recurrent_kernel), bias)
