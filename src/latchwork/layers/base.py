"""What every layer is."""

from __future__ import annotations

import re
import weakref
from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any, ClassVar, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from latchwork import initializers, random
from latchwork.floats import usual_floats
from latchwork.layers.arena import Arena, Initializer, Variable
from latchwork.layers.arguments import (
    Shape,
    as_array,
    as_batch_shape,
    as_dtype,
    as_flag,
    as_input,
    as_shape,
    open_steps,
    refuse,
    shape_text,
)
from latchwork.layers.explain import Explainable
from latchwork.layers.symbol import call_on_symbols, is_symbolic
from latchwork.ragged import Ragged

__all__ = ["Layer", "Variable"]

Batch = NDArray[Any] | Ragged
# Recurrent layers that run at once, each with the lengths of its sequences.
Stage: TypeAlias = "list[tuple[Layer, NDArray[Any]]]"


class Passing(NamedTuple):
    """What a model tells its layers of the passes to come, beside the arguments of `forward`."""

    still: bool = False  # backward through inference: keep what backward needs, but draw nothing, move no average
    first: int = 0  # samples of the whole batch before the first of this part of it
    first_step: int = 0  # and their steps, of a Ragged


class Layer(Explainable):
    """Parameters and configuration; the data flow through `forward` and `backward` and leave nothing behind.

    Args:
        name: The key of its parameters in files and errors; by default the class's in snake case, counted per model.
        dtype: "float32" (default) or "float64"; a model's layers share one.
        trainable: Whether an optimizer changes its parameters.
        input_shape: Of one sample, without the batch axis; for a model's first layer.

    Raises:
        TypeError: An argument that Keras does not have either.
        ValueError: A value that does not fit, or an argument of Keras' that is not built.

    `layer(x, training=False)` runs it on arrays. `y, ctx = layer.forward(x)` and `dx = layer.backward(ctx, dy)` train:
    gradients of parameters are ADDED to `variable.gradient`, gradients of activations are returned.

    A layer of your own derives from this class and defines

    - `forward(x, *, training=True, step=None) -> y, ctx` and `backward(ctx, dy, *, need_dx=True) -> dx`;
    - where it has parameters, `build(input_shape)`, which calls `self.add_weight` for each of them, as in Keras;
    - where y has another shape than x, `y_shape(x_shape)`, both of one sample: without the batch axis.

    `lw.testing.check_gradients` proves it right.

    >>> import numpy as np
    >>> class Scale(Layer):
    ...     def build(self, input_shape):
    ...         self.factor = self.add_weight(input_shape[-1:], "ones", name="factor")
    ...     def forward(self, x, *, training=True, step=None):
    ...         return x * self.factor.value, x
    ...     def backward(self, ctx, dy, *, need_dx=True):
    ...         self.factor.gradient += (ctx * dy).sum(axis=0)
    ...         return dy * self.factor.value
    >>> Scale()(np.ones((1, 2))).tolist()
    [[1.0, 1.0]]
    """

    # Keras' arguments that are not built yet, with the default that may be given.
    unbuilt: ClassVar[dict[str, Any]] = {"activity_regularizer": None, "autocast": True}
    auto_name: ClassVar[str]
    takes_mask: ClassVar[bool] = False  # forward has an argument `mask`
    supports_masking: ClassVar[bool] = False  # a mask of x is a mask of y; Keras' name
    many_inputs: ClassVar[bool] = False  # x is a list of arrays, as are masks and dx; y_shape takes a list of shapes
    same_lengths: ClassVar[bool] = True  # Ragged inputs, where there are several, must be of the same lengths
    fixes_steps: bool = False  # y's features depend on the number of steps: a model then keeps it
    # y at a step depends on x at that step alone, and on states that `advance` carries: sequences may be cut
    by_step: bool = False
    passing: Passing = Passing()
    y_count: int = 1  # arrays a call returns before the states
    stateful: bool = False  # the last state of a row is the first of the same row in the next batch; see Sequential

    def __init_subclass__(cls) -> None:
        """Automatic names are the class's in snake case: SimpleRNN, simple_rnn; LSTMCell, lstm_cell."""
        words = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", cls.__name__)
        cls.auto_name = re.sub(r"([a-z])([A-Z])", r"\1_\2", words).lower()
        if "build" in cls.__dict__:
            cls.build = _declaring(cls.build)  # type: ignore[assignment, method-assign]

    def __init__(
        self,
        *,
        name: str | None = None,
        dtype: Any = None,
        trainable: bool = True,
        input_shape: Any = None,
        **others: Any,
    ) -> None:
        owner = type(self).__name__
        refuse(
            owner,
            others,
            self.unbuilt,
            ("name", "dtype", "trainable", "input_shape", *type(self).__init__.__annotations__),
        )
        if name is not None and (not isinstance(name, str) or not name or "/" in name):
            raise ValueError(f"{owner}: name must be a text without '/', got {name!r}")
        self.given_name = name
        self.name = name or self.auto_name
        self.given_dtype = None if dtype is None else as_dtype(dtype, owner)
        self.trainable = as_flag(trainable, "trainable", owner)
        self.input_shape = None if input_shape is None else as_shape(input_shape, "input_shape", owner)
        self.variables: list[Variable] = []
        self._declared = self._declares = False
        self._x_shape: Shape = ()  # of one sample, as it was declared
        self._arena: Arena | None = None
        self._model: weakref.ref[Any] | None = None  # the one model it belongs to
        self.number = 0  # its place there
        self._calls = 0  # on symbols

    def copied(self) -> Any:
        """A new layer of this configuration, without parameters."""
        layer = object.__new__(type(self))
        layer.__dict__.update(self.__dict__)
        layer.variables, layer._declared, layer._arena, layer._model = [], False, None, None
        layer._calls = 0
        return layer

    # ---- building -----------------------------------------------------------------------------------------------

    @property
    def dtype(self) -> np.dtype[Any]:
        """The layer's own dtype, or that of its parameters, or float32."""
        own = np.dtype(np.float32) if self.given_dtype is None else self.given_dtype
        return own if self._arena is None else self._arena.dtype

    @property
    def built(self) -> bool:
        """Whether the parameters exist."""
        return self._arena is not None

    def build(self, input_shape: Any) -> None:
        """Create the parameters for batches of `input_shape`, (None, 32, 1) say. A second call changes nothing.

        A layer of your own defines it to add its parameters: see `add_weight`.
        """
        if self._arena is None and not self._declares:
            shape = self._sample_shapes(input_shape)
            self.y_shape(shape)  # raises before anything is declared
            self.declare(shape)
            Arena([self], self.dtype)

    def _sample_shapes(self, input_shape: Any) -> Any:
        """The shape of a sample for batches of `input_shape`; the list of them for a layer of several inputs."""
        if not self.many_inputs:
            return as_batch_shape(input_shape, self.name)
        if not isinstance(input_shape, list):
            raise ValueError(f"{self.name}: input_shape must be a list of shapes, one an input, got {input_shape!r}")
        return [as_batch_shape(each, self.name) for each in input_shape]

    def declare(self, input_shape: Shape) -> None:
        """Fix the variables for samples of `input_shape` and take their random streams; values come with the arena."""
        if not self._declared:
            self._declares = True
            try:
                self._declare(input_shape)
            except BaseException:
                self.variables = []
                raise
            finally:
                self._declares = False
            self._declared, self._x_shape = True, input_shape

    def _declare(self, input_shape: Shape) -> None:
        """Set `variables`; for layers that have any. Your own do it in `build`."""
        several: Any = input_shape  # a list of shapes, for a layer of several inputs
        self.build([(None, *each) for each in several] if self.many_inputs else (None, *input_shape))

    def add_weight(
        self,
        shape: Any,
        initializer: Any = "glorot_uniform",
        name: str = "kernel",
        *,
        trainable: bool = True,
    ) -> Variable:
        """A parameter of your own layer or cell: to be called in its `build` or `create`.

        Args:
            shape: Of the array.
            initializer: A name or an `lw.initializers` object.
            name: Its key in the layer.
            trainable: False for what no optimizer changes.

        Returns:
            The `Variable`: `value` and `gradient` are arrays of that shape once the layer is built.

        Raises:
            ValueError: The name is taken, a size is not known, or the layer is built already.
        """
        sizes = as_shape(shape, "add_weight: shape", self.name)
        if None in sizes:
            raise ValueError(f"{self.name}: add_weight: shape must be known throughout, got {shape!r}")
        if any(variable.key == name for variable in self.variables):
            raise ValueError(f"{self.name}: add_weight: name {name!r} is taken")
        if self._declared:
            raise ValueError(f"{self.name}: add_weight must be called in build or create, the layer is built already")
        known = tuple(size or 0 for size in sizes)
        variable = Variable(
            name, known, drawn(initializers.get(initializer)), trainable=as_flag(trainable, "trainable", self.name)
        )
        self.variables.append(variable)
        return variable

    def y_shape(self, x_shape: Shape) -> Shape:
        """The shape of one sample of y for samples of `x_shape`; raises ValueError where x does not fit."""
        return x_shape

    def y_shapes(self, x_shape: Any) -> list[Shape]:
        """The shapes of all arrays that a call on samples of `x_shape` returns, of one sample each."""
        return [self.y_shape(x_shape)]

    @property
    def state_sizes(self) -> list[int]:
        """The features of each array of `initial_state`; empty for a layer that takes none."""
        return []

    def step_flops(self, x_shape: Any) -> int:
        """Floating-point operations of its products with kernels, for one step of a sample of `x_shape`: 2 a weight."""
        return 2 * sum(variable.size for variable in self.variables if variable.key.endswith("kernel"))

    def _bind(self, arena: Arena) -> None:
        """Called when the variables have (new) places in `arena`."""
        self._arena = arena

    def reset_states(self, mask: Any = None) -> None:
        """Zero what a stateful layer carries in its model, in the rows of `mask`; see `Sequential.reset_states`."""
        model = self._model() if self._model is not None else None
        if self.stateful and model is not None:
            model.reset_states(mask, layer=self.number)

    def reset_state(self) -> None:
        """Keras' other name of `reset_states()`."""
        self.reset_states()

    def _remember(self, memory: str) -> None:
        """What the recurrent layers in it keep until backward from now on; see `lw.functional.lstm`."""

    def _stages(self, x_shape: Shape, lengths: NDArray[Any]) -> list[Stage]:
        """The recurrent calls it makes of x [B, *x_shape] with sequences of `lengths`, in the order they run."""
        return []

    def _call_bytes(self, lengths: NDArray[Any]) -> dict[str, tuple[int, int, int]]:
        """Of a recurrent layer: see `_core.recurrent_bytes`."""
        raise NotImplementedError

    def touch(self) -> None:
        """To be called before a variable's value is written: packed copies of the parameters are stale from then on."""

    # ---- running ------------------------------------------------------------------------------------------------

    def __call__(self, x: Any, *, mask: ArrayLike | None = None, training: bool = False) -> Any:
        """y for a batch x (array or lw.Ragged), or the `Symbol` of y for that of x.

        mask: bool [B, T], for the layers that read one. A layer of several inputs takes a list of arrays.
        """
        if is_symbolic(x):
            return call_on_symbols(self, x, mask=mask, training=training)
        if self._arena is None and type(self).build is not Layer.build and not self.many_inputs:
            x = self._checked(x)  # builds a layer of your own
        given: dict[str, Any] = {"mask": mask} if self.takes_mask and mask is not None else {}
        return self.forward(x, training=training, **given)[0]

    def compute_mask(self, x: Any, mask: Any) -> Any:
        """The mask of y, None for none, from `x` and its `mask`."""
        return mask if self.supports_masking else None

    @property
    def outputs(self) -> int:
        """How many arrays a call returns."""
        return 1

    @property
    def label(self) -> str:
        """What `summary` calls it: its class, and what there is to know about how it runs."""
        return type(self).__name__

    def any_steps(self, x_shape: Shape) -> Shape:
        """`x_shape`, of a sample, with its number of steps left open."""
        return open_steps(x_shape)

    @usual_floats
    def read(self, x: Any, dtype: np.dtype[Any]) -> Batch:
        """x as a model of `dtype` takes it when this is its first layer."""
        return as_input(x, "x", dtype)

    def forward(self, x: Any, *, training: bool = True, step: int | None = None) -> tuple[Any, Any]:
        """(y, ctx); ctx is what `backward` needs, None when training is False. `step` numbers the random masks.

        Raises:
            TypeError: The class does not define it.
        """
        raise TypeError(f"{type(self).__name__} must define forward")

    def advance(
        self, x: Any, initial_state: Any = None, mask: Any = None, *, training: bool, step: int | None = None
    ) -> tuple[Any, list[Any], Any]:
        """(y, final states, ctx) of a stateful layer, whatever `forward` returns; the arguments are those of `forward`:
        x, initial_state, mask, training, step. `backward` on this ctx gives no gradient of the initial states.

        Raises:
            TypeError: The class does not define it.
        """
        raise TypeError(f"{type(self).__name__} must define advance to be stateful")

    def backward(self, ctx: Any, dy: Any, *, need_dx: bool = True) -> Any:
        """dx from dy (None when need_dx is False); adds to the gradients of the parameters. Uses ctx up.

        Raises:
            TypeError: The class does not define it.
        """
        raise TypeError(f"{type(self).__name__} must define backward")

    def _checked(self, x: Any) -> Batch:
        """x cast to the layer's dtype; the layer is built if this is its first batch."""
        arena = self._arena
        if arena is not None and type(x) is np.ndarray and x.dtype is arena.dtype and x.ndim and x.flags.c_contiguous:
            ready: NDArray[Any] = x  # the path of every training step
            return ready
        batch = as_input(x, "x", self.dtype)
        shape: Shape = (None, *batch.values.shape[1:]) if isinstance(batch, Ragged) else batch.shape[1:]
        if not isinstance(batch, Ragged) and batch.ndim < 1:
            raise ValueError(f"{self.name}: x must have a batch axis, got a single number")
        if self._arena is None:
            self.y_shape(shape)  # the message is to show the shape as it came
            self.build((None, *self.any_steps(shape)))
        return batch

    # ---- weights ------------------------------------------------------------------------------------------------

    def count_params(self) -> int:
        """The number of parameters, 0 before the layer is built."""
        return sum(variable.size for variable in self.variables)

    def _make_weights(self) -> None:
        """Create the parameters now, where the model that the layer is in knows for what input."""
        owner = None if self._model is None else self._model()
        if self._arena is None and owner is not None:
            owner._make_weights()

    def get_weights(self) -> list[NDArray[Any]]:
        """Copies of the parameters in Keras' order, each in its variable's shape and dtype.

        Empty where they do not exist: before the first batch, unless the layer is built or its model knows its input.
        """
        self._make_weights()
        return [variable.value.copy() for variable in self.variables]

    def set_weights(self, weights: Sequence[ArrayLike]) -> None:
        """Write all parameters from `weights`, in the order and shapes of `get_weights`.

        Raises:
            ValueError: There are no parameters yet, or an array does not fit; nothing was written.
        """
        self._make_weights()
        write_weights([self], weights)

    def __reduce_ex__(self, protocol: Any) -> Any:
        raise TypeError("layers are neither pickled nor copied: build a second one and use set_weights")

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name!r}, {self.count_params()} parameters>"


def write_weights(layers: Sequence[Layer], weights: Sequence[ArrayLike]) -> None:
    """Check that `weights` fit the variables of `layers` in order, then write them all."""
    pairs = [(layer, variable) for layer in layers for variable in layer.variables]
    if any(layer._arena is None for layer in layers):
        raise ValueError("weights cannot be set yet: there are none before the first batch or an input_shape is known")
    if not isinstance(weights, (list, tuple)) or len(weights) != len(pairs):
        given = len(weights) if isinstance(weights, (list, tuple)) else type(weights).__name__
        raise ValueError(f"weights must be a list of {len(pairs)} arrays, got {given}")
    arrays = []
    for (layer, variable), weight in zip(pairs, weights, strict=True):
        array = as_array(weight, variable.name, layer.dtype)
        if array.shape != variable.shape:
            raise ValueError(f"{variable.name} must have shape {variable.shape}, got {array.shape}")
        arrays.append(array)
    for layer in layers:
        layer.touch()
    for (_, variable), array in zip(pairs, arrays, strict=True):
        variable.value[...] = array


def _declaring(build: Callable[[Any, Any], None]) -> Callable[[Any, Any], None]:
    """A subclass's `build` says which parameters there are: called from outside, it creates them too."""

    @wraps(build)
    def built(self: Layer, input_shape: Any) -> None:
        (build if self._declares else Layer.build)(self, input_shape)

    return built


def drawn(fill: initializers.Initializer) -> Initializer:
    """The initializer with the random stream it is to draw from, taken now: the order of layers decides, not of use."""
    seed, stream = random.seed(), random.next_stream()
    return lambda shape, dtype: fill(shape, dtype, seed, stream)


def fixed(value: NDArray[Any]) -> Initializer:
    """An initializer that gives `value`."""
    return lambda shape, dtype: value.astype(dtype)


def last_size(layer: Layer, shape: Shape) -> int:
    """The feature size of a sample shape; it must be known."""
    if not shape or shape[-1] is None:
        raise ValueError(f"{layer.name}: x must have a known feature size on its last axis, got {shape_text(shape)}")
    return shape[-1]


def gradient_like(layer: Layer, dy: Any, shape: Shape) -> NDArray[Any]:
    """The numbers of dy, which must have the shape of y, in the layer's dtype."""
    grad = as_array(dy.values if isinstance(dy, Ragged) else dy, "dy", layer.dtype)
    if grad.shape != shape:
        raise ValueError(f"{layer.name}: dy must have the shape of y, {shape}, got {grad.shape}")
    return grad
