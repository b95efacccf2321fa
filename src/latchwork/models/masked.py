"""Losses and metrics of masked sequences: over real steps, as Keras counts them and as a Ragged of them would."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from latchwork.layers.dense import like, values_of
from latchwork.losses import Loss
from latchwork.models.batches import One
from latchwork.ragged import Ragged

Mask = NDArray[np.bool_]


def real_steps(rows: One, mask: Mask | None) -> NDArray[Any]:
    """The values of the real steps [N, ...] of rows [B, T, ...], sequence by sequence; all of them without a mask."""
    values = values_of(rows)
    return values if mask is None else values[mask]


def real_weights(loss: Loss, weights: One, mask: Mask | None) -> NDArray[Any]:
    """Sample weights [B], [B, T] or, for Ragged, one a step, for what `compared` gives."""
    if loss.sequences:
        mask = None  # a weight a sequence
    if isinstance(weights, Ragged):
        flat: NDArray[Any] = weights.values[:, 0]
        return flat if mask is None else flat[mask]
    values = values_of(weights)
    if mask is None:
        return values
    return np.broadcast_to(values.reshape(values.shape + (1,) * (mask.ndim - values.ndim)), mask.shape)[mask]


def compared(loss: Loss, y: One, output: One, mask: Mask | None) -> tuple[Any, Any]:
    """Targets and output as the loss takes them: their real steps, or, sequence by sequence, a Ragged of those."""
    if mask is None:
        return (y, output) if loss.sequences else (values_of(y), values_of(output))
    if not loss.sequences:
        return real_steps(y, mask), real_steps(output, mask)
    values = values_of(output)
    before = np.zeros(mask.size + 1, np.int64)
    np.cumsum(mask, dtype=np.int64, out=before[1:])
    offsets = output.offsets if isinstance(output, Ragged) else np.arange(len(values) + 1) * mask.shape[1]
    return y, Ragged(values[mask], before[offsets])


def scattered(gradient: NDArray[Any], rows: One, mask: Mask | None) -> One:
    """The gradient [N, ...] of `real_steps(rows, mask)`, back in its place: 0 at masked steps."""
    if mask is None:
        return like(rows, gradient)
    out = np.zeros((*mask.shape, *gradient.shape[1:]), gradient.dtype)
    out[mask] = gradient
    return like(rows, out)
