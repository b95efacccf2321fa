"""The figures of a pass over data, and what makes them worthless."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from latchwork import _core
from latchwork.floats import usual_floats
from latchwork.layers.dense import values_of
from latchwork.models.batches import Rows


@dataclass(eq=False, repr=False)
class Figures:
    """Loss and metrics over the samples seen so far: the mean over samples, in float64."""

    metrics: dict[str, Any]
    total: float = 0.0
    count: int = 0

    def reset(self) -> None:
        self.total, self.count = 0.0, 0
        for metric in self.metrics.values():
            metric.reset()

    @usual_floats
    def add(self, total: float, count: int, y: NDArray[Any], output: NDArray[Any]) -> None:
        self.total += total
        self.count += count
        for metric in self.metrics.values():
            metric.update(y, output)

    @usual_floats
    def result(self) -> dict[str, float]:
        loss = self.total / self.count if self.count else math.nan
        return {"loss": loss, **{name: float(metric.result()) for name, metric in self.metrics.items()}}

    @property
    def names(self) -> list[str]:
        return ["loss", *self.metrics]


def reported(logs: dict[str, float], return_dict: bool) -> Any:
    """A float without metrics, else a list; or the dict itself."""
    if return_dict:
        return logs
    return logs["loss"] if len(logs) == 1 else list(logs.values())


class NonFiniteError(Exception):
    """Raised inside a step before anything is written; `fit` turns it into what the user asked for."""


def suspects(x: Rows, y: Rows) -> str:
    """Says so when a batch itself holds NaN or infinity."""
    given = [(name, values_of(rows)) for name, rows in (("x", x), ("y", y))]
    bad = [name for name, values in given if values.dtype.kind == "f" and not _core.all_finite(values)]
    return f" ({' and '.join(bad)} of this batch hold NaN or infinity)" if bad else ""
