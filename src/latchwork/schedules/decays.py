"""Schedules that fall: in powers, steps, lines and by time."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from latchwork import _core
from latchwork.schedules.base import Declared, Schedule, check_number


@dataclass(eq=False, repr=False)
class _ByTime(Declared):
    """Falls with what has passed, in units of `decay_steps`; whole ones with `staircase`."""

    initial_learning_rate: float
    decay_steps: float
    decay_rate: float
    staircase: bool = False
    _above_zero = ("decay_steps",)

    def _passed(self, step: int) -> float:
        passed = step / self.decay_steps
        return math.floor(passed) if self.staircase else passed


@dataclass(eq=False, repr=False)
class ExponentialDecay(_ByTime):
    """initial_learning_rate * decay_rate^(step / decay_steps); with `staircase` the exponent is rounded down.

    Args:
        initial_learning_rate: 0 or more.
        decay_steps: Above 0.
        decay_rate: 0 or more.
        staircase: Default False.

    Raises:
        ValueError: A value out of range.

    >>> ExponentialDecay(0.1, 100, 0.5)(200)
    0.025
    """

    def __call__(self, step: int) -> float:
        return self.initial_learning_rate * _core.power(self.decay_rate, self._passed(step))


@dataclass(eq=False, repr=False)
class StepDecay(Declared):
    """initial_learning_rate * factor^floor(step / drop_every): a drop every so many steps.

    Args:
        initial_learning_rate: 0 or more.
        drop_every: Steps, above 0.
        factor: 0 or more, default 0.1.

    Raises:
        ValueError: A value out of range.

    >>> StepDecay(1.0, 10, 0.5)(29)
    0.25
    """

    initial_learning_rate: float
    drop_every: float
    factor: float = 0.1
    _above_zero = ("drop_every",)

    def __call__(self, step: int) -> float:
        return self.initial_learning_rate * _core.power(self.factor, math.floor(step / self.drop_every))


@dataclass(eq=False, repr=False)
class PiecewiseConstantDecay(Schedule):
    """values[i] up to and with step boundaries[i], the last value behind the last boundary.

    Args:
        boundaries: Steps, increasing.
        values: Rates, one more than boundaries.

    Raises:
        ValueError: Numbers that do not increase, are out of range, or another count.

    >>> rate = PiecewiseConstantDecay([100, 200], [1.0, 0.5, 0.1])
    >>> rate(100), rate(101), rate(201)
    (1.0, 0.5, 0.1)
    """

    boundaries: Sequence[float]
    values: Sequence[float]

    def __post_init__(self) -> None:
        for name in ("boundaries", "values"):
            given = getattr(self, name)
            if not isinstance(given, (list, tuple)):
                raise ValueError(f"{type(self).__name__}: {name} must be a list of numbers, got {given!r}")
            for value in given:
                check_number(self, name, value)
        if len(self.values) != len(self.boundaries) + 1:
            raise ValueError(
                f"{type(self).__name__}: values must be one more than boundaries, {len(self.boundaries) + 1}, "
                f"got {len(self.values)}"
            )
        if any(low >= high for low, high in zip(self.boundaries, self.boundaries[1:], strict=False)):
            raise ValueError(f"{type(self).__name__}: boundaries must increase, got {self.boundaries}")
        object.__setattr__(self, "boundaries", tuple(self.boundaries))
        object.__setattr__(self, "values", tuple(self.values))

    def __call__(self, step: int) -> float:
        return self.values[len([bound for bound in self.boundaries if step > bound])]


@dataclass(eq=False, repr=False)
class PolynomialDecay(Declared):
    """(initial - end) * (1 - step / decay_steps)^power + end; then end, or with `cycle` again over twice as many steps.

    Args:
        initial_learning_rate: 0 or more.
        decay_steps: Above 0.
        end_learning_rate: 0 or more, default 0.0001.
        power: 0 or more, default 1.
        cycle: Default False; else decay_steps * ceil(step / decay_steps) stands for decay_steps.

    Raises:
        ValueError: A value out of range.

    >>> PolynomialDecay(1.0, 100, end_learning_rate=0.0, power=0.5)(75)
    0.5
    """

    initial_learning_rate: float
    decay_steps: float
    end_learning_rate: float = 0.0001
    power: float = 1.0
    cycle: bool = False
    _above_zero = ("decay_steps",)

    def __call__(self, step: int) -> float:
        whole = self.decay_steps * (max(math.ceil(step / self.decay_steps), 1) if self.cycle else 1)
        left = 1 - min(step, whole) / whole
        fallen = (self.initial_learning_rate - self.end_learning_rate) * _core.power(left, self.power)
        return fallen + self.end_learning_rate


@dataclass(eq=False, repr=False)
class InverseTimeDecay(_ByTime):
    """initial_learning_rate / (1 + decay_rate * step / decay_steps); with `staircase` the fraction is rounded down.

    Args:
        initial_learning_rate, decay_rate: 0 or more.
        decay_steps: Above 0.
        staircase: Default False.

    Raises:
        ValueError: A value out of range.

    >>> InverseTimeDecay(1.0, 10, 0.5)(20)
    0.5
    """

    def __call__(self, step: int) -> float:
        return self.initial_learning_rate / (1 + self.decay_rate * self._passed(step))
