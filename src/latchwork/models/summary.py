"""The table that `summary` prints."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from latchwork.layers.arguments import Shape, shape_text
from latchwork.layers.base import Layer


class Line(NamedTuple):
    """A call of a layer, or an input of a graph.

    Attributes:
        layer: The layer; the name of an input.
        shapes: Of a sample of each array it makes; None until the input's shape is known.
        x_shape: Of a sample of what it reads.
        reads: What it is connected to; None in a row.
        again: Whether a line above has its parameters already.
    """

    layer: Layer | str
    shapes: list[Shape] | None
    x_shape: Any = None
    reads: str | None = None
    again: bool = False


HEADINGS = ("Layer", "Output shape", "Parameters", "Bytes", "FLOPs/step", "Connected to")


def summarize(name: str, lines: Sequence[Line], dtype: np.dtype[Any]) -> Iterator[str]:
    """One line each: a heading, the layers, the totals. Shapes and counts are "?" until the input's shape is known."""
    graph = any(line.reads is not None for line in lines)
    rows: list[tuple[str, ...]] = [HEADINGS if graph else HEADINGS[:-1]]
    total = {True: 0, False: 0}
    flops = 0
    for line in lines:
        rows.append(_row(line, dtype)[: len(rows[0])])
        if isinstance(line.layer, Layer):
            for variable in () if line.again else line.layer.variables:
                total[line.layer.trainable and variable.trainable] += variable.size
            flops += 0 if line.shapes is None else line.layer.step_flops(line.x_shape)
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    rule = "-" * (sum(widths) + 2 * len(widths) - 2)
    yield f"Model {name!r}, {dtype}"
    for i, row in enumerate(rows):
        yield "  ".join(f"{text:{'>' if 2 <= j <= 4 else '<'}{widths[j]}}" for j, text in enumerate(row)).rstrip()
        if i == 0:
            yield rule
    yield rule
    yield f"Parameters: {_bytes(sum(total.values()), dtype)}"
    if total[False]:
        yield f"  trainable {_bytes(total[True], dtype)}, not trainable {_bytes(total[False], dtype)}"
    yield f"FLOPs of the kernels, forward, a step of one sample: {flops:,}"


def _row(line: Line, dtype: np.dtype[Any]) -> tuple[str, ...]:
    shapes = "?" if line.shapes is None else ", ".join(map(shape_text, line.shapes))
    if not isinstance(line.layer, Layer):
        return f"{line.layer} (Input)", shapes, "", "", "", ""
    count = line.layer.count_params()
    numbers = [f"{count:,}", f"{count * dtype.itemsize:,}"] if line.layer.built else ["?", "?"]
    if line.again:
        numbers = ["shared", ""]
    flops = "?" if line.shapes is None else f"{line.layer.step_flops(line.x_shape):,}"
    return f"{line.layer.name} ({line.layer.label})", shapes, *numbers, flops, line.reads or ""


def _bytes(count: int, dtype: np.dtype[Any]) -> str:
    return f"{count:,} ({count * dtype.itemsize / 1024:,.1f} KiB)"
