"""A model run to be looked at: as it predicts, and left as it was."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from latchwork.layers import Bidirectional
from latchwork.layers.base import Passing
from latchwork.layers.recurrent import Recurrent
from latchwork.models import Model, Sequential
from latchwork.models.batches import Rows, rows_between
from latchwork.models.carried import Carried
from latchwork.models.gradients import Beyond


@contextmanager
def at_rest(model: Any, x: Any, verb: str) -> Iterator[Rows]:
    """Alone with a model, built for x: its passes are those of `predict`, stateful layers begin at zero; in the end
    all is as before, the parameters' gradients too. Gives x as the model reads it."""
    if not isinstance(model, (Sequential, Model)):
        raise ValueError(f"{verb}: model must be a Sequential or a Model, got {type(model).__name__}")
    entered = model._use.enter(verb, alone=True)
    try:
        rows, _ = model._read(x)
        arena = model._built(rows)
        with _as_in_prediction(model), _kept(arena.grads):
            yield rows
    finally:
        model._use.leave(entered)


def one_row(rows: Rows, sample: Any, verb: str) -> Rows:
    """That sample alone."""
    if isinstance(sample, bool) or not isinstance(sample, (int, np.integer)) or not 0 <= sample < len(rows):
        raise ValueError(f"{verb}: sample must be a whole number within [0, {len(rows)}), got {sample!r}")
    return rows_between(rows, int(sample), int(sample) + 1)


@contextmanager
def _kept(values: NDArray[Any]) -> Iterator[None]:
    before = values.copy()
    try:
        yield
    finally:
        values[...] = before


@contextmanager
def _as_in_prediction(model: Any) -> Iterator[None]:
    """A training pass, which alone can go back, computes what `predict` computes."""
    carried, passing = model._carried, [layer.passing for layer in model.layers]
    try:
        model._carried = Carried()
        for layer in model.layers:
            layer.passing = Passing(still=True)
        yield
    finally:
        for layer, before in zip(model.layers, passing, strict=True):
            layer.passing = before
        model._carried = carried


@dataclass(eq=False)
class Watched:
    """What went into a recurrent layer, and once backward has run, the gradients of what came out."""

    x: Any
    initial: Any
    mask: Any
    dy: Any = None
    d_states: Any = None
    kept: Any = None


@contextmanager
def watching(layer: Any) -> Iterator[list[Watched]]:
    """Notes the calls of a recurrent layer of a model in `at_rest`, in order."""
    seen: list[Watched] = []
    advance, retreat = layer._advance, layer._retreat

    def advancing(x: Any, initial: Any, mask: Any, training: bool) -> Any:
        seen.append(Watched(x, initial, mask))
        return advance(x, initial, mask, training)

    def retreating(kept: Any, dy: Any, d_states: Any, need_dx: bool) -> Any:
        seen[-1].dy, seen[-1].d_states, seen[-1].kept = dy, d_states, kept
        return retreat(kept, dy, d_states, need_dx)

    try:
        layer._advance, layer._retreat = advancing, retreating
        yield seen
    finally:
        del layer._advance, layer._retreat


def one_call(seen: list[Watched], layer: Any, verb: str) -> Watched:
    """The one call of a layer that was watched."""
    if len(seen) != 1:
        raise ValueError(f"{verb}: layer {layer.name!r} is called {len(seen)} times in its model, must be once")
    return seen[0]


def layer_of(model: Any, layer: Any, verb: str) -> Any:
    """The recurrent layer that is meant: by name, itself, or None for the first one."""
    found = [each for each in model.layers if _looks_inside(each)]
    if layer is not None:
        found = [each for each in model.layers if each is layer or each.name == layer]
        if not found:
            names = ", ".join(each.name for each in model.layers)
            raise ValueError(f"{verb}: layer must be one of {model.name}'s ({names}), got {layer!r}")
    if not found or not _looks_inside(found[0]):
        what = "there is none" if not found else f"got {found[0].name!r}"
        raise ValueError(f"{verb}: layer must be an LSTM, GRU or SimpleRNN, or a Bidirectional of one: {what}")
    return found[0]


def _looks_inside(layer: Any) -> bool:
    if isinstance(layer, Bidirectional):
        return isinstance(layer.forward_layer, Recurrent) and isinstance(layer.backward_layer, Recurrent)
    return isinstance(layer, Recurrent)


def input_gradients(model: Any, contexts: list[Any], dy: Any) -> list[Any]:
    """The gradient of each of the model's inputs, None where an input has none; uses the contexts up."""
    beyond = Beyond(with_inputs=True)
    model._backward(contexts, dy, beyond)
    return list(beyond.inputs) if len(getattr(model, "input_names", "x")) > 1 else [beyond.inputs]
