"""What a training step and a prediction will cost: bytes from the core's own sizes, time from a short measurement."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

from latchwork import _core
from latchwork.fields import Value
from latchwork.layers.arguments import Shape
from latchwork.layers.base import Layer
from latchwork.layers.batch_normalization import BatchNormalization
from latchwork.layers.bidirectional import Bidirectional
from latchwork.layers.convolution import Conv1D
from latchwork.layers.dense import Dense
from latchwork.layers.dropout import Dropout, GaussianNoise
from latchwork.layers.embedding import Embedding
from latchwork.layers.explanation import Explanation, bytes_text, count_text
from latchwork.layers.masking import Masking
from latchwork.layers.normalization import LayerNormalization
from latchwork.layers.pooling import GlobalMaxPooling1D, MaxPooling1D
from latchwork.layers.reshaping import Flatten, Reshape
from latchwork.layers.wrapper import TimeDistributed

LONG_ENOUGH = 5e6  # ns: what a measurement is to last, so that its fixed costs do not count ...
FEW = 32  # ... of fewer steps than that, ten times as long


@dataclass(eq=False, repr=False)
class Estimate(Value):
    """What `model.estimate` returns: numbers for programs, and a text when printed.

    Args:
        batch_size, steps, memory: What was asked for.
        isa, threads: What the time holds for.
        training_bytes, predict_bytes: The most that a training step, a prediction of one batch, has in use at once,
            beyond x, the targets and `weight_bytes`.
        kept_bytes: The part of training_bytes that waits for the backward pass.
        weight_bytes: What the model holds anyway: weights, their gradients, the optimizer's moments, packed copies.
        training_ns, predict_ns: Nanoseconds; None where not asked for, and in training before `compile`.
        measured: What was run for them: a sentence each.

    >>> from latchwork.layers import LSTM, Dense
    >>> from latchwork.models import Sequential
    >>> model = Sequential([LSTM(8, input_shape=(None, 3)), Dense(1)])
    >>> small, large = (model.estimate(32, steps, measure=False) for steps in (100, 1000))
    >>> 8 < large.training_bytes / small.training_bytes < 10
    True
    """

    batch_size: int
    steps: int | None
    memory: str
    isa: str
    threads: int
    training_bytes: int
    predict_bytes: int
    kept_bytes: int
    weight_bytes: int
    training_ns: float | None = None
    predict_ns: float | None = None
    measured: tuple[str, ...] = ()

    def __str__(self) -> str:
        size = shape_text(self.batch_size, self.steps)
        lines = [
            f"{size}, memory={self.memory!r}, {self.isa}, {count_text(self.threads, 'thread')}",
            f"  training step  {bytes_text(self.training_bytes)}, of which {bytes_text(self.kept_bytes)} wait for "
            f"backward{_time_text(self.training_ns)}",
            f"  predict        {bytes_text(self.predict_bytes)}{_time_text(self.predict_ns)}",
            f"  the model      {bytes_text(self.weight_bytes)}",
        ]
        return "\n".join([*lines, *(f"  measured       {text}" for text in self.measured)])

    __repr__ = __str__


def shape_text(rows: int, steps: int | None) -> str:
    return count_text(rows, "row") + ("" if steps is None else f" x {count_text(steps, 'step')}")


def _time_text(ns: float | None) -> str:
    return "" if ns is None else f"; {ns / 1e6:,.3f} ms"


# ---- bytes ----------------------------------------------------------------------------------------------------------


class Stage(NamedTuple):
    """A part of a pass, in bytes: what it makes, and how long that lives."""

    y: int = 0  # handed on; 0: x itself
    kept: int = 0  # from forward to backward, beside y
    forward: int = 0  # while forward runs
    backward: int = 0  # while backward runs
    dx: int = 0  # handed back
    sums: int = 1  # as many dx are made at once; several are then added


def stages(layer: Layer, shape: Shape, found: Explanation, size: int) -> list[Stage]:
    """Of one layer on samples of `shape`, as it is explained; numbers of `size` bytes."""
    if isinstance(layer, TimeDistributed):
        return stages(layer.layer, shape[1:], found.parts[0], size)
    y, dx = (array_bytes((found.batch_size, *each), size) for each in (layer.y_shape(shape), shape))
    if isinstance(layer, (Flatten, Reshape)):
        return [Stage()]
    if isinstance(layer, Dropout):
        return [Stage(y, kept=y, dx=dx) if found.training and layer.rate else Stage()]
    if isinstance(layer, GaussianNoise):
        return [Stage(y) if found.training and layer.stddev else Stage()]
    if isinstance(layer, Conv1D):
        call, windows = found.levels[0][0], array_bytes(_windows(layer, shape, found.batch_size), size)
        softmax = y if layer.activation == "softmax" else 0
        return [Stage(y, windows + softmax, call.forward_bytes, call.backward_bytes + windows + softmax, dx)]
    if isinstance(layer, (MaxPooling1D, GlobalMaxPooling1D)):
        return [Stage(y, kept=array_bytes((found.batch_size, *layer.y_shape(shape)), 4), dx=dx)]
    if isinstance(layer, (LayerNormalization, BatchNormalization)):
        both = layer.center or layer.scale  # beside what is normalized there is y
        return [Stage(y, kept=y if both and (found.training or isinstance(layer, LayerNormalization)) else 0, dx=dx)]
    if isinstance(layer, Masking):
        return [Stage(dx=dx)]
    if isinstance(layer, Embedding):
        return [Stage(y)]
    made = [_level(layer, found, i, size) for i in range(len(found.levels))] or [Stage(dx=dx)]
    made[0] = made[0]._replace(dx=dx)
    last = made[-1]._replace(y=y)
    if isinstance(layer, Bidirectional) and layer.merge_mode is None:
        last = last._replace(y=2 * y)
    elif isinstance(layer, Bidirectional) and not (layer.merge_mode == "concat" and layer.return_sequences):
        # Both outputs, merged into y once the core is done with its work space, stay until backward.
        halves = y if layer.merge_mode == "concat" else 2 * y
        d_halves = {"mul": 2 * y, "ave": y}.get(layer.merge_mode or "", 0)
        last = last._replace(
            kept=last.kept + halves, forward=max(last.forward - y, 0), backward=last.backward + d_halves
        )
    elif isinstance(layer, Dense) and layer.activation == "softmax":
        last = last._replace(kept=last.kept + y, backward=last.backward + y)
    return [*made[:-1], last]


def _windows(layer: Conv1D, shape: Shape, batch_size: int) -> tuple[int | None, ...]:
    """Of the array that a convolution hands to its product."""
    return batch_size, layer.y_shape(shape)[0], layer.kernel_size, shape[1]


def _level(layer: Layer, found: Explanation, i: int, size: int) -> Stage:
    """Calls of the core that go together; the next level reads every step of their y."""
    calls, leaves, total = found.levels[i], layer._levels()[i], sum if found.side_by_side[i] else max
    rows, steps = found.batch_size, found.steps or 1
    counts = [leaf.state_count - (not leaf.return_sequences) for leaf in leaves if not isinstance(leaf, Dense)]
    states = sum(n * array_bytes((rows, leaf.units), size) for n, leaf in zip(counts, leaves, strict=False))
    return Stage(
        y=sum(array_bytes((rows, steps, leaf.units), size) for leaf in leaves),
        kept=sum(call.kept_bytes for call in calls),
        forward=total(call.forward_bytes for call in calls) + states,
        backward=total(call.backward_bytes for call in calls) + states,
        dx=sum(array_bytes((rows, steps, call.products[0][2]), size) for call in calls),
        sums=len(calls) if i == 0 else 1,
    )


def array_bytes(shape: tuple[int | None, ...], size: int) -> int:
    """What the core's memory pool takes for such an array."""
    return _core.pool_size(math.prod(n or 0 for n in shape) * size)


def predict_peak(row: list[Stage]) -> int:
    """Each stage has its x, its y and its work space at once; the caller's x is not counted."""
    x = most = 0
    for stage in row:
        most = max(most, x + stage.y + stage.kept + stage.forward)
        x = stage.y or x
    return most


def training_peak(row: list[Stage], first: int) -> tuple[int, int]:
    """The most in use in a training step, and what waits for backward. Stages before `first` have no backward."""
    live = most = 0
    for stage in row:
        live += stage.y + stage.kept
        most = max(most, live + stage.forward)
    waiting = live
    live += row[-1].y  # the loss's gradient, which stays until the end as the output does
    most, dy = max(most, live), 0
    for i in range(len(row) - 1, first - 1, -1):
        stage, wanted = row[i], i > first
        made = [stage.backward + stage.sums * stage.dx, (stage.sums + 1) * stage.dx * (stage.sums > 1)]
        most = max(most, live + (max(made) if wanted else stage.backward))
        if stage.dx and wanted:
            live, dy = live + stage.dx - dy, stage.dx
        live -= stage.kept + (stage.y if i + 1 < len(row) else 0)
    return most, waiting


# ---- time -----------------------------------------------------------------------------------------------------------


class Rate(NamedTuple):
    """What a run of some steps took."""

    steps: int | None
    ns: float


def timed(ready: Callable[[int | None], Callable[[], Any]], steps: int | None, fixed: bool) -> Rate:
    """The median of five runs of as few steps as last long enough, at most `steps`; fixed: of no fewer."""
    few = steps if steps is None or fixed else min(steps, 8)
    while True:
        once = ready(few)
        once()  # packs weights, takes memory
        ns = min(_nanoseconds(once) for _ in range(3))
        if few == steps or few is None or steps is None or ns >= LONG_ENOUGH * (1 if few >= FEW else 10):
            return Rate(few, sorted(_nanoseconds(once) for _ in range(5))[2])
        few = min(steps, few * max(2, min(16, math.ceil(1.2 * LONG_ENOUGH / ns))))


def _nanoseconds(once: Callable[[], Any]) -> int:
    begin = time.perf_counter_ns()
    once()
    return time.perf_counter_ns() - begin
