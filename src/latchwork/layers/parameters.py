"""A layer's parameters: declared, drawn, read and written."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from latchwork import initializers, random
from latchwork.layers.arena import Arena, Initializer, Variable
from latchwork.layers.arguments import Shape, as_array, as_batch_shape, as_flag, as_shape, shape_text
from latchwork.layers.explain import Explainable


class Parametric(Explainable):
    """What a layer declares, and what it holds once an arena has given its variables their places; for `Layer`."""

    given_dtype: np.dtype[Any] | None
    trainable: bool
    variables: list[Variable]
    _arena: Arena | None
    _model: Any  # None, or a weak reference to the model, or the wrapper, that it belongs to
    _declared: bool  # the variables are fixed, they come with the next arena
    _declares: bool  # `build` of a subclass runs, to say which there are

    def __init_subclass__(cls) -> None:
        if "build" in cls.__dict__:
            cls.build = _declaring(cls.build)  # type: ignore[assignment, method-assign]

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

    def _bind(self, arena: Arena) -> None:
        """Called when the variables have (new) places in `arena`."""
        self._arena = arena

    def touch(self) -> None:
        """To be called before a variable's value is written: packed copies of the parameters are stale from then on."""

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
        """Write all parameters from `weights`, of any float or integer dtype, in the order and shapes of `get_weights`.

        Raises:
            ValueError: There are no parameters yet, or an array does not fit; nothing was written.
        """
        self._make_weights()
        write_weights([self], weights)


def write_weights(layers: Sequence[Parametric], weights: Sequence[ArrayLike]) -> None:
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
    def built(self: Parametric, input_shape: Any) -> None:
        (build if self._declares else Parametric.build)(self, input_shape)

    return built


def drawn(fill: initializers.Initializer) -> Initializer:
    """The initializer with the random stream it is to draw from, taken now: the order of layers decides, not of use."""
    seed, stream = random.seed(), random.next_stream()
    return lambda shape, dtype: fill(shape, dtype, seed, stream)


def fixed(value: NDArray[Any]) -> Initializer:
    """An initializer that gives `value`."""
    return lambda shape, dtype: value.astype(dtype)


def last_size(layer: Parametric, shape: Shape) -> int:
    """The feature size of a sample shape; it must be known."""
    if not shape or shape[-1] is None:
        raise ValueError(f"{layer.name}: x must have a known feature size on its last axis, got {shape_text(shape)}")
    return shape[-1]
