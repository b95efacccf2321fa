"""What all optimizers share: rate, weight decay, clipping, the average of the weights, the count of steps."""

from __future__ import annotations

import operator
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from latchwork import _core
from latchwork.fields import Refusing, Shown
from latchwork.optimizers.arguments import check_average, check_clipping, check_number, merged
from latchwork.schedules import Schedule

if TYPE_CHECKING:
    from numpy.typing import DTypeLike, NDArray


class Steerable(ABC):
    """Gradients that know what they are of: `Optimizer.apply` takes them."""

    @abstractmethod
    def step_of(self, optimizer: Optimizer) -> None:
        """Let `optimizer` take its step with them."""


@dataclass(eq=False, repr=False)
class Optimizer(Refusing, Shown, ABC):
    """Base of all: learning rate, weight decay, clipping, the average of the weights, step counter.

    Args:
        learning_rate: The step's length, 0 or more, which may be set between steps; or a schedule of `lw.schedules`, a
            function of `iterations`: `learning_rate` is then the rate of the next step, and cannot be set.
        weight_decay: Each step first takes learning_rate * weight_decay times itself off every parameter (decoupled
            weight decay, I. Loshchilov, F. Hutter, 2019). None: none.
        clipnorm: Scales the gradient of each variable down to this norm.
        clipvalue: Clips each element of the gradient into [-clipvalue, clipvalue].
        global_clipnorm: Scales all gradients down so that their joint norm is this; NaN if it is not finite.
        use_ema: Keep an exponential moving average of the weights: average = ema_momentum average + (1 - ema_momentum)
            w after each step, w itself after the first. `fit` ends with the averages as weights.
        ema_momentum: In [0, 1], default 0.99; with use_ema.
        ema_overwrite_frequency: Write the averages over the weights every so many steps as well; with use_ema.
        name: Default: the class's, in lower case.

    Attributes:
        iterations: Steps taken; may be set, with `slots`, to go on from a state that was kept.
        slots: The moments, and "average" with use_ema, flat arrays by name.

    Raises:
        TypeError, ValueError: A value that is no number or out of range, or more than one way of clipping; setting
            learning_rate where a schedule decides.

    Example:
        >>> from latchwork.optimizers import Adam
        >>> Adam(0.01, use_ema=True).slot_names
        ('momentum', 'velocity', 'average')
    """

    learning_rate: Any = 0.001
    weight_decay: float | None = field(default=None, kw_only=True)
    clipnorm: float | None = field(default=None, kw_only=True)
    clipvalue: float | None = field(default=None, kw_only=True)
    global_clipnorm: float | None = field(default=None, kw_only=True)
    use_ema: bool = field(default=False, kw_only=True)
    ema_momentum: float = field(default=0.99, kw_only=True)
    ema_overwrite_frequency: int | None = field(default=None, kw_only=True)
    name: str = field(default="", kw_only=True)
    iterations: int = field(default=0, init=False, repr=False)
    slots: dict[str, NDArray[Any]] = field(default_factory=dict, init=False, repr=False)
    _layout: tuple[int, np.dtype[Any]] | None = field(default=None, init=False, repr=False)
    # What the ranges of the last step came to: every variable, and their runs of neighbours.
    _planned: tuple[Sequence[tuple[int, int, str]] | None, int] | None = field(default=None, init=False, repr=False)
    _variables: list[tuple[int, int]] = field(default_factory=list, init=False, repr=False)
    _spans: list[tuple[int, int]] = field(default_factory=list, init=False, repr=False)

    refused: ClassVar[dict[str, str]] = {
        "gradient_accumulation_steps": "see fit(accumulate=...)",
        "loss_scale_factor": "float32 and float64 need no scaling",
    }
    # The numbers of a class beyond those of all: those in [0, 1], in [0, 1), and of 0 or more.
    _up_to_one: ClassVar[tuple[str, ...]] = ()
    _below_one: ClassVar[tuple[str, ...]] = ()
    _not_negative: ClassVar[tuple[str, ...]] = ()

    def __post_init__(self) -> None:
        check_clipping(clipnorm=self.clipnorm, clipvalue=self.clipvalue, global_clipnorm=self.global_clipnorm)
        if self.weight_decay is not None:
            check_number("weight_decay", self.weight_decay)
        check_average(self.use_ema, self.ema_momentum, self.ema_overwrite_frequency)
        self.name = self.name or type(self).__name__.lower()
        for key in self._up_to_one:
            check_number(key, getattr(self, key), most=1)
        for key in self._below_one:
            check_number(key, getattr(self, key), most=1, most_excluded=True)
        for key in self._not_negative:
            check_number(key, getattr(self, key))

    def __setattr__(self, key: str, value: Any) -> None:
        if key == "learning_rate":
            if isinstance(value, Schedule):
                object.__setattr__(self, "_schedule", value)
                value = self._scheduled()
            elif self.schedule is not None:
                raise TypeError(f"learning_rate follows {self.schedule!r}: it can be set to another schedule alone")
            else:
                value = check_number(key, value)
        object.__setattr__(self, key, value)
        if key == "iterations" and self.schedule is not None:
            object.__setattr__(self, "learning_rate", self._scheduled())

    @property
    def schedule(self) -> Schedule | None:
        """What the learning rate follows, if it follows a schedule."""
        return vars(self).get("_schedule")

    def _scheduled(self) -> float:
        step = vars(self).get("iterations", 0)  # 0 while the constructor runs
        assert self.schedule is not None
        rate = _core.with_usual_floats(self.schedule, step)
        return check_number(f"learning_rate of {self.schedule!r} at step {step}", rate)

    def _shown(self) -> dict[str, Any]:
        return super()._shown() | ({} if self.schedule is None else {"learning_rate": self.schedule})

    @property
    def moments(self) -> tuple[str, ...]:
        """Names of the moments, in the order `_step` gets them."""
        return ()

    @property
    def slot_names(self) -> tuple[str, ...]:
        """Names of all that is kept of each parameter."""
        return (*self.moments, "average") if self.use_ema else self.moments

    def _initial(self, slot: str) -> float:
        """What a slot is filled with."""
        return 0.0

    def build(self, n: int, dtype: DTypeLike) -> None:
        """Make the moments for a model of `n` parameters of `dtype`. The same call again does nothing.

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
        self.slots = {slot: np.full(layout[0], self._initial(slot), layout[1]) for slot in self.slot_names}

    def apply(self, grads: Steerable) -> None:
        """Take one step of the model that gave `grads`, in a loop of your own. Clipping also writes `grads`.

        The optimizer is the model's from then on: `model.optimizer`, and what its file holds. Weights change only here;
        neither loss nor gradients are checked for NaN.

        Args:
            grads: What `model.value_and_grad` returned.

        Raises:
            TypeError: `grads` is anything else: arrays go to `update`.
            ValueError: The optimizer has taken steps with other parameters, or the model has other layers by now.
            RuntimeError: Another thread uses the model.

        >>> import numpy as np
        >>> import latchwork as lw
        >>> model = lw.models.Sequential([lw.layers.Dense(1, kernel_initializer="zeros", input_shape=(1,))])
        >>> model.compile(lw.optimizers.SGD(0.5), loss="mse")
        >>> loss, grads = model.value_and_grad(np.array([[1.0]]), np.array([[3.0]]))
        >>> model.optimizer.apply(grads)
        >>> loss, model.get_weights()[0].tolist()
        (9.0, [[3.0]])
        """
        if not isinstance(grads, Steerable):
            raise TypeError(
                "apply: grads must be what model.value_and_grad returned (update takes arrays), "
                f"got {type(grads).__name__}"
            )
        grads.step_of(self)

    def update(
        self, params: NDArray[Any], grads: NDArray[Any], ranges: Sequence[tuple[int, int, str]] | None = None
    ) -> None:
        """Take one step on flat arrays, in place. Clipping also writes `grads`.

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
            self._spans = merged(self._variables, params.size)
            self._planned = (ranges if ranges is None or isinstance(ranges, tuple) else list(ranges), params.size)
        if self._layout != (params.size, params.dtype):
            self.build(params.size, params.dtype)
        self._clip(grads, self._variables, self._spans)
        moments = [self.slots[name] for name in self.moments]
        for start, stop in self._spans:
            arrays = [params, grads, *moments]
            if stop - start < params.size:
                arrays = [a[start:stop] for a in arrays]
            self._step(arrays[0], arrays[1], arrays[2:])
        if self.use_ema:
            self._average(params)
        if self.schedule is None:  # past __setattr__, which has nothing to do: half a microsecond a step
            vars(self)["iterations"] = self.iterations + 1
        else:
            self.iterations += 1

    def _average(self, params: NDArray[Any]) -> None:
        average, steps = self.slots["average"], self.iterations + 1
        if steps == 1:
            average[...] = params  # those that are not trained too, in case they are later
            return
        for start, stop in self._spans:
            _core.average_update(average[start:stop], params[start:stop], self.ema_momentum)
        if self.ema_overwrite_frequency is not None and steps % self.ema_overwrite_frequency == 0:
            self._take_average(params, self._spans)

    def _take_average(self, params: NDArray[Any], spans: Sequence[tuple[int, int]]) -> None:
        for start, stop in spans:
            params[start:stop] = self.slots["average"][start:stop]

    def finalize(self, params: NDArray[Any], ranges: Sequence[tuple[int, int, str]] | None = None) -> None:
        """Write the averages over the parameters, as `fit` does in the end. Without use_ema, or a step, nothing.

        Args:
            params: Flat [N], float32 or float64.
            ranges: As in `update`.
        """
        if self.use_ema and self.iterations > 0:
            self._take_average(params, [(0, params.size)] if ranges is None else [(a, b) for a, b, _ in ranges])

    def _clip(self, grads: NDArray[Any], variables: list[tuple[int, int]], spans: list[tuple[int, int]]) -> None:
        if self.clipnorm is not None:
            _core.clip_norm(grads, variables, self.clipnorm, together=False)
        elif self.global_clipnorm is not None:
            _core.clip_norm(grads, variables, self.global_clipnorm, together=True)
        elif self.clipvalue is not None:
            for start, stop in spans:
                _core.clip_value(grads[start:stop], self.clipvalue)

    def _rule(
        self,
        name: str,
        params: NDArray[Any],
        grads: NDArray[Any],
        slots: list[NDArray[Any]],
        *,
        beta_1: float = 0.0,
        beta_2: float = 0.0,
        epsilon: float = 0.0,
    ) -> None:
        """A step by one of the core's rules of one or two moments."""
        _core.rule_update(
            name,
            params,
            grads,
            slots[0],
            slots[1] if len(slots) > 1 else None,
            step=self.iterations + 1,
            learning_rate=self.learning_rate,
            weight_decay=self.weight_decay or 0.0,
            beta_1=beta_1,
            beta_2=beta_2,
            epsilon=epsilon,
        )

    @abstractmethod
    def _step(self, params: NDArray[Any], grads: NDArray[Any], slots: list[NDArray[Any]]) -> None:
        """Step number `iterations` + 1 over one contiguous range; slots are those of `moments`."""
