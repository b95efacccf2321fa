"""What runs a layer, and why: the core's own plan of each call, in numbers and words."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from latchwork import _core
from latchwork.data.series import as_count
from latchwork.layers.arguments import Shape, as_flag, shape_text
from latchwork.names import resolve

if TYPE_CHECKING:
    from latchwork.layers.base import Layer

MEMORY = ("store", "recompute", "checkpoint")


@dataclass(frozen=True)
class CallPlan:
    """How the core runs one call of a cell, and why; from the function that plans every call.

    Args:
        name: Of the layer or cell.
        products: (operand, rows, terms, columns) of each product of a step: `[rows x terms] x [terms x columns]`.
        members: Threads that share it.
        split: What they share: "rows" of the batch, or "units" of the state.
        strip_rows: Rows whose pre-activations are made and used while they are in the first cache.
        hoist_steps: Steps whose input products are made at once, ahead; 0: fused into the step.
        kept_bytes: What forward leaves for backward beside y; 0 without training.
        forward_bytes, backward_bytes: Work space while a pass runs.
        pack_bytes: The weights once more, as the kernels read them.
        cost: Forward by the cost table, in multiply-adds of one core at its peak.
        why: A sentence for each choice: "threads", "input" and "strip".

    >>> from latchwork.layers import GRU
    >>> layer = GRU(8)
    >>> layer.build((None, None, 3))
    >>> call = layer.explain(4, 10, measure=False).levels[0][0]
    >>> call.products, call.flops, call.members
    ((('x', 4, 3, 24), ('h', 4, 8, 24)), 2112, 1)
    """

    name: str
    products: tuple[tuple[str, int, int, int], ...]
    members: int
    split: str
    strip_rows: int
    hoist_steps: int
    kept_bytes: int
    forward_bytes: int
    backward_bytes: int
    pack_bytes: int
    cost: float
    why: dict[str, str]

    @property
    def flops(self) -> int:
        """Floating-point operations of the products of one step, forward; backward has twice as many."""
        return sum(2 * rows * terms * columns for _, rows, terms, columns in self.products)


@dataclass(frozen=True, repr=False)
class Explanation:
    """What `explain` returns: numbers for programs, and a text when printed.

    Args:
        name, kind: Of the layer or model; kind is what `summary` calls it.
        batch_size, steps: What was asked for; steps is None where x has none.
        training, memory: As asked for: with the backward pass, and what it keeps (see `lw.functional.lstm`).
        isa: The instruction set in use.
        note: What a layer without calls of the core is, in one line.
        levels: Its calls of the core. Those of one level are independent: both directions of a `Bidirectional`.
        together: For each level how its calls are run, where there are several; "" for one.
        side_by_side: For each level whether its calls run at once, each on threads of its own.
        costs: What the cost table says of each level, as `CallPlan.cost`.
        forward_ns, backward_ns: Measured nanoseconds a step, Python's share included; None where not measured.
        parts: The layers of a model, the layer within a `TimeDistributed`.

    >>> from latchwork.layers import LSTM, Dense
    >>> from latchwork.models import Sequential
    >>> model = Sequential([LSTM(8, input_shape=(None, 3)), Dense(1)])
    >>> found = model.explain(4, 10, training=True)
    >>> [part.name for part in found.parts], found.parts[0].threads, found.kept_bytes > 0, found.forward_ns > 0
    (['lstm', 'dense'], 1, True, True)
    """

    name: str
    kind: str
    batch_size: int
    steps: int | None
    training: bool
    memory: str
    isa: str
    note: str = ""
    levels: tuple[tuple[CallPlan, ...], ...] = ()
    together: tuple[str, ...] = ()
    side_by_side: tuple[bool, ...] = ()
    costs: tuple[float, ...] = ()
    forward_ns: float | None = None
    backward_ns: float | None = None
    parts: tuple[Explanation, ...] = ()

    @property
    def threads(self) -> int:
        """The most threads that work at once."""
        counts = (
            sum(call.members for call in calls) if at_once else max(call.members for call in calls)
            for calls, at_once in zip(self.levels, self.side_by_side, strict=True)
        )
        return max([1, *counts, *(part.threads for part in self.parts)])

    @property
    def kept_bytes(self) -> int:
        """What all calls leave for backward, beside their outputs."""
        return sum(call.kept_bytes for calls in self.levels for call in calls) + sum(p.kept_bytes for p in self.parts)

    @property
    def pack_bytes(self) -> int:
        """The weights once more, as the kernels read them."""
        return sum(call.pack_bytes for calls in self.levels for call in calls) + sum(p.pack_bytes for p in self.parts)

    @property
    def cost(self) -> float:
        """Forward by the cost table, as `CallPlan.cost`; 0 where nothing runs in the core."""
        return math.fsum(self.costs) + math.fsum(part.cost for part in self.parts)

    @property
    def flops(self) -> int:
        """Floating-point operations of the products of one step, forward."""
        return sum(call.flops for calls in self.levels for call in calls) + sum(part.flops for part in self.parts)

    def __str__(self) -> str:
        passes = f"training, memory={self.memory!r}" if self.training else "inference"
        size = count_text(self.batch_size, "row") + (
            "" if self.steps is None else f" x {count_text(self.steps, 'step')}"
        )
        return "\n".join([f"{self.name} ({self.kind}): {size}, {passes}, {self.isa}", *self._lines("  ")])

    __repr__ = __str__

    def _lines(self, margin: str) -> list[str]:
        lines = [f"{margin}{self.note}"] if self.note else []
        for calls, together in zip(self.levels, self.together, strict=True):
            lines += [f"{margin}{'together':<10}{together}"] if together else []
            for call in calls:
                if len(self.levels) > 1 or len(calls) > 1:
                    lines.append(f"{margin}{call.name}")
                lines += [f"{margin}{label:<10}{text}" for label, text in _said(call, self.training)]
        for part in self.parts:
            lines += [f"{margin}{part.name} ({part.kind})", *part._lines(margin + "  ")]
        if self.forward_ns is not None:
            lines.append(f"{margin}{'measured':<10}{self._measured(self.forward_ns)}")
        return lines

    def _measured(self, forward_ns: float) -> str:
        step = "" if self.steps is None else " a step"
        text = f"{forward_ns:,.0f} ns{step}, forward"
        if self.flops and not self.parts:
            text += f" ({self.flops / forward_ns:.1f} GFLOP/s)"
        return text if self.backward_ns is None else f"{text}, and {self.backward_ns:,.0f} ns backward"


def count_text(number: int, what: str) -> str:
    """1 row, 2 rows."""
    return f"{number:,} {what}" + "s" * (number != 1)


def bytes_text(count: float) -> str:
    """1,234 B, 56.7 KB, 8.9 MB, ...: powers of 1000.

    >>> bytes_text(512), bytes_text(1.5e6)
    ('512 B', '1.5 MB')
    """
    for unit in ("B", "KB", "MB"):
        if count < 1000:
            return f"{count:.0f} B" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:,.2f} GB"


def _said(call: CallPlan, training: bool) -> list[tuple[str, str]]:
    products = ", ".join(f"{name} [{rows} x {k}] x [{k} x {n}]" for name, rows, k, n in call.products)
    if all(operand == "x" for operand, *_ in call.products):  # a dense layer
        return [("product", f"{products}: {call.flops:,} FLOP, threads {call.why['threads']}")]
    lines = [("products", f"{products}: {call.flops:,} FLOP a step"), *call.why.items()]
    if training:
        space = bytes_text(max(call.forward_bytes, call.backward_bytes))
        lines.append(("memory", f"{bytes_text(call.kept_bytes)} kept for backward, {space} of work space"))
    return lines


# ---- asking the core ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Asked:
    """What an explanation is about."""

    batch_size: int
    training: bool
    memory: str

    def answer(self, name: str, kind: str, shape: Shape, **found: Any) -> Explanation:
        steps = shape[0] if len(shape) > 1 else None
        return Explanation(
            name, kind, self.batch_size, steps, self.training, self.memory, _core.isa(), **found
        )  # fmt: skip


def asked_for(batch_size: Any, training: Any, memory: Any) -> Asked:
    """The arguments of `explain`, checked."""
    return Asked(
        as_count(batch_size, "batch_size", 1), as_flag(training, "training", "explain"),
        resolve("memory", memory, MEMORY),
    )  # fmt: skip


def with_steps(layer: Layer, shape: Shape, steps: Any) -> Shape:
    """A sample shape of `layer` with that many steps; it must then be known throughout."""
    if steps is not None:
        opened = layer.any_steps(shape)
        if not opened or opened[0] is not None:
            raise ValueError(f"{layer.name}: steps must be None, as x {shape_text(shape)} has none, got {steps!r}")
        shape = (as_count(steps, "steps", 1), *shape[1:])
    if None in shape:
        what = "steps must be given" if shape[0] is None else "build it for known sizes"
        raise ValueError(f"{layer.name}: x is {shape_text(shape)}: {what}")
    return shape


def explained(layer: Layer, shape: Shape, asked: Asked) -> Explanation:
    """Of a layer on samples of `shape`: the plans of its calls, or what it is."""
    levels, together, side_by_side, costs = [], [], [], []
    for leaves in layer._levels():
        steps = math.prod(size or 0 for size in shape[:-1])
        calls = [leaf._asked_call(asked.batch_size, steps, asked.memory) for leaf in leaves]
        found = _core.explain_calls(calls, asked.training)
        at_once = bool(found[0]["side_by_side"])
        names = [f"{leaf.name}, backwards" if getattr(leaf, "go_backwards", False) else leaf.name for leaf in leaves]
        levels.append(tuple(map(_plan, names, [batch for _, batch, *_ in calls], found)))
        together.append(_together(found))
        side_by_side.append(at_once)
        costs.append(found[0]["at_once" if at_once else "in_turn"])
    return asked.answer(
        layer.name, layer.label, shape, note="" if levels else _described(layer), levels=tuple(levels),
        together=tuple(together), side_by_side=tuple(side_by_side), costs=tuple(costs),
    )  # fmt: skip


def _described(layer: Layer) -> str:
    """The first line of its documentation; python -OO has none."""
    text = "one call of the cell a step, in Python" if getattr(layer, "python_loop", False) else type(layer).__doc__
    return (text or "no calls of the core").strip().splitlines()[0]


def _plan(name: str, batch: int, found: dict[str, Any]) -> CallPlan:
    members, split, strip_rows, hoist_steps = found["plan"]
    return CallPlan(
        name=name,
        products=tuple((operand, batch, terms, columns) for operand, terms, columns in found["products"]),
        members=members,
        split=split,
        strip_rows=strip_rows,
        hoist_steps=hoist_steps,
        kept_bytes=found["kept_bytes"],
        forward_bytes=found["forward_bytes"],
        backward_bytes=found["backward_bytes"],
        pack_bytes=found["pack_bytes"],
        cost=found["cost"],
        why=_why(found),
    )


def _why(found: dict[str, Any]) -> dict[str, str]:
    members, split, strip_rows, hoist_steps = found["plan"]
    if found["forced"]:
        return {"threads": f"{members}, by {split}: this plan is forced on every call"}
    share = {name: found[name] / found["alone"] for name in ("by_rows", "by_units") if found[name] > 0}
    others = {name.replace("_", " "): f"{part:.2f}" for name, part in share.items()}
    if members > 1:
        taken = others.pop(f"by {split}")
        each = f"{count_text(found['rows'], 'row')} each" if split == "rows" else "some units of every row each"
        instead = "".join(f" ({name} {part})" for name, part in others.items())
        threads = f"{members}, split by {split}: {each}, {taken} of the time of one{instead}"
    elif share:
        instead = " and ".join(f"{part} {name}" for name, part in others.items())
        threads = f"1: to share the work would take more of its time, {instead}"
    else:
        threads = "1: there is no second one, or nothing to share with it"
    rows, enough = found["rows"], found["tall_tile"]
    if hoist_steps:
        text = (
            f"hoisted, {count_text(hoist_steps, 'step')} at once: {count_text(rows, 'row')} a step, fewer than {enough}"
        )
    elif rows < enough:
        text = "fused into the step: there is no other one"
    else:
        text = f"fused into the step: {rows} rows, at least {enough}, keep a tile busy"
    panel, most = (bytes_text(found[name]) for name in ("panel_bytes", "most_panel_bytes"))
    beyond = found["panel_bytes"] > found["most_panel_bytes"]
    why = f"more than {most}, is better read once for more rows" if beyond else f"at most {most}, is soon read again"
    return {"threads": threads, "input": text, "strip": f"{strip_rows} rows: a panel of weights, {panel} and {why}"}


def _together(found: Sequence[dict[str, Any]]) -> str:
    first = found[0]
    if len(found) == 1:
        return ""
    if first["forced"] or not first["at_once"]:
        return "side by side: forced" if first["side_by_side"] else "in turn: more calls than threads"
    part = f"{first['at_once'] / first['in_turn']:.2f}"
    if first["side_by_side"]:
        return f"side by side, each on threads of its own: {part} of the time in turn"
    return f"in turn, each on all threads: side by side would take {part} of that time"


# ---- measuring ------------------------------------------------------------------------------------------------------


def sample(shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any]:
    """Numbers in (-1, 1), none of them 0, which a mask would take for padding."""
    values = (np.arange(math.prod(shape)) % 16 - 7.53125) / 8
    return values.reshape(shape).astype(dtype)


def measured(layer: Layer, x: Any, mask: Any, training: bool, need_dx: bool) -> tuple[Any, float, float | None]:
    """y, and nanoseconds of forward and backward: medians of a few runs. Gradients and random streams stay."""
    given: dict[str, Any] = {} if mask is None or not layer.takes_mask else {"mask": mask}
    kept = [(variable.gradient, variable.gradient.copy()) for variable in layer.variables] if training else []
    forward: list[int] = []
    backward: list[int] = []
    spent = 0
    try:
        while len(forward) < 4 or (spent < 100e6 and len(forward) < 12):
            if spent > 2e9 and len(forward) > 1:
                break
            begin = time.perf_counter_ns()
            if layer.stateful:
                y, _, ctx = layer.advance(x, None, training=training, step=0, **given)
            else:
                y, ctx = layer.forward(x, training=training, step=0, **given)
            middle = time.perf_counter_ns()
            dy = [part.copy() for part in y] if isinstance(y, list) else y.copy() if training else None
            ready = time.perf_counter_ns()
            if training:
                layer.backward(ctx, dy, need_dx=need_dx)
            end = time.perf_counter_ns()
            forward.append(middle - begin)
            backward.append(end - ready)
            spent += end - begin
    finally:
        for gradient, before in kept:
            gradient[...] = before
    return y, _median(forward[1:]), _median(backward[1:]) if training else None


def _median(values: list[int]) -> float:
    ordered = sorted(values)
    return (ordered[len(ordered) // 2] + ordered[(len(ordered) - 1) // 2]) / 2
