"""Dot: products of two arrays along one axis of each, sample by sample."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from latchwork.layers.arguments import Shape, shape_text
from latchwork.layers.base import Batch
from latchwork.layers.merging import Arrays, Merge
from latchwork.ragged import Ragged


class Dot(Merge):
    """Sums of products along one axis of each: [B, I, K] and [B, J, K] with axes=2 -> [B, I, J].

    The axes of y are those left of the first input, then of the second; two inputs [B, K] give [B, 1]. Each number is
    one chain of multiplications and additions, from the axis' first place to its last. Ends a mask, as in Keras.

    Args:
        axes: The axis of each, counted with the batch axis, which it cannot be: one number for both, or a pair.
        normalize: Only False is built.
        common: What every `Layer` takes.

    Raises:
        ValueError: Axes of different sizes, of the batch, or beyond the array; an input of more than 3 axes; a Ragged.

    >>> import numpy as np
    >>> Dot(axes=1)([np.array([[1.0, 2.0]]), np.array([[3.0, 4.0]])]).tolist()
    [[11.0]]
    """

    most_inputs: ClassVar[int | None] = 2

    def __init__(self, axes: int | tuple[int, int] | list[int], normalize: bool = False, **common: Any) -> None:
        super().__init__(**common)
        pair = list(axes) if isinstance(axes, (list, tuple)) else [axes, axes]
        whole = [isinstance(axis, (int, np.integer)) and not isinstance(axis, bool) for axis in pair]
        if len(pair) != 2 or not all(whole) or 0 in pair:
            raise ValueError(f"Dot: axes must be a whole number or two, none of them 0, the batch's, got {axes!r}")
        if normalize is not False:
            raise ValueError(f"Dot: normalize must be False (other values are not supported yet), got {normalize!r}")
        self.axes = [int(axis) for axis in pair]
        self.normalize = False

    def _place(self, shape: Shape, axis: int) -> int:
        """The axis as one of a sample's shape."""
        place = axis - 1 if axis > 0 else len(shape) + axis
        if len(shape) not in (1, 2) or not 0 <= place < len(shape):
            raise ValueError(
                f"{self.name}: axes must be axes of x, of (B, F) or (B, T, F), got {axis} of {shape_text(shape)}"
            )
        return place

    def y_shape(self, x_shape: Any) -> Shape:
        """The shape of a sample of y for the two in the list `x_shape`."""
        first, second = self._counted(x_shape)
        a, b = self._place(first, self.axes[0]), self._place(second, self.axes[1])
        if None not in (first[a], second[b]) and first[a] != second[b]:
            raise ValueError(
                f"{self.name}: axes {self.axes} of x must be of one size, got {shape_text(first)}, {shape_text(second)}"
            )
        return (*first[:a], *first[a + 1 :], *second[:b], *second[b + 1 :]) or (1,)

    def step_flops(self, x_shape: Any) -> int:
        """2 for each product of a sample of the shapes in `x_shape`; an axis of any size counts as 1."""
        first, second = x_shape
        b = self._place(second, self.axes[1])
        found = 2
        for size in (*first, *second[:b], *second[b + 1 :]):
            found *= size or 1
        return found

    def compute_mask(self, x: Any, mask: Any) -> Any:
        """None: a `mask` of x ends here."""
        return None

    def _read(self, x: Any) -> list[Batch]:
        if any(isinstance(part, Ragged) for part in self._counted(x)):
            raise ValueError(f"{self.name}: x must be arrays, got a Ragged: its sequences have no common size")
        return super()._read(x)

    def merged(self, values: Arrays) -> tuple[NDArray[Any], Any]:
        x, z = (self._last(value, axis) for value, axis in zip(values, self.axes, strict=True))
        y = _products(x, z)
        shape = self.y_shape([value.shape[1:] for value in values])
        return y.reshape(len(y), *(size or 0 for size in shape)), (x, z, [value.shape for value in values])

    def merged_backward(self, kept: Any, dy: NDArray[Any]) -> Arrays:
        x, z, shapes = kept
        grad = dy.reshape(len(x), x.shape[1], z.shape[1])
        dx = _products(grad, z.swapaxes(1, 2))
        dz = _products(grad.swapaxes(1, 2), x.swapaxes(1, 2))
        return [self._back(d, shape, axis) for d, shape, axis in zip((dx, dz), shapes, self.axes, strict=True)]

    def _last(self, value: NDArray[Any], axis: int) -> NDArray[Any]:
        """[B, rows, K]: the axis moved to the end, one row where there is no other axis."""
        rows = value.reshape(len(value), 1, value.shape[1]) if value.ndim == 2 else value
        return rows.swapaxes(1, 2) if value.ndim == 3 and self._place(value.shape[1:], axis) == 0 else rows

    def _back(self, d: NDArray[Any], shape: tuple[int, ...], axis: int) -> NDArray[Any]:
        """`_last`, undone."""
        turned = len(shape) == 3 and self._place(shape[1:], axis) == 0
        return np.ascontiguousarray((d.swapaxes(1, 2) if turned else d).reshape(shape))


def _products(x: NDArray[Any], z: NDArray[Any]) -> NDArray[Any]:
    """[B, I, J]: the sums over k of x [B, I, K] * z [B, J, K], k ascending; each product and each sum is rounded."""
    y = np.zeros((len(x), x.shape[1], z.shape[1]), x.dtype)
    for k in range(x.shape[2]):
        y += x[:, :, k, None] * z[:, None, :, k]
    return y
