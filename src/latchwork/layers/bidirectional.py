"""Bidirectional: one recurrent layer forwards, one backwards."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import zip_longest
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from latchwork import _core
from latchwork.layers.arguments import Shape, as_array
from latchwork.layers.base import Batch
from latchwork.layers.dense import like, values_of
from latchwork.layers.flow import Advancing, Retreating, side_by_side
from latchwork.layers.parameters import fixed
from latchwork.layers.recurrent import Recurrent
from latchwork.layers.rnn import RNN
from latchwork.layers.sequence import SequenceLayer
from latchwork.layers.wrapper import Wrapper
from latchwork.names import resolve

MERGE_MODES = ("concat", "sum", "mul", "ave")


class _Kept(NamedTuple):
    """Both layers' contexts, and both outputs where the product rule reads them."""

    forward: Any
    backward: Any
    outputs: tuple[NDArray[Any], NDArray[Any]] | None
    whole: NDArray[Any] | None  # a concatenated y, which backward reads: locked until then


class Bidirectional(SequenceLayer, Wrapper):
    """Reads a sequence in both directions: y of a step has seen what is before it and what is behind it.

    States are the forward layer's, then the backward layer's, in `initial_state` as in what return_state returns:
    [y, *states], with merge_mode None [y, y_backwards, *states]. Without return_sequences y is of the last step of each
    direction. Masks and `lw.Ragged` as in the layer, but y of sequences is 0 at masked steps whatever the layer's
    zero_output_for_mask: "the last output" would be another step's in each half. Both directions run at once, on
    threads of their own where that is faster; a cell in Python runs one direction after the other.
    Variables: "bidirectional/forward_lstm/kernel", ..., "bidirectional/backward_lstm/kernel", ...

    Args:
        layer: An LSTM, GRU, SimpleRNN or RNN; it serves as a pattern, two layers of its configuration are made.
        merge_mode: "concat" (y [..., 2 units]), "sum", "mul", "ave", or None, which returns both.
        weights: First values of all variables, the forward layer's first; None: drawn.
        backward_layer: One with go_backwards=True for the way back; None: the same as forward.

    Raises:
        ValueError: Another kind of layer, two that do not fit each other, or an unknown merge_mode.

    `backward(ctx, dy)` takes dy like the result and returns dx; [dx, *dstates] when forward was given initial states.

    >>> import numpy as np
    >>> from latchwork.layers import GRU
    >>> Bidirectional(GRU(5, return_sequences=True))(np.ones((2, 3, 4))).shape
    (2, 3, 10)
    """

    def __init__(
        self,
        layer: Recurrent | RNN,
        merge_mode: str | None = "concat",
        weights: Sequence[ArrayLike] | None = None,
        backward_layer: Recurrent | RNN | None = None,
        **common: Any,
    ) -> None:
        for name, given in (("layer", layer), ("backward_layer", backward_layer)):
            if not isinstance(given, (Recurrent, RNN)) and not (given is None and name == "backward_layer"):
                raise ValueError(f"Bidirectional: {name} must be an LSTM, GRU, SimpleRNN or RNN, got {given!r}")
        back = layer if backward_layer is None else backward_layer
        if layer.go_backwards or (backward_layer is not None and not backward_layer.go_backwards):
            raise ValueError("Bidirectional: layer must go forwards and backward_layer have go_backwards=True")
        for name in ("return_sequences", "return_state", "stateful"):
            if getattr(layer, name) != getattr(back, name):
                raise ValueError(f"Bidirectional: {name} must be the same in layer and backward_layer")
        if merge_mode in ("sum", "mul", "ave") and layer.units != back.units:
            raise ValueError(f"Bidirectional: units must be the same for merge_mode={merge_mode!r}")
        self.merge_mode = None if merge_mode is None else resolve("merge_mode", merge_mode, MERGE_MODES)
        self.forward_layer = self.layer = layer._half(_prefixed("forward_", layer.name), align=False)
        self.backward_layer = back._half(_prefixed("backward_", back.name), align=True)
        self.weights = None  # those given become the variables' first values and are configuration no longer
        self._first_weights = weights
        common = {"input_shape": layer.input_shape, **common}
        super().__init__([self.forward_layer, self.backward_layer], common)
        self.return_sequences, self.return_state = layer.return_sequences, layer.return_state
        self.stateful = layer.stateful
        self.units = layer.units + back.units if merge_mode == "concat" else layer.units
        self.state_count = layer.state_count + back.state_count
        self.y_count = 2 if merge_mode is None else 1

    # ---- building -----------------------------------------------------------------------------------------------

    def _declare(self, input_shape: Shape) -> None:
        super()._declare(input_shape)
        if self._first_weights is None:
            return
        if len(self._first_weights) != len(self.variables):
            raise ValueError(
                f"{self.name}: weights must be {len(self.variables)} arrays, got {len(self._first_weights)}"
            )
        for variable, weight in zip(self.variables, self._first_weights, strict=True):
            value = as_array(weight, variable.key, np.dtype(np.float64))
            if value.shape != variable.shape:
                raise ValueError(f"{self.name}/{variable.key} must have shape {variable.shape}, got {value.shape}")
            variable.initial = fixed(value)

    @property
    def python_loop(self) -> bool:
        return any(layer.python_loop for layer in (self.forward_layer, self.backward_layer))

    def _levels(self) -> list[list[Any]]:
        both: Iterator[Any] = zip_longest(self.forward_layer._levels(), self.backward_layer._levels(), fillvalue=[])
        return [[*ahead, *back] for ahead, back in both]

    def y_shape(self, x_shape: Shape) -> Shape:
        self.backward_layer.y_shape(x_shape)
        return (*self.forward_layer.y_shape(x_shape)[:-1], self.units)

    def y_shapes(self, x_shape: Shape) -> list[Shape]:
        shapes = super().y_shapes(x_shape)
        if self.merge_mode is None:
            shapes[:2] = self.forward_layer.y_shape(x_shape), self.backward_layer.y_shape(x_shape)
        return shapes

    @property
    def state_sizes(self) -> list[int]:
        return [*self.forward_layer.state_sizes, *self.backward_layer.state_sizes]

    # ---- running ------------------------------------------------------------------------------------------------

    def _advancing(
        self, x: Any, initial_state: Any, mask: Any, *, training: bool, out: NDArray[Any] | None = None
    ) -> Advancing[tuple[Any, list[Any], Any]]:
        x = self._checked(x)
        ahead, back = self.forward_layer, self.backward_layer
        states: list[Any] = [None, None]
        if initial_state is not None:
            given = list(initial_state)
            if len(given) != self.state_count:
                raise ValueError(
                    f"{self.name}: initial_state must be a list of {self.state_count} arrays, forward first, "
                    f"got {len(given)}"
                )
            states = [given[: ahead.state_count], given[ahead.state_count :]]
        whole, first, second = self._halves(x)
        (y, final, kept), (y_back, final_back, kept_back) = yield from side_by_side(
            ahead._advancing(x, states[0], mask, training=training, out=first),
            back._advancing(x, states[1], mask, training=training, out=second),
        )
        if whole is not None and training:
            whole = whole.view()
            whole.flags.writeable = False
        outputs = (values_of(y), values_of(y_back)) if self.merge_mode == "mul" else None
        return self._merge(y, y_back, whole), [*final, *final_back], _Kept(kept, kept_back, outputs, whole)

    def _retreating(
        self, inner: _Kept, dy: Any, d_states: list[Any], need_dx: bool
    ) -> Retreating[tuple[Any, list[Any]]]:
        grads = dy if self.merge_mode is None else self._merge_backward(dy, inner.outputs)
        count = self.forward_layer.state_count
        (dx, new), (dx_back, new_back) = yield from side_by_side(
            self.forward_layer._retreating(inner.forward, grads[0], d_states[:count], need_dx),
            self.backward_layer._retreating(inner.backward, grads[1], d_states[count:], need_dx),
        )
        if inner.whole is not None:
            inner.whole.flags.writeable = True
        return _added(dx, dx_back), [*new, *new_back]

    # ---- merging, and its gradient ------------------------------------------------------------------------------

    def _halves(self, x: Batch) -> tuple[NDArray[Any] | None, NDArray[Any] | None, NDArray[Any] | None]:
        """For concatenated sequences: y, and the parts of it that the directions write."""
        if self.merge_mode != "concat" or not self.return_sequences:
            return None, None, None
        units = self.forward_layer.units
        shape = (*values_of(x).shape[:-1], self.units)
        whole = _core.empty(shape, self.dtype == np.float64)
        return whole, whole[..., :units], whole[..., units:]

    def _merge(self, y: Batch, y_back: Batch, whole: NDArray[Any] | None) -> Any:
        if whole is not None:
            return like(y, whole)
        a, b = values_of(y), values_of(y_back)
        if self.merge_mode is None:
            return [y, y_back]
        if self.merge_mode == "concat":
            return like(y, np.concatenate([a, b], axis=-1))
        return like(y, _core.merge(self.merge_mode, a, b))

    def _merge_backward(self, dy: Any, outputs: Any) -> list[Any]:
        """The gradients of both outputs; None, a missing gradient, is one for both."""
        if dy is None:
            return [None, None]
        grad = as_array(values_of(dy), "dy", self.dtype)
        if self.merge_mode == "concat":
            units = self.forward_layer.units
            if grad.shape[-1:] != (self.units,):
                raise ValueError(f"{self.name}: dy must have {self.units} features as y has, got shape {grad.shape}")
            return [like(dy, grad[..., :units]), like(dy, grad[..., units:])]
        if self.merge_mode == "mul":
            a, b = outputs
            if grad.shape != a.shape:
                raise ValueError(f"{self.name}: dy must have the shape of y, {a.shape}, got {grad.shape}")
            return [like(dy, _core.merge("mul", grad, other)) for other in (b, a)]
        if self.merge_mode == "ave":
            grad = grad.copy()
            _core.scale(grad, 0.5)
        return [like(dy, grad)] * 2


def _prefixed(prefix: str, name: str) -> str:
    """As Keras names them; made of its own halves, a Bidirectional keeps their names."""
    return name if name.startswith(prefix) else prefix + name


def _added(a: Any, b: Any) -> Any:
    """dx of both directions: forward + backward."""
    return None if a is None else like(a, _core.merge("sum", values_of(a), values_of(b)))
