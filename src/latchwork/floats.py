"""Python's own arithmetic in the usual floating-point state: the core sets its own."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

from . import _core

P = ParamSpec("P")
R = TypeVar("R")


def usual_floats(function: Callable[P, R]) -> Callable[P, R]:
    """For a function whose result comes from Python's or numpy's arithmetic.

    It runs rounding to nearest and with subnormal numbers, whatever its caller has set: one answer. The caller's state
    is back when it returns or raises.
    """

    @wraps(function)
    def computed(*args: P.args, **kwargs: P.kwargs) -> R:
        result: R = _core.with_usual_floats(function, *args, **kwargs)
        return result

    return computed
