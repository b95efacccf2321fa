"""Dropout, SpatialDropout1D, GaussianNoise: what training draws."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from latchwork import _core, random
from latchwork.layers.arguments import Shape, as_array, shape_text
from latchwork.layers.base import Layer
from latchwork.layers.dense import like, values_of
from latchwork.ragged import Ragged


class Drawing(Layer):
    """A layer that draws in training: its seed, and the number of the draw."""

    by_step = True

    supports_masking = True
    seed: int | None

    def _take_seed(self, seed: Any) -> None:
        if seed is not None and (isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < 2**64):
            owner = type(self).__name__
            raise ValueError(f"{owner}: seed must be None or a whole number in [0, 2**64), got {seed!r}")
        self.seed = seed

    def _declare(self, input_shape: Shape) -> None:
        self.seed = random.seed() if self.seed is None else self.seed  # from now on that of `lw.set_seed` then

    def _draw(self, step: int | None, by_step: bool = False) -> tuple[int, int, int, int]:
        """(seed, step, layer, place of the first row in the whole batch); by_step: rows are the steps of a Ragged."""
        assert self.seed is not None
        first = self.passing.first_step if by_step else self.passing.first
        # alone, without a model that counts steps, every call draws anew
        return self.seed, random.next_stream() if step is None else step, self.number % 256, first


class Dropout(Drawing):
    """In training, a share `rate` of the numbers is set to 0 and the rest divided by 1 - rate; otherwise y = x.

    Which ones is a pure function of the seed, the training step, the layer and the place in the batch: the same
    program drops the same numbers on every machine (inverted dropout, N. Srivastava et al. 2014, as in Keras).

    Args:
        rate: In [0, 1).
        seed: In [0, 2^64); None takes that of `lw.set_seed`.

    Raises:
        ValueError: rate or seed out of range.

    >>> import numpy as np
    >>> y = Dropout(0.5)(np.ones((1, 1000)), training=True)
    >>> sorted(set(y.ravel().tolist())), bool(400 < (y > 0).sum() < 600)
    ([0.0, 2.0], True)
    """

    unbuilt: ClassVar[dict[str, Any]] = {**Layer.unbuilt, "noise_shape": None}

    def __init__(self, rate: float, seed: int | None = None, **common: Any) -> None:
        super().__init__(**common)
        if isinstance(rate, bool) or not isinstance(rate, (int, float)) or not 0 <= rate < 1:
            raise ValueError(f"{type(self).__name__}: rate must be in [0, 1), got {rate!r}")
        self.rate = float(rate)
        self._take_seed(seed)

    def forward(self, x: Any, *, training: bool = True, step: int | None = None) -> tuple[Any, Any]:
        x = self._checked(x)
        if not training or self.rate == 0.0 or self.passing.still:
            return x, None
        y, kept = _core.dropout(values_of(x), self.rate, *self._draw(step, isinstance(x, Ragged)))
        return like(x, y), kept

    def backward(self, ctx: Any, dy: Any, *, need_dx: bool = True) -> Any:
        if not need_dx:
            return None
        grad = as_array(values_of(dy), "dy", self.dtype)
        return like(dy, grad if ctx is None else _core.dropout_backward(grad, ctx))


class SpatialDropout1D(Dropout):
    """Dropout of whole features: what is dropped of a sequence is dropped at all its steps. x [B, T, F] or a Ragged.

    Which ones is a function of seed, training step, layer and the place in the batch, the same for a `lw.Ragged` and
    its padded form. J. Tompson et al., "Efficient object localization using convolutional networks", 2015, as in Keras.

    Args:
        rate: In [0, 1).
        seed: In [0, 2^64); None takes that of `lw.set_seed`.

    Raises:
        ValueError: rate or seed out of range; when called, x is no [B, T, F].

    >>> import numpy as np
    >>> y = SpatialDropout1D(0.5)(np.ones((1, 4, 100)), training=True)
    >>> bool((y == y[:, :1]).all()), bool(0 < (y[0, 0] > 0).sum() < 100)
    (True, True)
    """

    def __init__(self, rate: float, seed: int | None = None, **common: Any) -> None:
        super().__init__(rate, seed, **common)

    def y_shape(self, x_shape: Shape) -> Shape:
        if len(x_shape) != 2:
            raise ValueError(f"{self.name}: x must be (B, T, F), got {shape_text(x_shape)}")
        return x_shape

    def forward(self, x: Any, *, training: bool = True, step: int | None = None) -> tuple[Any, Any]:
        x = self._checked(x)
        values = values_of(x)
        if x is values:
            self.y_shape(values.shape[1:])
        if not training or self.rate == 0.0 or self.passing.still:
            return x, None
        ones = np.ones((len(x), values.shape[-1]), self.dtype)
        _, kept = _core.dropout(ones, self.rate, *self._draw(step))
        if isinstance(x, Ragged):
            kept = np.repeat(kept, x.lengths, axis=0)
        else:
            kept = np.ascontiguousarray(np.broadcast_to(kept[:, None], values.shape))
        return like(x, _core.dropout_backward(values, kept)), kept


class GaussianNoise(Drawing):
    """In training y = x + a normal number of mean 0 and deviation `stddev` for each element; otherwise y = x.

    Which numbers is a pure function of the seed, the training step, the layer and the place in the batch, as for
    `Dropout`. Arguments and defaults are Keras'.

    Args:
        stddev: At least 0.
        seed: In [0, 2^64); None takes that of `lw.set_seed`.

    Raises:
        ValueError: stddev or seed out of range.

    >>> import numpy as np
    >>> y = GaussianNoise(0.5)(np.zeros((1, 10000)), training=True)
    >>> bool(abs(y.mean()) < 0.02), bool(abs(y.std() - 0.5) < 0.02)
    (True, True)
    """

    def __init__(self, stddev: float, seed: int | None = None, **common: Any) -> None:
        super().__init__(**common)
        if isinstance(stddev, bool) or not isinstance(stddev, (int, float)) or not 0 <= stddev < np.inf:
            raise ValueError(f"GaussianNoise: stddev must be a number at least 0, got {stddev!r}")
        self.stddev = float(stddev)
        self._take_seed(seed)

    def forward(self, x: Any, *, training: bool = True, step: int | None = None) -> tuple[Any, Any]:
        x = self._checked(x)
        if not training or self.stddev == 0.0 or self.passing.still:
            return x, None
        return like(x, _core.gaussian_noise(values_of(x), self.stddev, *self._draw(step, isinstance(x, Ragged)))), None

    def backward(self, ctx: Any, dy: Any, *, need_dx: bool = True) -> Any:
        return like(dy, as_array(values_of(dy), "dy", self.dtype)) if need_dx else None
