"""Losses and metrics of masked sequences: over real steps, as Keras counts them and as a Ragged of them would."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]


def real_steps(values: NDArray[Any], mask: Mask | None) -> NDArray[Any]:
    """The real steps [N, ...] of values [B, T, ...], sequence by sequence; all of them without a mask."""
    return values if mask is None else values[mask]


def scattered(gradient: NDArray[Any], mask: Mask | None) -> NDArray[Any]:
    """The gradient [N, ...] of `real_steps`, back in its place: 0 at masked steps."""
    if mask is None:
        return gradient
    out = np.zeros((*mask.shape, *gradient.shape[1:]), gradient.dtype)
    out[mask] = gradient
    return out
