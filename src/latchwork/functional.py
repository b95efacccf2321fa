"""Pure calls on numpy arrays: forward, and the backward that consumes what forward left.

Shapes: T time, B batch, I input, H hidden. Every array of a call has one dtype, float32 or float64; nothing is cast.

- `lstm(x, params, state) -> y, state, ctx` and `lstm_backward(ctx, dy, dstate) -> Gradients`; `gru`, `rnn`, `dense`
  alike.
- `params` is `(kernel, recurrent_kernel, bias)`: `kernel [I, G*H]`, `recurrent_kernel [H, G*H]`, `bias [G*H]` or None
  (`[2, 3*H]` for the GRU that resets after the product). Gate order: LSTM i, f, g, o; GRU z, r, n.
- `x` is `[B, T, I]`, `[T, B, I]` with `time_major=True`, or a `latchwork.Ragged`.
- The same sequence gives the same bits in any batch, padded or ragged, whole or in chunks, on any CPU and thread count.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple, TypeAlias, cast

import numpy as np
import numpy.typing as npt

from . import _core
from .ragged import Ragged

__all__ = [
    "DenseGradients",
    "Gradients",
    "dense",
    "dense_backward",
    "gru",
    "gru_backward",
    "lstm",
    "lstm_backward",
    "rnn",
    "rnn_backward",
]

Array: TypeAlias = npt.NDArray[np.floating]
Sequences: TypeAlias = Array | Ragged
State: TypeAlias = tuple[Array, ...]
Context: TypeAlias = _core.Context
Params: TypeAlias = Sequence[Array | None] | _core.RecurrentWeights


class Gradients(NamedTuple):
    """Gradients of a recurrent call; `x` and `bias` are None where not wanted or not there.

    Attributes:
        x: like the call's x (a Ragged for a Ragged).
        state: gradients of the initial states, each `[B, H]`.
        kernel, recurrent_kernel, bias: like the parameters.

    >>> y, state, ctx = rnn(np.ones((1, 2, 1)), (np.ones((1, 1)), np.ones((1, 1)), None))
    >>> gradients = rnn_backward(ctx, np.ones_like(y))
    >>> gradients.kernel.shape, gradients.bias is None
    ((1, 1), True)
    """

    x: Sequences | None
    state: State
    kernel: Array
    recurrent_kernel: Array
    bias: Array | None


class DenseGradients(NamedTuple):
    """Gradients of a dense call; `x` and `bias` are None where not wanted or not there.

    Attributes:
        x: like the call's x, `[..., F]`.
        kernel, bias: like the parameters, `[F, U]` and `[U]`.

    >>> y, ctx = dense(np.ones((2, 3)), (np.ones((3, 1)), np.ones(1)))
    >>> dense_backward(ctx, y).bias.tolist()
    [8.0]
    """

    x: Array | None
    kernel: Array
    bias: Array | None


def lstm(
    x: Sequences,
    params: Params,
    state: State | None = None,
    *,
    lengths: npt.ArrayLike | None = None,
    time_major: bool = False,
    reverse: bool = False,
    activation: str | None = "tanh",
    recurrent_activation: str | None = "sigmoid",
    training: bool = True,
    return_sequences: bool = True,
    mask: npt.NDArray[np.bool_] | None = None,
    hold: bool = False,
    align: bool = False,
    out: Array | None = None,
) -> tuple[Sequences, State, Context | None]:
    """Long short-term memory (Hochreiter & Schmidhuber 1997; forget gate of Gers, Schmidhuber & Cummins 2000).

    `i, f, o = σ(x·W + h·R + b)`, `g = tanh(x·W + h·R + b)`, `c' = f c + i g`, `h' = o tanh(c')`.

    Args:
        x: `[B, T, I]`, `[T, B, I]` if time_major, or Ragged.
        params: `(kernel [I, 4H], recurrent_kernel [H, 4H], bias [4H] or None)`, gates i, f, g, o.
        state: initial `(h, c)`, each `[B, H]`; None: zeros.
        lengths: real steps of each sequence, `[B]` within [0, T]; None: all T.
        time_major: x and y have time first.
        reverse: read each sequence from its last real step backwards; y is in the order read (Keras' go_backwards).
        activation, recurrent_activation: names, of the state and of the gates; None is "linear".
        training: keep what `lstm_backward` needs. y may not be written until the context is used or dropped.
        return_sequences: y of every step, or of the last real one, `[B, H]`.
        mask: bool, like x without its features, True for real steps; the others are skipped: nothing is computed for
            them. Holes, padding on either side and sequences of masked steps only are all alike. Not with lengths.
        hold: y at a masked step is the output before it in the order read (0 if there is none), not 0.
        align: with reverse, y lies at the step it belongs to, not in the order read.
        out: where y is written (the values of a Ragged); its features must be neighbours, its rows may lie apart.

    Returns:
        y `[B, T, H]` (zeros beyond a length and at masked steps), the state `(h, c)` at the last real step (a sequence
        of no steps passes its initial state through), and the context (None if not training).

    Raises:
        ValueError: an argument has the wrong shape, dtype or value; it is named, nothing was changed.

    >>> one = np.ones((1, 4), np.float32)
    >>> y, (h, c), ctx = lstm(np.ones((1, 3, 1), np.float32), (one, one, None))
    >>> y.shape, bool((y[:, -1] == h).all())
    ((1, 3, 1), True)
    """
    return _forward("lstm", x, params, state, lengths, time_major, reverse, activation, recurrent_activation, training,
                    return_sequences, mask, hold, align, out)  # fmt: skip


def gru(
    x: Sequences,
    params: Params,
    state: State | None = None,
    *,
    lengths: npt.ArrayLike | None = None,
    time_major: bool = False,
    reverse: bool = False,
    activation: str | None = "tanh",
    recurrent_activation: str | None = "sigmoid",
    reset_after: bool = True,
    training: bool = True,
    return_sequences: bool = True,
    mask: npt.NDArray[np.bool_] | None = None,
    hold: bool = False,
    align: bool = False,
    out: Array | None = None,
) -> tuple[Sequences, State, Context | None]:
    """Gated recurrent unit (Cho et al. 2014).

    `z, r = σ(x·W + h·R + b)`, `h' = z h + (1 - z) n` with
    `n = tanh(x·W + b₀ + r (h·R + b₁))` (reset_after, cuDNN's form) or `n = tanh(x·W + (r h)·R + b)`.

    Args:
        params: `(kernel [I, 3H], recurrent_kernel [H, 3H], bias)`, gates z, r, n; bias `[2, 3H]` (input, recurrent)
            if reset_after, else `[3H]`; or None.
        state: initial `(h,)`, `[B, H]`; None: zeros.
        reset_after: where the reset gate acts.
        x, lengths, time_major, reverse, activation, recurrent_activation: as in `lstm`, shapes and dtype included.
        training, return_sequences, mask, hold, align, out: as in `lstm`.

    Returns:
        y, `(h,)` and the context, as `lstm`.

    Raises:
        ValueError: as `lstm`.

    >>> one = np.ones((1, 3))
    >>> y, (h,), ctx = gru(np.zeros((2, 5, 1)), (one, one, None))
    >>> y.shape, float(h.max())
    ((2, 5, 1), 0.0)
    """
    cell = "gru" if reset_after else "gru_reset_before"
    return _forward(cell, x, params, state, lengths, time_major, reverse, activation, recurrent_activation, training,
                    return_sequences, mask, hold, align, out)  # fmt: skip


def rnn(
    x: Sequences,
    params: Params,
    state: State | None = None,
    *,
    lengths: npt.ArrayLike | None = None,
    time_major: bool = False,
    reverse: bool = False,
    activation: str | None = "tanh",
    training: bool = True,
    return_sequences: bool = True,
    mask: npt.NDArray[np.bool_] | None = None,
    hold: bool = False,
    align: bool = False,
    out: Array | None = None,
) -> tuple[Sequences, State, Context | None]:
    """Simple recurrent network (Elman 1990): `h' = f(x·W + h·R + b)`.

    Args:
        params: `(kernel [I, H], recurrent_kernel [H, H], bias [H] or None)`.
        state: initial `(h,)`, `[B, H]`; None: zeros.
        x, lengths, time_major, reverse, activation: as in `lstm`, shapes and dtype included.
        training, return_sequences, mask, hold, align, out: as in `lstm`.

    Returns:
        y, `(h,)` and the context, as `lstm`.

    Raises:
        ValueError: as `lstm`.

    >>> y, (h,), _ = rnn(np.full((1, 2, 1), 0.5), (np.ones((1, 1)), np.ones((1, 1)), None), activation="linear")
    >>> y.ravel().tolist()
    [0.5, 1.0]
    """
    return _forward("elman", x, params, state, lengths, time_major, reverse, activation, "sigmoid", training,
                    return_sequences, mask, hold, align, out)  # fmt: skip


def lstm_backward(
    ctx: Context | None,
    dy: Sequences | None,
    dstate: Sequence[Array | None] | None = None,
    *,
    need_dx: bool = True,
    out: Sequence[Array | None] | None = None,
) -> Gradients:
    """Gradients of an `lstm` call by back-propagation through time (Werbos 1990). Consumes the context.

    Args:
        ctx: from the forward call.
        dy: gradient of y, like y; None: zero.
        dstate: gradients of the final states, `[B, H]` or None each; None: zero.
        need_dx: whether `x` is wanted.
        out: `(kernel, recurrent_kernel, bias)` arrays to ADD the parameter gradients to; None: fresh ones.

    Raises:
        ValueError: ctx is None, used, or of another cell; an array has the wrong shape or dtype.

    >>> one = np.ones((1, 4))
    >>> y, state, ctx = lstm(np.ones((1, 3, 1)), (one, one, None))
    >>> lstm_backward(ctx, np.ones_like(y)).kernel.shape
    (1, 4)
    """
    return _backward(("lstm",), ctx, dy, dstate, need_dx, out)


def gru_backward(
    ctx: Context | None,
    dy: Sequences | None,
    dstate: Sequence[Array | None] | None = None,
    *,
    need_dx: bool = True,
    out: Sequence[Array | None] | None = None,
) -> Gradients:
    """Gradients of a `gru` call, of either form.

    Args:
        ctx, dy, dstate, need_dx, out: as in `lstm_backward`, shapes and dtype included.

    Raises:
        ValueError: as `lstm_backward`.

    >>> one = np.ones((1, 3))
    >>> y, state, ctx = gru(np.ones((1, 3, 1)), (one, one, None), reset_after=False)
    >>> gru_backward(ctx, np.ones_like(y)).x.shape
    (1, 3, 1)
    """
    return _backward(("gru", "gru_reset_before"), ctx, dy, dstate, need_dx, out)


def rnn_backward(
    ctx: Context | None,
    dy: Sequences | None,
    dstate: Sequence[Array | None] | None = None,
    *,
    need_dx: bool = True,
    out: Sequence[Array | None] | None = None,
) -> Gradients:
    """Gradients of an `rnn` call.

    Args:
        ctx, dy, dstate, need_dx, out: as in `lstm_backward`, shapes and dtype included.

    Raises:
        ValueError: as `lstm_backward`.

    >>> y, state, ctx = rnn(np.ones((1, 2, 1)), (np.ones((1, 1)), np.ones((1, 1)), None), activation="linear")
    >>> rnn_backward(ctx, np.ones_like(y)).x.ravel().tolist()
    [2.0, 1.0]
    """
    return _backward(("elman",), ctx, dy, dstate, need_dx, out)


def dense(
    x: Array, params: Params, *, activation: str | None = "linear", training: bool = True
) -> tuple[Array, Context | None]:
    """A dense layer over the last axis: `y = f(x·W + b)`.

    Args:
        x: `[..., F]`, of at least two axes.
        params: `(kernel [F, U], bias [U] or None)`.
        activation: name; None is "linear".
        training: keep what `dense_backward` needs.

    Returns:
        y `[..., U]` and the context (None if not training).

    Raises:
        ValueError: an argument has the wrong shape, dtype or value.

    >>> y, ctx = dense(np.ones((2, 3)), (np.ones((3, 1)), np.ones(1)))
    >>> y.ravel().tolist()
    [4.0, 4.0]
    """
    weights = _weights("dense", params, ("kernel", "bias"))
    if not isinstance(x, np.ndarray) or x.ndim < 2 or x.shape[-1] != weights.input:
        raise ValueError(f"x must be [..., {weights.input}] with at least two axes, got {_describe(x)}")
    # Middle axes are steps: their gradients are then summed in groups, not in one long chain.
    steps = _contiguous(x).reshape(len(x), math.prod(x.shape[1:-1]), x.shape[-1])
    y, _, ctx = _core.recurrent_forward(
        weights, steps, [], None, None, False, False, activation or "linear", "linear", training, True
    )
    return y.reshape(*x.shape[:-1], weights.hidden), ctx


def dense_backward(
    ctx: Context | None, dy: Array, *, need_dx: bool = True, out: Sequence[Array | None] | None = None
) -> DenseGradients:
    """Gradients of a `dense` call. Consumes the context.

    Args:
        ctx: from the forward call.
        dy: `[..., U]` like y, of its dtype.
        need_dx: whether `x` is wanted.
        out: `(kernel, bias)` arrays to ADD the parameter gradients to; None: fresh ones.

    Raises:
        ValueError: as `lstm_backward`.

    >>> y, ctx = dense(np.ones((2, 3)), (np.ones((3, 1)), np.ones(1)))
    >>> dense_backward(ctx, np.ones_like(y)).bias.tolist()
    [2.0]
    """
    _check_context(("dense",), ctx)
    assert ctx is not None
    rows = ctx.y_shape
    if (
        not isinstance(dy, np.ndarray)
        or dy.ndim < 2
        or dy.size != rows[0] * rows[1] * rows[2]
        or dy.shape[-1] != rows[2]
    ):
        raise ValueError(f"dy must be shaped like y, [..., {rows[2]}] of {rows[0] * rows[1]} rows, got {_describe(dy)}")
    arrays = None if out is None else [out[0], None, out[1]]
    dx, _, kernel, _, bias = _core.recurrent_backward(ctx, _contiguous(dy).reshape(rows), [], need_dx, False, arrays)
    return DenseGradients(None if dx is None else dx.reshape(*dy.shape[:-1], dx.shape[-1]), cast(Array, kernel), bias)


def _describe(x: object) -> str:
    return f"{x.dtype} of shape {x.shape}" if isinstance(x, np.ndarray) else f"{type(x).__name__}"


def _weights(cell: str, params: Params, names: tuple[str, ...]) -> _core.RecurrentWeights:
    """Packs raw arrays for one call; a layer's weights come packed."""
    if isinstance(params, _core.RecurrentWeights):
        if params.cell != cell:
            raise ValueError(f"params must be weights of '{cell}', got weights of '{params.cell}'")
        return params
    if not isinstance(params, (tuple, list)) or len(params) != len(names):
        raise ValueError(f"params must be ({', '.join(names)}), got {type(params).__name__} of {_count(params)}")
    for name, a in zip(names, params, strict=True):
        if not isinstance(a, np.ndarray) and not (a is None and name == "bias"):
            raise ValueError(f"{name} must be a numpy array{' or None' if name == 'bias' else ''}, got {_describe(a)}")
    contiguous = [None if a is None else _contiguous(a) for a in params]
    if cell == "dense":
        contiguous.insert(1, None)
    return _core.RecurrentWeights(cell, *contiguous)


def even_rows(a: Array) -> bool:
    """Whether the features of `a` are neighbours and its rows lie evenly, as in a slice of the last axis."""
    if a.ndim < 2 or a.strides[-1] != a.itemsize or a.strides[-2] < a.shape[-1] * a.itemsize:
        return False
    return a.strides[-2] % a.itemsize == 0 and all(
        a.strides[i] == a.strides[i + 1] * a.shape[i + 1] for i in range(a.ndim - 2)
    )


def _contiguous(a: Array) -> Array:
    """`a`, copied only if it must be; np.ascontiguousarray would also turn a scalar into a vector."""
    return a if a.flags.c_contiguous else np.ascontiguousarray(a)


def _count(x: object) -> str:
    return f"{len(x)}" if hasattr(x, "__len__") else "no length"


def _forward(
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
    weights = _weights(cell, params, ("kernel", "recurrent_kernel", "bias"))
    values, offsets = (x.values, x.offsets) if isinstance(x, Ragged) else (x, None)
    if not isinstance(values, np.ndarray):
        raise ValueError(f"x must be a numpy array or a Ragged, got {_describe(values)}")
    states = _states(state, weights.states, "state")
    if lengths is not None:
        lengths = np.asarray(lengths)
    y, final, ctx = _core.recurrent_forward(
        weights,
        _contiguous(values),
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
        raise ValueError(f"{name} must be a tuple of {count} arrays, got {type(states).__name__} of {_count(states)}")
    for i, a in enumerate(states):
        if a is not None and not isinstance(a, np.ndarray):
            raise ValueError(f"{name}[{i}] must be a numpy array, got {_describe(a)}")
    return [None if a is None else _contiguous(a) for a in states]


def _check_context(cells: tuple[str, ...], ctx: Context | None) -> None:
    if not isinstance(ctx, _core.Context):
        raise ValueError(f"ctx must be the context of a training call (training=True), got {_describe(ctx)}")
    if ctx.consumed:
        raise ValueError("ctx has been used: a context serves one backward")
    if ctx.cell not in cells:
        raise ValueError(f"ctx must come from {' or '.join(cells)}, got one from {ctx.cell}")


def _backward(
    cells: tuple[str, ...],
    ctx: Context | None,
    dy: Sequences | None,
    dstate: Sequence[Array | None] | None,
    need_dx: bool,
    out: Sequence[Array | None] | None,
) -> Gradients:
    _check_context(cells, ctx)
    assert ctx is not None
    offsets = ctx.offsets
    values = dy.values if isinstance(dy, Ragged) else dy
    if values is not None:
        if not isinstance(values, np.ndarray):
            raise ValueError(f"dy must be a numpy array, a Ragged or None, got {_describe(values)}")
        if isinstance(dy, Ragged) and (offsets is None or not np.array_equal(offsets, dy.offsets)):
            raise ValueError("dy must have the lengths of y")
        values = values if ctx.sequences and even_rows(values) else _contiguous(values)
    states = _states(dstate, ctx.states, "dstate")
    arrays = None if out is None else list(out)
    dx, d_initial, kernel, recurrent_kernel, bias = _core.recurrent_backward(ctx, values, states, need_dx, True, arrays)
    d_sequences = dx if dx is None or offsets is None else _ragged(dx, offsets)
    return Gradients(d_sequences, tuple(d_initial or ()), cast(Array, kernel), cast(Array, recurrent_kernel), bias)
