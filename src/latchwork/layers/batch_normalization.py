"""BatchNormalization: features brought to the mean and deviation of the batch, and of all batches in inference."""

from __future__ import annotations

from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from latchwork import _core, initializers
from latchwork.layers.arena import Variable
from latchwork.layers.arguments import Shape
from latchwork.layers.base import gradient_like
from latchwork.layers.dense import like, values_of
from latchwork.layers.masking import as_mask
from latchwork.layers.normalization import Scaled, as_number_in
from latchwork.layers.parameters import drawn, last_size

Vector = NDArray[Any]


class _BatchContext(NamedTuple):
    normalized: NDArray[Any]
    factor: Vector
    rows: int  # behind mean and variance; 0: they were the moving ones
    real: NDArray[np.bool_] | None


class BatchNormalization(Scaled):
    """y = (x - mean) / sqrt(variance + epsilon) * gamma + beta, mean and variance over the batch (and the steps).

    x [B, ..., F] or a `lw.Ragged` -> y of the same shape. In training mean and variance are those of the real steps of
    this batch, and the moving ones follow: moving = moving * momentum + batch * (1 - momentum). In inference, and where
    `trainable` is False, they are the moving ones, and a row does not depend on the others. Variables: `gamma`,
    `beta`, and `moving_mean`, `moving_variance`, which no optimizer changes; [F] each. S. Ioffe, C. Szegedy, "Batch
    normalization", 2015; arguments and defaults are Keras'.

    Args:
        axis: -1, the features.
        momentum: Of the moving mean and variance, in [0, 1].
        epsilon: Added to the variance, at least 0.
        center: Whether there is a beta.
        scale: Whether there is a gamma.
        beta_initializer, gamma_initializer, moving_mean_initializer, moving_variance_initializer: Names or
            `lw.initializers` objects.

    Raises:
        ValueError: An argument out of range, or one of Keras' that is not built.

    >>> import numpy as np
    >>> layer = BatchNormalization(momentum=0.5)
    >>> layer(np.array([[1.0], [3.0]]), training=True).round(3).tolist()
    [[-1.0], [1.0]]
    >>> [w.tolist() for w in layer.get_weights()[2:]]
    [[1.0], [1.0]]
    """

    unbuilt: ClassVar[dict[str, Any]] = {
        **Scaled.unbuilt,
        "renorm": False,
        "renorm_clipping": None,
        "renorm_momentum": 0.99,
        "synchronized": False,
    }
    takes_mask = True

    def __init__(
        self,
        axis: int = -1,
        momentum: float = 0.99,
        epsilon: float = 1e-3,
        center: bool = True,
        scale: bool = True,
        beta_initializer: Any = "zeros",
        gamma_initializer: Any = "ones",
        moving_mean_initializer: Any = "zeros",
        moving_variance_initializer: Any = "ones",
        **common: Any,
    ) -> None:
        super().__init__(**common)
        self._take_axis(axis)
        self._take_scale(epsilon, center, scale, beta_initializer, gamma_initializer)
        self.momentum = as_number_in(momentum, "momentum", "BatchNormalization", 1)
        self._moving_mean_initializer = initializers.get(moving_mean_initializer)
        self._moving_variance_initializer = initializers.get(moving_variance_initializer)

    def _declare(self, input_shape: Shape) -> None:
        super()._declare(input_shape)
        shape = (last_size(self, input_shape),)
        self._mean = Variable("moving_mean", shape, drawn(self._moving_mean_initializer), trainable=False)
        self._variance = Variable("moving_variance", shape, drawn(self._moving_variance_initializer), trainable=False)
        self.variables += [self._mean, self._variance]

    def forward(self, x: Any, *, mask: Any = None, training: bool = True, step: int | None = None) -> tuple[Any, Any]:
        x = self._fitting(x)
        values, dtype = values_of(x), self.dtype
        real = None if mask is None else as_mask(mask, x, self.name)
        rows = values.reshape(-1, values.shape[-1])
        rows = rows if real is None else rows[real.reshape(-1)]
        count = len(rows) if training and self.trainable and not self.passing.still else 0
        if count:
            mean, deviation = _core.mean_std(rows)
            variance = deviation * deviation
            self._follow(mean, variance)
        else:
            mean, variance = self._mean.value, self._variance.value.astype(np.float64)
        inverse, gamma = 1 / np.sqrt(variance + self.epsilon), self._value("gamma")
        factor = (inverse if gamma is None else gamma * inverse).astype(dtype)
        if not training:
            return like(x, _core.affine_columns(values, mean.astype(dtype), factor, self._value("beta"))), None
        normalized = _core.affine_columns(values, mean.astype(dtype), inverse.astype(dtype), None)
        return like(x, self._scaled(normalized)), _BatchContext(normalized, factor, count, real)

    def _follow(self, mean: Vector, variance: Vector) -> None:
        """The moving mean and variance go on, in float64."""
        for variable, value in ((self._mean, mean), (self._variance, variance)):
            kept = variable.value.astype(np.float64) * self.momentum
            variable.value[...] = kept + value * (1 - self.momentum)

    def backward(self, ctx: Any, dy: Any, *, need_dx: bool = True) -> Any:
        grad = gradient_like(self, dy, ctx.normalized.shape)
        sums = _core.column_sums(grad, ctx.normalized)
        self._add_sums(sums)
        if not need_dx:
            return None
        if not ctx.rows:
            return like(dy, _core.affine_columns(grad, None, ctx.factor, None))
        means = (sums / ctx.rows).astype(self.dtype)
        return like(dy, _core.batch_norm_backward(grad, ctx.normalized, ctx.factor, means[0], means[1], ctx.real))
