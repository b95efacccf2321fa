"""LSTM."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from latchwork.layers.arena import Initializer
from latchwork.layers.arguments import as_flag
from latchwork.layers.dense import activation_name
from latchwork.layers.parameters import drawn
from latchwork.layers.recurrent import Recurrent


class LSTM(Recurrent):
    """Long short-term memory (Hochreiter and Schmidhuber 1997, with the forget gate of Gers et al. 2000).

    i, f, o = recurrent_activation(...), g = activation(...), c' = f * c + i * g, h' = o * activation(c').
    Variables: `kernel` [F, 4 units], `recurrent_kernel` [units, 4 units], `bias` [4 units], gates in the order i f g o.
    Defaults are Keras'; see `Recurrent` for the other arguments, calls and shapes.

    Args:
        recurrent_activation: Of the gates, by name; None is "linear".
        unit_forget_bias: The forget gate's bias begins at 1 (R. Jozefowicz et al. 2015).

    >>> import numpy as np
    >>> y, h, c = LSTM(8, return_sequences=True, return_state=True)(np.ones((2, 5, 3)))
    >>> y.shape, h.shape, c.shape
    ((2, 5, 8), (2, 8), (2, 8))
    """

    unbuilt: ClassVar[dict[str, Any]] = {**Recurrent.unbuilt, "use_cudnn": "auto"}
    cell, gates, state_count = "lstm", 4, 2

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
        *,
        return_sequences: bool = False,
        return_state: bool = False,
        go_backwards: bool = False,
        stateful: bool = False,
        zero_output_for_mask: bool = False,
        **common: Any,
    ) -> None:
        super().__init__(
            units, activation, use_bias, kernel_initializer, recurrent_initializer, bias_initializer,
            return_sequences, return_state, go_backwards, stateful, zero_output_for_mask, common,
        )  # fmt: skip
        self.recurrent_activation = activation_name(recurrent_activation)
        self.unit_forget_bias = as_flag(unit_forget_bias, "unit_forget_bias", "LSTM")
        self._options["recurrent_activation"] = self.recurrent_activation

    def _bias(self) -> tuple[tuple[int, ...], Initializer]:
        shape, draw = super()._bias()
        if not self.unit_forget_bias:
            return shape, draw
        draw_behind = drawn(self._bias_initializer)

        def remember(shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any]:
            """Forget gates start at 1, so that a new cell remembers (Jozefowicz et al. 2015)."""
            units = shape[0] // 4
            return np.concatenate([draw((units,), dtype), np.ones(units, dtype), draw_behind((2 * units,), dtype)])

        return shape, remember
