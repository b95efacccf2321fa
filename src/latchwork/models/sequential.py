"""A model: layers in a row over one arena of parameters."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Any

from latchwork.layers.arena import Arena
from latchwork.layers.arguments import Shape, as_batch_shape, check_fit, refuse
from latchwork.layers.base import Layer, Stage
from latchwork.layers.input import Input
from latchwork.models.batches import Rows, Several
from latchwork.models.forms import Form, form_behind, form_of
from latchwork.models.gradients import Beyond
from latchwork.models.memory import largest_lengths, with_steps
from latchwork.models.network import Network
from latchwork.models.summary import Line
from latchwork.ragged import Ragged


class Sequential(Network):
    """Layers that run one after another.

    Args:
        layers: Any number of layers, and an `Input` first if you like; `add` appends more. The parameters are created
            once the input's shape is known: from `Input`, the first layer's `input_shape`, or the first batch.
        name: The model's, in `summary` and errors.
        dtype: "float32" or "float64"; left out, it is what the layers say, float32 if they say nothing.

    Raises:
        ValueError: A layer that does not fit the one before it, is in use elsewhere, or has another dtype.

    The mask of a `Masking` or `Embedding` layer passes on to the layers behind it; a loss or metric of a masked
    sequence counts real steps only. The states of stateful layers live here, see `reset_states`.

    >>> import numpy as np
    >>> from latchwork.layers import LSTM, Dense
    >>> model = Sequential([LSTM(8, input_shape=(10, 1)), Dense(1)])
    >>> model.compile(loss="mse", optimizer="adam")
    >>> x = np.ones((20, 10, 1))
    >>> history = model.fit(x, x[:, -1], epochs=2, verbose=0)
    >>> model.predict(x).shape, list(history.history)
    ((20, 1), ['loss'])
    """

    def __init__(
        self,
        layers: Iterable[Layer | Input] | None = None,
        *,
        name: str = "sequential",
        dtype: Any = None,
        **others: Any,
    ) -> None:
        refuse("Sequential", others, {"trainable": True}, ("layers", "name", "dtype"))
        super().__init__(name, dtype)
        self._input: Shape | None = None  # of one sample, as the user said it
        for layer in layers or ():
            self.add(layer)

    # ---- building -----------------------------------------------------------------------------------------------

    def add(self, layer: Layer | Input) -> None:
        """Append a layer. Automatic names count per model: lstm, lstm_1, ... A compiled model must be compiled anew.

        Raises:
            ValueError: `layer` does not fit the one before it, is in use elsewhere, or has another dtype or a name that
                is taken; the model is unchanged.
        """
        if isinstance(layer, Input):
            if self.layers or self._input is not None:
                raise ValueError(f"{self.name}: an Input must come first")
            self._agree_on_dtype(layer.dtype, layer.name)
            self._input = layer.shape
            return
        if not isinstance(layer, Layer):
            raise ValueError(f"{self.name}: add takes a layer, got {layer!r}")
        owner = layer._model() if layer._model is not None else None
        if owner is not None:
            raise ValueError(f"{self.name}: layer {layer.name!r} already belongs to model {owner.name!r}")
        if layer.many_inputs:
            raise ValueError(f"{self.name}: {layer.auto_name} reads several arrays: use Model(inputs, outputs)")
        if self.layers and self.layers[-1].outputs > 1:
            raise ValueError(f"{self.layers[-1].name}: return_state gives several outputs, Sequential passes on one")
        name = self._name_for(layer, {other.name for other in self.layers})
        shape = self._input
        if shape is None and not self.layers:
            shape = layer.input_shape
        before = None if shape is None else self._shape_through(shape, self.layers)
        if before is not None:  # what does not fit is said here, not at the first batch
            self._shape_through(before, [layer])
        self._agree_on_dtype(layer.dtype if layer.built else layer.given_dtype, name)
        self._input, layer.name, layer.number, layer._model = shape, name, len(self.layers), weakref.ref(self)
        self.layers.append(layer)
        self._arena = self._compiled = None
        self._rates.clear()
        self._carried.reset()
        if before is not None:  # the seed in force now decides the weights
            layer.declare(before)

    def build(self, input_shape: Any = None) -> None:
        """Create the parameters for batches of `input_shape`, (None, 32, 1) say, or of the shape known already.

        Raises:
            ValueError: There are no layers, or no shape is known.
        """
        shape = self._input if input_shape is None else as_batch_shape(input_shape, self.name)
        if self._arena is not None:
            return
        if not self.layers:
            raise ValueError(f"{self.name} has no layers: add some first")
        if shape is None:
            raise ValueError(f"{self.name}: say the input's shape (Input, input_shape) or run a batch first")
        self._shape_through(shape, self.layers)  # raises before anything is declared
        self._input = self._opened(shape) if self._input is None else self._input
        dtype = self.dtype
        for layer in self.layers:
            layer.declare(shape)
            shape = layer.y_shape(shape)
        self._arena = Arena(self.layers, dtype)

    def _shape_through(self, shape: Shape, layers: Sequence[Layer]) -> Shape:
        """The output's sample shape on samples of `shape`; raises ValueError where a layer does not fit."""
        for layer in layers:
            if layer.input_shape is not None:
                check_fit(shape, layer.any_steps(layer.input_shape), layer.name)
            shape = layer.y_shape(shape)
        return shape

    def _opened(self, shape: Shape) -> Shape:
        """A sample shape with its number of steps left open, unless a layer depends on it."""
        return shape if any(layer.fixes_steps for layer in self.layers) else self.layers[0].any_steps(shape)

    # ---- what training needs ------------------------------------------------------------------------------------

    def _as_input(self, x: Any) -> tuple[Rows, Shape]:
        """x cast and checked against the layers, and the output's sample shape on it; nothing is built yet."""
        if not self.layers:
            raise ValueError(f"{self.name} has no layers: add some first")
        rows = self.layers[0].read(x, self.dtype)
        if not isinstance(rows, Ragged) and rows.ndim == 0:
            raise ValueError("x must have a batch axis, got a single number")
        shape: Shape = (None, *rows.values.shape[1:]) if isinstance(rows, Ragged) else rows.shape[1:]
        if self._input is not None:
            check_fit(shape, self.layers[0].any_steps(self._input), self.name)
        return rows, self._shape_through(shape, self.layers)

    @property
    def output_names(self) -> list[str]:
        """The name of the last layer."""
        return [self.layers[-1].name] if self.layers else [self.name]

    def _read(self, x: Any) -> tuple[Rows, list[Form]]:
        rows, shape = self._as_input(x)
        return rows, [form_behind(shape, rows.offsets if isinstance(rows, Ragged) else None)]

    def _sample_shape(self, x: Rows) -> Shape:
        assert not isinstance(x, Several)
        return (None, *self._opened(form_of(x).shape))

    def _calls(self, shape: Shape) -> Iterator[tuple[Layer, Shape]]:
        for layer in self.layers:
            yield layer, shape
            shape = layer.y_shape(shape)

    def _largest_stages(self, x: Rows, batch_size: int) -> list[Stage]:
        assert not isinstance(x, Several)
        lengths = largest_lengths(x, batch_size)
        calls = self._calls(form_of(x).shape)
        return [stage for layer, shape in calls for stage in layer._stages(shape, with_steps(lengths, shape))]

    def _fields(self) -> dict[str, Any]:
        if self.layers and self.layers[-1].outputs > 1:
            raise ValueError(f"{self.layers[-1].name}: several outputs cannot be saved: a Sequential has one")
        return {"input_shape": self._input}

    def _known(self) -> bool:
        return self._input is not None and bool(self.layers)

    def _lines(self) -> list[Line]:
        shapes = [None] * len(self.layers) if self._input is None else [at for _, at in self._calls(self._input)]
        return [
            Line(layer, None if shape is None else [layer.y_shape(shape)], shape)
            for layer, shape in zip(self.layers, shapes, strict=True)
        ]

    def _run(self, x: Any, training: bool, step: int | None = None) -> tuple[Any, Any, list[Any]]:
        """(y, its mask or None, contexts). What stateful layers carry on counts once `_carried.commit` is called."""
        contexts, mask = [], None
        self._carried.begin()
        for layer in self.layers:
            run: Callable[..., Any] = layer.advance if layer.stateful else layer.forward
            if mask is not None and layer.takes_mask:
                run = partial(run, mask=mask)
            if layer.stateful:
                y, states, ctx = run(x, self._carried.initial(layer.number, len(x)), training=training, step=step)
                self._carried.leave(layer.number, states)
            else:
                y, ctx = run(x, training=training, step=step)
            mask = layer.compute_mask(x, mask)
            x = y
            contexts.append(ctx)
        return x, None if mask is None or mask.all() else mask, contexts

    def _backward(self, contexts: list[Any], dy: Any, beyond: Beyond | None = None) -> None:
        """Down to the first layer that learns, whose dx is not computed; to x where gradients beyond are asked for."""
        layers, first = self.layers, 0
        while beyond is None and first < len(layers) and not (layers[first].trainable and layers[first].variables):
            first += 1
        last_dx = beyond is not None and beyond.with_inputs
        for i in range(len(layers) - 1, first - 1, -1):
            context, with_states = (contexts[i], False) if beyond is None else beyond.asked(contexts[i])
            dy = layers[i].backward(context, dy, need_dx=i > first or last_dx)
            if beyond is not None and with_states:
                dy, *beyond.states[layers[i].name] = dy
            if dy is None:
                break
        if beyond is not None and last_dx:
            beyond.inputs = dy

    def __repr__(self) -> str:
        return f"<Sequential {self.name!r}: {', '.join(layer.name for layer in self.layers) or 'no layers'}>"
