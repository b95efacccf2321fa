"""A recurrent layer step by step: its states, what its gates were, and the gradients of its states."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from latchwork import _core, functional
from latchwork.layers import Bidirectional
from latchwork.models.batches import Rows, rows_between
from latchwork.models.replay import GATES
from latchwork.ragged import Ragged
from latchwork.viz.running import Watched, at_rest, layer_of, one_call, watching

Array = NDArray[Any]
ROWS_AT_ONCE = 256
DIRECTIONS = ("forward", "backward")
STATES = {"h": "hidden state h", "c": "cell state c"}


class Steps(NamedTuple):
    """What one direction of a recurrent layer reads, padded; `layer` is a Recurrent."""

    layer: Any
    x: Array  # [B, T, F]
    real: NDArray[np.bool_]  # [B, T]
    initial: tuple[Array, ...]  # [B, H] each
    end: bool  # whether y is of the last step alone


def steps_of(layer: Any, seen: Watched, direction: str | None, verb: str) -> Steps:
    """What the layer, or that direction of a Bidirectional, was called with."""
    if not isinstance(layer, Bidirectional):
        if direction is not None:
            raise ValueError(f"{verb}: direction is for a Bidirectional, {layer.name!r} is none; got {direction!r}")
        one, states = layer, seen.initial
    else:
        if direction not in (None, *DIRECTIONS):
            raise ValueError(f"{verb}: direction must be 'forward' or 'backward', got {direction!r}")
        ahead, back = layer.forward_layer, layer.backward_layer
        states = None if seen.initial is None else list(seen.initial)
        one = back if direction == "backward" else ahead
        if states is not None:
            states = states[ahead.state_count :] if one is back else states[: ahead.state_count]
    x, real = padded(seen.x, seen.mask)
    if states is None:
        states = [np.zeros((len(x), one.units), one.dtype)] * one.state_count
    initial = tuple(np.ascontiguousarray(state, one.dtype) for state in states)
    return Steps(one, x.astype(one.dtype, copy=False), real, initial, not one.return_sequences)


def padded(x: Any, mask: Any) -> tuple[Array, NDArray[np.bool_]]:
    """x [B, T, F], and which steps are real."""
    if not isinstance(x, Ragged):
        return x, np.ones(x.shape[:2], np.bool_) if mask is None else np.asarray(mask)
    values = x.to_padded()
    real = np.arange(values.shape[1]) < x.lengths[:, None]
    if mask is not None:
        real[real] = np.asarray(mask)
    return values, real


def order(steps: Steps) -> range:
    """Step numbers in the order they are read."""
    count = steps.x.shape[1]
    return range(count - 1, -1, -1) if steps.layer.go_backwards else range(count)


class Run(NamedTuple):
    """States before and behind each step, [B, T, H] for each state, and the contexts of the steps."""

    before: list[Array]
    after: list[Array]
    contexts: list[Any]


def run(steps: Steps, *, training: bool) -> Run:
    """A call of the core for each step: the bits of one call for all, as the contract has it."""
    layer, state, (batch, count, _) = steps.layer, steps.initial, steps.x.shape
    shape = (batch, count, layer.units)
    before, after = ([np.empty(shape, layer.dtype) for _ in state] for _ in range(2))
    contexts: list[Any] = [None] * count
    for t in order(steps):
        for kept, now in zip(before, state, strict=True):
            kept[:, t] = now
        row, real = (np.ascontiguousarray(part[:, t : t + 1]) for part in (steps.x, steps.real))
        call = functional.Call(
            layer._cell(), row, layer._weights, state, mask=real, return_sequences=False, **activations(layer)
        )
        [(_, state, contexts[t])] = functional.forward([call], training=training)
        for kept, now in zip(after, state, strict=True):
            kept[:, t] = now
    return Run(before, after, contexts)


def activations(layer: Any) -> dict[str, Any]:
    """Their names, as the core takes them."""
    return {key: layer._options[key] for key in ("activation", "recurrent_activation") if key in layer._options}


def labels(layer: Any) -> dict[str, str]:
    """What the gates and states of a layer are called, by their letters."""
    gates = {} if layer._cell() == "elman" else {text[-1]: text for text in GATES[layer._cell()]}
    return gates | {letter: STATES[letter] for letter in ("h", "c")[: layer.state_count]}


def gates_of(steps: Steps, before: list[Array]) -> dict[str, Array]:
    """Every gate, [B, T, H], with the bits that it has in the core.

    A pre-activation is one chain over the bias, x and h, in this order: a dense layer's over x beside h.
    """
    layer, h = steps.layer, before[0]
    if layer._cell() == "elman":
        return {}
    names = activations(layer)
    kernel, recurrent_kernel = (np.asarray(variable.value) for variable in layer.variables[:2])
    bias = layer.variables[2].value if layer.use_bias else None
    if bias is not None and bias.ndim == 2:
        bias = bias[0] + bias[1]
    letters = [text[-1] for text in GATES[layer._cell()]]
    both = np.concatenate([steps.x, h], axis=-1)
    found = {}
    for i, letter in enumerate(letters):
        columns = slice(i * layer.units, (i + 1) * layer.units)
        if letter == "n":
            found[letter] = _candidate(steps, h)
            continue
        weights = np.concatenate([kernel[:, columns], recurrent_kernel[:, columns]])
        part = None if bias is None else np.ascontiguousarray(bias[columns])
        total, _ = functional.dense(both, (weights, part), training=False)
        found[letter] = _core.activation(names["activation" if letter == "g" else "recurrent_activation"], total)
    return found


def _candidate(steps: Steps, h: Array) -> Array:
    """n of a GRU: h' = z h + (1 - z) n is n once z is 0, whatever the weights of z."""
    layer = steps.layer
    kernel, recurrent_kernel = (np.array(variable.value) for variable in layer.variables[:2])
    rows = 2 if layer._cell() == "gru" else 1
    bias = np.zeros((rows, kernel.shape[1]), layer.dtype)
    if layer.use_bias:
        bias[...] = layer.variables[2].value
    z, names = slice(0, layer.units), activations(layer)
    kernel[:, z], recurrent_kernel[:, z], bias[:, z] = 0, 0, 0
    values = np.array([0, -1e4], layer.dtype)
    bias[0, z] = values[_core.activation(names["recurrent_activation"], values) == 0][0]
    weights = _core.RecurrentWeights(layer._cell(), kernel, recurrent_kernel, bias if rows == 2 else bias[0])
    count, units = h.shape[0] * h.shape[1], h.shape[2]
    x = np.ascontiguousarray(steps.x.reshape(count, 1, -1))
    call = functional.Call(layer._cell(), x, weights, (np.ascontiguousarray(h.reshape(count, units)),), **names)
    [(_, (n,), _)] = functional.forward([call], training=False)
    return n.reshape(h.shape)


def calls(model: Any, rows: Rows, layer: Any, direction: str | None, verb: str) -> Iterator[Steps]:
    """What the layer reads of these rows, some of them at once."""
    for start in range(0, len(rows), ROWS_AT_ONCE):
        with watching(layer) as seen:
            model._run(rows_between(rows, start, min(start + ROWS_AT_ONCE, len(rows))), False)
        steps = steps_of(layer, one_call(seen, layer, verb), direction, verb)
        if not steps.x.shape[1]:
            raise ValueError(f"{verb}: x must have at least one step, got sequences of none")
        yield steps


def all_gates(
    model: Any, x: Any, layer: Any, direction: str | None, verb: str
) -> Iterator[tuple[str, Steps, dict[str, Array]]]:
    """The layer's name, what it reads and its gates, some rows at once."""
    with at_rest(model, x, verb) as rows:
        found = layer_of(model, layer, verb)
        for steps in calls(model, rows, found, direction, verb):
            yield found.name, steps, gates_of(steps, run(steps, training=False).before)
