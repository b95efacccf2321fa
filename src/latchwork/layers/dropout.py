"""Dropout."""

from __future__ import annotations

from typing import Any, ClassVar

from latchwork import _core, random
from latchwork.layers.arguments import Shape, as_array
from latchwork.layers.base import Layer
from latchwork.layers.dense import like, values_of


class Dropout(Layer):
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

    supports_masking = True

    def __init__(self, rate: float, seed: int | None = None, **common: Any) -> None:
        super().__init__(**common)
        if isinstance(rate, bool) or not isinstance(rate, (int, float)) or not 0 <= rate < 1:
            raise ValueError(f"Dropout: rate must be in [0, 1), got {rate!r}")
        if seed is not None and (isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < 2**64):
            raise ValueError(f"Dropout: seed must be None or a whole number in [0, 2**64), got {seed!r}")
        self.rate = float(rate)
        self.seed = seed

    def _declare(self, input_shape: Shape) -> None:
        self.seed = random.seed() if self.seed is None else self.seed  # from now on that of `lw.set_seed` then

    def forward(self, x: Any, *, training: bool = True, step: int | None = None) -> tuple[Any, Any]:
        x = self._checked(x)
        if not training or self.rate == 0.0:
            return x, None
        assert self.seed is not None
        # alone, without a model that counts steps, every call draws anew
        number = random.next_stream() if step is None else step
        y, kept = _core.dropout(values_of(x), self.rate, self.seed, number, self.number % 256)
        return like(x, y), kept

    def backward(self, ctx: Any, dy: Any, *, need_dx: bool = True) -> Any:
        if not need_dx:
            return None
        grad = as_array(values_of(dy), "dy", self.dtype)
        return like(dy, grad if ctx is None else _core.dropout_backward(grad, ctx))
