"""Where a step first met NaN or infinity: found by running it once more under observation, after the fact."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from latchwork import _core, functional
from latchwork.layers.arena import Arena
from latchwork.layers.base import Layer
from latchwork.layers.dense import values_of
from latchwork.layers.recurrent import Recurrent
from latchwork.models.figures import NonFiniteError
from latchwork.ragged import Ragged

# By cell, in the order of the kernel's columns.
GATES = {
    "lstm": ("input gate i", "forget gate f", "candidate g", "output gate o"),
    "gru": ("update gate z", "reset gate r", "candidate n"),
    "gru_reset_before": ("update gate z", "reset gate r", "candidate n"),
    "elman": ("candidate h",),
}


class _FoundError(Exception):
    """Ends the second run."""


def where_it_began(layers: list[Layer], arena: Arena, step: Callable[[], Any]) -> str:
    """The layer, and of a recurrent one the sample, time step and gate, whose output or gradient is the first that is
    not finite when `step` is run once more, behind "; "; "" if none is: the loss itself.

    `step` must compute what it computed before, and raise NonFiniteError again if it is not stopped before that.
    """
    before = arena.params.copy()
    try:
        with _watched(layers):
            step()
    except _FoundError as found:
        return f"; {found}"
    except NonFiniteError:
        pass
    finally:
        arena.params[...] = before  # moving averages of layers that ran
    return ""


@contextmanager
def _watched(layers: list[Layer]) -> Iterator[None]:
    """Lets every layer raise _FoundError at the first values that are not finite."""
    for layer in layers:
        for name, watch in (("forward", _forward), ("advance", _forward), ("backward", _backward)):
            if hasattr(layer, name):
                vars(layer)[name] = watch(layer, getattr(layer, name))
    try:
        yield
    finally:
        for layer in layers:
            for name in ("forward", "advance", "backward"):
                vars(layer).pop(name, None)


def _forward(layer: Layer, run: Callable[..., Any]) -> Callable[..., Any]:
    def watched(x: Any, *args: Any, **options: Any) -> Any:
        result = run(x, *args, **options)
        if not _finite(result[0]):
            place = ""
            if isinstance(layer, Recurrent):
                state = args[0] if args else options.get("initial_state")
                place = _place(layer, x, state, options.get("mask"), result[0])
            raise _FoundError(f"the first output that is not finite is that of layer {layer.name!r}{place}")
        return result

    return watched


def _backward(layer: Layer, run: Callable[..., Any]) -> Callable[..., Any]:
    def watched(*args: Any, **options: Any) -> Any:
        dx = run(*args, **options)
        for variable in layer.variables:
            if not _finite(variable.gradient):
                gate = _gate_of(layer, variable.gradient)
                raise _FoundError(f"the first gradient that is not finite is that of {variable.name}{gate}")
        if dx is not None and not _finite(dx):
            raise _FoundError(f"the first gradient that is not finite is that of the input of layer {layer.name!r}")
        return dx

    return watched


def _finite(values: Any) -> bool:
    parts = values if isinstance(values, (list, tuple)) else [values]
    arrays = [values_of(part) for part in parts if part is not None]
    return all(array.dtype.kind != "f" or _core.all_finite(np.ascontiguousarray(array)) for array in arrays)


def _gate_of(layer: Layer, gradient: NDArray[Any]) -> str:
    if not isinstance(layer, Recurrent):
        return ""
    names, columns = GATES[layer._cell()], np.isfinite(gradient).reshape(-1, gradient.shape[-1]).all(0)
    gate = int(columns.argmin()) // layer.units
    return f", {names[gate]}"


def _place(layer: Recurrent, x: Any, initial: Any, mask: Any, y: Any) -> str:
    """The sample, time step and gate where a recurrent layer's output began not to be finite."""
    sample = _first_bad(y)
    steps, sequence = _sequence(x, mask, sample)
    order = range(len(steps) - 1, -1, -1) if layer.go_backwards else range(len(steps))
    options = {key: layer._options[key] for key in ("activation", "recurrent_activation") if key in layer._options}
    zero = np.zeros((1, layer.units), layer.dtype)
    state = tuple(s[sample : sample + 1] for s in initial) if initial is not None else (zero,) * layer.state_count
    for i in order:
        row = np.ascontiguousarray(sequence[i][None, None])
        call = functional.Call(layer._cell(), row, layer._weights, state, **options)
        [(_, after, _)] = functional.forward([call], training=False)
        if not _finite(after):
            return f", sample {sample} of the batch, time step {steps[i]}, {_gate(layer, row[0], state)}"
        state = after
    return f", sample {sample} of the batch"


def _first_bad(y: Any) -> int:
    y = y[0] if isinstance(y, list) else y
    finite = np.isfinite(values_of(y))
    if isinstance(y, Ragged):
        row = int(finite.all(-1).argmin())
        return int(np.searchsorted(y.offsets, row, side="right")) - 1
    return int(finite.reshape(len(finite), -1).all(1).argmin())


def _sequence(x: Any, mask: Any, sample: int) -> tuple[NDArray[np.int64], NDArray[Any]]:
    """The numbers of the real steps of one sample, and their rows."""
    if isinstance(x, Ragged):
        rows = x[sample]
        real = None if mask is None else np.asarray(mask)[x.offsets[sample] : x.offsets[sample + 1]]
    else:
        rows, real = x[sample], None if mask is None else np.asarray(mask)[sample]
    steps = np.arange(len(rows)) if real is None else np.flatnonzero(real)
    return steps, rows[steps]


def _gate(layer: Recurrent, row: NDArray[Any], state: tuple[NDArray[Any], ...]) -> str:
    """The first gate whose pre-activation is NaN, or else infinite; the state itself where all are finite."""
    if not _finite(row):
        return "whose x is not finite"
    kernel, recurrent_kernel = (np.ascontiguousarray(variable.value) for variable in layer.variables[:2])
    total = functional.dense(row, (kernel, None), training=False)[0]
    with np.errstate(all="ignore"):
        total = total + functional.dense(state[0], (recurrent_kernel, None), training=False)[0]
        for bias in layer.variables[2:]:
            for part in bias.value.reshape(-1, kernel.shape[1]):
                total = total + part
    for bad in (np.isnan(total), np.isinf(total)):
        gates = bad.reshape(layer.gates, layer.units).any(1)
        if gates.any():
            return GATES[layer._cell()][int(gates.argmax())]
    return "the state itself"
