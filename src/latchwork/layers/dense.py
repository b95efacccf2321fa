"""Dense and Activation: what stands between and behind recurrent layers."""

from __future__ import annotations

from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from latchwork import _core, functional, initializers
from latchwork.data.series import as_count
from latchwork.layers.arena import Arena, Variable
from latchwork.layers.arguments import Shape, as_array, as_flag, shape_text
from latchwork.layers.base import Batch, Layer
from latchwork.layers.parameters import drawn, last_size
from latchwork.names import resolve
from latchwork.ragged import Ragged

ACTIVATIONS = ("linear", "relu", "tanh", "sigmoid", "hard_sigmoid", "softsign", "elu", "softplus", "exponential")


def activation_name(activation: Any, known: tuple[str, ...] = ACTIVATIONS) -> str:
    """An activation's name, None meaning "linear" as in Keras."""
    return resolve("activation", "linear" if activation is None else activation, known)


class _Activated(NamedTuple):
    """What the backward of an activation reads: its output, and the context of what stands before it."""

    before: Any
    y: NDArray[Any]


def _activate(name: str, x: NDArray[Any]) -> NDArray[Any]:
    return _core.softmax(x) if name == "softmax" else _core.activation(name, x)


def _activate_backward(name: str, y: NDArray[Any], dy: NDArray[Any]) -> NDArray[Any]:
    return _core.softmax_backward(y, dy) if name == "softmax" else _core.activation_backward(name, y, dy)


def values_of(x: Batch) -> NDArray[Any]:
    """The numbers of a batch: all real steps [N, F] of a Ragged, the array itself otherwise."""
    return x.values if isinstance(x, Ragged) else x


def like(x: Batch, values: NDArray[Any]) -> Batch:
    """`values` in the sequences of x if x is Ragged."""
    return Ragged(values, x.offsets) if isinstance(x, Ragged) else values


class Product(Layer):
    """activation(rows @ kernel + bias) by the core: Dense, and Conv1D, whose kernel is a matrix for its windows."""

    unbuilt: ClassVar[dict[str, Any]] = {
        **Layer.unbuilt,
        "kernel_regularizer": None,
        "bias_regularizer": None,
        "kernel_constraint": None,
        "bias_constraint": None,
        "lora_rank": None,
        "lora_alpha": None,
        "quantization_config": None,
    }

    def _take_product(self, activation: Any, use_bias: Any, kernel_initializer: Any, bias_initializer: Any) -> None:
        self.activation = activation_name(activation, (*ACTIVATIONS, "softmax"))
        self.use_bias = as_flag(use_bias, "use_bias", type(self).__name__)
        self._kernel_initializer = initializers.get(kernel_initializer)
        self._bias_initializer = initializers.get(bias_initializer)
        # softmax reads a whole row, the fused activations one number: it runs behind the product
        self._fused = "linear" if self.activation == "softmax" else self.activation

    def _bind(self, arena: Arena) -> None:
        super()._bind(arena)
        kernel, bias = self.variables[0], self.variables[1] if self.use_bias else None
        matrix = (-1, kernel.shape[-1])
        self._weights = _core.RecurrentWeights(
            "dense", kernel.value.reshape(matrix), None, None if bias is None else bias.value
        )
        self._gradients = (kernel.gradient.reshape(matrix), None if bias is None else bias.gradient)

    def _levels(self) -> list[list[Any]]:
        return [[self]]

    def _asked_call(self, batch: int, steps: int, memory: str) -> tuple[Any, ...]:
        """What `_core.explain_calls` takes: the middle axes are steps, and no record is kept."""
        return self._weights, batch, steps, True, "store"

    def touch(self) -> None:
        if self._arena is not None:
            self._weights.touch()

    def _multiply(self, rows: NDArray[Any], training: bool) -> tuple[NDArray[Any], Any]:
        y, product = functional.dense(rows, self._weights, activation=self._fused, training=training)
        if self.activation != "softmax":
            return y, product
        y = _core.softmax(y)
        return y, _Activated(product, y) if training else None

    def _multiply_backward(self, ctx: Any, grad: NDArray[Any], need_dx: bool) -> NDArray[Any] | None:
        if self.activation == "softmax":
            grad = _core.softmax_backward(ctx.y, grad)
            ctx = ctx.before
        return functional.dense_backward(ctx, grad, need_dx=need_dx, out=self._gradients).x


class Dense(Product):
    """y = activation(x @ kernel + bias) on the last axis: x [B, ..., F] -> y [B, ..., units].

    Variables: `kernel` [F, units], `bias` [units]. Defaults are Keras'.

    Args:
        units: The features of y, at least 1.
        activation: None (linear), the name of an activation, or "softmax".
        use_bias: Whether there is a bias.
        kernel_initializer, bias_initializer: Names or `lw.initializers` objects.

    Raises:
        ValueError: An argument out of range, an unknown name, or an argument of Keras' that is not built.

    >>> import numpy as np
    >>> Dense(3, activation="softmax")(np.ones((2, 4))).shape
    (2, 3)
    """

    by_step = True

    supports_masking = True

    def __init__(
        self,
        units: int,
        activation: str | None = None,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        **common: Any,
    ) -> None:
        super().__init__(**common)
        self.units = as_count(units, "Dense: units", 1)
        self._take_product(activation, use_bias, kernel_initializer, bias_initializer)

    def _declare(self, input_shape: Shape) -> None:
        features = last_size(self, input_shape)
        self.variables = [Variable("kernel", (features, self.units), drawn(self._kernel_initializer))]
        if self.use_bias:
            self.variables.append(Variable("bias", (self.units,), drawn(self._bias_initializer)))

    def y_shape(self, x_shape: Shape) -> Shape:
        features = last_size(self, x_shape)
        if self.variables and features != self.variables[0].shape[0]:
            expected = self.variables[0].shape[0]
            raise ValueError(f"{self.name}: x must have {expected} features, got shape {shape_text(x_shape)}")
        return (*x_shape[:-1], self.units)

    def forward(self, x: Any, *, training: bool = True, step: int | None = None) -> tuple[Any, Any]:
        x = self._checked(x)
        values = values_of(x)
        if values.ndim < 2 or values.shape[-1] != self.variables[0].shape[0]:
            self.y_shape(values.shape[1:])
        y, ctx = self._multiply(values, training)
        return like(x, y), ctx

    def backward(self, ctx: Any, dy: Any, *, need_dx: bool = True) -> Any:
        dx = self._multiply_backward(ctx, as_array(values_of(dy), "dy", self.dtype), need_dx)
        return None if dx is None else like(dy, dx)


class Activation(Layer):
    """y = activation(x), number by number ("softmax": over the last axis); the shape [B, ...] stays.

    The names are Keras': "linear" x, "relu" max(x, 0), "tanh", "sigmoid" 1 / (1 + e^-x), "hard_sigmoid" x / 6 + 1/2
    cut to [0, 1], "softsign" x / (1 + |x|), "elu" x, below 0 e^x - 1, "softplus" log(1 + e^x), "exponential" e^x,
    "softmax" e^x / sum(e^x).

    Args:
        activation: The name; None is "linear".

    Raises:
        ValueError: An unknown name.

    >>> import numpy as np
    >>> Activation("relu")(np.array([[-1.0, 2.0]])).tolist()
    [[0.0, 2.0]]
    """

    by_step = True

    supports_masking = True

    def __init__(self, activation: str | None, **common: Any) -> None:
        super().__init__(**common)
        self.activation = activation_name(activation, (*ACTIVATIONS, "softmax"))

    def forward(self, x: Any, *, training: bool = True, step: int | None = None) -> tuple[Any, Any]:
        x = self._checked(x)
        y = _activate(self.activation, values_of(x))
        return like(x, y), _Activated(None, y) if training else None

    def backward(self, ctx: Any, dy: Any, *, need_dx: bool = True) -> Any:
        if not need_dx:
            return None
        grad = as_array(values_of(dy), "dy", self.dtype)
        if grad.shape != ctx.y.shape:
            raise ValueError(f"{self.name}: dy must have the shape of y, {ctx.y.shape}, got {np.shape(grad)}")
        return like(dy, _activate_backward(self.activation, ctx.y, grad))
