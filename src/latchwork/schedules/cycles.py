"""Schedules that rise, fall as half a cosine, and begin again."""

from __future__ import annotations

import math
from dataclasses import dataclass

from latchwork import _core
from latchwork.names import resolve
from latchwork.schedules.base import Declared, Schedule, check_number


@dataclass(eq=False, repr=False)
class CosineDecay(Declared):
    """Half a cosine from the initial rate down to `alpha` times it (I. Loshchilov, F. Hutter, 2017).

    With `warmup_target` the rate first rises in a line from the initial one to the target within `warmup_steps`, and
    falls from there.

    Args:
        initial_learning_rate: 0 or more.
        decay_steps: Above 0; the rate stays where it is afterwards.
        alpha: 0 or more, default 0.
        warmup_target: 0 or more; None: no warm-up.
        warmup_steps: 0 or more.

    Raises:
        ValueError: A value out of range.

    >>> rate = CosineDecay(0.0, 100, warmup_target=0.5, warmup_steps=10)
    >>> rate(5), rate(10), rate(60), rate(200)
    (0.25, 0.5, 0.25, 0.0)
    """

    initial_learning_rate: float
    decay_steps: float
    alpha: float = 0.0
    warmup_target: float | None = None
    warmup_steps: float = 0
    _above_zero = ("decay_steps",)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.warmup_target is not None:
            check_number(self, "warmup_target", self.warmup_target)
        elif self.warmup_steps:
            raise ValueError(f"CosineDecay: warmup_steps={self.warmup_steps} needs a warmup_target")

    def __call__(self, step: int) -> float:
        top, since = self.initial_learning_rate, float(step)
        if self.warmup_target is not None:
            if step < self.warmup_steps:
                return (self.warmup_target - top) * (step / self.warmup_steps) + top
            top, since = self.warmup_target, step - self.warmup_steps
        fall = _core.half_cosine(min(since, self.decay_steps) / self.decay_steps)
        return top * ((1 - self.alpha) * fall + self.alpha)


@dataclass(eq=False, repr=False)
class CosineDecayRestarts(Declared):
    """Half cosines one after another: each lasts `t_mul` times the one before, and begins at `m_mul` times its rate.

    Args:
        initial_learning_rate: 0 or more.
        first_decay_steps: Of the first one, above 0.
        t_mul: 1 or more, default 2.
        m_mul: 0 or more, default 1.
        alpha: The least rate as a fraction of the initial one, default 0.

    Raises:
        ValueError: A value out of range.

    >>> rate = CosineDecayRestarts(1.0, 100, m_mul=0.5)
    >>> rate(0), rate(50), rate(100), rate(200)
    (1.0, 0.5, 0.5, 0.25)
    """

    initial_learning_rate: float
    first_decay_steps: float
    t_mul: float = 2.0
    m_mul: float = 1.0
    alpha: float = 0.0
    _above_zero = ("first_decay_steps",)
    _least = (("t_mul", 1.0),)

    def __call__(self, step: int) -> float:
        passed, restarts = step / self.first_decay_steps, 0
        if self.t_mul == 1:
            restarts = math.floor(passed)
            passed -= restarts
        else:  # subtracted one by one: a quotient of logarithms may miss a restart by one
            length = 1.0
            while passed >= length:
                passed, length, restarts = passed - length, length * self.t_mul, restarts + 1
            passed /= length
        fall = _core.power(self.m_mul, restarts) * _core.half_cosine(passed)
        return self.initial_learning_rate * ((1 - self.alpha) * fall + self.alpha)


@dataclass(eq=False, repr=False)
class OneCycle(Declared):
    """Up to `max_learning_rate` and down again, once (L. Smith, N. Topin, 2018; PyTorch's OneCycleLR, two phases).

    Begins at max / div_factor, is at max after pct_start of the steps, ends at max / div_factor / final_div_factor with
    step total_steps - 1 and stays there.

    Args:
        max_learning_rate: 0 or more.
        total_steps: 2 or more.
        pct_start: Above 0, below 1, default 0.3; of total_steps, at least a step.
        anneal_strategy: "cos" or "linear".
        div_factor, final_div_factor: Above 0, default 25 and 10,000.

    Raises:
        ValueError: A value out of range.

    >>> rate = OneCycle(1.0, 101, pct_start=0.5, div_factor=4.0)
    >>> rate(0), rate(100)
    (0.25, 2.5e-05)
    """

    max_learning_rate: float
    total_steps: int
    pct_start: float = 0.3
    anneal_strategy: str = "cos"
    div_factor: float = 25.0
    final_div_factor: float = 10000.0
    _above_zero = ("pct_start", "div_factor", "final_div_factor")
    _least = (("total_steps", 2),)

    def __post_init__(self) -> None:
        super().__post_init__()
        resolve("anneal_strategy", self.anneal_strategy, ("cos", "linear"))
        if not 0 < self._top < self.total_steps - 1:
            raise ValueError(
                f"OneCycle: pct_start of {self.total_steps} steps must leave steps on both sides, got {self.pct_start}"
            )

    @property
    def _top(self) -> float:
        return self.pct_start * self.total_steps - 1

    def __call__(self, step: int) -> float:
        top, end = self._top, self.total_steps - 1
        high = self.max_learning_rate
        low = high / self.div_factor
        if step <= top:
            return self._between(low, high, step / top)
        return self._between(high, low / self.final_div_factor, (min(step, end) - top) / (end - top))

    def _between(self, first: float, last: float, passed: float) -> float:
        if self.anneal_strategy == "linear":
            return (last - first) * passed + first
        return last + (first - last) * _core.half_cosine(passed)


@dataclass(eq=False, repr=False)
class LinearWarmup(Declared):
    """From `start` in a line to the first rate of another schedule within `warmup_steps`; then that one, from its 0.

    Args:
        warmup_steps: 0 or more.
        learning_rate: What follows: a rate, or a schedule.
        start: 0 or more, default 0.

    Raises:
        ValueError: A value out of range.

    >>> from latchwork.schedules import ExponentialDecay
    >>> rate = LinearWarmup(10, ExponentialDecay(1.0, 100, 0.5))
    >>> rate(5), rate(10), rate(110)
    (0.5, 1.0, 0.5)
    """

    warmup_steps: int
    learning_rate: float | Schedule
    start: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.learning_rate, Schedule):
            check_number(self, "learning_rate", self.learning_rate)

    def _after(self, step: int) -> float:
        return self.learning_rate(step) if isinstance(self.learning_rate, Schedule) else self.learning_rate

    def __call__(self, step: int) -> float:
        if step < self.warmup_steps:
            return (self._after(0) - self.start) * (step / self.warmup_steps) + self.start
        return self._after(step - self.warmup_steps)
