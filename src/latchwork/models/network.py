"""What models of every shape share: dtype, names, weights, files, looks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from latchwork.layers.arena import Variable
from latchwork.layers.arguments import as_dtype
from latchwork.layers.base import Layer
from latchwork.layers.parameters import write_weights
from latchwork.layers.symbol import is_symbolic
from latchwork.models import saving
from latchwork.models.rollout import RollOuts
from latchwork.models.saving import PathLike
from latchwork.models.session import Session
from latchwork.models.summary import Line, summarize
from latchwork.models.trainer import Trainer
from latchwork.models.use import alone


class Network(RollOuts, Trainer):
    """Layers over one arena of parameters: what `Sequential` and `Model` are.

    Args:
        name: The model's, in `summary` and errors.
        dtype: "float32" or "float64"; None leaves it to the layers.
    """

    is_graph = False  # whether layers have several readers, inputs or outputs

    def __init__(self, name: str, dtype: Any) -> None:
        super().__init__()
        self.name = name
        self.extras: dict[str, Any] = {}  # what travels in the model's file beside it
        self.layers: list[Layer] = []
        self._given_dtype = None if dtype is None else as_dtype(dtype, type(self).__name__)
        self._arena = None

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

    def _name_for(self, layer: Layer, taken: set[str]) -> str:
        """The name of a layer among others, whose names are `taken`."""
        if layer.given_name is not None:
            if layer.given_name in taken:
                raise ValueError(f"{self.name}: layer names must differ, {layer.given_name!r} is taken")
            return layer.given_name
        names = (layer.auto_name if i == 0 else f"{layer.auto_name}_{i}" for i in range(len(taken) + 1))
        return next(name for name in names if name not in taken)

    @alone
    def reset_states(self, mask: ArrayLike | None = None, *, layer: int | None = None) -> None:
        """Let stateful layers start from zero again: all rows, or those where `mask` (bool, one a carried row) is True.

        Row i of a batch goes on where row i of the batch before ended. A smaller batch goes on with the first rows and
        leaves the others alone, new rows of a larger one start at zero. layer: the number of one layer, None for all.

        Raises:
            ValueError: mask is not bool, or has another number of rows.
        """
        self._carried.reset(mask, layer)

    # ---- weights and looks --------------------------------------------------------------------------------------

    def _make_weights(self) -> None:
        if self._arena is None and self._known():
            self.build()

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
        >>> model = lw.models.Sequential([lw.layers.Dense(1, input_shape=(1,))])
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
        >>> from latchwork.models import Sequential
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

        For models of sequences whose layers can go step by step: not Bidirectional, RepeatVector, go_backwards,
        windows, attention, cells of your own, nor Flatten of a whole sequence. In a session every recurrent layer
        carries its states on, stateful or not. Its weights are those of now. At most `threads` share a step; None:
        `lw.num_threads()`. Raises ValueError naming the layer that cannot step.

        >>> import numpy as np
        >>> from latchwork.layers import LSTM, Dense
        >>> from latchwork.models import Sequential
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
        """Print the layers, their output shapes, parameters, bytes and FLOPs, and what a graph connects.

        FLOPs are the multiplications and additions of a layer's products with its kernels, forward, for one step of one
        sample (of x without steps: for the sample): 2 a weight. Activations and what reads no kernel are not counted.

        Args:
            print_fn: Called with each line; None prints to stdout.
        """
        if self._known():
            self.build()
        for line in summarize(self.name, self._lines(), self.dtype):
            (print_fn or print)(line)

    def _fields(self) -> dict[str, Any]:
        """What its file says of it beside name, dtype and layers."""
        raise NotImplementedError

    def _known(self) -> bool:
        """Whether the parameters can be made already."""
        raise NotImplementedError

    def _lines(self) -> list[Line]:
        """What `summary` shows, a line a call."""
        raise NotImplementedError

    def __call__(self, x: Any, *_: Any, **__: Any) -> Any:
        """Not built: `predict` runs a model on x.

        Raises:
            ValueError: x is a symbol: a model is no layer of another one yet.
            TypeError: x is anything else.
        """
        if is_symbolic(x):
            raise ValueError(f"{self.name}: a model cannot be a layer of another one yet: call its layers instead")
        raise TypeError(f"{self.name}: a model is run by predict(x)")

    def __reduce_ex__(self, protocol: Any) -> Any:
        raise TypeError("models are neither pickled nor copied: build a second one and use set_weights")
