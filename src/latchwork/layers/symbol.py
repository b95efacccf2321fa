"""Symbols: what a layer will return once a model runs. Calling layers on them builds the graph of a `Model`."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from latchwork.layers.arguments import Shape, check_fit, shape_text

if TYPE_CHECKING:
    from latchwork.layers.base import Layer

_CALLS = itertools.count()  # a call made later reads symbols made before: their order is an order to run them in


class Symbol:
    """An array of a graph, as `layer(Input(...))` returns it: `lw.models.Model` takes it as an output.

    Args:
        shape: Of one sample, None where any size runs.
        call: The call of a layer that makes it; None for an `Input`.
        index: Its place among the arrays that the call returns.

    >>> from latchwork.layers import Dense, Input
    >>> Dense(2)(Input((5, 3)))
    <Symbol (B, 5, 2) of dense>
    """

    def __init__(self, shape: Shape, call: Call | None = None, index: int = 0) -> None:
        self.shape, self.call, self.index = shape, call, index

    def __array__(self, *_: Any, **__: Any) -> Any:
        raise TypeError(f"{self!r} holds no numbers: give it to layers, and arrays to the model that they make")

    def __repr__(self) -> str:
        return f"<Symbol {shape_text(self.shape)} of {'nothing' if self.call is None else self.call.layer.name}>"


@dataclass(eq=False, repr=False)
class Call:
    """One call of a layer on symbols: what it reads, and what it returns."""

    layer: Layer
    x: list[Symbol]
    states: list[Symbol]
    number: int = field(default_factory=lambda: next(_CALLS))
    y: list[Symbol] = field(default_factory=list)


def is_symbolic(*given: Any) -> bool:
    """Whether a symbol is among what a layer is called with."""
    return any(
        isinstance(each, Symbol) or (isinstance(each, (list, tuple)) and any(isinstance(one, Symbol) for one in each))
        for each in given
    )


def call_on_symbols(layer: Layer, x: Any, initial_state: Any = None, mask: Any = None, training: bool = False) -> Any:
    """What `layer` will return for symbols x: a Symbol, or the list of them where it returns several arrays.

    Raises:
        ValueError: The layer does not fit, belongs to a model already, or an argument is no symbol.
    """
    name, owner = layer.name, None if layer._model is None else layer._model()
    if owner is not None:
        raise ValueError(f"{name}: it already belongs to {owner.name!r}, and a graph needs layers of its own")
    if mask is not None or training:
        raise ValueError(f"{name}: in a graph mask and training must be left out: masks flow by themselves, fit trains")
    inputs = _symbols(x, f"{name}: x", layer.many_inputs)
    states = [] if initial_state is None else _symbols(initial_state, f"{name}: initial_state", True)
    shapes = [symbol.shape for symbol in inputs]
    if layer.input_shape is not None and not layer.many_inputs:
        check_fit(shapes[0], layer.any_steps(layer.input_shape), name)
    x_shape: Any = shapes if layer.many_inputs else shapes[0]
    found = layer.y_shapes(x_shape)
    _check_states(layer, states)
    layer.declare(x_shape)
    call = Call(layer, inputs, states)
    call.y = [Symbol(shape, call, i) for i, shape in enumerate(found)]
    layer._calls += 1
    return call.y if len(call.y) > 1 else call.y[0]


def _symbols(given: Any, what: str, many: bool) -> list[Symbol]:
    parts = list(given) if isinstance(given, (list, tuple)) else [given]
    if isinstance(given, (list, tuple)) and not many:
        raise ValueError(f"{what} must be one symbol, got a list of {len(parts)}: states go into initial_state=")
    for part in parts:
        if not isinstance(part, Symbol):
            raise ValueError(f"{what} must hold symbols (of Input or layers) alone, got {type(part).__name__}")
    return parts


def _check_states(layer: Layer, states: list[Symbol]) -> None:
    if layer.stateful and (states or layer._calls):
        what = "takes no initial_state" if states else "can be called once only"
        raise ValueError(f"{layer.name}: in a graph a stateful layer {what}: it goes on where the batch before ended")
    if not states:
        return
    expected = [(size,) for size in layer.state_sizes]
    if [symbol.shape for symbol in states] != expected:
        got = ", ".join(shape_text(symbol.shape) for symbol in states)
        wanted = ", ".join(map(shape_text, expected)) or "nothing"
        raise ValueError(f"{layer.name}: initial_state must be {wanted}, got {got}")
