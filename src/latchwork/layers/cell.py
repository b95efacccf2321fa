"""Cells: one step of a recurrence. LSTMCell, GRUCell, SimpleRNNCell run in the core; your own are classes in Python."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from latchwork.layers.arena import Arena
from latchwork.layers.arguments import Shape, as_array, shape_text
from latchwork.layers.base import Layer
from latchwork.layers.gru import GRU
from latchwork.layers.lstm import LSTM
from latchwork.layers.parameters import last_size
from latchwork.layers.recurrent import Recurrent
from latchwork.layers.simple_rnn import SimpleRNN
from latchwork.layers.symbol import is_symbolic

States = list[NDArray[Any]]


class Cell(Layer):
    """One step: x [B, F] and a list of states [B, size] -> y [B, output_size] and the new states.

    For `RNN(cell)`, which runs the steps. Your own cell derives from this class and defines

    - `state_size`, a number or a list of numbers, and `output_size` where it is not the first of them;
    - `create(features)`, which calls `self.add_weight(shape, initializer, name)` for every parameter and keeps what it
      returns: an object with `value` and `gradient`, arrays of that shape;
    - `forward(x, states, training) -> y, states, ctx` and `backward(ctx, dy, dstates) -> dx, dstates`, which ADDS to
      the gradients of the parameters. Rows must not depend on each other: masked and finished rows are left out.

    >>> import numpy as np
    >>> class Sum(Cell):
    ...     state_size = 2
    ...     def forward(self, x, states, training=False):
    ...         return states[0] + x, [states[0] + x], None
    ...     def backward(self, ctx, dy, dstates):
    ...         return dy + dstates[0], [dy + dstates[0]]
    >>> y, states = Sum()(np.ones((1, 2)), [np.zeros((1, 2))])
    >>> y.tolist()
    [[1.0, 1.0]]
    """

    state_size: Any = None

    @property
    def state_sizes(self) -> list[int]:
        """The sizes of all states, in order.

        Raises:
            ValueError: `state_size` is neither a number nor a list of numbers.
        """
        sizes = self.state_size if isinstance(self.state_size, (list, tuple)) else [self.state_size]
        if not sizes or not all(isinstance(size, int) and size > 0 for size in sizes):
            raise ValueError(f"{self.name}: state_size must be a number or a list of numbers, got {self.state_size!r}")
        return list(sizes)

    @property
    def output_size(self) -> int:
        """The features of y."""
        return self.state_sizes[0]

    def create(self, features: int) -> None:
        """Add the parameters for x of `features`; for cells that have any."""

    def core_cells(self) -> list[CoreCell] | None:
        """The cells of the core that this one is made of; None where a step is Python."""
        return None

    def _declare(self, input_shape: Shape) -> None:
        self.create(last_size(self, input_shape))

    def y_shape(self, x_shape: Shape) -> Shape:
        if len(x_shape) != 1:
            raise ValueError(f"{self.name}: x must be (B, F), got {shape_text(x_shape)}")
        return (self.output_size,)

    def get_initial_state(self, batch_size: int) -> States:
        """Zeros, [batch_size, size] each."""
        return [np.zeros((batch_size, size), self.dtype) for size in self.state_sizes]

    def __call__(self, x: Any, states: Sequence[Any] | None = None, training: bool = False) -> Any:  # type: ignore[override]
        """(y, new states) for one step; states None: zeros.

        Raises:
            ValueError: x does not fit, or is a symbol: an `RNN` runs the cell in a graph.
        """
        if is_symbolic(x):
            raise ValueError(f"{self.name}: a cell cannot be called on symbols: put it into an RNN")
        x = self._checked(x)
        self.y_shape(np.shape(x)[1:])
        y, states, _ = self.forward(x, self.as_states(states, len(x)), training)
        return y, states

    def as_states(self, states: Any, batch: int) -> States:
        """Given states as arrays [batch, size] of the layer's dtype, or zeros for None."""
        if states is None:
            return self.get_initial_state(batch)
        return states_like(states, [(batch, size) for size in self.state_sizes], self.dtype, self.name)

    def forward(self, x: Any, states: Any, training: bool = False) -> Any:  # type: ignore[override]
        raise TypeError(f"{type(self).__name__} must define forward(x, states, training)")

    def backward(self, ctx: Any, dy: Any, dstates: Any) -> Any:  # type: ignore[override]
        raise TypeError(f"{type(self).__name__} must define backward(ctx, dy, dstates)")


def states_like(states: Any, shapes: list[tuple[int, int]], dtype: np.dtype[Any], owner: str) -> States:
    """A list of states checked against their shapes; one array will do for one state."""
    parts = list(states) if isinstance(states, (list, tuple)) else [states]
    arrays = [as_array(part, "initial_state", dtype) for part in parts]
    if [array.shape for array in arrays] != shapes:
        got = [array.shape for array in arrays]
        raise ValueError(f"{owner}: initial_state must be a list of arrays of shapes {shapes}, got {got}")
    return arrays


class CoreCell(Cell):
    """A cell of the core: a layer of one step. An RNN of it runs all steps in the fused kernels."""

    unbuilt: ClassVar[dict[str, Any]] = {k: v for k, v in Recurrent.unbuilt.items() if k != "unroll"}
    layer_type: ClassVar[Callable[..., Recurrent]]

    def __init__(self, common: dict[str, Any], **arguments: Any) -> None:
        super().__init__(**common)
        self._arguments = arguments
        self.layer = self.sequence_layer(return_state=True)
        self.units = self.layer.units
        for name in arguments:
            if hasattr(self.layer, name):
                setattr(self, name, getattr(self.layer, name))
        self.state_size = [self.units] * self.layer.state_count if self.layer.state_count > 1 else self.units

    def sequence_layer(self, **options: Any) -> Recurrent:
        """A layer that runs this cell over sequences."""
        return type(self).layer_type(**self._arguments, name=self.name, dtype=self.given_dtype, **options)

    def copied(self) -> Any:
        cell = super().copied()
        cell.layer = cell.sequence_layer(return_state=True)
        return cell

    def core_cells(self) -> list[CoreCell] | None:
        return [self]

    def _declare(self, input_shape: Shape) -> None:
        self.layer.declare((None, *input_shape))
        self.variables = self.layer.variables

    def _bind(self, arena: Arena) -> None:
        super()._bind(arena)
        self.layer._bind(arena)

    def touch(self) -> None:
        self.layer.touch()

    def forward(self, x: Any, states: Any, training: bool = False) -> Any:  # type: ignore[override]
        y, final, ctx = self.layer.advance(x[:, None], states, training=training)
        return y, final, ctx._replace(given_state=True) if training else None

    def backward(self, ctx: Any, dy: Any, dstates: Any) -> Any:  # type: ignore[override]
        dx, *back = self.layer.backward(ctx, [dy, *dstates])
        return dx[:, 0], back


class SimpleRNNCell(CoreCell):
    """One step of `SimpleRNN`, with its equations and variables.

    Args:
        units, activation, use_bias: As in `SimpleRNN`.
        kernel_initializer, recurrent_initializer, bias_initializer: As in `SimpleRNN`.

    >>> import numpy as np
    >>> y, states = SimpleRNNCell(4)(np.ones((2, 3)))
    >>> y.shape, len(states)
    ((2, 4), 1)
    """

    layer_type = SimpleRNN

    def __init__(
        self,
        units: int,
        activation: str | None = "tanh",
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        recurrent_initializer: Any = "orthogonal",
        bias_initializer: Any = "zeros",
        **common: Any,
    ) -> None:
        super().__init__(
            common, units=units, activation=activation, use_bias=use_bias, kernel_initializer=kernel_initializer,
            recurrent_initializer=recurrent_initializer, bias_initializer=bias_initializer,
        )  # fmt: skip


class LSTMCell(CoreCell):
    """One step of `LSTM`, with its equations and variables. States: h, c.

    Args:
        units, activation, recurrent_activation, use_bias, unit_forget_bias: As in `LSTM`.
        kernel_initializer, recurrent_initializer, bias_initializer: As in `LSTM`.

    >>> import numpy as np
    >>> y, states = LSTMCell(4)(np.ones((2, 3)))
    >>> y.shape, len(states)
    ((2, 4), 2)
    """

    layer_type = LSTM

    def __init__(
        self,
        units: int,
        activation: str | None = "tanh",
        recurrent_activation: str | None = "sigmoid",
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        recurrent_initializer: Any = "orthogonal",
        bias_initializer: Any = "zeros",
        unit_forget_bias: bool = True,
        **common: Any,
    ) -> None:
        super().__init__(
            common, units=units, activation=activation, recurrent_activation=recurrent_activation, use_bias=use_bias,
            kernel_initializer=kernel_initializer, recurrent_initializer=recurrent_initializer,
            bias_initializer=bias_initializer, unit_forget_bias=unit_forget_bias,
        )  # fmt: skip


class GRUCell(CoreCell):
    """One step of `GRU`, with its equations and variables.

    Args:
        units, activation, recurrent_activation, use_bias, reset_after: As in `GRU`.
        kernel_initializer, recurrent_initializer, bias_initializer: As in `GRU`.

    >>> import numpy as np
    >>> y, states = GRUCell(4)(np.ones((2, 3)))
    >>> y.shape, len(states)
    ((2, 4), 1)
    """

    layer_type = GRU

    def __init__(
        self,
        units: int,
        activation: str | None = "tanh",
        recurrent_activation: str | None = "sigmoid",
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        recurrent_initializer: Any = "orthogonal",
        bias_initializer: Any = "zeros",
        *,
        reset_after: bool = True,
        **common: Any,
    ) -> None:
        super().__init__(
            common, units=units, activation=activation, recurrent_activation=recurrent_activation, use_bias=use_bias,
            kernel_initializer=kernel_initializer, recurrent_initializer=recurrent_initializer,
            bias_initializer=bias_initializer, reset_after=reset_after,
        )  # fmt: skip
