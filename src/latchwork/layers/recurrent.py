"""What LSTM, GRU and SimpleRNN share."""

from __future__ import annotations

from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from latchwork import _core, functional, initializers
from latchwork.data.series import as_count
from latchwork.functional.arrays import even_rows
from latchwork.layers.arena import Arena, Initializer, Variable
from latchwork.layers.arguments import Shape, as_array, as_flag, shape_text
from latchwork.layers.base import Layer
from latchwork.layers.dense import activation_name, like, values_of
from latchwork.layers.flow import Advancing, Retreating
from latchwork.layers.masking import as_mask, silent_rows, zeroed
from latchwork.layers.parameters import drawn, last_size
from latchwork.layers.sequence import SequenceLayer
from latchwork.ragged import Ragged


class _Kept(NamedTuple):
    """What backward needs: the core's context, and what is known of the call."""

    core: Any
    silent: NDArray[np.bool_] | None  # [B], rows of a y without steps that the mask makes 0


class Recurrent(SequenceLayer):
    """What LSTM, GRU and SimpleRNN share: x [B, T, F] -> y [B, units], or [B, T, units] with return_sequences.

    Args:
        units: The size of the state, at least 1.
        activation: Of candidate and output, by name; None is "linear".
        use_bias: Whether there is a bias.
        kernel_initializer, recurrent_initializer, bias_initializer: Names or `lw.initializers` objects.
        return_sequences: y of every step, else of the last.
        return_state: Return the final states too.
        go_backwards: Read each sequence from its end; y is in the order read.
        stateful: In a model, the last states of a batch are the first of the next one, row by row, until
            `model.reset_states()`; no gradient flows from batch to batch.
        zero_output_for_mask: y at masked steps is 0.
        common: What every `Layer` takes.

    Raises:
        ValueError: An argument out of range, an unknown name, or an argument of Keras' that is not built.

    Call: `layer(x, initial_state=None, mask=None, training=False)`. x is an array or a `lw.Ragged`; T may differ from
    call to call. initial_state: a list of arrays [B, units] (LSTM: h, c), zeros by default. mask: bool [B, T] (for a
    Ragged, [N]), True for real steps, of any form. Masked steps are skipped: nothing is computed for them, y is 0
    before the first real step and repeats the last output (zero_output_for_mask: 0) at the others, states are those of
    the last real step. With return_state the result is the list [y, *states].

    `forward` takes the same arguments; `backward(ctx, dy)` takes dy like y, or the list [dy, *dstates] with
    return_state, and returns dx, or the list [dx, *dstates] when forward was given an initial_state.

    >>> import numpy as np
    >>> from latchwork.layers import GRU
    >>> layer = GRU(8, return_sequences=True, return_state=True)
    >>> y, h = layer(np.ones((2, 5, 3)), initial_state=[np.zeros((2, 8))], mask=np.ones((2, 5), bool))
    >>> y.shape, h.shape
    ((2, 5, 8), (2, 8))
    """

    unbuilt: ClassVar[dict[str, Any]] = {
        **Layer.unbuilt,
        "kernel_regularizer": None,
        "recurrent_regularizer": None,
        "bias_regularizer": None,
        "kernel_constraint": None,
        "recurrent_constraint": None,
        "bias_constraint": None,
        "dropout": 0.0,
        "recurrent_dropout": 0.0,
        "seed": None,
        "unroll": False,
    }
    keeps_records = True
    cell: ClassVar[str]
    gates: ClassVar[int]

    def __init__(
        self,
        units: int,
        activation: str | None,
        use_bias: bool,
        kernel_initializer: Any,
        recurrent_initializer: Any,
        bias_initializer: Any,
        return_sequences: bool,
        return_state: bool,
        go_backwards: bool,
        stateful: bool,
        zero_output_for_mask: bool,
        common: dict[str, Any],
    ) -> None:
        super().__init__(**common)
        owner = type(self).__name__
        self.stateful = as_flag(stateful, "stateful", owner)
        self.zero_output_for_mask = as_flag(zero_output_for_mask, "zero_output_for_mask", owner)
        self.units = as_count(units, f"{owner}: units", 1)
        self.activation = activation_name(activation)
        self.use_bias = as_flag(use_bias, "use_bias", owner)
        self.return_sequences = as_flag(return_sequences, "return_sequences", owner)
        self.return_state = as_flag(return_state, "return_state", owner)
        self.go_backwards = as_flag(go_backwards, "go_backwards", owner)
        self.by_step = not self.go_backwards
        self._kernel_initializer = initializers.get(kernel_initializer)
        self._recurrent_initializer = initializers.get(recurrent_initializer)
        self._bias_initializer = initializers.get(bias_initializer)
        self._options: dict[str, Any] = {
            "activation": self.activation,
            "reverse": self.go_backwards,
            "return_sequences": self.return_sequences,
            "hold": not self.zero_output_for_mask,
        }

    def _remember(self, memory: str) -> None:
        self._options["memory"] = memory

    def _call_bytes(self, lengths: NDArray[Any]) -> dict[str, tuple[int, int, int]]:
        features, _ = self.variables[0].shape
        float64 = self.dtype == np.float64
        return _core.recurrent_bytes(self._cell(), float64, lengths, features, self.units, self.return_sequences)

    def _half(self, name: str, align: bool) -> Any:
        """A new layer of this configuration for Bidirectional; align: it reads backwards, and each output lies where
        its input does. As in Keras, sequences have 0 at masked steps."""
        layer = self.copied()
        layer.name, layer.go_backwards, layer.input_shape = name, align, None
        layer.zero_output_for_mask = zero = self.return_sequences
        layer._options = {**self._options, "reverse": align, "align": align, "hold": not zero}
        return layer

    # ---- building -----------------------------------------------------------------------------------------------

    def _declare(self, input_shape: Shape) -> None:
        features, width = last_size(self, input_shape), self.gates * self.units
        self.variables = [
            Variable("kernel", (features, width), drawn(self._kernel_initializer)),
            Variable("recurrent_kernel", (self.units, width), drawn(self._recurrent_initializer)),
        ]
        if self.use_bias:
            self.variables.append(Variable("bias", *self._bias()))

    def _bias(self) -> tuple[tuple[int, ...], Initializer]:
        """Shape and initializer of the bias."""
        return (self.gates * self.units,), drawn(self._bias_initializer)

    def _levels(self) -> list[list[Any]]:
        return [[self]]

    def _asked_call(self, batch: int, steps: int, memory: str) -> tuple[Any, ...]:
        """What `_core.explain_calls` takes."""
        return self._weights, batch, steps, self.return_sequences, memory

    def _cell(self) -> str:
        return self.cell

    def _bind(self, arena: Arena) -> None:
        super()._bind(arena)
        kernel, recurrent_kernel = self.variables[:2]
        bias = self.variables[2] if self.use_bias else None
        self._weights = _core.RecurrentWeights(
            self._cell(), kernel.value, recurrent_kernel.value, None if bias is None else bias.value
        )
        self._gradients = (kernel.gradient, recurrent_kernel.gradient, None if bias is None else bias.gradient)

    def touch(self) -> None:
        if self._arena is not None:
            self._weights.touch()

    def y_shape(self, x_shape: Shape) -> Shape:
        if len(x_shape) != 2:
            raise ValueError(f"{self.name}: x must be (B, T, F), got {shape_text(x_shape)}")
        features = last_size(self, x_shape)
        if self.variables and features != self.variables[0].shape[0]:
            expected = self.variables[0].shape[0]
            raise ValueError(f"{self.name}: x must be (B, T, {expected}), got {shape_text(x_shape)}")
        return (x_shape[0], self.units) if self.return_sequences else (self.units,)

    # ---- running ------------------------------------------------------------------------------------------------

    # What is asked of the core, and what is made of its answer: with calls of other layers, or alone for less.

    def _advancing(
        self, x: Any, initial_state: Any, mask: Any, *, training: bool, out: NDArray[Any] | None = None
    ) -> Advancing[tuple[Any, list[Any], Any]]:
        call = self._call(x, initial_state, mask, out)
        [answer] = yield [call]
        return self._advanced(call, *answer)

    def _advance(self, x: Any, initial_state: Any, mask: Any, training: bool) -> tuple[Any, list[Any], Any]:
        call = self._call(x, initial_state, mask, None)
        [answer] = functional.forward([call], training=training)
        return self._advanced(call, *answer)

    def _retreating(
        self, inner: _Kept, dy: Any, d_states: list[Any], need_dx: bool
    ) -> Retreating[tuple[Any, list[Any]]]:
        [found] = yield [self._backward_call(inner, dy, d_states, need_dx)]
        return found.x, [*found.state]

    def _retreat(self, inner: _Kept, dy: Any, d_states: list[Any], need_dx: bool) -> tuple[Any, list[Any]]:
        [found] = functional.backward([self._backward_call(inner, dy, d_states, need_dx)])
        return found.x, [*found.state]

    def _call(self, x: Any, initial_state: Any, mask: Any, out: NDArray[Any] | None) -> functional.Call:
        x = self._checked(x)
        if not isinstance(x, Ragged) and (x.ndim != 3 or x.shape[2] != self.variables[0].shape[0]):
            self.y_shape(x.shape[1:])
        state = None if initial_state is None else self._state(initial_state, len(x))
        real = None if mask is None else as_mask(mask, x, self.name)
        return functional.Call(self._cell(), x, self._weights, state, mask=real, out=out, **self._options)

    def _advanced(self, call: functional.Call, y: Any, states: Any, core: Any) -> tuple[Any, list[Any], _Kept]:
        silent = None
        if call.mask is not None and not self.return_sequences:
            at = (0 if self.go_backwards else -1) if self.zero_output_for_mask else None
            silent = silent_rows(call.mask, call.x, at=at)
            y = zeroed(values_of(y), silent)
        return y, [*states], _Kept(core, silent)

    def _backward_call(self, inner: _Kept, dy: Any, d_states: list[Any], need_dx: bool) -> functional.BackwardCall:
        grad = dy if dy is None or self._is_ready(dy) else like(dy, as_array(values_of(dy), "dy", self.dtype))
        if grad is not None and inner.silent is not None:
            grad = zeroed(values_of(grad), inner.silent)
        return functional.BackwardCall(inner.core, grad, d_states, need_dx=need_dx, out=self._gradients)

    def _is_ready(self, dy: Any) -> bool:
        """Whether the core takes dy as it is: a slice of the features of an array need not be copied either."""
        rows = values_of(dy)
        return type(rows) is np.ndarray and rows.dtype == self.dtype and (rows.flags.c_contiguous or even_rows(rows))

    def _state(self, initial_state: Any, batch: int) -> tuple[NDArray[Any], ...]:
        """Keras' list of states (one array will do for one state) as the tuple the core takes."""
        parts = list(initial_state) if isinstance(initial_state, (list, tuple)) else [initial_state]
        expected = (batch, self.units)
        if len(parts) != self.state_count:
            raise ValueError(
                f"{self.name}: initial_state must be a list of {self.state_count} arrays {expected}, got {len(parts)}"
            )
        states = tuple(as_array(part, "initial_state", self.dtype) for part in parts)
        for state in states:
            if state.shape != expected:
                raise ValueError(f"{self.name}: initial_state must hold arrays of shape {expected}, got {state.shape}")
        return states
