"""LSTM, GRU and the simple recurrent network, forward and backward."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from latchwork.functional.arrays import Array, Context, Params, Sequences, State, check_context
from latchwork.functional.calls import BackwardCall, Call, Gradients, Result, backward, forward


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
    memory: str = "store",
) -> Result:
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
        memory: what is kept until backward: "store" every gate of every step; "recompute" the states before each group
            of ceil(256 / B) steps, whose gates are made again while they stay in the cache; "checkpoint" the same for
            the segments that need the least memory in all. Or a size such as "200MB", "1.5GB" or "64MiB" (KB, MB, GB:
            powers of 1000; KiB, MiB, GiB: of 1024): the first of these whose kept bytes and work space, beside x, y,
            their gradients and the weights, are within it. The gradients are the same bits.

    Returns:
        y `[B, T, H]` (zeros beyond a length and at masked steps), the state `(h, c)` at the last real step (a sequence
        of no steps passes its initial state through), and the context (None if not training).

    Raises:
        ValueError: an argument has the wrong shape, dtype or value, or `memory` is too little and the least that would
            do is said; nothing was changed.

    >>> one = np.ones((1, 4), np.float32)
    >>> y, (h, c), ctx = lstm(np.ones((1, 3, 1), np.float32), (one, one, None))
    >>> y.shape, bool((y[:, -1] == h).all())
    ((1, 3, 1), True)
    """
    call = Call(
        "lstm", x, params, state, lengths=lengths, time_major=time_major, reverse=reverse, activation=activation,
        recurrent_activation=recurrent_activation, return_sequences=return_sequences, mask=mask, hold=hold,
        align=align, out=out, memory=memory,
    )  # fmt: skip
    return forward([call], training=training)[0]


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
    memory: str = "store",
) -> Result:
    """Gated recurrent unit (Cho et al. 2014).

    `z, r = σ(x·W + h·R + b)`, `h' = z h + (1 - z) n` with
    `n = tanh(x·W + b₀ + r (h·R + b₁))` (reset_after, cuDNN's form) or `n = tanh(x·W + (r h)·R + b)`.

    Args:
        params: `(kernel [I, 3H], recurrent_kernel [H, 3H], bias)`, gates z, r, n; bias `[2, 3H]` (input, recurrent)
            if reset_after, else `[3H]`; or None.
        state: initial `(h,)`, `[B, H]`; None: zeros.
        reset_after: where the reset gate acts.
        x, lengths, time_major, reverse, activation, recurrent_activation: as in `lstm`, shapes and dtype included.
        training, return_sequences, mask, hold, align, out, memory: as in `lstm`.

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
    call = Call(
        cell, x, params, state, lengths=lengths, time_major=time_major, reverse=reverse, activation=activation,
        recurrent_activation=recurrent_activation, return_sequences=return_sequences, mask=mask, hold=hold,
        align=align, out=out, memory=memory,
    )  # fmt: skip
    return forward([call], training=training)[0]


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
    memory: str = "store",
) -> Result:
    """Simple recurrent network (Elman 1990): `h' = f(x·W + h·R + b)`.

    Args:
        params: `(kernel [I, H], recurrent_kernel [H, H], bias [H] or None)`.
        state: initial `(h,)`, `[B, H]`; None: zeros.
        x, lengths, time_major, reverse, activation: as in `lstm`, shapes and dtype included.
        training, return_sequences, mask, hold, align, out, memory: as in `lstm`.

    Returns:
        y, `(h,)` and the context, as `lstm`.

    Raises:
        ValueError: as `lstm`.

    >>> y, (h,), _ = rnn(np.full((1, 2, 1), 0.5), (np.ones((1, 1)), np.ones((1, 1)), None), activation="linear")
    >>> y.ravel().tolist()
    [0.5, 1.0]
    """
    call = Call(
        "elman", x, params, state, lengths=lengths, time_major=time_major, reverse=reverse, activation=activation,
        return_sequences=return_sequences, mask=mask, hold=hold, align=align, out=out, memory=memory,
    )  # fmt: skip
    return forward([call], training=training)[0]


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
    check_context(ctx, ("lstm",))
    return backward([BackwardCall(ctx, dy, dstate, need_dx=need_dx, out=out)])[0]


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
    return backward(
        [BackwardCall(check_context(ctx, ("gru", "gru_reset_before")), dy, dstate, need_dx=need_dx, out=out)]
    )[0]


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
    check_context(ctx, ("elman",))
    return backward([BackwardCall(ctx, dy, dstate, need_dx=need_dx, out=out)])[0]
