"""Bidirectional: one recurrent layer forwards, one backwards."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from latchwork import _core
from latchwork.layers.arguments import Shape, as_array
from latchwork.layers.base import Batch, fixed
from latchwork.layers.dense import like, values_of
from latchwork.layers.recurrent import Recurrent
from latchwork.layers.wrapper import Wrapper
from latchwork.names import resolve

MERGE_MODES = ("concat", "sum", "mul", "ave")


class _Context(NamedTuple):
    """Both layers' contexts, and both outputs where the product rule reads them."""

    forward: Any
    backward: Any
    outputs: tuple[NDArray[Any], NDArray[Any]] | None
    given_state: bool
    whole: NDArray[Any] | None  # a concatenated y, which backward reads: locked until then


class Bidirectional(Wrapper):
    """Reads a sequence in both directions: y of a step has seen what is before it and what is behind it.

    layer: an LSTM, GRU or SimpleRNN; it serves as a pattern, two layers of its configuration are made. backward_layer:
    one with go_backwards=True for the way back, None for the same as forward. merge_mode: "concat" (y [..., 2 units]),
    "sum", "mul", "ave", or None, which returns both. States are the forward layer's, then the backward layer's, in
    `initial_state` as in what return_state returns: [y, *states], with merge_mode None [y, y_backwards, *states].
    Without return_sequences y is of the last step of each direction. Masks and `lw.Ragged` as in the layer, but y is 0
    at masked steps whatever the layer's zero_output_for_mask: "the last output" would be another step's in each half.
    Variables: "bidirectional/forward_lstm/kernel", ..., "bidirectional/backward_lstm/kernel", ...

    `backward(ctx, dy)` takes dy like the result and returns dx; [dx, *dstates] when forward was given initial states.

    >>> import numpy as np
    >>> from latchwork.layers import GRU
    >>> Bidirectional(GRU(5, return_sequences=True))(np.ones((2, 3, 4))).shape
    (2, 3, 10)
    """

    takes_mask = supports_masking = True

    def __init__(
        self,
        layer: Recurrent,
        merge_mode: str | None = "concat",
        weights: Sequence[ArrayLike] | None = None,
        backward_layer: Recurrent | None = None,
        **common: Any,
    ) -> None:
        for name, given in (("layer", layer), ("backward_layer", backward_layer)):
            if not isinstance(given, Recurrent) and not (given is None and name == "backward_layer"):
                raise ValueError(f"Bidirectional: {name} must be an LSTM, GRU or SimpleRNN, got {given!r}")
        back = layer if backward_layer is None else backward_layer
        if layer.go_backwards or (backward_layer is not None and not backward_layer.go_backwards):
            raise ValueError("Bidirectional: layer must go forwards and backward_layer have go_backwards=True")
        for name in ("return_sequences", "return_state", "stateful"):
            if getattr(layer, name) != getattr(back, name):
                raise ValueError(f"Bidirectional: {name} must be the same in layer and backward_layer")
        if merge_mode in ("sum", "mul", "ave") and layer.units != back.units:
            raise ValueError(f"Bidirectional: units must be the same for merge_mode={merge_mode!r}")
        self.merge_mode = None if merge_mode is None else resolve("merge_mode", merge_mode, MERGE_MODES)
        self.forward_layer = self.layer = layer.copied(_prefixed("forward_", layer.name), align=False)
        self.backward_layer = back.copied(_prefixed("backward_", back.name), align=True)
        self.weights = None  # those given become the variables' first values and are configuration no longer
        self._first_weights = weights
        common = {"input_shape": layer.input_shape, **common}
        super().__init__([self.forward_layer, self.backward_layer], common)
        self.return_sequences, self.return_state = layer.return_sequences, layer.return_state
        self.stateful = layer.stateful

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
    def outputs(self) -> int:
        states = self.forward_layer.state_count + self.backward_layer.state_count
        return (2 if self.merge_mode is None else 1) + (states if self.return_state else 0)

    def y_shape(self, x_shape: Shape) -> Shape:
        *steps, units = self.forward_layer.y_shape(x_shape)
        *_, more = self.backward_layer.y_shape(x_shape)
        assert units is not None
        assert more is not None
        return (*steps, units + more if self.merge_mode == "concat" else units)

    def compute_mask(self, x: Any, mask: Any) -> Any:
        return mask if self.return_sequences else None

    # ---- running ------------------------------------------------------------------------------------------------

    def __call__(
        self,
        x: Any,
        initial_state: Sequence[ArrayLike] | None = None,
        mask: ArrayLike | None = None,
        training: bool = False,
    ) -> Any:
        self._no_graph(x)
        return self.forward(x, initial_state, mask, training=training)[0]

    def forward(
        self,
        x: Any,
        initial_state: Sequence[ArrayLike] | None = None,
        mask: ArrayLike | None = None,
        *,
        training: bool = True,
        step: int | None = None,
    ) -> tuple[Any, Any]:
        if self.stateful and initial_state is None:
            raise ValueError(
                f"{self.name}: stateful=True carries states in a model: add it to one or give initial_state"
            )
        y, states, ctx = self.advance(x, initial_state, mask, training=training, step=step)
        if ctx is not None and initial_state is not None:
            ctx = ctx._replace(given_state=True)
        parts = [*(y if self.merge_mode is None else [y]), *(states if self.return_state else [])]
        return (parts if len(parts) > 1 else parts[0]), ctx

    def advance(
        self, x: Any, initial_state: Any = None, mask: Any = None, *, training: bool, step: int | None = None
    ) -> tuple[Any, list[Any], Any]:
        x = self._checked(x)
        ahead, back = self.forward_layer, self.backward_layer
        states: list[Any] = [None, None]
        if initial_state is not None:
            given, count = list(initial_state), ahead.state_count + back.state_count
            if len(given) != count:
                raise ValueError(
                    f"{self.name}: initial_state must be a list of {count} arrays, forward first, got {len(given)}"
                )
            states = [given[: ahead.state_count], given[ahead.state_count :]]
        whole, first, second = self._halves(x)
        y, final, ctx = ahead.advance(x, states[0], mask, training=training, step=step, out=first)
        y_back, final_back, ctx_back = back.advance(x, states[1], mask, training=training, step=step, out=second)
        if whole is not None and training:
            whole = whole.view()
            whole.flags.writeable = False
        ctx = _Context(
            ctx._replace(given_state=initial_state is not None),
            ctx_back._replace(given_state=initial_state is not None),
            (values_of(y), values_of(y_back)) if self.merge_mode == "mul" else None,
            given_state=False,
            whole=whole,
        ) if training else None  # fmt: skip
        return self._merge(y, y_back, whole), [*final, *final_back], ctx

    def backward(self, ctx: Any, dy: Any, *, need_dx: bool = True) -> Any:
        parts = list(dy) if isinstance(dy, (list, tuple)) else [dy]
        if len(parts) != self.outputs:
            raise ValueError(
                f"{self.name}: dy must be {self.outputs} arrays, like what forward returned, got {len(parts)}"
            )
        if self.merge_mode is None:
            grads, d_states = parts[:2], parts[2:]
        else:
            grads, d_states = self._merge_backward(parts[0], ctx.outputs), parts[1:]
        found = []
        for layer, inner, grad in zip(self.inner, (ctx.forward, ctx.backward), grads, strict=True):
            assert isinstance(layer, Recurrent)
            own, d_states = d_states[: layer.state_count], d_states[layer.state_count :]
            found.append(layer.backward(inner, [grad, *own] if self.return_state else grad, need_dx=need_dx))
        if ctx.whole is not None:
            ctx.whole.flags.writeable = True
        if not isinstance(found[0], list):
            return _added(*found)
        dx, back = _added(found[0][0], found[1][0]), found[0][1:] + found[1][1:]
        return [dx, *back] if ctx.given_state else dx

    # ---- merging, and its gradient ------------------------------------------------------------------------------

    def _halves(self, x: Batch) -> tuple[NDArray[Any] | None, NDArray[Any] | None, NDArray[Any] | None]:
        """For concatenated sequences: y, and the parts of it that the directions write."""
        if self.merge_mode != "concat" or not self.return_sequences:
            return None, None, None
        units = self.forward_layer.units
        shape = (*values_of(x).shape[:-1], units + self.backward_layer.units)
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
        if self.merge_mode == "mul":
            return like(y, a * b)
        return like(y, a + b if self.merge_mode == "sum" else (a + b) * a.dtype.type(0.5))

    def _merge_backward(self, dy: Any, outputs: Any) -> list[Any]:
        """The gradients of both outputs; None, a missing gradient, is one for both."""
        if dy is None:
            return [None, None]
        grad = as_array(values_of(dy), "dy", self.dtype)
        if self.merge_mode == "concat":
            units = self.forward_layer.units
            if grad.shape[-1:] != (units + self.backward_layer.units,):
                width = units + self.backward_layer.units
                raise ValueError(f"{self.name}: dy must have {width} features as y has, got shape {grad.shape}")
            return [like(dy, grad[..., :units]), like(dy, grad[..., units:])]
        if self.merge_mode == "mul":
            a, b = outputs
            if grad.shape != a.shape:
                raise ValueError(f"{self.name}: dy must have the shape of y, {a.shape}, got {grad.shape}")
            return [like(dy, grad * b), like(dy, grad * a)]
        both = like(dy, grad * grad.dtype.type(0.5) if self.merge_mode == "ave" else grad)
        return [both, both]


def _prefixed(prefix: str, name: str) -> str:
    """As Keras names them; made of its own halves, a Bidirectional keeps their names."""
    return name if name.startswith(prefix) else prefix + name


def _added(a: Any, b: Any) -> Any:
    """dx of both directions: forward + backward, in place of the first."""
    return None if a is None else like(a, np.add(values_of(a), values_of(b), out=values_of(a)))
