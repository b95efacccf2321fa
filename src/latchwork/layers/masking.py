"""Masks of padded batches, and Keras' rule for y beyond the end of a sequence."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from latchwork.ragged import Ragged


def lengths(mask: ArrayLike, x: NDArray[Any] | Ragged, owner: str) -> NDArray[np.int64]:
    """The lengths [B] that a mask [B, T] of leading True means."""
    if isinstance(x, Ragged):
        raise ValueError(f"{owner}: mask must be None for a Ragged x, which says its lengths itself")
    real = np.asarray(mask)
    if real.dtype != np.bool_ or real.shape != x.shape[:2]:
        raise ValueError(f"{owner}: mask must be bool of shape {x.shape[:2]}, got {real.dtype} of shape {real.shape}")
    counts: NDArray[np.int64] = real.sum(axis=1, dtype=np.int64)
    if not np.array_equal(real, np.arange(x.shape[1]) < counts[:, None]):
        raise ValueError(f"{owner}: mask must be True for the first steps of each row and False behind them")
    return counts


def hold(y: NDArray[Any], lengths: NDArray[np.int64], sequences: bool, backwards: bool) -> NDArray[Any]:
    """The core's y (0 beyond the end) as Keras has it: 0 before the first real step, the last output held behind it.

    Read backwards, a padded sequence has its padding first: y moves to the end of the row, with 0 in front.
    """
    if not sequences:
        held: NDArray[Any] = np.array(y)
        held[lengths == 0] = 0
        return held
    index, real = _places(y.shape[1], lengths, backwards)
    held = np.take_along_axis(y, index[:, :, None], axis=1)
    held[~real] = 0
    return held


def hold_backward(dy: Any, lengths: NDArray[np.int64], sequences: bool, backwards: bool) -> NDArray[Any]:
    """The gradient of `hold`: what reached a held output is added to the last real step, in order of time."""
    if not sequences:
        out: NDArray[Any] = np.array(dy)
        out[lengths == 0] = 0
        return out
    index, real = _places(dy.shape[1], lengths, backwards)
    out = np.zeros_like(dy)
    rows = np.arange(len(dy))
    for t in range(dy.shape[1]):
        out[rows[real[:, t]], index[real[:, t], t]] += dy[real[:, t], t]
    return out


def _places(steps: int, lengths: NDArray[np.int64], backwards: bool) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """For each place of Keras' y [B, T]: the core's step that fills it, and whether any does."""
    t = np.arange(steps)
    last = np.maximum(lengths - 1, 0)[:, None]
    if backwards:
        shift = t - (steps - lengths[:, None])
        return np.clip(shift, 0, last), shift >= 0
    return np.minimum(t, last), np.broadcast_to(lengths[:, None] > 0, (len(lengths), steps))
