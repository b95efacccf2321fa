"""Layers made of layers: their variables are the inner ones', under the inner ones' names."""

from __future__ import annotations

import math
import weakref
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from latchwork.floats import usual_floats
from latchwork.layers.arena import Arena
from latchwork.layers.arguments import Shape, as_array, as_dtype, shape_text
from latchwork.layers.base import Batch, Layer, Stage
from latchwork.layers.dense import like, values_of
from latchwork.layers.explain import Asked
from latchwork.layers.explanation import Explanation
from latchwork.ragged import Ragged


class Wrapper(Layer):
    """A layer that runs `inner`. Paths are as in Keras: "time_distributed/dense/kernel"."""

    def __init__(self, inner: list[Layer], common: dict[str, Any]) -> None:
        owner = type(self).__name__
        for layer in inner:
            if not isinstance(layer, Layer):
                raise ValueError(f"{owner}: layer must be a layer, got {layer!r}")
            if layer._model is not None or layer.built:
                raise ValueError(f"{owner}: layer {layer.name!r} is in use already: give a new one")
            if layer.given_dtype is not None and common.get("dtype") is None:
                common = {**common, "dtype": layer.given_dtype}
            if layer.given_dtype is not None and as_dtype(common["dtype"], owner) != layer.given_dtype:
                raise ValueError(f"{owner}: dtype must be that of layer {layer.name!r}, {layer.given_dtype}")
        super().__init__(**common)
        self.inner = inner
        self.trainable = self.trainable and all(layer.trainable for layer in inner)
        for layer in inner:
            layer._model = weakref.ref(self)

    def copied(self) -> Any:
        layer = super().copied()
        layer.inner = [inner.copied() for inner in self.inner]
        for inner in layer.inner:
            inner._model = weakref.ref(layer)
        return layer

    def __setattr__(self, name: str, value: Any) -> None:
        """Its place in a model, which numbers random masks, and what passes are told is the inner layers' too."""
        super().__setattr__(name, value)
        for layer in self.__dict__.get("inner", ()) if name in ("number", "passing") else ():
            setattr(layer, name, value)

    def inner_shape(self, x_shape: Shape) -> Shape:
        """The sample shape that the inner layers see of `x_shape`."""
        return x_shape

    def _declare(self, input_shape: Shape) -> None:
        for layer in self.inner:
            self._take(layer, self.inner_shape(input_shape))

    def _take(self, layer: Layer, x_shape: Shape) -> None:
        layer.declare(x_shape)
        for variable in layer.variables:
            variable.key = f"{layer.name}/{variable.key}"
        self.variables += layer.variables

    def _bind(self, arena: Arena) -> None:
        super()._bind(arena)
        for layer in self.inner:
            layer._bind(arena)

    def _remember(self, memory: str) -> None:
        for layer in self.inner:
            layer._remember(memory)

    def touch(self) -> None:
        for layer in self.inner:
            layer.touch()


class TimeDistributed(Wrapper):
    """`layer` on every step: x [B, T, ...] -> y [B, T, ...], each step a sample of its own.

    x may be a `lw.Ragged` where the layer takes [N, F]. A mask [B, T] passes through; a mask [B, T, S] of sequences
    in steps reaches the layer. Variables are the layer's: "time_distributed/dense/kernel".

    Args:
        layer: A layer of its own, not in use elsewhere.

    Raises:
        ValueError: A layer that is in use, returns several arrays or carries states.

    >>> import numpy as np
    >>> from latchwork.layers import LSTM, Dense
    >>> TimeDistributed(Dense(5))(np.ones((2, 3, 4))).shape, TimeDistributed(LSTM(5))(np.ones((2, 3, 7, 4))).shape
    ((2, 3, 5), (2, 3, 5))
    """

    by_step = True

    takes_mask = supports_masking = True

    def __init__(self, layer: Layer, **common: Any) -> None:
        super().__init__([layer], common)
        self.layer = layer
        if layer.outputs > 1 or layer.stateful:
            raise ValueError("TimeDistributed: layer must return one array and carry no states between batches")

    def inner_shape(self, x_shape: Shape) -> Shape:
        return x_shape[1:]

    def _stages(self, x_shape: Shape, lengths: NDArray[Any]) -> list[Stage]:
        if len(x_shape) < 3 or None in x_shape:
            return []
        return self.layer._stages(x_shape[1:], np.full(sum(lengths.tolist()), x_shape[1]))

    def y_shape(self, x_shape: Shape) -> Shape:
        if len(x_shape) < 2:
            raise ValueError(f"{self.name}: x must be (B, T, ...), got {shape_text(x_shape)}")
        return (x_shape[0], *self.layer.y_shape(x_shape[1:]))

    def step_flops(self, x_shape: Shape) -> int:
        """Those of the layer, for a sample of `x_shape`: on every inner step, where a step is a sequence."""
        inner = x_shape[1:]
        return self.layer.step_flops(inner) * ((inner[0] or 1) if len(inner) > 1 else 1)

    def any_steps(self, x_shape: Shape) -> Shape:
        inner = x_shape[1:] if self.layer.fixes_steps else self.layer.any_steps(x_shape[1:])
        return (*(None for _ in x_shape[:1]), *inner)

    @usual_floats
    def read(self, x: Any, dtype: np.dtype[Any]) -> Batch:
        return self.layer.read(x, dtype)

    def _explain(self, x_shape: Shape, asked: Asked) -> Explanation:
        rows = replace(asked, batch_size=asked.batch_size * (x_shape[0] or 0))
        inner = self.layer._explain(x_shape[1:], rows)
        return asked.answer(
            self, self.name, self.label, x_shape, note="every step is a row of the layer in it", parts=(inner,)
        )

    def _sample(self, shape: Any) -> NDArray[Any]:
        return self.layer._sample(shape)

    def forward(self, x: Any, *, mask: Any = None, training: bool = True, step: int | None = None) -> tuple[Any, Any]:
        x = self.read(x, self.dtype)
        ragged = isinstance(x, Ragged)
        shape = values_of(x).shape
        sample: Shape = (None, *shape[1:]) if ragged else shape[1:]
        self.y_shape(sample)
        if not self.built:
            self.build((None, *self.any_steps(sample)))
        rows = values_of(x) if ragged else x.reshape(math.prod(shape[:2]), *shape[2:])
        if self.passing.first:  # a row of the layer is a step
            before = self.passing.first_step if ragged else self.passing.first * shape[1]
            self.layer.passing = self.passing._replace(first=before)
        given: dict[str, Any] = {}
        if mask is not None and self.layer.takes_mask and np.ndim(mask) > 2:
            given["mask"] = np.asarray(mask).reshape(len(rows), *np.shape(mask)[2:])
        y, ctx = self.layer.forward(rows, training=training, step=step, **given)
        return like(x, y if ragged else y.reshape(*shape[:2], *y.shape[1:])), (
            ctx,
            shape,
            y.shape,
        ) if training else None

    def backward(self, ctx: Any, dy: Any, *, need_dx: bool = True) -> Any:
        inner, x_shape, y_shape = ctx
        grad = as_array(values_of(dy), "dy", self.dtype)
        if grad.size != math.prod(y_shape) or grad.shape[-1:] != y_shape[-1:]:
            raise ValueError(f"{self.name}: dy must have the shape of y, {y_shape} step by step, got {grad.shape}")
        dx = self.layer.backward(inner, grad.reshape(y_shape), need_dx=need_dx)
        return None if dx is None else like(dy, dx.reshape(x_shape))
