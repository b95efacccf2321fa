"""A budget in bytes, shared among the recurrent layers of a model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from latchwork.layers.arguments import Shape
from latchwork.layers.base import Layer, Stage
from latchwork.memory import MODES, as_memory, size_text
from latchwork.models.batches import Rows
from latchwork.ragged import Ragged


@dataclass(frozen=True)
class MemoryPlan:
    """What every recurrent layer keeps: one mode for all, and those of single layers."""

    mode: str
    of: list[tuple[Layer, str]]

    def apply(self, layers: list[Layer]) -> None:
        """From now on; `MemoryPlan("store", [])` takes it back."""
        for layer in layers:
            layer._remember(self.mode)
        for layer, mode in self.of:
            layer._remember(mode)


def memory_plan(memory: str, layers: list[Layer], x: Rows, batch_size: int) -> MemoryPlan:
    """The fastest modes within a budget, for the largest batch that x has; `memory` itself where it is a mode.

    All layers begin with "store". While they need too much, the layer whose next mode gives most memory back takes it.
    """
    budget = as_memory(memory)
    if isinstance(budget, str):
        return MemoryPlan(budget, [])
    stages = _stages(layers, x, batch_size)
    costs = [[layer._call_bytes(lengths) for layer, lengths in stage] for stage in stages]
    modes = [[0] * len(stage) for stage in stages]

    def gives_back(at: tuple[int, int]) -> int:
        i, j = at
        return costs[i][j][MODES[modes[i][j]]][0] - costs[i][j][MODES[modes[i][j] + 1]][0]

    least = needed = _most_at_once(costs, modes)
    while needed > budget:
        able = [(i, j) for i, stage in enumerate(modes) for j, mode in enumerate(stage) if mode + 1 < len(MODES)]
        if not able:
            raise ValueError(
                f"memory: {memory} is too little for a batch of {min(batch_size, len(x))}: the recurrent layers need "
                f"at least {size_text(least)}"
            )
        i, j = max(able, key=gives_back)
        modes[i][j] += 1
        needed = _most_at_once(costs, modes)
        least = min(least, needed)
    chosen = [
        (layer, MODES[mode])
        for stage, of_stage in zip(stages, modes, strict=True)
        for (layer, _), mode in zip(stage, of_stage, strict=True)
    ]
    return MemoryPlan("store", chosen)


Cost = dict[str, tuple[int, int, int]]


def _most_at_once(costs: list[list[Cost]], modes: list[list[int]]) -> int:
    """While a stage runs, forward or back, what it and those before it keep is there, and its own work space."""
    most = kept = 0
    for stage, of_stage in zip(costs, modes, strict=True):
        bytes_of = [cost[MODES[mode]] for cost, mode in zip(stage, of_stage, strict=True)]
        kept += sum(keeps for keeps, _, _ in bytes_of)
        most = max(most, kept + sum(max(forward, backward) for _, forward, backward in bytes_of))
    return most


def _stages(layers: list[Layer], x: Rows, batch_size: int) -> list[Stage]:
    """The recurrent calls of the largest batch, in the order they run."""
    shape: Shape
    if isinstance(x, Ragged):
        shape, lengths = (None, *x.values.shape[1:]), np.sort(x.lengths)[::-1][:batch_size]
    else:
        shape, lengths = x.shape[1:], np.zeros(min(batch_size, len(x)), np.int64)
    stages: list[Stage] = []
    for layer in layers:
        stages += layer._stages(shape, _with_steps(lengths, shape))
        shape = layer.y_shape(shape)
    return stages


def _with_steps(lengths: NDArray[Any], shape: Shape) -> NDArray[Any]:
    """The lengths of sequences of `shape`, where it says them."""
    return lengths if not shape or shape[0] is None else np.full(len(lengths), shape[0])
