"""Checks of what optimizers are given."""

from __future__ import annotations

from typing import Any


def check_number(name: str, value: Any, most: float = 1e300, most_excluded: bool = False) -> float:
    """float(value), checked to be in [0, most], or [0, most)."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise TypeError(f"{name} must be a number, got {value!r}") from None
    if not 0 <= number <= most or (most_excluded and number == most):
        bound = "0 or more" if most == 1e300 else f"in [0, {most:g}{')' if most_excluded else ']'}"
        raise ValueError(f"{name} must be {bound}, got {number}")
    return number


def check_clipping(**clips: float | None) -> None:
    """At most one of `clips`, by its name, and that above 0."""
    if sum(value is not None for value in clips.values()) > 1:
        given = ", ".join(f"{key}={value}" for key, value in clips.items())
        raise ValueError(f"at most one of clipnorm, clipvalue and global_clipnorm may be given, got {given}")
    for key, value in clips.items():
        if value is not None and check_number(key, value) == 0:
            raise ValueError(f"{key} must be above 0, got {value}")


def check_average(use_ema: Any, momentum: Any, every: Any) -> None:
    """The arguments of the average of the weights: nothing else without `use_ema`."""
    if not isinstance(use_ema, bool):
        raise ValueError(f"use_ema must be True or False, got {use_ema!r}")
    check_number("ema_momentum", momentum, most=1)
    if every is not None and (isinstance(every, bool) or not isinstance(every, int) or every < 1):
        raise ValueError(f"ema_overwrite_frequency must be None or a number of steps, 1 or more, got {every!r}")
    if not use_ema and (every is not None or momentum != 0.99):
        raise ValueError("ema_momentum and ema_overwrite_frequency need use_ema=True")


def merged(variables: list[tuple[int, int]], n: int) -> list[tuple[int, int]]:
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
