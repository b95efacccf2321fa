"""Losses and metrics of masked sequences: over real steps, as Keras counts them and as a Ragged of them would."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from latchwork.layers.dense import like, values_of
from latchwork.models.batches import Rows

Mask = NDArray[np.bool_]


def real_steps(rows: Rows, mask: Mask | None) -> NDArray[Any]:
    """The values of the real steps [N, ...] of rows [B, T, ...], sequence by sequence; all of them without a mask."""
    values = values_of(rows)
    return values if mask is None else values[mask]


def scattered(gradient: NDArray[Any], rows: Rows, mask: Mask | None) -> Rows:
    """The gradient [N, ...] of `real_steps(rows, mask)`, back in its place: 0 at masked steps."""
    if mask is None:
        return like(rows, gradient)
    out = np.zeros((*mask.shape, *gradient.shape[1:]), gradient.dtype)
    out[mask] = gradient
    return like(rows, out)
