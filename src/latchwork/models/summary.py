"""The table that `summary` prints."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from latchwork.layers.arguments import Shape, shape_text
from latchwork.layers.base import Layer


def summarize(name: str, layers: Sequence[Layer], shape: Shape | None, dtype: np.dtype[Any]) -> Iterator[str]:
    """One line each: a heading, the layers, the totals. Shapes and counts are "?" until the input's shape is known."""
    rows = [("Layer", "Output shape", "Parameters")]
    trainable = frozen = 0
    for layer in layers:
        if shape is not None:
            shape = layer.y_shape(shape)
        count = layer.count_params()
        learnt = sum(v.size for v in layer.variables if v.trainable) if layer.trainable else 0
        trainable, frozen = trainable + learnt, frozen + count - learnt
        rows.append(
            (
                f"{layer.name} ({layer.label})",
                "?" if shape is None else shape_text(shape),
                f"{count:,}" if layer.built else "?",
            )
        )
    widths = [max(len(row[i]) for row in rows) for i in range(3)]
    rule = "-" * (sum(widths) + 4)
    yield f"Model {name!r}, {dtype}"
    for i, (label, output, count_text) in enumerate(rows):
        yield f"{label:<{widths[0]}}  {output:<{widths[1]}}  {count_text:>{widths[2]}}"
        if i == 0:
            yield rule
    yield rule
    yield f"Parameters: {_bytes(trainable + frozen, dtype)}"
    if frozen:
        yield f"  trainable {_bytes(trainable, dtype)}, not trainable {_bytes(frozen, dtype)}"


def _bytes(count: int, dtype: np.dtype[Any]) -> str:
    return f"{count:,} ({count * dtype.itemsize / 1024:,.1f} KiB)"
