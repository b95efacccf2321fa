"""Asks the core for the plans of a layer's calls, says why in words, and measures."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from latchwork import _core
from latchwork.data.series import as_count
from latchwork.fields import Value
from latchwork.layers.arguments import Shape, as_flag, shape_text
from latchwork.layers.explanation import CallPlan, Explanation, bytes_text, count_text
from latchwork.memory import MODES
from latchwork.names import resolve


@dataclass(eq=False, repr=False)
class Asked(Value):
    """What an explanation is about."""

    batch_size: int
    training: bool
    memory: str

    def answer(self, layer: Any, name: str, kind: str, shape: Shape, **found: Any) -> Explanation:
        """Of samples of `shape`, which `layer` reads."""
        steps = steps_of(layer, shape)
        return Explanation(name, kind, self.batch_size, steps, self.training, self.memory, _core.isa(), **found)


def steps_of(layer: Any, shape: Shape) -> int | None:
    """How many steps samples of `shape` have; None where the layer reads no steps."""
    opened = layer.any_steps(shape)
    return shape[0] if opened and opened[0] is None else None


def asked_for(batch_size: Any, training: Any, memory: Any) -> Asked:
    """The arguments of `explain`, checked."""
    return Asked(
        as_count(batch_size, "batch_size", 1), as_flag(training, "training", "explain"),
        resolve("memory", memory, MODES),
    )  # fmt: skip


def with_steps(layer: Any, shape: Shape, steps: Any) -> Shape:
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


def explained(layer: Any, shape: Shape, asked: Asked) -> Explanation:
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
        layer, layer.name, layer.label, shape, note="" if levels else _described(layer), levels=tuple(levels),
        together=tuple(together), side_by_side=tuple(side_by_side), costs=tuple(costs),
    )  # fmt: skip


def _described(layer: Any) -> str:
    """The first line of its documentation; python -OO has none."""
    text = "one call of the cell a step, in Python" if getattr(layer, "python_loop", False) else type(layer).__doc__
    return (text or "no calls of the core").strip().splitlines()[0]


def _plan(name: str, batch: int, found: dict[str, Any]) -> CallPlan:
    members, split, strip_rows, hoist_steps, few_rows, _ = found["plan"]
    return CallPlan(
        name=name,
        products=tuple((operand, batch, terms, columns) for operand, terms, columns in found["products"]),
        members=members,
        split=split,
        strip_rows=strip_rows,
        hoist_steps=hoist_steps,
        few_rows=few_rows,
        kept_bytes=found["kept_bytes"],
        forward_bytes=found["forward_bytes"],
        backward_bytes=found["backward_bytes"],
        pack_bytes=found["pack_bytes"],
        cost=found["cost"],
        why=_why(found),
    )


def _why(found: dict[str, Any]) -> dict[str, str]:
    members, split, strip_rows, hoist_steps, few_rows, _ = found["plan"]
    if found["forced"]:
        return {"threads": f"{members}, by {split}: this plan is forced on every call"}
    share = {name: found[name] / found["alone"] for name in ("by_rows", "by_units") if found[name] > 0}
    others = {name.replace("_", " "): f"{part:.2f}" for name, part in share.items()}
    if members > 1:
        taken = others.pop(f"by {split}")
        each = f"{count_text(found['rows'], 'row')} each" if split == "rows" else "some units of every row each"
        instead = "".join(f" ({name} {part})" for name, part in others.items())
        few = f"; by units where at most {count_text(few_rows, 'sequence')} go on" if few_rows else ""
        threads = f"{members}, split by {split}: {each}, {taken} of the time of one{instead}{few}"
    elif share:
        longer = ", ".join(f"{part} of that time {name}" for name, part in others.items())
        threads = f"1: to share the work would take longer, {longer}"
    else:
        threads = "1: it is given no more, or has nothing to share"
    rows, enough = found["rows"], found["tall_tile"]
    if hoist_steps:
        why = "for weights that come from memory" if rows >= enough else f"fewer than {enough}"
        text = f"hoisted, {count_text(hoist_steps, 'step')} at once: {count_text(rows, 'row')} a step, {why}"
    elif rows < enough:
        text = "fused into the step: there is no other one"
    else:
        text = f"fused into the step: {rows} rows, at least {enough}, keep a tile busy"
    panel, most = (bytes_text(found[name]) for name in ("panel_bytes", "most_panel_bytes"))
    beyond = found["panel_bytes"] > found["most_panel_bytes"]
    why = f"more than {most}: read once for more rows" if beyond else f"at most {most}: in the cache when read again"
    return {"threads": threads, "input": text, "strip": f"{strip_rows} rows: a panel of weights has {panel}, {why}"}


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


def measured(layer: Any, x: Any, mask: Any, training: bool, need_dx: bool) -> tuple[Any, float, float | None]:
    """y, and nanoseconds of forward and backward: medians of a few runs. Gradients and random streams stay."""
    given: dict[str, Any] = {} if mask is None or not layer.takes_mask else {"mask": mask}
    changed = [v.gradient if v.trainable else v.value for v in layer.variables] if training else []
    kept = [(array, array.copy()) for array in changed]
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
        for array, before in kept:
            array[...] = before
    return y, _median(forward[1:]), _median(backward[1:]) if training else None


def _median(values: list[int]) -> float:
    ordered = sorted(values)
    return (ordered[len(ordered) // 2] + ordered[(len(ordered) - 1) // 2]) / 2


# ---- a layer --------------------------------------------------------------------------------------------------------


class Explainable:
    """A layer's `explain`, for `Layer`."""

    name: str
    many_inputs: ClassVar[bool]
    _x_shape: Shape

    @property
    def built(self) -> bool:
        raise NotImplementedError

    @property
    def dtype(self) -> np.dtype[Any]:
        raise NotImplementedError

    def _remember(self, memory: str) -> None:
        raise NotImplementedError

    def explain(
        self,
        batch_size: int = 32,
        steps: int | None = None,
        *,
        training: bool = False,
        memory: str = "store",
        measure: bool = True,
    ) -> Explanation:
        """What runs this layer and why: products, instruction set, plan, threads, bytes, nanoseconds a step.

        Args:
            batch_size: Rows of x.
            steps: Of x; None: those it was built for.
            training: Whether backward is to follow.
            memory: What then is kept, as in `fit`.
            measure: Run the layer a few times on numbers of that shape; weights, gradients and random streams stay.

        Raises:
            ValueError: The layer is not built, the number of steps is open, or an argument has the wrong value.

        >>> from latchwork.layers import LSTM
        >>> layer = LSTM(4)
        >>> layer.build((None, None, 3))
        >>> print(layer.explain(1, 2, measure=False).levels[0][0].why["input"])
        hoisted, 2 steps at once: 1 row a step, fewer than 4
        """
        if not self.built:
            raise ValueError(f"{self.name}: explain needs a built layer: call build((None, T, F)) or run a batch first")
        asked = asked_for(batch_size, training, memory)
        shape = with_steps(self, self._x_shape, steps)
        found = self._explain(shape, asked)
        if not as_flag(measure, "measure", "explain"):
            return found
        return self._timed(found, self._sample((asked.batch_size, *shape)), None, need_dx=True)[0]

    def _explain(self, x_shape: Any, asked: Asked) -> Explanation:
        """On samples of `x_shape`, which is known throughout; not measured."""
        return explained(self, x_shape[0] if self.many_inputs else x_shape, asked)

    def _levels(self) -> list[list[Any]]:
        """The layers whose calls of the core it makes, those side by side that are independent of each other."""
        return []

    def _sample(self, shape: Any) -> NDArray[Any]:
        """An x [B, ...] to measure with."""
        return sample(shape, self.dtype)

    def _timed(self, found: Explanation, x: Any, mask: Any, need_dx: bool) -> tuple[Explanation, Any]:
        """The explanation with the times of runs on x, and y."""
        self._remember(found.memory)
        try:
            y, forward, backward = measured(self, x, mask, found.training, need_dx)
        finally:
            self._remember("store")
        steps = found.steps or 1
        per_step = None if backward is None else backward / steps
        return replace(found, forward_ns=forward / steps, backward_ns=per_step), y
