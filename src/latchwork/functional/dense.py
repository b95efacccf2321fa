"""The dense layer, which is a cell without recurrence."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from latchwork import _core
from latchwork.functional.arrays import Array, Context, Params, check_context, contiguous, describe, packed_weights


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
    weights = packed_weights("dense", params, ("kernel", "bias"))
    if not isinstance(x, np.ndarray) or x.ndim < 2 or x.shape[-1] != weights.input:
        raise ValueError(f"x must be [..., {weights.input}] with at least two axes, got {describe(x)}")
    # Middle axes are steps: their gradients are then summed in groups, not in one long chain.
    call: _core.GivenCall = (
        weights, contiguous(x), [], None, None, False, False, activation or "linear", "linear", True, None, False,
        False, None, "store",
    )  # fmt: skip
    [(y, _, ctx)] = _core.recurrent_forward([call], training)
    return y, ctx


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
    ctx = check_context(ctx, ("dense",))
    shape = ctx.y_shape
    grad = dy if isinstance(dy, np.ndarray) and dy.shape == shape else _in_shape(dy, shape)
    arrays = None if out is None else [out[0], None, out[1]]
    [(dx, _, kernel, _, bias)] = _core.recurrent_backward([(ctx, contiguous(grad), [], need_dx, False, arrays)])
    if dx is not None and grad is not dy:
        dx = dx.reshape(*dy.shape[:-1], dx.shape[-1])
    return DenseGradients(dx, kernel, bias)


def _in_shape(dy: Array, shape: tuple[int, ...]) -> Array:
    """dy of other axes in the shape of y: as many rows."""
    units = shape[-1]
    if not isinstance(dy, np.ndarray) or dy.ndim < 2 or dy.size != math.prod(shape) or dy.shape[-1] != units:
        rows = math.prod(shape[:-1])
        raise ValueError(f"dy must be shaped like y, [..., {units}] of {rows} rows, got {describe(dy)}")
    return dy.reshape(shape)
