"""What `compile` was told."""

from __future__ import annotations

import weakref
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from latchwork import losses, metrics, optimizers
from latchwork.layers.arena import Arena
from latchwork.models.figures import Figures

# Whose parameters an optimizer's moments belong to; an optimizer itself knows sizes only.
_OWNERS: weakref.WeakKeyDictionary[optimizers.Optimizer, Arena] = weakref.WeakKeyDictionary()


@dataclass(eq=False, repr=False)
class Compiled:
    """Optimizer, loss (None: predict only) and metrics, by the names that figures carry."""

    optimizer: optimizers.Optimizer
    loss: losses.Loss | None
    metrics: dict[str, Any]

    def figures(self) -> Figures:
        """Loss and metrics of no samples yet."""
        return Figures({name: metrics.get(metric) for name, metric in self.metrics.items()})

    def begin(self, arena: Arena) -> tuple[tuple[int, int, str], ...]:
        """Give the optimizer its state for these parameters; returns the ranges it may change."""
        if self.optimizer.iterations and _OWNERS.get(self.optimizer) is not arena:
            name = self.optimizer.name
            raise ValueError(f"optimizer {name!r} has taken steps with other parameters: give this model its own")
        self.optimizer.build(arena.params.size, arena.dtype)
        _OWNERS[self.optimizer] = arena
        return arena.trainable_ranges()

    def resume(self, arena: Arena, iterations: int, slots: dict[str, NDArray[Any]]) -> None:
        """Go on from an optimizer's state that was kept; `slots` are as `optimizer.slot_names` says, [P] each."""
        self.optimizer.build(arena.params.size, arena.dtype)
        for name, values in slots.items():
            self.optimizer.slots[name][...] = values
        self.optimizer.iterations = iterations
        _OWNERS[self.optimizer] = arena


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
