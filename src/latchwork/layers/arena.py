"""All parameters of a model in one flat array, all gradients in another: layers hold views of both."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from latchwork.fields import Shown

if TYPE_CHECKING:
    from latchwork.layers.parameters import Parametric

Initializer = Callable[[tuple[int, ...], np.dtype[Any]], NDArray[Any]]


@dataclass(eq=False, repr=False)
class Variable(Shown):
    """One parameter array of a layer: declared with a shape and a way to fill it, bound to an arena later.

    Args:
        key: Its name in the layer, "kernel".
        shape: Of the array.
        initial: A function of shape and dtype that makes the first values.
        name: The key in files, gradients and errors, "lstm/kernel".
        value, gradient: Views of the arena, of the model's dtype.
        trainable: False for what a layer keeps beside its parameters, moving averages say; no optimizer changes it.
        bound: Whether it has a place in an arena.

    >>> from latchwork.layers import Dense
    >>> layer = Dense(2)
    >>> layer.build((None, 3))
    >>> [(variable.name, variable.value.shape) for variable in layer.variables]
    [('dense/kernel', (3, 2)), ('dense/bias', (2,))]
    """

    key: str
    shape: tuple[int, ...]
    initial: Initializer
    name: str = ""
    value: NDArray[Any] = field(default_factory=lambda: np.empty(0))
    gradient: NDArray[Any] = field(default_factory=lambda: np.empty(0))
    trainable: bool = True
    bound: bool = False

    @property
    def size(self) -> int:
        """The number of elements."""
        return math.prod(self.shape)


class Arena:
    """The parameters (`params` [P]) and gradients (`grads` [P]) of `layers`, in their order.

    An update is one call over flat arrays, a norm one sum, a checkpoint one write. Variables that were bound before
    keep their values; new ones are initialised. Nothing is bound before every value exists.
    """

    def __init__(self, layers: Sequence[Parametric], dtype: np.dtype[Any]) -> None:
        owned = [(layer, variable) for layer in layers for variable in layer.variables]
        values = [v.value if v.bound else v.initial(v.shape, dtype) for _, v in owned]
        self.dtype = dtype
        self.params: NDArray[Any] = np.empty(sum(v.size for _, v in owned), dtype)
        self.grads = np.zeros_like(self.params)
        self.spans: list[tuple[Parametric, Variable, int, int]] = []
        self.moving = [v for _, v in owned if not v.trainable]  # a training forward may change them
        start = 0
        for (layer, variable), value in zip(owned, values, strict=True):
            stop = start + variable.size
            variable.value = self.params[start:stop].reshape(variable.shape)
            variable.value[...] = value
            variable.gradient = self.grads[start:stop].reshape(variable.shape)
            variable.name = f"{layer.name}/{variable.key}"
            variable.bound = True
            self.spans.append((layer, variable, start, stop))
            start = stop
        for layer in layers:
            layer._bind(self)

    def moving_values(self) -> list[NDArray[Any]]:
        """Copies of what a training forward may change; a step that fails puts them back."""
        return [variable.value.copy() for variable in self.moving]

    def put_back(self, values: Sequence[NDArray[Any]]) -> None:
        """Undo what has changed since `moving_values` gave them."""
        for variable, value in zip(self.moving, values, strict=True):
            variable.value[...] = value

    def trainable_ranges(self) -> tuple[tuple[int, int, str], ...]:
        """(start, stop, name) of every variable an optimizer may change, in order."""
        return tuple((start, stop, variable.name) for _, variable, start, stop in self.trainable_spans())

    def trainable_spans(self) -> list[tuple[Parametric, Variable, int, int]]:
        """Those of `spans` that an optimizer may change."""
        return [span for span in self.spans if span[0].trainable and span[1].trainable]
