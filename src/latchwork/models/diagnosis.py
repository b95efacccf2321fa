"""Where a step first met NaN or infinity: found by running it once more under observation, after the fact."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from latchwork.layers.arena import Arena
from latchwork.layers.base import Layer
from latchwork.layers.cell import Cell
from latchwork.layers.dense import values_of
from latchwork.layers.recurrent import Recurrent
from latchwork.layers.rnn import RNN
from latchwork.layers.wrapper import TimeDistributed, Wrapper
from latchwork.models.figures import NonFiniteError
from latchwork.models.replay import FoundError, Put, finite, of_gradient, of_output, watch_call, watch_loop
from latchwork.ragged import Ragged


def where_it_began(layers: list[Layer], arena: Arena, step: Callable[[], Any], first_step: int = 0) -> str:
    """The layer whose output or gradient is the first that is not finite when `step` is run once more, behind "; ".

    With it the sample, of sequences the time step, and of LSTM, GRU and SimpleRNN, in wrappers too, the gate. Backward
    the first time step is the last one in the order read. "" where nothing is found: it is the loss itself.

    Args:
        layers, arena: The model's.
        step: Must compute what it computed before, and raise NonFiniteError again if it is not stopped before that.
        first_step: The number of the first step of x, where that is a chunk of longer sequences.
    """
    before = arena.params.copy()
    try:
        with _watched(layers):
            step()
    except FoundError as found:
        if found.steps:
            found.steps[0] += first_step
        return f"; {found}"
    except NonFiniteError:
        pass
    finally:
        arena.params[...] = before  # moving averages of layers that ran
    return ""


@contextmanager
def _watched(layers: list[Layer]) -> Iterator[None]:
    """Lets every layer, those in wrappers too, raise FoundError at the first values that are not finite."""
    replaced: list[tuple[Any, str]] = []

    def put(owner: Any, name: str, watched: Any) -> None:
        vars(owner)[name] = watched
        replaced.append((owner, name))

    for layer in layers:
        _watch(layer, layer.name, put, outermost=True)
    try:
        yield
    finally:
        for owner, name in replaced:
            vars(owner).pop(name, None)


def _watch(layer: Layer, path: str, put: Put, outermost: bool) -> None:
    for name, watched in (("advance" if layer.stateful else "forward", _forward), ("backward", _backward)):
        run = getattr(layer, name)
        if isinstance(layer, TimeDistributed):
            run = _step_of_batch(run)
        run = watched(layer, path, run)
        put(layer, name, _part_of_batch(layer, run) if outermost else run)
    if isinstance(layer, Recurrent):
        watch_call(path, layer, put)
    elif isinstance(layer, RNN):
        if layer.python_loop:
            watch_loop(path, layer._loop, put)
        for fused in layer._fused:  # named as its cell, whose variables it has
            watch_call(fused.variables[0].name.rpartition("/")[0], fused, put)
    for inner in layer.inner if isinstance(layer, Wrapper) else ():
        if not isinstance(inner, Cell):
            _watch(inner, f"{path}/{inner.name}", put, outermost=False)


def _forward(layer: Layer, path: str, run: Callable[..., Any]) -> Callable[..., Any]:
    def watched(x: Any, *args: Any, **options: Any) -> Any:
        result = run(x, *args, **options)
        if not finite(result[0]):
            raise FoundError(of_output(path), *_place(result[0]))
        return result

    return watched


def _backward(layer: Layer, path: str, run: Callable[..., Any]) -> Callable[..., Any]:
    def watched(ctx: Any, dy: Any, **options: Any) -> Any:
        if not finite(dy):  # as the loss gives it, or as the sum of several readers'
            raise FoundError(of_gradient(f"the output of layer {path!r}"), *_place(dy))
        dx = run(ctx, dy, **options)
        for variable in layer.variables:
            if not finite(variable.gradient):
                raise FoundError(of_gradient(variable.name))
        if not finite(dx):
            raise FoundError(of_gradient(f"the input of layer {path!r}"), *_place(dx))
        return dx

    return watched


def _step_of_batch(run: Callable[..., Any]) -> Callable[..., Any]:
    """For TimeDistributed: a sample of its layer is a step of one of the batch."""

    def run_in_steps(*args: Any, **options: Any) -> Any:
        try:
            return run(*args, **options)
        except FoundError as found:
            if found.sample is not None:
                found.sample, step = _sequence_of(args[-1], found.sample)  # x, or dy behind ctx
                found.steps.insert(0, step)
            raise

    return run_in_steps


def _part_of_batch(layer: Layer, run: Callable[..., Any]) -> Callable[..., Any]:
    """Where gradients are accumulated, a sample of a part is counted from the first of the batch."""

    def run_part(*args: Any, **options: Any) -> Any:
        try:
            return run(*args, **options)
        except FoundError as found:
            if found.sample is not None:
                found.sample += layer.passing.first
            raise

    return run_part


def _place(values: Any) -> tuple[int | None, list[int]]:
    """The sample and, of sequences, the time step where values are not finite first."""
    parts = values if isinstance(values, (list, tuple)) else [values]
    bad = next(part for part in parts if not finite(part))
    good = np.isfinite(values_of(bad))
    if good.ndim < 3 and not isinstance(bad, Ragged):
        return int(good.reshape(len(good), -1).all(1).argmin()), []
    rows = good.reshape(len(good) if isinstance(bad, Ragged) else good.shape[0] * good.shape[1], -1)
    sample, step = _sequence_of(bad, int(rows.all(1).argmin()))
    return sample, [step]


def _sequence_of(rows: Any, step: int) -> tuple[int, int]:
    """The sample that a step of the batch is in, and its number there."""
    if not isinstance(rows, Ragged):
        sample, number = divmod(step, rows.shape[1])
        return sample, number
    sample = int(np.searchsorted(rows.offsets, step, side="right")) - 1
    return sample, step - int(rows.offsets[sample])
