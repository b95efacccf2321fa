"""The figures of a pass over data, and what makes them worthless."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from latchwork import _core
from latchwork.floats import usual_floats
from latchwork.layers.dense import values_of
from latchwork.models.batches import Rows, Several

Seen = tuple[float, int, NDArray[Any], NDArray[Any]]  # of a batch: the loss's sum and count, targets and outputs


@dataclass(eq=False, repr=False)
class Figures:
    """Loss and metrics over the samples seen so far: the mean over samples, in float64."""

    metrics: dict[str, Any]
    weight: float = 1.0  # of the loss, in "loss"
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
        loss = self.weight * self.unweighted
        return {"loss": loss, **{name: float(metric.result()) for name, metric in self.metrics.items()}}

    @property
    def unweighted(self) -> float:
        """The mean of the loss."""
        return self.total / self.count if self.count else math.nan

    @property
    def names(self) -> list[str]:
        return ["loss", *self.metrics]


class SeveralFigures:
    """Those of several outputs: "loss", the weighted sum, then "<output>_loss" and "<output>_<metric>" as in Keras."""

    def __init__(self, of: dict[str, Figures]) -> None:
        self.of = of

    def reset(self) -> None:
        for figures in self.of.values():
            figures.reset()

    def add(self, *seen: Seen) -> None:
        for figures, each in zip(self.of.values(), seen, strict=True):
            figures.add(*each)

    @usual_floats
    def result(self) -> dict[str, float]:
        found = {name: figures.result() for name, figures in self.of.items()}
        logs = {"loss": sum(each.pop("loss") for each in found.values())}
        if len(found) > 1:
            logs |= {f"{name}_loss": figures.unweighted for name, figures in self.of.items()}
        return logs | {f"{name}_{metric}": value for name, each in found.items() for metric, value in each.items()}

    @property
    def names(self) -> list[str]:
        of_losses = [f"{name}_loss" for name in self.of] if len(self.of) > 1 else []
        return ["loss", *of_losses, *(f"{name}_{metric}" for name, each in self.of.items() for metric in each.metrics)]


def reported(logs: dict[str, float], return_dict: bool) -> Any:
    """A float without metrics, else a list; or the dict itself."""
    if return_dict:
        return logs
    return logs["loss"] if len(logs) == 1 else list(logs.values())


class NonFiniteError(Exception):
    """Raised inside a step before anything is written; `fit` turns it into what the user asked for."""


def suspects(x: Rows, y: Rows) -> str:
    """Says so when a batch itself holds NaN or infinity."""
    bad = [name for name, rows in (("x", x), ("y", y)) if not _finite(rows)]
    return f" ({' and '.join(bad)} of this batch hold NaN or infinity)" if bad else ""


def _finite(rows: Rows | None) -> bool:
    if isinstance(rows, Several):
        return all(map(_finite, rows.parts))
    return rows is None or values_of(rows).dtype.kind != "f" or _core.all_finite(values_of(rows))
