"""Recurrent calls of any cell, one or several at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from latchwork import _core
from latchwork.fields import Shown
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
from latchwork.memory import as_memory
from latchwork.ragged import Ragged


class Gradients(NamedTuple):
    """Gradients of a recurrent call; `x` and `bias` are None where not wanted or not there.

    Attributes:
        x: like the call's x (a Ragged for a Ragged).
        state: gradients of the initial states, each `[B, H]`.
        kernel, recurrent_kernel, bias: like the parameters.

    >>> one = np.ones((1, 1))
    >>> [(y, state, ctx)] = forward([Call("elman", np.ones((1, 2, 1)), (one, one, None))])
    >>> [gradients] = backward([BackwardCall(ctx, np.ones_like(y))])
    >>> gradients.kernel.shape, gradients.bias is None
    ((1, 1), True)
    """

    x: Sequences | None
    state: State
    kernel: Array
    recurrent_kernel: Array
    bias: Array | None


@dataclass(eq=False, repr=False, slots=True)
class Call(Shown):
    """What `forward` runs: a cell and what it is called with. Nothing is checked before `forward` does.

    Args:
        cell: "lstm", "gru", "gru_reset_before" or "elman".
        x, params, state: as in `lstm`, `gru` or `rnn`, shapes and dtype included.
        lengths, time_major, reverse, return_sequences, mask, hold, align, out, memory: as in `lstm`.
        activation, recurrent_activation: as in `lstm`; "elman" has no gates.

    >>> one = np.ones((1, 4))
    >>> Call("lstm", np.ones((1, 3, 1)), (one, one, None), reverse=True).cell
    'lstm'
    """

    cell: str
    x: Sequences
    params: Params
    state: State | None = None
    _: KW_ONLY
    lengths: npt.ArrayLike | None = None
    time_major: bool = False
    reverse: bool = False
    activation: str | None = "tanh"
    recurrent_activation: str | None = "sigmoid"
    return_sequences: bool = True
    mask: npt.NDArray[np.bool_] | None = None
    hold: bool = False
    align: bool = False
    out: Array | None = None
    memory: str = "store"


Result: TypeAlias = tuple[Sequences, State, Context | None]

_FLAG = (lambda value: isinstance(value, (bool, np.bool_)), "True or False")
_NAME = (lambda value: value is None or isinstance(value, str), "a name or None")
_ARRAY = (lambda value: value is None or isinstance(value, np.ndarray), "a numpy array or None")
_ARRAYS = (
    lambda value: value is None or all(_ARRAY[0](a) for a in value),
    "a sequence of numpy arrays or None, or None",
)
_TYPES = {
    **dict.fromkeys(("time_major", "reverse", "return_sequences", "hold", "align"), _FLAG),
    **dict.fromkeys(("activation", "recurrent_activation"), _NAME),
    "out": _ARRAY,
}
_BACKWARD_TYPES = {"need_dx": _FLAG, "out": _ARRAYS}


def _check_types(calls: Sequence[Any], types: dict[str, tuple[Callable[[Any], bool], str]]) -> None:
    """Names the first argument that the core could not take: looked for only where there is one."""
    for call in calls:
        for name, (is_one, expected) in types.items():
            if not is_one(value := getattr(call, name)):
                raise TypeError(f"{name} must be {expected}, got {describe(value)}")


def forward(calls: Sequence[Call], *, training: bool = True) -> list[Result]:
    """Runs independent calls, of one dtype: on several threads side by side where that is faster, else in turn.

    Both directions over a sequence are two such calls. The bits are those of one call after the other.

    Args:
        calls: no one of them may need what another returns; arrays given as `out` may not overlap.
        training: keep what `backward` needs.

    Returns:
        For each call what `lstm` returns: y, the state and the context.

    Raises:
        ValueError: as `lstm`, before anything is run.

    >>> x, one = np.ones((1, 3, 1)), np.ones((1, 4))
    >>> there, back = forward([Call("lstm", x, (one, one, None), reverse=way) for way in (False, True)])
    >>> bool((there[0] == back[0]).all())
    True
    """
    try:
        found: list[Any] = _core.recurrent_forward([_given(call) for call in calls], training)
    except TypeError:
        _check_types(calls, _TYPES)
        raise
    for i, call in enumerate(calls):
        if isinstance(call.x, Ragged) and call.return_sequences:
            y, state, ctx = found[i]
            found[i] = _ragged(y, call.x.offsets), state, ctx
    return found


def _given(call: Call) -> _core.GivenCall:
    """The call as the core takes it."""
    x, weights = call.x, packed_weights(call.cell, call.params, ("kernel", "recurrent_kernel", "bias"))
    values, offsets = (x.values, x.offsets) if isinstance(x, Ragged) else (x, None)
    if not isinstance(values, np.ndarray):
        raise ValueError(f"x must be a numpy array or a Ragged, got {describe(values)}")
    return (
        weights,
        contiguous(values),
        [] if call.state is None else _states(call.state, weights.states, "state"),
        None if call.lengths is None else np.asarray(call.lengths),
        offsets,
        call.time_major,
        call.reverse,
        call.activation or "linear",
        call.recurrent_activation or "linear",
        call.return_sequences,
        None if call.mask is None else np.ascontiguousarray(call.mask),
        call.hold,
        call.align,
        call.out,
        as_memory(call.memory),
    )


@dataclass(eq=False, repr=False, slots=True)
class BackwardCall(Shown):
    """What `backward` runs: the arguments of `lstm_backward`, for a context of any cell.

    Args:
        ctx, dy, dstate, need_dx, out: as in `lstm_backward`, shapes and dtype included.

    >>> BackwardCall(None, np.ones((1, 3, 1))).need_dx
    True
    """

    ctx: Context | None
    dy: Sequences | None
    dstate: Sequence[Array | None] | None = None
    _: KW_ONLY
    need_dx: bool = True
    out: Sequence[Array | None] | None = None


def backward(calls: Sequence[BackwardCall]) -> list[Gradients]:
    """Gradients of independent calls, side by side where that is faster. Consumes the contexts.

    Calls whose `out` arrays overlap run in turn, in the order given. The bits are those of one call after the other.

    Args:
        calls: of one dtype, float32 or float64; no context twice.

    Returns:
        For each call what `lstm_backward` returns; arrays have the shapes and dtype of what they are gradients of.

    Raises:
        ValueError: as `lstm_backward`, before anything is run.

    >>> x, one = np.ones((1, 3, 1)), np.ones((1, 4))
    >>> results = forward([Call("lstm", x, (one, one, None), reverse=way) for way in (False, True)])
    >>> [g.kernel.shape for g in backward([BackwardCall(ctx, np.ones_like(y)) for y, _, ctx in results])]
    [(1, 4), (1, 4)]
    """
    try:
        found = _core.recurrent_backward([_given_backward(call) for call in calls])
    except TypeError:
        _check_types(calls, _BACKWARD_TYPES)
        raise
    gradients = [Gradients(*arrays) for arrays in found]
    for i, call in enumerate(calls):
        dx, ctx = found[i][0], call.ctx
        if dx is not None and ctx is not None and ctx.offsets is not None:
            gradients[i] = gradients[i]._replace(x=_ragged(dx, ctx.offsets))
    return gradients


def _given_backward(call: BackwardCall) -> _core.GivenGradients:
    ctx, dy = check_context(call.ctx), call.dy
    values = dy.values if isinstance(dy, Ragged) else dy
    if values is not None:
        if not isinstance(values, np.ndarray):
            raise ValueError(f"dy must be a numpy array, a Ragged or None, got {describe(values)}")
        if isinstance(dy, Ragged) and (ctx.offsets is None or not np.array_equal(ctx.offsets, dy.offsets)):
            raise ValueError("dy must have the lengths of y")
        if not values.flags.c_contiguous and not (ctx.sequences and even_rows(values)):
            values = contiguous(values)
    states = [] if call.dstate is None else _states(call.dstate, ctx.states, "dstate")
    return ctx, values, states, call.need_dx, True, call.out


def _ragged(values: Array, offsets: npt.NDArray[np.int64]) -> Ragged:
    """A Ragged of known good parts."""
    ragged = Ragged.__new__(Ragged)
    ragged.values, ragged.offsets = values, offsets
    return ragged


def _states(states: Sequence[Array | None], count: int, name: str) -> list[Array | None]:
    if not isinstance(states, (tuple, list)) or len(states) != count:
        raise ValueError(
            f"{name} must be a tuple of {count} arrays, got {type(states).__name__} of {count_text(states)}"
        )
    for i, a in enumerate(states):
        if a is not None and not isinstance(a, np.ndarray):
            raise ValueError(f"{name}[{i}] must be a numpy array, got {describe(a)}")
    return [None if a is None else contiguous(a) for a in states]
