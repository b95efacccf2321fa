"""SimpleRNN."""

from __future__ import annotations

from typing import Any

from latchwork.layers.recurrent import Recurrent


class SimpleRNN(Recurrent):
    """The plain recurrent network (Elman 1990): h' = activation(x W + h R + b).

    Variables: `kernel` [F, units], `recurrent_kernel` [units, units], `bias` [units].
    Defaults are Keras'; see `Recurrent` for arguments, calls and shapes.

    >>> import numpy as np
    >>> SimpleRNN(8, activation="relu")(np.ones((2, 5, 3))).shape
    (2, 8)
    """

    cell, gates = "elman", 1

    def __init__(
        self,
        units: int,
        activation: str | None = "tanh",
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        recurrent_initializer: Any = "orthogonal",
        bias_initializer: Any = "zeros",
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
