"""Conv1D: a dense layer on windows of steps."""

from __future__ import annotations

from typing import Any, NamedTuple

from latchwork import _core
from latchwork.data.series import as_count
from latchwork.layers.arena import Variable
from latchwork.layers.arguments import Shape, shape_text
from latchwork.layers.dense import Product, values_of
from latchwork.layers.parameters import drawn, last_size
from latchwork.layers.windows import Placed, Sliding, refuse_channels_first, single


class _Context(NamedTuple):
    placed: Placed
    product: Any


class Conv1D(Product, Sliding):
    """y[b, t] = activation(bias + sum over k of x[b, t * strides + k * dilation_rate - before] @ kernel[k]).

    x [B, T, F] -> y [B, T', filters]. `before` is 0 for padding "valid"; (kernel_size - 1) * dilation_rate for
    "causal", so that y[t] sees nothing after x[t]; half of what "same" adds for T' = ceil(T / strides). What is not
    there is 0. Where the steps stay ("same" or "causal", strides=1) x may be a `lw.Ragged`, and a mask passes: masked
    steps are read as 0, which gives the numbers of the sequence alone; else a mask ends here, its steps read as 0.
    Variables: `kernel` [kernel_size, F, filters], `bias` [filters]. Arguments and defaults are Keras'.

    Args:
        filters: The features of y, at least 1.
        kernel_size, strides, dilation_rate: At least 1.
        padding: "valid", "same" or "causal".
        activation: None (linear), the name of an activation, or "softmax".
        use_bias: Whether there is a bias.
        kernel_initializer, bias_initializer: Names or `lw.initializers` objects.

    Raises:
        ValueError: An argument out of range, an unknown name, or one of Keras' that is not built (groups); when called,
            x is too short or no [B, T, F].

    >>> import numpy as np
    >>> layer = Conv1D(1, 2, padding="causal", kernel_initializer="ones")
    >>> layer(np.array([[[1.0], [2.0], [3.0]]])).tolist()
    [[[1.0], [3.0], [5.0]]]
    """

    unbuilt = {**Product.unbuilt, "groups": 1}  # noqa: RUF012

    def __init__(
        self,
        filters: int,
        kernel_size: Any,
        strides: Any = 1,
        padding: str = "valid",
        *,
        dilation_rate: Any = 1,
        activation: str | None = None,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        **common: Any,
    ) -> None:
        super().__init__(**refuse_channels_first(common, "Conv1D"))
        self.filters = as_count(filters, "Conv1D: filters", 1)
        self.kernel_size = single(kernel_size, "Conv1D: kernel_size")
        self.strides = single(strides, "Conv1D: strides")
        self.dilation_rate = single(dilation_rate, "Conv1D: dilation_rate")
        self._take_padding(padding, ("valid", "same", "causal"))
        self._take_product(activation, use_bias, kernel_initializer, bias_initializer)

    def _window(self) -> tuple[int, int, int]:
        return self.kernel_size, self.strides, self.dilation_rate

    def _declare(self, input_shape: Shape) -> None:
        shape = (self.kernel_size, last_size(self, input_shape), self.filters)
        self.variables = [Variable("kernel", shape, drawn(self._kernel_initializer))]
        if self.use_bias:
            self.variables.append(Variable("bias", (self.filters,), drawn(self._bias_initializer)))

    def y_shape(self, x_shape: Shape) -> Shape:
        features = last_size(self, x_shape)
        if self.variables and features != self.variables[0].shape[1]:
            expected = self.variables[0].shape[1]
            raise ValueError(f"{self.name}: x must have {expected} features, got shape {shape_text(x_shape)}")
        return (self._steps(x_shape), self.filters)

    def _asked_call(self, batch: int, steps: int, memory: str) -> tuple[Any, ...]:
        outputs: int = _core.window_frame(self.padding, steps, *self._window())[0]
        return super()._asked_call(batch, outputs, memory)

    def forward(self, x: Any, *, mask: Any = None, training: bool = True, step: int | None = None) -> tuple[Any, Any]:
        x = self._checked(x)
        values = values_of(x)
        self.y_shape(values.shape[1:] if x is values else (None, values.shape[1]))
        placed = self._place(x, mask)
        rows, _ = _core.window_pass("gather", placed.rows(values), placed.given)
        y, product = self._multiply(values_of(placed.in_batch(rows)), training)
        return placed.in_batch(placed.rows(y)), _Context(placed, product) if training else None

    def backward(self, ctx: Any, dy: Any, *, need_dx: bool = True) -> Any:
        placed = ctx.placed
        grad = values_of(placed.in_batch(self._gradient(placed, dy, self.filters)))
        d_rows = self._multiply_backward(ctx.product, grad, need_dx)
        if d_rows is None:
            return None
        dx, _ = _core.window_pass("scatter", placed.rows(d_rows), placed.given)
        return placed.like_x(dx)
