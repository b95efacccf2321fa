"""A recurrent call once more, one step at a time, until an output or a gradient is not finite."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from latchwork import _core, functional
from latchwork.layers.cell import Cell, CoreCell, States
from latchwork.layers.dense import values_of
from latchwork.layers.loop import Loop, steps_of
from latchwork.layers.recurrent import Recurrent
from latchwork.layers.stacked import StackedRNNCells
from latchwork.ragged import Ragged

# By cell, in the order of the kernel's columns.
GATES = {
    "lstm": ("input gate i", "forget gate f", "candidate g", "output gate o"),
    "gru": ("update gate z", "reset gate r", "candidate n"),
    "gru_reset_before": ("update gate z", "reset gate r", "candidate n"),
    "elman": ("candidate h",),
}


class FoundError(Exception):
    """The first values that are not finite, and where in the batch they are, as far as that is known."""

    def __init__(self, what: str, sample: int | None = None, steps: Sequence[int] = (), detail: str = "") -> None:
        super().__init__(what)
        self.what, self.sample, self.steps, self.detail = what, sample, list(steps), detail

    def __str__(self) -> str:
        sample = [] if self.sample is None else [f"sample {self.sample} of the batch"]
        steps = [f"{'inner ' * (depth > 0)}time step {step}" for depth, step in enumerate(self.steps)]
        return ", ".join([self.what, *sample, *steps, *([self.detail] if self.detail else [])])


def of_output(path: str) -> str:
    return f"the first output that is not finite is that of layer {path!r}"


def of_gradient(name: str) -> str:
    return f"the first gradient that is not finite is that of {name}"


def finite(values: Any) -> bool:
    """Whether an array, a Ragged or all of a list of them are; None is."""
    parts = values if isinstance(values, (list, tuple)) else [values]
    arrays = [values_of(part) for part in parts if part is not None]
    return all(array.dtype.kind != "f" or _core.all_finite(np.ascontiguousarray(array)) for array in arrays)


def first_bad_row(*arrays: NDArray[Any]) -> int | None:
    """The first row that is not finite in one of the arrays, which have the same rows."""
    bad = np.zeros(len(arrays[0]), np.bool_)
    for array in arrays:
        bad |= ~np.isfinite(array).reshape(len(bad), -1).all(1)
    return int(bad.argmax()) if bad.any() else None


class Clock:
    """The step at which a loop over a batch of sequences is."""

    at = -1

    def start(self, x: Any, mask: Any, backwards: bool) -> None:
        """Before the first step."""
        steps = steps_of(x, mask, backwards, align=True)
        self._steps = [step for step in steps if len(step.real)]  # a cell runs on no others
        self._first = x.offsets[:-1] if isinstance(x, Ragged) else np.arange(len(x)) * x.shape[1]
        self.at = -1

    def turn(self) -> None:
        """At the last step, to go back from it."""
        self.at = len(self._steps) - 1

    def place(self, row: int | None) -> tuple[int | None, list[int]]:
        """The sample of a row of this step, and the time step, as the user counts it: masked ones too.

        Where no row is to blame the time step is named if it is the same for all.
        """
        step = self._steps[self.at]
        times = step.read - self._first[step.real]
        if row is None and len(step.real) > 1:
            return None, [int(times[0])] if (times == times[0]).all() else []
        return int(step.real[row or 0]), [int(times[row or 0])]


Put = Callable[[Any, str, Any], None]  # an object, one of its methods, what is called in its place


def watch_call(path: str, layer: Recurrent, put: Put) -> None:
    """Let a layer that asks the core raise FoundError: where its answer is not finite, or its gradients will not be."""
    advanced, backward_call = layer._advanced, layer._backward_call
    calls: dict[int, tuple[Any, functional.Call]] = {}  # by the context, which is kept so that no other has its number

    def watched_advanced(call: functional.Call, y: Any, states: Any, core: Any) -> Any:
        if not finite([y, *states]):
            _Replay(path, layer, call).forward()
        calls[id(core)] = core, call
        return advanced(call, y, states, core)

    def watched_backward_call(inner: Any, dy: Any, d_states: list[Any], need_dx: bool) -> functional.BackwardCall:
        asked = backward_call(inner, dy, d_states, need_dx)
        _Replay(path, layer, calls[id(inner.core)][1], need_dx).backward(asked.dy, asked.dstate or ())
        return asked

    put(layer, "_advanced", watched_advanced)
    put(layer, "_backward_call", watched_backward_call)


def watch_loop(path: str, loop: Loop, put: Put) -> None:
    """Let the cells of a loop in Python raise FoundError."""
    advance, backward = loop.advance, loop.backward
    clock = Clock()

    def watched_advance(x: Any, states: States, mask: Any, training: bool) -> Any:
        clock.start(x, mask, loop.backwards)
        return advance(x, states, mask, training)

    def watched_backward(ctx: Any, dy: Any, d_states: States) -> Any:
        clock.turn()
        return backward(ctx, dy, d_states)

    put(loop, "advance", watched_advance)
    put(loop, "backward", watched_backward)

    def watch(cell: Cell, path: str, leads: bool) -> None:
        watch_cell(cell, path, clock, leads, put)
        for inner in cell.cells if isinstance(cell, StackedRNNCells) else ():
            watch(inner, f"{path}/{inner.name}", leads=False)

    watch(loop.cell, f"{path}/{loop.cell.name}", leads=True)


def watch_cell(cell: Cell, path: str, clock: Clock, leads: bool, put: Put) -> None:
    """Let a cell in a loop raise FoundError. `leads`: it is called once a step, and not within one that is."""
    forward, backward = cell.forward, cell.backward
    core: Recurrent | None = cell.layer if isinstance(cell, (CoreCell, _FusedStep)) else None

    def watched_forward(x: Any, states: States, training: bool = False) -> Any:
        clock.at += leads
        y, new, ctx = forward(x, states, training)
        row = first_bad_row(y, *new)
        if row is None:
            return y, new, ctx
        one = slice(row, row + 1)
        if not finite(x[one]):
            detail = "whose x is not finite"
        else:
            detail = "" if core is None else _gate(core, x[one], [state[one] for state in states])
        raise FoundError(of_output(path), *clock.place(row), detail)

    def watched_backward(ctx: Any, dy: Any, dstates: States) -> Any:
        row = first_bad_row(dy)
        if row is not None:
            raise FoundError(of_gradient(f"the output of layer {path!r}"), *clock.place(row))
        dx, back = backward(ctx, dy, dstates)
        row = first_bad_row(dx, *back)
        found = [(name, gradient) for name, gradient in _gradients(cell) if not finite(gradient)]
        if found:
            if row is None and isinstance(cell, _FusedStep):
                row = cell.row_to_blame(ctx, dy, dstates)
            detail = "" if core is None else _gate_of(core, found[0][1])
            raise FoundError(of_gradient(found[0][0]), *clock.place(row), detail)
        if not finite(back):
            raise FoundError(of_gradient(f"the state of layer {path!r}"), *clock.place(row))
        if row is not None and not (isinstance(cell, _FusedStep) and not cell.need_dx):
            raise FoundError(of_gradient(f"the input of layer {path!r}"), *clock.place(row))
        clock.at -= leads
        return dx, back

    put(cell, "forward", watched_forward)
    put(cell, "backward", watched_backward)


class _Replay:
    """One call of the core, as a loop over its steps."""

    def __init__(self, path: str, layer: Recurrent, call: functional.Call, need_dx: bool = True) -> None:
        self._call, self._clock = call, Clock()
        self._states = [np.zeros((len(call.x), layer.units), layer.dtype) for _ in range(layer.state_count)]
        if call.state is not None:
            self._states = [*call.state]
        cell = _FusedStep(layer, call, need_dx)
        watch_cell(cell, path, self._clock, True, setattr)
        self._loop = Loop(
            cell, sequences=call.return_sequences, backwards=call.reverse, align=call.align,
            zero_output_for_mask=call.return_sequences and not call.hold,
        )  # fmt: skip

    def forward(self) -> Any:
        """What the loop's backward needs."""
        self._clock.start(self._call.x, self._call.mask, self._call.reverse)
        return self._loop.advance(self._call.x, self._states, self._call.mask, True)[2]

    def backward(self, dy: Any, d_states: Sequence[Any]) -> None:
        context = self.forward()
        self._clock.turn()
        given = d_states or [None] * len(self._states)
        pairs = zip(given, self._states, strict=True)
        self._loop.backward(context, dy, [np.zeros_like(state) if d is None else d for d, state in pairs])


class _FusedStep(Cell):
    """One step of a call, and the gradients of all steps so far, which are not the layer's."""

    def __init__(self, layer: Recurrent, call: functional.Call, need_dx: bool) -> None:
        super().__init__()
        self.layer, self.need_dx = layer, need_dx
        self.state_size, self.cell = [layer.units] * layer.state_count, call.cell
        options = {"activation": call.activation, "recurrent_activation": call.recurrent_activation}
        self.options: dict[str, Any] = {**options, "return_sequences": False}
        values = [np.ascontiguousarray(variable.value) for variable in layer.variables]
        self.params = values[0], values[1], values[2] if layer.use_bias else None
        self.sums = [np.zeros_like(value) for value in values]

    def forward(self, x: Any, states: Any, training: bool = False) -> Any:  # type: ignore[override]
        call = functional.Call(self.cell, x[:, None], self.params, tuple(states), **self.options)
        [(y, new, core)] = functional.forward([call])
        return y, [*new], (core, x, states)

    def backward(self, ctx: Any, dy: Any, dstates: Any) -> Any:  # type: ignore[override]
        [found] = functional.backward([functional.BackwardCall(ctx[0], dy, dstates, out=[*self.sums, None][:3])])
        assert isinstance(found.x, np.ndarray)
        return found.x[:, 0], [*found.state]

    def row_to_blame(self, ctx: Any, dy: Any, dstates: Any) -> int | None:
        """The first row that has gradients of the parameters that are not finite by itself."""
        _, x, states = ctx
        for row in range(len(x)):
            one = slice(row, row + 1)
            *_, kept = type(self).forward(self, x[one], [state[one] for state in states])
            call = functional.BackwardCall(kept[0], dy[one], [d[one] for d in dstates])
            [found] = functional.backward([call])
            if not finite([found.kernel, found.recurrent_kernel, found.bias]):
                return row
        return None


def _gradients(cell: Cell) -> list[tuple[str, NDArray[Any]]]:
    """Those of its parameters, by name."""
    if isinstance(cell, _FusedStep):
        return [(variable.name, total) for variable, total in zip(cell.layer.variables, cell.sums, strict=True)]
    return [(variable.name, variable.gradient) for variable in cell.variables]


def _gate_of(layer: Recurrent, gradient: NDArray[Any]) -> str:
    """The first gate in whose columns a gradient is not finite."""
    columns = np.isfinite(gradient).reshape(-1, layer.gates * layer.units).all(0)
    return GATES[layer._cell()][int(columns.argmin()) // layer.units]


def _gate(layer: Recurrent, row: NDArray[Any], state: Sequence[NDArray[Any]]) -> str:
    """The first gate whose pre-activation is NaN, or else infinite; the state itself where all are finite."""
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
