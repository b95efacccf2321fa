"""What each output of a model is trained on: a loss, its weight and metrics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from latchwork import _core, losses, metrics
from latchwork.models.batches import One
from latchwork.models.figures import Figures, Seen
from latchwork.models.masked import Mask, compared, real_weights, scattered


@dataclass(eq=False, repr=False)
class Head:
    """One output: its name ("" where there is one output), its loss or None, the weight of that, and its metrics."""

    name: str
    loss: losses.Loss | None
    weight: float
    metrics: dict[str, Any]

    def figures(self) -> Figures:
        """Loss and metrics of no samples yet."""
        return Figures({name: metrics.get(metric) for name, metric in self.metrics.items()}, self.weight)

    def step(self, y: One, output: Any, mask: Mask | None, weights: One | None = None) -> tuple[Seen, Any]:
        """What figures are made of, and the gradient of the weighted loss with respect to the output."""
        assert self.loss is not None
        y_values, values = compared(self.loss, y, output, mask)
        known = () if weights is None else (real_weights(self.loss, weights, mask),)  # one of your own may take none
        total, count, gradient = self.loss.value_and_grad(y_values, values, *known)
        if self.weight != 1.0:
            _core.scale(gradient, self.weight)
        return (total, count, y_values, values), scattered(gradient, output, mask)

    def seen(self, y: One, output: Any, mask: Mask | None, weights: One | None = None) -> Seen:
        """What figures are made of."""
        assert self.loss is not None
        y_values, values = compared(self.loss, y, output, mask)
        known = () if weights is None else (real_weights(self.loss, weights, mask),)
        total, count = self.loss.value(y_values, values, *known)
        return total, count, y_values, values


def heads_of(names: Sequence[str], loss: Any, loss_weights: Any, measured: Any) -> tuple[Head, ...]:
    """What `compile` was told, output by output."""
    several = len(names) > 1
    found = _by_output(names, loss, "loss", for_all=True)
    weights = _by_output(names, loss_weights, "loss_weights", for_all=not several)
    if several or isinstance(measured, Mapping):
        each = _by_output(names, measured, "metrics", for_all=False)
    else:  # for one output a list in a list will do
        nested = isinstance(measured, (list, tuple)) and len(measured) == 1 and isinstance(measured[0], (list, tuple))
        each = list(measured) if nested else [measured]
    heads = []
    for name, given, weight, of_output in zip(names, found, weights, each, strict=True):
        objective = None if given is None else losses.get(given)
        if weight is not None and objective is None:
            raise ValueError(f"loss_weights: output {name!r} has no loss that {weight!r} could weigh")
        named = named_metrics(of_output)
        if named and several and objective is None:
            raise ValueError(f"metrics: output {name!r} needs a loss to have metrics")
        heads.append(Head(name if several else "", objective, _weight(weight), named))
    return tuple(heads)


def _by_output(names: Sequence[str], given: Any, what: str, for_all: bool) -> list[Any]:
    """One entry for each output, from a list, a dict by name (None where it has none), or one for all."""
    if given is None:
        return [None] * len(names)
    if isinstance(given, Mapping):
        for name in given:
            if name not in names:
                raise ValueError(f"{what}: no output is named {name!r}; there are {', '.join(names)}")
        return [given.get(name) for name in names]
    if isinstance(given, (list, tuple)):
        if len(given) != len(names):
            raise ValueError(f"{what} must have one entry for each of {len(names)} outputs, got {len(given)}")
        return list(given)
    if not for_all:
        raise ValueError(f"{what} must be a list or a dict of the outputs {', '.join(names)}, got {given!r}")
    return [given] * len(names)


def _weight(given: Any) -> float:
    if given is None:
        return 1.0
    if isinstance(given, bool) or not isinstance(given, (int, float)) or not 0 <= given < float("inf"):
        raise ValueError(f"loss_weights must hold numbers of at least 0, got {given!r}")
    return float(given)


def named_metrics(given: Any) -> dict[str, Any]:
    """Metrics by the name that figures carry: the user's own spelling, or the object's name."""
    found = [] if given is None else list(given) if isinstance(given, (list, tuple)) else [given]
    named: dict[str, Any] = {}
    for metric in found:
        name = metrics.get(metric).name  # an unknown name is an error now
        if name in named or name == "loss":
            raise ValueError(f"metrics must have different names, {name!r} is taken")
        named[name] = metric
    return named
