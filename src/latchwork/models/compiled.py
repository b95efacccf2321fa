"""What `compile` was told."""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from latchwork import losses, optimizers
from latchwork.layers.arena import Arena
from latchwork.models.batches import Rows, Several
from latchwork.models.figures import Figures, SeveralFigures
from latchwork.models.heads import Head

# Whose parameters an optimizer's moments belong to; an optimizer itself knows sizes only.
_OWNERS: weakref.WeakKeyDictionary[optimizers.Optimizer, Arena] = weakref.WeakKeyDictionary()


@dataclass(eq=False, repr=False)
class Compiled:
    """Optimizer, and what each output is trained on."""

    optimizer: optimizers.Optimizer
    heads: tuple[Head, ...]

    @property
    def loss(self) -> losses.Loss | None:
        """Of the first output that has one; None: predict only."""
        return next((head.loss for head in self.heads if head.loss is not None), None)

    @property
    def metrics(self) -> dict[str, Any]:
        """Of the first output."""
        return self.heads[0].metrics

    def figures(self) -> Figures | SeveralFigures:
        """Loss and metrics of no samples yet."""
        if len(self.heads) == 1:
            return self.heads[0].figures()
        return SeveralFigures({head.name: head.figures() for head in self.heads if head.loss is not None})

    def step(self, y: Rows, output: Any, mask: Any) -> tuple[float, Any, Any]:
        """The loss, what figures are made of, and its gradient with respect to the output, or each of them."""
        if not isinstance(y, Several):
            seen, gradient = self.heads[0].step(y, output, mask)
            return seen[0] / (seen[1] or 1), seen, gradient
        gradients: list[Any] = [None] * len(self.heads)
        found, loss = [], 0.0
        for i, (head, *parts) in enumerate(self._parts(y, output, mask)):
            if head.loss is not None:
                (total, count, *values), gradients[i] = head.step(*parts)
                found.append((total, count, *values))
                loss += head.weight * (total / (count or 1))
        if len(self.heads) == 1:
            return loss, found[0], gradients[0]
        return loss, tuple(found), gradients

    def seen(self, y: Rows, output: Any, mask: Any) -> Any:
        """What figures are made of."""
        if not isinstance(y, Several):
            return self.heads[0].seen(y, output, mask)
        found = [head.seen(*parts) for head, *parts in self._parts(y, output, mask) if head.loss is not None]
        return found[0] if len(self.heads) == 1 else found

    def _parts(self, y: Several, output: Any, mask: Any) -> Iterator[tuple[Any, ...]]:
        """Each head with its targets, output, mask and sample weights."""
        count = len(self.heads)
        outputs, masks = ([output], [mask]) if count == 1 else (output, mask)
        return zip(self.heads, y.parts[:count], outputs, masks, y.parts[count:], strict=True)

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
