"""A budget in bytes, shared among the recurrent layers of a model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from latchwork.fields import Value
from latchwork.layers.arguments import Shape
from latchwork.layers.base import Layer, Stage
from latchwork.memory import MODES, as_memory, size_text
from latchwork.ragged import Ragged


@dataclass(eq=False, repr=False)
class MemoryPlan(Value):
    """What every recurrent layer keeps: one mode for all, and those of single layers."""

    mode: str
    of: list[tuple[Layer, str]]

    def apply(self, layers: list[Layer]) -> None:
        """From now on; `MemoryPlan("store", [])` takes it back."""
        for layer in layers:
            layer._remember(self.mode)
        for layer, mode in self.of:
            layer._remember(mode)


def memory_plan(memory: str, largest: Callable[[], list[Stage]], batch_size: int) -> MemoryPlan:
    """The fastest modes within a budget; `memory` itself where it is a mode.

    All layers begin with "store". While they need too much, the layer whose next mode gives most memory back takes it.

    largest: makes the recurrent calls of the largest batch, in the order they run; a layer may be in several stages,
    as often as a graph calls it.
    """
    budget = as_memory(memory)
    if isinstance(budget, str):
        return MemoryPlan(budget, [])
    stages = [[(layer, layer._call_bytes(lengths)) for layer, lengths in stage] for stage in largest()]
    layers = list(dict.fromkeys(layer for stage in stages for layer, _ in stage))
    modes = dict.fromkeys(layers, 0)

    def gives_back(layer: Layer) -> int:
        now, then = MODES[modes[layer]], MODES[modes[layer] + 1]
        return sum(cost[now][0] - cost[then][0] for stage in stages for each, cost in stage if each is layer)

    least = needed = _most_at_once(stages, modes)
    while needed > budget:
        able = [layer for layer in layers if modes[layer] + 1 < len(MODES)]
        if not able:
            raise ValueError(
                f"memory: {memory} is too little for a batch of {batch_size}: the recurrent layers need "
                f"at least {size_text(least)}"
            )
        modes[max(able, key=gives_back)] += 1
        needed = _most_at_once(stages, modes)
        least = min(least, needed)
    return MemoryPlan("store", [(layer, MODES[mode]) for layer, mode in modes.items()])


Cost = dict[str, tuple[int, int, int]]


def _most_at_once(stages: list[list[tuple[Layer, Cost]]], modes: dict[Layer, int]) -> int:
    """While a stage runs, forward or back, what it and those before it keep is there, and its own work space."""
    most = kept = 0
    for stage in stages:
        bytes_of = [cost[MODES[modes[layer]]] for layer, cost in stage]
        kept += sum(keeps for keeps, _, _ in bytes_of)
        most = max(most, kept + sum(max(forward, backward) for _, forward, backward in bytes_of))
    return most


def largest_lengths(x: NDArray[Any] | Ragged, batch_size: int) -> NDArray[Any]:
    """The lengths of the longest sequences that may meet in a batch; 0 for those of an array."""
    if isinstance(x, Ragged):
        return np.asarray(np.sort(x.lengths)[::-1][:batch_size])
    return np.zeros(min(batch_size, len(x)), np.int64)


def with_steps(lengths: NDArray[Any], shape: Shape) -> NDArray[Any]:
    """The lengths of sequences of `shape`, where it says them."""
    return lengths if not shape or shape[0] is None else np.full(len(lengths), shape[0])
