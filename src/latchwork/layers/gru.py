"""GRU."""

from __future__ import annotations

from typing import Any, ClassVar

from latchwork.layers.arena import Initializer
from latchwork.layers.arguments import as_flag
from latchwork.layers.dense import activation_name
from latchwork.layers.recurrent import Recurrent


class GRU(Recurrent):
    """Gated recurrent unit (Cho et al. 2014).

    z, r = recurrent_activation(...), h' = z * h + (1 - z) * n. reset_after=True (Keras' default):
    n = activation(x W_n + b_n + r * (h R_n + rb_n)); False, the paper's: n = activation(x W_n + (r * h) R_n + b_n).
    Variables: `kernel` [F, 3 units], `recurrent_kernel` [units, 3 units], `bias` [2, 3 units] (input, recurrent) or
    [3 units] with reset_after=False; gates in the order z r n. Defaults are Keras'; see `Recurrent` for the other
    arguments, calls and shapes.

    Args:
        recurrent_activation: Of the gates, by name; None is "linear".
        reset_after: Which of the two forms.

    >>> import numpy as np
    >>> GRU(8)(np.ones((2, 5, 3))).shape
    (2, 8)
    """

    unbuilt: ClassVar[dict[str, Any]] = {**Recurrent.unbuilt, "use_cudnn": "auto"}
    cell, gates = "gru", 3

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
        return_sequences: bool = False,
        return_state: bool = False,
        go_backwards: bool = False,
        stateful: bool = False,
        reset_after: bool = True,
        zero_output_for_mask: bool = False,
        **common: Any,
    ) -> None:
        super().__init__(
            units, activation, use_bias, kernel_initializer, recurrent_initializer, bias_initializer,
            return_sequences, return_state, go_backwards, stateful, zero_output_for_mask, common,
        )  # fmt: skip
        self.recurrent_activation = activation_name(recurrent_activation)
        self.reset_after = as_flag(reset_after, "reset_after", "GRU")
        self._options["recurrent_activation"] = self.recurrent_activation

    def _cell(self) -> str:
        return "gru" if self.reset_after else "gru_reset_before"

    def _bias(self) -> tuple[tuple[int, ...], Initializer]:
        shape, draw = super()._bias()
        return ((2, *shape) if self.reset_after else shape), draw
