"""What a schedule is, and the checks that all share."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

from latchwork.fields import Value


def check_number(owner: Any, name: str, value: Any, least: float = 0.0, excluded: bool = False) -> None:
    """Raise unless value is a finite number of at least `least`, or above it."""
    fits = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    if not fits or value < least or (excluded and value == least):
        bound = f"{'above' if excluded else 'at least'} {least:g}"
        raise ValueError(f"{type(owner).__name__}: {name} must be a number {bound}, got {value!r}")


def check_flag(owner: Any, name: str, value: Any) -> None:
    if not isinstance(value, bool):
        raise ValueError(f"{type(owner).__name__}: {name} must be True or False, got {value!r}")


@dataclass(eq=False, repr=False)
class Schedule(Value, ABC):
    """Base: subclass it and write `__call__`. A schedule never changes; files hold those of this module alone.

    >>> class Halved(Schedule):
    ...     def __call__(self, step):
    ...         return 0.1 if step < 100 else 0.05
    >>> from latchwork.optimizers import SGD
    >>> SGD(Halved()).learning_rate
    0.1
    """

    @abstractmethod
    def __call__(self, step: int) -> float:
        """The rate of the step taken after `step` others, 0 or more."""


class Declared(Schedule):
    """A schedule whose fields say what they hold: numbers, at least 0 where nothing else is said, and flags."""

    _above_zero: ClassVar[tuple[str, ...]] = ()
    _least: ClassVar[tuple[tuple[str, float], ...]] = ()

    def __post_init__(self) -> None:
        for name, field in self.__dataclass_fields__.items():
            if field.type == "bool":
                check_flag(self, name, getattr(self, name))
            elif field.type in ("int", "float"):
                least = dict(self._least).get(name, 0.0)
                check_number(self, name, getattr(self, name), least=least, excluded=name in self._above_zero)
