"""Features brought to a mean and a deviation: LayerNormalization by those of each step, Normalization by fixed ones."""

from __future__ import annotations

from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from latchwork import _core, initializers
from latchwork.floats import usual_floats
from latchwork.layers.arena import Variable
from latchwork.layers.arguments import Shape, as_array, as_flag, as_input, shape_text
from latchwork.layers.base import Layer, gradient_like
from latchwork.layers.dense import like, values_of
from latchwork.layers.parameters import drawn, last_size

Vector = NDArray[Any]


def as_number_in(value: Any, name: str, owner: str, most: float = np.inf) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= most or value == np.inf:
        allowed = "at least 0" if most == np.inf else f"in [0, {most}]"
        raise ValueError(f"{owner}: {name} must be a number {allowed}, got {value!r}")
    return float(value)


class Normalizing(Layer):
    """What all normalizations share: the last axis, and vectors with a number for each of its features."""

    by_step = True

    supports_masking = True
    axis: int

    def _take_axis(self, axis: Any) -> None:
        owner = type(self).__name__
        if axis != -1 or isinstance(axis, bool):
            raise ValueError(f"{owner}: axis must be -1, the features (others are not supported yet), got {axis!r}")
        self.axis = -1

    def y_shape(self, x_shape: Shape) -> Shape:
        features = last_size(self, x_shape)
        if self.variables and features != self.variables[0].shape[0]:
            expected = self.variables[0].shape[0]
            raise ValueError(f"{self.name}: x must have {expected} features, got shape {shape_text(x_shape)}")
        return x_shape

    def _fitting(self, x: Any) -> Any:
        x = self._checked(x)
        self.y_shape(values_of(x).shape[1:])
        return x

    def _value(self, key: str) -> Vector | None:
        return next((variable.value for variable in self.variables if variable.key == key), None)

    def _add(self, key: str, amount: Vector) -> None:
        """To the gradient of the variable of that name, if there is one."""
        for variable in self.variables:
            if variable.key == key:
                variable.gradient += amount.astype(variable.gradient.dtype)


class Scaled(Normalizing):
    """With gamma and beta behind it."""

    unbuilt: ClassVar[dict[str, Any]] = {
        **Layer.unbuilt,
        "beta_regularizer": None,
        "gamma_regularizer": None,
        "beta_constraint": None,
        "gamma_constraint": None,
    }

    def _take_scale(self, epsilon: Any, center: Any, scale: Any, beta: Any, gamma: Any) -> None:
        owner = type(self).__name__
        self.epsilon = as_number_in(epsilon, "epsilon", owner)
        self.center = as_flag(center, "center", owner)
        self.scale = as_flag(scale, "scale", owner)
        self._beta_initializer, self._gamma_initializer = initializers.get(beta), initializers.get(gamma)

    def _declare(self, input_shape: Shape) -> None:
        shape = (last_size(self, input_shape),)
        if self.scale:
            self.variables.append(Variable("gamma", shape, drawn(self._gamma_initializer)))
        if self.center:
            self.variables.append(Variable("beta", shape, drawn(self._beta_initializer)))

    def _scaled(self, normalized: NDArray[Any]) -> NDArray[Any]:
        if not self.scale and not self.center:
            return normalized
        return _core.affine_columns(normalized, None, self._value("gamma"), self._value("beta"))

    def _add_sums(self, sums: NDArray[np.float64]) -> None:
        self._add("beta", sums[0])
        self._add("gamma", sums[1])


class _RowContext(NamedTuple):
    normalized: NDArray[Any]
    inverse: Vector


class LayerNormalization(Scaled):
    """y = (x - mean) / sqrt(variance + epsilon) * gamma + beta, mean and variance over the features of each step.

    x [B, ..., F] or a `lw.Ragged` -> y of the same shape. Variables: `gamma` [F], `beta` [F]. A row's numbers do not
    depend on the others: the layer steps in a session. J. L. Ba, J. R. Kiros, G. E. Hinton, "Layer normalization",
    2016; arguments and defaults are Keras'.

    Args:
        axis: -1, the features.
        epsilon: Added to the variance, at least 0.
        center: Whether there is a beta.
        scale: Whether there is a gamma.
        beta_initializer, gamma_initializer: Names or `lw.initializers` objects.

    Raises:
        ValueError: An argument out of range, or one of Keras' that is not built.

    >>> import numpy as np
    >>> y = LayerNormalization()(np.array([[1.0, 2.0, 3.0]]))
    >>> [round(float(v), 3) for v in y[0]]
    [-1.224, 0.0, 1.224]
    """

    unbuilt: ClassVar[dict[str, Any]] = {**Scaled.unbuilt, "rms_scaling": False}

    def __init__(
        self,
        axis: int = -1,
        epsilon: float = 1e-3,
        center: bool = True,
        scale: bool = True,
        beta_initializer: Any = "zeros",
        gamma_initializer: Any = "ones",
        **common: Any,
    ) -> None:
        super().__init__(**common)
        self._take_axis(axis)
        self._take_scale(epsilon, center, scale, beta_initializer, gamma_initializer)

    def forward(self, x: Any, *, training: bool = True, step: int | None = None) -> tuple[Any, Any]:
        x = self._fitting(x)
        normalized, inverse = _core.normalize_rows(values_of(x), self.epsilon)
        return like(x, self._scaled(normalized)), _RowContext(normalized, inverse) if training else None

    def backward(self, ctx: Any, dy: Any, *, need_dx: bool = True) -> Any:
        grad = gradient_like(self, dy, ctx.normalized.shape)
        if self.scale or self.center:
            self._add_sums(_core.column_sums(grad, ctx.normalized))
        if not need_dx:
            return None
        return like(dy, _core.normalize_rows_backward(grad, ctx.normalized, ctx.inverse, self._value("gamma")))


class Normalization(Normalizing):
    """y = (x - mean) / max(sqrt(variance), 1e-7) by features: x [B, ..., F] or a `lw.Ragged` -> y of the same shape.

    `adapt(data)` takes mean and variance from data; without it, and without `mean` and `variance`, y = x. They are
    variables that no optimizer changes, [F] each, and travel in the model's file. Arguments and defaults are Keras'.

    Args:
        axis: -1, the features.
        mean, variance: Numbers or [F], both or neither.
        invert: y = x * sqrt(variance) + mean instead.

    Raises:
        ValueError: An argument out of range; mean without variance; when built, another number of features.

    >>> import numpy as np
    >>> layer = Normalization()
    >>> layer.adapt(np.array([[0.0], [4.0]]))
    >>> layer(np.array([[4.0], [2.0]])).tolist()
    [[1.0], [0.0]]
    """

    def __init__(
        self, axis: int = -1, mean: Any = None, variance: Any = None, invert: bool = False, **common: Any
    ) -> None:
        super().__init__(**common)
        self._take_axis(axis)
        self.invert = as_flag(invert, "invert", "Normalization")
        if (mean is None) != (variance is None):
            raise ValueError("Normalization: mean and variance must be given both or neither")
        # Those given become the variables' first values and are configuration no longer.
        self.mean = self.variance = None
        given = (np.float64(0), np.float64(1)) if mean is None else (mean, variance)
        self._first = tuple(
            as_array(value, f"Normalization: {name}", np.dtype(np.float64))
            for value, name in zip(given, ("mean", "variance"), strict=True)
        )
        if not (self._first[1] >= 0).all():
            raise ValueError(f"Normalization: variance must be at least 0, got {variance!r}")

    def _declare(self, input_shape: Shape) -> None:
        shape = (last_size(self, input_shape),)
        for key, first in zip(("mean", "variance"), self._first, strict=True):
            if first.size not in (1, *shape):
                raise ValueError(f"{self.name}: {key} must have {shape[0]} numbers, got shape {first.shape}")
        self.variables = [
            Variable("mean", shape, lambda shape, dtype: self._given(0, shape, dtype), trainable=False),
            Variable("variance", shape, lambda shape, dtype: self._given(1, shape, dtype), trainable=False),
        ]

    def _given(self, which: int, shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any]:
        first = self._first[which].ravel()
        return np.broadcast_to(first, shape).astype(dtype)

    @usual_floats
    def adapt(self, data: ArrayLike) -> None:
        """Take mean and variance from data [N, ..., F] or a `lw.Ragged`, over all but the features, in float64.

        Raises:
            ValueError: No rows, or another number of features than the layer was built for.
        """
        given = as_input(data, "data", self.dtype)
        values = values_of(given)
        if values.ndim < 2 or not values.size:
            raise ValueError(f"{self.name}: data must be [N, ..., F] with at least one row, got shape {values.shape}")
        self.y_shape(values.shape[1:])
        mean, deviation = _core.mean_std(values.reshape(-1, values.shape[-1]))
        self._first = (mean, deviation * deviation)
        for variable, first in zip(self.variables, self._first, strict=False):
            if variable.bound:
                variable.value[...] = first

    def forward(self, x: Any, *, training: bool = True, step: int | None = None) -> tuple[Any, Any]:
        x = self._fitting(x)
        mean, variance = (variable.value for variable in self.variables)
        deviation = np.maximum(np.sqrt(variance.astype(np.float64)), 1e-7)
        factor = (deviation if self.invert else 1 / deviation).astype(self.dtype)
        center, shift = (None, mean) if self.invert else (mean, None)
        y = _core.affine_columns(values_of(x), center, factor, shift)
        return like(x, y), factor if training else None

    def backward(self, ctx: Any, dy: Any, *, need_dx: bool = True) -> Any:
        if not need_dx:
            return None
        return like(dy, _core.affine_columns(as_array(values_of(dy), "dy", self.dtype), None, ctx, None))
