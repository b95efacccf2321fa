"""Pools over time: of windows (MaxPooling1D, AveragePooling1D) and of whole sequences (Global...)."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from latchwork import _core
from latchwork.layers.arguments import Shape, as_flag, shape_text
from latchwork.layers.base import Layer, gradient_like
from latchwork.layers.dense import values_of
from latchwork.layers.windows import Placed, Sliding, refuse_channels_first, single, whole_sequences


class _Context(NamedTuple):
    placed: Placed
    which: NDArray[np.int32] | None  # step of each window was the largest


class _Pool(Layer):
    """The passes, whatever the windows."""

    kind: str  # "max" or "mean"

    def _pool(self, x: NDArray[Any], placed: Placed, training: bool) -> tuple[NDArray[Any], _Context | None]:
        y, which = _core.window_pass(self.kind, placed.rows(x), placed.given)
        return y, _Context(placed, which) if training else None

    def _pool_backward(self, grad: NDArray[Any], ctx: _Context) -> Any:
        dx, _ = _core.window_pass(f"{self.kind}_backward", grad, ctx.placed.given, ctx.which)
        return ctx.placed.like_x(dx)


class _Pooling(_Pool, Sliding):
    """Of windows that slide."""

    def __init__(self, pool_size: Any, strides: Any, padding: str, common: dict[str, Any]) -> None:
        owner = type(self).__name__
        super().__init__(**refuse_channels_first(common, owner))
        self.pool_size = single(pool_size, f"{owner}: pool_size")
        self.strides = self.pool_size if strides is None else single(strides, f"{owner}: strides")
        self._take_padding(padding, ("valid", "same"))

    def _window(self) -> tuple[int, int, int]:
        return self.pool_size, self.strides, 1

    def y_shape(self, x_shape: Shape) -> Shape:
        return (self._steps(x_shape), *x_shape[1:])

    def forward(self, x: Any, *, mask: Any = None, training: bool = True, step: int | None = None) -> tuple[Any, Any]:
        x = self._checked(x)
        placed = self._place(x, mask)
        y, ctx = self._pool(values_of(x), placed, training)
        return placed.in_batch(y), ctx

    def backward(self, ctx: Any, dy: Any, *, need_dx: bool = True) -> Any:
        if not need_dx:
            return None
        return self._pool_backward(self._gradient(ctx.placed, dy, ctx.placed.x_shape[-1]), ctx)


class MaxPooling1D(_Pooling):
    """y[b, t] = the largest of x[b, t * strides + k], k in [0, pool_size): x [B, T, F] -> y [B, T', F].

    Padding and masked steps are never the largest; a window of nothing else gives 0. NaN is the largest. The gradient
    goes to the first of equal numbers. With "same" and strides=1 a mask passes and x may be a `lw.Ragged`; else the
    mask ends here. Arguments and defaults are Keras'.

    Args:
        pool_size: At least 1.
        strides: At least 1; None: pool_size.
        padding: "valid", T' = (T - pool_size) // strides + 1, or "same", T' = ceil(T / strides).

    Raises:
        ValueError: An argument out of range; when called, x is too short or no [B, T, F].

    >>> import numpy as np
    >>> MaxPooling1D(2)(np.array([[[1.0], [3.0], [2.0], [0.0]]])).tolist()
    [[[3.0], [2.0]]]
    """

    kind = "max"

    def __init__(self, pool_size: Any = 2, strides: Any = None, padding: str = "valid", **common: Any) -> None:
        super().__init__(pool_size, strides, padding, common)


class AveragePooling1D(_Pooling):
    """y[b, t] = the mean of x[b, t * strides + k], k in [0, pool_size): x [B, T, F] -> y [B, T', F].

    The mean of what is there: padding and masked steps do not count; a window of nothing else gives 0. As
    `MaxPooling1D` in all else.

    Args:
        pool_size: At least 1.
        strides: At least 1; None: pool_size.
        padding: "valid" or "same".

    Raises:
        ValueError: As `MaxPooling1D`.

    >>> import numpy as np
    >>> AveragePooling1D(2)(np.array([[[1.0], [3.0], [2.0], [0.0]]])).tolist()
    [[[2.0], [1.0]]]
    """

    kind = "mean"

    def __init__(self, pool_size: Any = 2, strides: Any = None, padding: str = "valid", **common: Any) -> None:
        super().__init__(pool_size, strides, padding, common)


class _GlobalPooling(_Pool):
    """Of whole sequences."""

    takes_mask = True

    def __init__(self, keepdims: bool, common: dict[str, Any]) -> None:
        owner = type(self).__name__
        super().__init__(**refuse_channels_first(common, owner))
        self.keepdims = as_flag(keepdims, "keepdims", owner)

    def y_shape(self, x_shape: Shape) -> Shape:
        if len(x_shape) != 2:
            raise ValueError(f"{self.name}: x must be (B, T, F), got {shape_text(x_shape)}")
        return (1, x_shape[1]) if self.keepdims else x_shape[1:]

    def forward(self, x: Any, *, mask: Any = None, training: bool = True, step: int | None = None) -> tuple[Any, Any]:
        x = self._checked(x)
        values = values_of(x)
        self.y_shape(values.shape if x is not values else values.shape[1:])
        placed = whole_sequences(x, mask, self.name)
        y, ctx = self._pool(values, placed, training)
        return y[:, None] if self.keepdims else y, ctx

    def backward(self, ctx: Any, dy: Any, *, need_dx: bool = True) -> Any:
        if not need_dx:
            return None
        placed = ctx.placed
        features = placed.x_shape[-1]
        axes = (1,) if self.keepdims else ()
        grad = gradient_like(self, dy, (placed.windows, *axes, features)).reshape(-1, features)
        return self._pool_backward(grad, ctx)


class GlobalMaxPooling1D(_GlobalPooling):
    """y[b] = the largest of each feature over the real steps: x [B, T, F] or a `lw.Ragged` -> y [B, F].

    Masked steps are never the largest (Keras counts them); a sequence without a real step gives 0. The gradient goes
    to the first of equal numbers. Ends a mask.

    Args:
        keepdims: y [B, 1, F] instead.

    Raises:
        ValueError: When called, x is no [B, T, F].

    >>> import numpy as np
    >>> GlobalMaxPooling1D()(np.array([[[1.0], [3.0], [2.0]]])).tolist()
    [[3.0]]
    """

    kind = "max"

    def __init__(self, keepdims: bool = False, **common: Any) -> None:
        super().__init__(keepdims, common)


class GlobalAveragePooling1D(_GlobalPooling):
    """y[b] = the mean of each feature over the real steps: x [B, T, F] or a `lw.Ragged` -> y [B, F].

    Added up in float64, step after step; a sequence without a real step gives 0 (Keras: NaN). Ends a mask.

    Args:
        keepdims: y [B, 1, F] instead.

    Raises:
        ValueError: When called, x is no [B, T, F].

    >>> import numpy as np
    >>> GlobalAveragePooling1D()(np.array([[[1.0], [3.0], [2.0]]])).tolist()
    [[2.0]]
    """

    kind = "mean"

    def __init__(self, keepdims: bool = False, **common: Any) -> None:
        super().__init__(keepdims, common)
