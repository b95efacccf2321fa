"""Windows over the steps of sequences, as the core takes them: what convolutions and pools share."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from latchwork import _core
from latchwork.data.series import as_count
from latchwork.layers.arguments import Shape, shape_text
from latchwork.layers.base import Batch, Layer, gradient_like
from latchwork.layers.dense import values_of
from latchwork.layers.masking import as_mask
from latchwork.names import resolve
from latchwork.ragged import Ragged


def single(value: Any, name: str) -> int:
    """A whole number, or Keras' tuple of one."""
    number = as_count(value[0] if isinstance(value, (tuple, list)) and len(value) == 1 else value, name, 1)
    if number >= 2**31:
        raise ValueError(f"{name} must be below 2^31, got {number}")
    return number


def refuse_channels_first(common: dict[str, Any], owner: str) -> dict[str, Any]:
    """`common` without a data_format; only channels_last is built."""
    if common.get("data_format") not in (None, "channels_last"):
        raise ValueError(f"{owner}: data_format must be 'channels_last', got {common['data_format']!r}")
    return {name: value for name, value in common.items() if name != "data_format"}


class Placed(NamedTuple):
    """The windows of one batch."""

    given: _core.GivenWindows
    x_shape: tuple[int, ...]
    offsets: NDArray[np.int64] | None  # of a Ragged
    y_steps: int = 1  # windows of each sequence of an array

    @property
    def windows(self) -> int:
        """How many there are."""
        return int(self.given[1][-1])

    def rows(self, x: NDArray[Any]) -> NDArray[Any]:
        """All steps one after the other: [N, F]."""
        return x.reshape(-1, x.shape[-1])

    def in_batch(self, rows: NDArray[Any]) -> Batch:
        """A row for each window as sequences."""
        if self.offsets is not None:
            return Ragged(rows, self.offsets)
        return rows.reshape(self.x_shape[0], self.y_steps, rows.shape[-1])

    def like_x(self, rows: NDArray[Any]) -> Batch:
        """A row for each step of x in the form of x."""
        return rows.reshape(self.x_shape) if self.offsets is None else Ragged(rows, self.offsets)


class Sliding(Layer):
    """A layer that slides windows over [B, T, F]. Where the steps stay, a mask and a Ragged pass."""

    padding: str
    takes_mask = True

    def _take_padding(self, padding: Any, known: tuple[str, ...]) -> None:
        self.padding = resolve("padding", padding, known)

    def _window(self) -> tuple[int, int, int]:
        """(size, stride, dilation)."""
        raise NotImplementedError

    @property
    def keeps_steps(self) -> bool:
        """Whether y has a step for each of x."""
        return self.padding != "valid" and self._window()[1] == 1

    def compute_mask(self, x: Any, mask: Any) -> Any:
        return mask if self.keeps_steps else None

    def _steps(self, x_shape: Shape) -> int | None:
        """Of y."""
        if len(x_shape) != 2:
            raise ValueError(f"{self.name}: x must be (B, T, F), got {shape_text(x_shape)}")
        if x_shape[0] is None:
            return None
        size, stride, dilation = self._window()
        outputs: int = _core.window_frame(self.padding, x_shape[0], size, stride, dilation)[0]
        if not outputs and self.padding == "valid":
            least = (size - 1) * dilation + 1
            raise ValueError(f"{self.name}: x must have at least {least} steps, got {shape_text(x_shape)}")
        return outputs

    def _place(self, x: Batch, mask: Any) -> Placed:
        """The windows on x; masked steps are not there."""
        size, stride, dilation = self._window()
        real = None if mask is None else as_mask(mask, x, self.name)
        if isinstance(x, Ragged):
            if not self.keeps_steps:
                raise ValueError(
                    f"{self.name}: a Ragged x needs padding='same' or 'causal' and strides=1: its steps must stay"
                )
            before = _core.window_frame(self.padding, 1, size, stride, dilation)[1]
            return Placed((x.offsets, x.offsets, real, size, stride, dilation, before), x.values.shape, x.offsets)
        self.y_shape(x.shape[1:])
        outputs, before = _core.window_frame(self.padding, x.shape[1], size, stride, dilation)
        starts = np.arange(len(x) + 1, dtype=np.int64)
        given = (starts * x.shape[1], starts * outputs, real, size, stride, dilation, before)
        return Placed(given, x.shape, None, outputs)

    def _gradient(self, placed: Placed, dy: Any, features: int) -> NDArray[Any]:
        """dy as a row for each window."""
        axes = (placed.windows,) if placed.offsets is not None else (placed.x_shape[0], placed.y_steps)
        return gradient_like(self, dy, (*axes, features)).reshape(-1, features)


def whole_sequences(x: Batch, mask: Any, owner: str) -> Placed:
    """One window for each sequence."""
    real = None if mask is None else as_mask(mask, x, owner)
    values = values_of(x)
    if isinstance(x, Ragged):
        offsets, longest = x.offsets, max(1, len(values))
        ends = np.arange(len(x) + 1, dtype=np.int64)
    else:
        ends = np.arange(len(x) + 1, dtype=np.int64)
        offsets, longest = ends * x.shape[1], max(1, x.shape[1])
    ragged = offsets if isinstance(x, Ragged) else None
    return Placed((offsets, ends, real, longest, 1, 1, 0), values.shape, ragged)
