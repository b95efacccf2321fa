"""Masks: which steps are real. Masking makes one; the helpers are for layers that read one."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from latchwork.layers.arguments import Shape, as_array, shape_text
from latchwork.layers.base import Layer
from latchwork.layers.dense import like, values_of
from latchwork.ragged import Ragged

Mask = NDArray[np.bool_]


def as_mask(mask: ArrayLike, x: NDArray[Any] | Ragged, owner: str) -> Mask:
    """A mask that fits x: bool [B, T], or [N] for a Ragged of N steps."""
    real = np.asarray(mask)
    shape = values_of(x).shape[: 1 if isinstance(x, Ragged) else 2]
    if real.dtype != np.bool_ or real.shape != shape:
        raise ValueError(f"{owner}: mask must be bool of shape {shape}, got {real.dtype} of shape {real.shape}")
    return np.ascontiguousarray(real)


def silent_rows(mask: Mask, x: NDArray[Any] | Ragged, at: int | None) -> Mask:
    """[B], the rows without a real step, or (at=0, at=-1) those whose first or last step is masked."""
    if not isinstance(x, Ragged):
        return ~np.asarray(mask.any(axis=1) if at is None or not mask.shape[1] else mask[:, at])
    before = np.zeros(len(mask) + 1, np.int64)
    np.cumsum(mask, dtype=np.int64, out=before[1:])
    first, end = x.offsets[:-1], x.offsets[1:]
    if at is not None:
        first, end = (first, np.minimum(first + 1, end)) if at == 0 else (np.maximum(end - 1, first), end)
    return np.asarray(before[first] == before[end])


def zeroed(values: NDArray[Any], rows: Mask) -> NDArray[Any]:
    """A copy of `values` [B, F] with 0 in `rows`; `values` itself where there are none."""
    if not rows.any():
        return values
    out: NDArray[Any] = np.array(values)
    out[rows] = 0
    return out


class Masking(Layer):
    """Marks the steps whose features all equal `mask_value` as padding: recurrent layers behind it skip them.

    x [B, T, F] (or a `lw.Ragged`) -> y = x with 0 at masked steps. The mask passes through layers that keep the steps
    and ends at one that does not; a loss on a masked sequence counts real steps only.

    Args:
        mask_value: What padding holds, 0 by default; it may be NaN.

    Raises:
        ValueError: mask_value is no number.

    >>> import numpy as np
    >>> x = np.array([[[1.0, 2.0], [-1.0, -1.0], [-1.0, 3.0]]])
    >>> layer = Masking(mask_value=-1)
    >>> layer(x).tolist(), layer.compute_mask(x, None).tolist()
    ([[[1.0, 2.0], [0.0, 0.0], [-1.0, 3.0]]], [[True, False, True]])
    """

    by_step = True

    supports_masking = True

    def __init__(self, mask_value: float = 0.0, **common: Any) -> None:
        super().__init__(**common)
        if isinstance(mask_value, bool) or not isinstance(mask_value, (int, float, np.integer, np.floating)):
            raise ValueError(f"Masking: mask_value must be a number, got {mask_value!r}")
        self.mask_value = float(mask_value)

    def y_shape(self, x_shape: Shape) -> Shape:
        if len(x_shape) != 2:
            raise ValueError(f"{self.name}: x must be (B, T, F), got {shape_text(x_shape)}")
        return x_shape

    def compute_mask(self, x: Any, mask: Any) -> Any:
        """bool [B, T] ([N] for a Ragged): True where a step has a feature other than mask_value, whatever `mask`."""
        values = values_of(x)
        value = np.asarray(self.mask_value, values.dtype)  # 0.1 means the float32 nearest to it in a float32 batch
        masked = np.isnan(values) if np.isnan(value) else values == value
        return ~masked.all(axis=-1)

    def forward(self, x: Any, *, training: bool = True, step: int | None = None) -> tuple[Any, Any]:
        x = self._checked(x)
        if not isinstance(x, Ragged):
            self.y_shape(x.shape[1:])
        real = self.compute_mask(x, None)
        y = values_of(x)
        if self.mask_value != 0.0 and not real.all():
            y = np.where(real[..., None], y, np.zeros((), y.dtype))
        return like(x, y), real if training else None

    def backward(self, ctx: Any, dy: Any, *, need_dx: bool = True) -> Any:
        if not need_dx:
            return None
        grad = as_array(values_of(dy), "dy", self.dtype)
        return like(dy, np.where(ctx[..., None], grad, np.zeros((), grad.dtype)))
