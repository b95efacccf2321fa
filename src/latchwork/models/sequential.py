"""A model: layers in a row over one arena of parameters."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from latchwork.layers.arena import Arena, Variable
from latchwork.layers.arguments import Shape, as_batch_shape, as_dtype, check_fit, refuse
from latchwork.layers.base import Layer, write_weights
from latchwork.layers.input import Input
from latchwork.models import saving
from latchwork.models.batches import Rows
from latchwork.models.rollout import RollOuts
from latchwork.models.saving import PathLike
from latchwork.models.session import Session
from latchwork.models.summary import summarize
from latchwork.models.trainer import Trainer
from latchwork.models.use import alone
from latchwork.ragged import Ragged


class Sequential(RollOuts, Trainer):
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
        super().__init__()
        self.name = name
        self.extras: dict[str, Any] = {}  # what travels in the model's file beside it
        self.layers: list[Layer] = []
        self._given_dtype = None if dtype is None else as_dtype(dtype, "Sequential")
        self._input: Shape | None = None  # of one sample, as the user said it
        self._arena: Arena | None = None
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
        if self.layers and self.layers[-1].outputs > 1:
            raise ValueError(f"{self.layers[-1].name}: return_state gives several outputs, Sequential passes on one")
        name = self._name_for(layer)
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

    @property
    def dtype(self) -> np.dtype[Any]:
        """What the model computes in, float32 or float64."""
        return np.dtype(np.float32) if self._given_dtype is None else self._given_dtype

    def _agree_on_dtype(self, dtype: np.dtype[Any] | None, name: str) -> None:
        said = self._given_dtype
        if dtype is None or (said is not None and dtype == said):  # numpy: dtype("float64") == None
            return
        if said is not None or (any(layer.built for layer in self.layers) and dtype != self.dtype):
            raise ValueError(f"{name}: dtype must be the model's, {self.dtype}, got {dtype}")
        self._given_dtype = dtype

    def _name_for(self, layer: Layer) -> str:
        taken = {other.name for other in self.layers}
        if layer.given_name is not None:
            if layer.given_name in taken:
                raise ValueError(f"{self.name}: layer names must differ, {layer.given_name!r} is taken")
            return layer.given_name
        names = (layer.auto_name if i == 0 else f"{layer.auto_name}_{i}" for i in range(len(taken) + 1))
        return next(name for name in names if name not in taken)

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

    @alone
    def reset_states(self, mask: ArrayLike | None = None, *, layer: int | None = None) -> None:
        """Let stateful layers start from zero again: all rows, or those where `mask` (bool, one a carried row) is True.

        Row i of a batch goes on where row i of the batch before ended. A smaller batch goes on with the first rows and
        leaves the others alone, new rows of a larger one start at zero. layer: the number of one layer, None for all.

        Raises:
            ValueError: mask is not bool, or has another number of rows.
        """
        self._carried.reset(mask, layer)

    def _backward(self, contexts: list[Any], dy: Any) -> None:
        """Down to the first layer that learns; its dx is not computed."""
        layers, first = self.layers, 0
        while first < len(layers) and not (layers[first].trainable and layers[first].variables):
            first += 1
        for i in range(len(layers) - 1, first - 1, -1):
            dy = layers[i].backward(contexts[i], dy, need_dx=i > first)
            if dy is None:
                break

    # ---- weights and looks --------------------------------------------------------------------------------------

    @property
    def variables(self) -> list[Variable]:
        """All parameters in file order, each with `name`, `value` and `gradient`."""
        self.build()
        return [variable for layer in self.layers for variable in layer.variables]

    def count_params(self) -> int:
        """The number of parameters."""
        return sum(variable.size for variable in self.variables)

    def get_weights(self) -> list[NDArray[Any]]:
        """Copies of all parameters, layer by layer, in Keras' order: each in its variable's shape and dtype."""
        return [variable.value.copy() for variable in self.variables]

    @alone
    def set_weights(self, weights: Sequence[ArrayLike]) -> None:
        """Write all parameters, in the order and shapes of `get_weights`.

        Args:
            weights: A list of arrays of any float or integer dtype.

        Raises:
            ValueError: Another number of arrays, or one of another shape; nothing was written.
        """
        self.build()
        write_weights(self.layers, weights)

    def save(self, path: PathLike, *, include_optimizer: bool = True, extras: Mapping[str, Any] | None = None) -> None:
        """Write the whole model to one file, which `lw.models.load_model` reads and C++ runs (latchwork/model.h).

        Args:
            path: Must end in ".safetensors" (docs/model-files.md). An old file is replaced at once or, on any error,
                left as it is.
            include_optimizer: False leaves out what `compile` said and the optimizer's state; the model read back must
                then be compiled before it is trained.
            extras: A dict of `StandardScaler` objects that travel with the model and come back as `model.extras`; None
                writes those the model came with.

        Raises:
            OSError: The file cannot be written.
            ValueError: Another suffix, or what no file can hold (your own layer or loss).

        >>> import os, tempfile
        >>> import numpy as np
        >>> import latchwork as lw
        >>> scaler = lw.data.StandardScaler().fit([1.0, 3.0])
        >>> model = Sequential([lw.layers.Dense(1, input_shape=(1,))])
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     model.save(os.path.join(folder, "m.safetensors"), extras={"x": scaler})
        ...     lw.models.load_model(os.path.join(folder, "m.safetensors")).extras["x"].transform([5.0])
        array([3.])
        """
        saving.save(self, path, include_optimizer, extras)

    def save_weights(self, path: PathLike) -> None:
        """Write the parameters alone, under their names ("lstm/kernel"), to the ".safetensors" file `path`.

        Raises:
            OSError: The file cannot be written.
            ValueError: Another suffix.

        >>> import os, tempfile
        >>> from latchwork.layers import Dense
        >>> model, other = (Sequential([Dense(2, input_shape=(3,))]) for _ in range(2))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     model.save_weights(os.path.join(folder, "w.safetensors"))
        ...     other.load_weights(os.path.join(folder, "w.safetensors"))
        >>> bool((model.get_weights()[0] == other.get_weights()[0]).all())
        True
        """
        saving.save_weights(self, path)

    @alone
    def load_weights(self, path: PathLike) -> None:
        """Read the parameters from `path`, a file of `save_weights` or `save`: every one, by name.

        Raises:
            OSError: The file cannot be read; the weights are unchanged.
            ValueError: No such file, or a tensor is missing or of another shape or dtype; the weights are unchanged.
        """
        saving.load_weights(self, path)

    def session(self, n: int = 1, *, threads: int | None = None) -> Session:
        """`n` streams of single time steps: `y = session.step(x)`, `session.reset()`, `session.state`.

        For models of sequences whose layers can go step by step: not Bidirectional, RepeatVector, go_backwards, cells
        of your own, nor Flatten of a whole sequence. In a session every recurrent layer carries its states on, stateful
        or not. Its weights are those of now. At most `threads` share a step; None: `lw.num_threads()`. Raises
        ValueError naming the layer that cannot step.

        >>> import numpy as np
        >>> from latchwork.layers import LSTM, Dense
        >>> model = Sequential([LSTM(8, input_shape=(None, 2)), Dense(1)])
        >>> x = np.ones((1, 3, 2), np.float32)
        >>> session = model.session()
        >>> for t in range(3):
        ...     y = session.step(x[:, t])
        >>> bool((y == model.predict(x)).all()), list(session.state)
        (True, ['lstm/h', 'lstm/c'])
        """
        return Session(self, n, threads=threads)

    def summary(self, print_fn: Callable[[str], Any] | None = None) -> None:
        """Print the layers, their output shapes and parameters: line by line through `print_fn`, or to stdout."""
        if self._input is not None and self.layers:
            self.build()
        for line in summarize(self.name, self.layers, self._input, self.dtype):
            (print_fn or print)(line)

    def __reduce_ex__(self, protocol: Any) -> Any:
        raise TypeError("models are neither pickled nor copied: build a second one and use set_weights")

    def __repr__(self) -> str:
        return f"<Sequential {self.name!r}: {', '.join(layer.name for layer in self.layers) or 'no layers'}>"
