"""Optimizers: names, defaults and formulas of Keras 3, one fused pass of the core over flat arrays.

A model keeps its parameters in one flat array, their gradients in another. `build` makes the moments, also flat;
`apply` clips, steps every trainable range in place, and counts. The result is the same bits on every CPU and for any
number of threads.
"""

from __future__ import annotations

import operator
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from . import _core
from .fields import Shown
from .names import resolve

if TYPE_CHECKING:
    from numpy.typing import DTypeLike, NDArray


def _number(name: str, value: Any, most: float = 1e300, most_excluded: bool = False) -> float:
    """float(value), checked to be in [0, most], or [0, most)."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise TypeError(f"{name} must be a number, got {value!r}") from None
    if not 0 <= number <= most or (most_excluded and number == most):
        bound = "0 or more" if most == 1e300 else f"in [0, {most:g}{')' if most_excluded else ']'}"
        raise ValueError(f"{name} must be {bound}, got {number}")
    return number


@dataclass(eq=False, repr=False)
class Optimizer(Shown, ABC):
    """Base of all: learning rate, weight decay, clipping, step counter.

    Args:
        learning_rate: The step's length, 0 or more; may be set between steps.
        weight_decay: Each step first takes learning_rate * weight_decay times itself off every parameter (decoupled
            weight decay, I. Loshchilov, F. Hutter, 2019). None: none.
        clipnorm: Scales the gradient of each variable down to this norm.
        clipvalue: Clips each element of the gradient into [-clipvalue, clipvalue].
        global_clipnorm: Scales all gradients down so that their joint norm is this; NaN if it is not finite.
        name: Default: the class's, in lower case.

    Attributes:
        iterations: Steps taken; may be set, with `slots`, to go on from a state that was kept.
        slots: The moments, flat arrays by name.

    Raises:
        TypeError, ValueError: A value that is no number or out of range, or more than one way of clipping.

    Example:
        >>> isinstance(Adam(), Optimizer)
        True
    """

    learning_rate: float = 0.001
    weight_decay: float | None = field(default=None, kw_only=True)
    clipnorm: float | None = field(default=None, kw_only=True)
    clipvalue: float | None = field(default=None, kw_only=True)
    global_clipnorm: float | None = field(default=None, kw_only=True)
    name: str = field(default="", kw_only=True)
    iterations: int = field(default=0, init=False, repr=False)
    slots: dict[str, NDArray[Any]] = field(default_factory=dict, init=False, repr=False)
    _layout: tuple[int, np.dtype[Any]] | None = field(default=None, init=False, repr=False)
    # What the ranges of the last step came to: every variable, and their runs of neighbours.
    _planned: tuple[Sequence[tuple[int, int, str]] | None, int] | None = field(default=None, init=False, repr=False)
    _variables: list[tuple[int, int]] = field(default_factory=list, init=False, repr=False)
    _spans: list[tuple[int, int]] = field(default_factory=list, init=False, repr=False)

    def __post_init__(self) -> None:
        clips = {key: getattr(self, key) for key in ("clipnorm", "clipvalue", "global_clipnorm")}
        if sum(value is not None for value in clips.values()) > 1:
            given = ", ".join(f"{key}={value}" for key, value in clips.items())
            raise ValueError(f"at most one of clipnorm, clipvalue and global_clipnorm may be given, got {given}")
        for key, value in clips.items():
            if value is not None and _number(key, value) == 0:
                raise ValueError(f"{key} must be above 0, got {value}")
        if self.weight_decay is not None:
            _number("weight_decay", self.weight_decay)
        self.name = self.name or type(self).__name__.lower()

    def __setattr__(self, key: str, value: Any) -> None:
        object.__setattr__(self, key, _number(key, value) if key == "learning_rate" else value)

    @property
    def slot_names(self) -> tuple[str, ...]:
        """Names of the moments, in the order `_step` gets them."""
        return ()

    def build(self, n: int, dtype: DTypeLike) -> None:
        """Make the moments, zeros, for a model of `n` parameters of `dtype`. The same call again does nothing.

        Raises:
            ValueError: A dtype other than float32 and float64, or a model of another size or dtype after steps were
                taken: its moments would be lost.
        """
        layout = (operator.index(n), np.dtype(dtype))
        if layout[1] not in (np.dtype(np.float32), np.dtype(np.float64)):
            raise ValueError(f"dtype must be float32 or float64, got {layout[1]}")
        if self._layout == layout:
            return
        if self._layout is not None and self.iterations > 0:
            size, old = self._layout
            raise ValueError(
                f"optimizer {self.name!r} has taken steps with {size} {old} parameters; "
                f"a model of {layout[0]} {layout[1]} parameters needs a new optimizer"
            )
        self._layout = layout
        self.slots = {slot: np.zeros(layout[0], layout[1]) for slot in self.slot_names}

    def apply(
        self, params: NDArray[Any], grads: NDArray[Any], ranges: Sequence[tuple[int, int, str]] | None = None
    ) -> None:
        """Take one step, in place. Clipping also writes `grads`.

        Args:
            params: Flat [N], float32 or float64, as given to `build` (called for you the first time).
            grads: Flat [N], same dtype.
            ranges: (start, stop, name) of every trainable variable, in order; the others stay as they are. Default:
                one variable, all of it.

        Raises:
            ValueError: Shapes or ranges that do not fit; nothing is changed.
        """
        if params.ndim != 1 or grads.shape != params.shape or grads.dtype != params.dtype:
            raise ValueError(
                f"params and grads must be flat and alike, got {params.shape} {params.dtype} and "
                f"{grads.shape} {grads.dtype}"
            )
        for a in (params, grads):
            if not (a.flags.c_contiguous and a.flags.writeable):
                raise ValueError("params and grads must be contiguous and writeable")
        if (ranges, params.size) != self._planned:  # once per model: 5 us a step for the same answer
            self._variables = [(0, params.size)] if ranges is None else [(start, stop) for start, stop, _ in ranges]
            self._spans = _merged(self._variables, params.size)
            self._planned = (ranges if ranges is None or isinstance(ranges, tuple) else list(ranges), params.size)
        if self._layout != (params.size, params.dtype):
            self.build(params.size, params.dtype)
        self._clip(grads, self._variables, self._spans)
        for start, stop in self._spans:
            arrays = [params, grads, *self.slots.values()]
            if stop - start < params.size:
                arrays = [a[start:stop] for a in arrays]
            self._step(arrays[0], arrays[1], arrays[2:])
        self.iterations += 1

    def _clip(self, grads: NDArray[Any], variables: list[tuple[int, int]], spans: list[tuple[int, int]]) -> None:
        if self.clipnorm is not None:
            _core.clip_norm(grads, variables, self.clipnorm, together=False)
        elif self.global_clipnorm is not None:
            _core.clip_norm(grads, variables, self.global_clipnorm, together=True)
        elif self.clipvalue is not None:
            for start, stop in spans:
                _core.clip_value(grads[start:stop], self.clipvalue)

    @abstractmethod
    def _step(self, params: NDArray[Any], grads: NDArray[Any], slots: list[NDArray[Any]]) -> None:
        """Step number `iterations` + 1 over one contiguous range; slots are those of `slot_names`."""


def _merged(variables: list[tuple[int, int]], n: int) -> list[tuple[int, int]]:
    """Neighbours joined: fewer, longer passes."""
    spans: list[tuple[int, int]] = []
    for start, stop in variables:
        if not (spans[-1][1] if spans else 0) <= start <= stop <= n:
            raise ValueError(f"ranges must be ascending and within [0, {n}], got {variables}")
        if spans and spans[-1][1] == start:
            spans[-1] = (spans[-1][0], stop)
        else:
            spans.append((start, stop))
    return spans


@dataclass(eq=False, repr=False)
class SGD(Optimizer):
    """Gradient descent: w -= lr g. With momentum, v = momentum v - lr g, then w += v; with Nesterov's,
    w += momentum v - lr g (I. Sutskever et al., 2013). Formulas and defaults of Keras 3.

    Args:
        learning_rate: Default 0.01.
        momentum: In [0, 1], default 0.
        nesterov: Default False.
        weight_decay, clipnorm, clipvalue, global_clipnorm, name: See `Optimizer`.

    Example:
        >>> w = np.array([1.0, 2.0])
        >>> SGD(0.5).apply(w, np.array([2.0, 2.0]))
        >>> w
        array([0., 1.])
    """

    learning_rate: float = 0.01
    momentum: float = 0.0
    nesterov: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        _number("momentum", self.momentum, most=1)

    @property
    def slot_names(self) -> tuple[str, ...]:
        return ("velocity",) if self.momentum else ()

    def _step(self, params: NDArray[Any], grads: NDArray[Any], slots: list[NDArray[Any]]) -> None:
        _core.sgd_update(
            params,
            grads,
            slots[0] if slots else None,
            learning_rate=self.learning_rate,
            weight_decay=self.weight_decay or 0.0,
            momentum=self.momentum,
            nesterov=self.nesterov,
        )


@dataclass(eq=False, repr=False)
class RMSprop(Optimizer):
    """s = rho s + (1 - rho) g^2, w -= lr g / sqrt(s + epsilon) (T. Hinton, 2012; formulas and defaults of Keras 3).

    Args:
        learning_rate: Default 0.001.
        rho: In [0, 1], default 0.9.
        momentum: In [0, 1], default 0; else m = momentum m + the step above, w -= m.
        epsilon: Inside the root, default 1e-7.
        centered: Default False; else s - a^2 stands for s, with a = rho a + (1 - rho) g.
        weight_decay, clipnorm, clipvalue, global_clipnorm, name: See `Optimizer`.

    Example:
        >>> w = np.array([1.0])
        >>> RMSprop(0.1, rho=0.75, epsilon=0.0).apply(w, np.array([3.0]))
        >>> w
        array([0.8])
    """

    rho: float = 0.9
    momentum: float = 0.0
    epsilon: float = 1e-7
    centered: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        _number("rho", self.rho, most=1)
        _number("momentum", self.momentum, most=1)
        _number("epsilon", self.epsilon)

    @property
    def slot_names(self) -> tuple[str, ...]:
        return (
            "velocity",
            *(("momentum",) if self.momentum else ()),
            *(("average_gradient",) if self.centered else ()),
        )

    def _step(self, params: NDArray[Any], grads: NDArray[Any], slots: list[NDArray[Any]]) -> None:
        _core.rmsprop_update(
            params,
            grads,
            slots[0],
            slots[1] if self.momentum else None,
            slots[-1] if self.centered else None,
            learning_rate=self.learning_rate,
            weight_decay=self.weight_decay or 0.0,
            rho=self.rho,
            momentum=self.momentum,
            epsilon=self.epsilon,
        )


@dataclass(eq=False, repr=False)
class Adam(Optimizer):
    """m += (1 - beta_1)(g - m), v += (1 - beta_2)(g^2 - v), w -= a m / (sqrt(v) + epsilon) with
    a = lr sqrt(1 - beta_2^t) / (1 - beta_1^t) at step t (D. Kingma, J. Ba, 2015; formulas and defaults of Keras 3).

    Args:
        learning_rate: Default 0.001.
        beta_1, beta_2: In [0, 1), default 0.9 and 0.999.
        epsilon: Outside the root, default 1e-7.
        amsgrad: Default False; else the largest v so far stands for v (S. Reddi et al., 2018).
        weight_decay, clipnorm, clipvalue, global_clipnorm, name: See `Optimizer`.

    Example:
        >>> w = np.array([1.0])
        >>> Adam(0.25, epsilon=0.0).apply(w, np.array([3.0]))
        >>> round(w.item(), 12)
        0.75
    """

    beta_1: float = 0.9
    beta_2: float = 0.999
    epsilon: float = 1e-7
    amsgrad: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        _number("beta_1", self.beta_1, most=1, most_excluded=True)
        _number("beta_2", self.beta_2, most=1, most_excluded=True)
        _number("epsilon", self.epsilon)

    @property
    def slot_names(self) -> tuple[str, ...]:
        return ("momentum", "velocity", "velocity_hat")[: 3 if self.amsgrad else 2]

    def _step(self, params: NDArray[Any], grads: NDArray[Any], slots: list[NDArray[Any]]) -> None:
        _core.adam_update(
            params,
            grads,
            slots[0],
            slots[1],
            slots[2] if self.amsgrad else None,
            step=self.iterations + 1,
            learning_rate=self.learning_rate,
            weight_decay=self.weight_decay or 0.0,
            beta_1=self.beta_1,
            beta_2=self.beta_2,
            epsilon=self.epsilon,
        )


@dataclass(eq=False, repr=False)
class AdamW(Adam):
    """`Adam` with decoupled weight decay, w -= lr weight_decay w before the step (I. Loshchilov, F. Hutter, 2019).

    Args:
        learning_rate: Default 0.001.
        weight_decay: Default 0.004; by keyword.
        beta_1, beta_2, epsilon, amsgrad: As in `Adam`.
        clipnorm, clipvalue, global_clipnorm, name: See `Optimizer`.

    Example:
        >>> w = np.array([1.0])
        >>> AdamW(0.5, weight_decay=0.5).apply(w, np.array([0.0]))
        >>> w
        array([0.75])
    """

    weight_decay: float | None = field(default=0.004, kw_only=True)


_NAMES: dict[str, type[Optimizer]] = {"sgd": SGD, "rmsprop": RMSprop, "adam": Adam, "adamw": AdamW}

# By the names that files use.
CLASSES = {known.__name__: known for known in _NAMES.values()}


def get(identifier: str | Optimizer) -> Optimizer:
    """Return a new optimizer of a name, in any case ("adam", "Adam"), or the object itself.

    Args:
        identifier: The name, or an Optimizer.

    Raises:
        ValueError: An unknown name (the nearest known ones are told), or neither a name nor an Optimizer.

    Example:
        >>> get("adam").learning_rate
        0.001
    """
    if isinstance(identifier, Optimizer):
        return identifier
    if not isinstance(identifier, str):
        raise ValueError(f"optimizer must be a name or an Optimizer, got {identifier!r}")
    name = identifier.lower() if identifier.lower() in _NAMES else resolve("optimizer", identifier, _NAMES)
    return _NAMES[name]()
