"""Gradients of a model by name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from latchwork.layers.arena import Arena
from latchwork.layers.sequence import Kept
from latchwork.optimizers.base import Optimizer, Steerable

if TYPE_CHECKING:
    from latchwork.models.own_loops import OwnLoops


@dataclass(eq=False, repr=False)
class Beyond:
    """Gradients that a backward pass is to give beyond those of parameters, and takes up here. False: none."""

    with_inputs: bool = False
    with_states: bool = False
    inputs: Any = None
    states: dict[str, list[Any]] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return self.with_inputs or self.with_states

    def asked(self, context: Any) -> tuple[Any, bool]:
        """The context of a layer, such that its backward gives those of the initial states too; and whether it does."""
        if self.with_states and isinstance(context, Kept) and not context.given_state:
            return context._replace(given_state=True), True
        return context, False


class Gradients(Mapping[str, NDArray[Any]], Steerable):
    """What `model.value_and_grad` returns: the gradient of each trainable variable by its name ("lstm/kernel").

    The arrays are views of `flat`, a copy that later steps leave alone: change them in place before
    `optimizer.apply(grads)` to clip or scale in your own way. A `model` makes them, of the
    variables in its `arena`, from `flat`, with what it was asked for `beyond` them.

    Attributes:
        flat: [P], of the model's dtype: all variables in file order, those that are not trained too.
        inputs: Of x, in its form: an array, a `lw.Ragged`, or of several inputs the list; None for whole numbers, where
            the loss does not depend on an input, and unless with_inputs.
        states: By name of each recurrent layer, the list of those of the states it began with: zeros, or what a
            stateful one carried; in the order of its `initial_state`, [B, units] each. Not of layers that were given an
            initial state, which have it as inputs. Empty unless with_states.

    >>> import numpy as np
    >>> from latchwork.layers import GRU
    >>> from latchwork.models import Sequential
    >>> model = Sequential([GRU(3, input_shape=(None, 2))])
    >>> model.compile(loss="mse")
    >>> loss, grads = model.value_and_grad(np.ones((4, 5, 2)), np.ones((4, 3)), with_states=True)
    >>> [state.shape for state in grads.states["gru"]], grads.flat.shape
    ([(4, 3)], (63,))
    """

    def __init__(self, model: OwnLoops, arena: Arena, flat: NDArray[Any], beyond: Beyond) -> None:
        self.arena, self.flat, self.inputs, self.states = arena, flat, beyond.inputs, beyond.states
        self._model = model
        self._of = {
            variable.name: flat[start:stop].reshape(variable.shape)
            for _, variable, start, stop in arena.trainable_spans()
        }

    def __getitem__(self, name: str) -> NDArray[Any]:
        return self._of[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._of)

    def __len__(self) -> int:
        return len(self._of)

    def step_of(self, optimizer: Optimizer) -> None:
        self._model._apply(optimizer, self)

    def __repr__(self) -> str:
        return f"<Gradients of {', '.join(self._of)}>"
