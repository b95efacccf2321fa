"""What every function on a series checks first."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray


def as_series(series: ArrayLike, name: str = "series") -> NDArray[Any]:
    """The series as float32 or float64, [N] or [N, F]; integers and booleans become float64."""
    array = as_float(series, name)
    if array.ndim not in (1, 2):
        raise ValueError(f"{name} must be [N] or [N, F], got shape {array.shape}")
    return array


def as_columns(array: NDArray[Any]) -> NDArray[Any]:
    """[N] or [N, F] as [N, F]: a view."""
    return array[:, None] if array.ndim == 1 else array


def as_float(values: ArrayLike, name: str) -> NDArray[Any]:
    """Any array of numbers as float32 or float64 (what is neither becomes float64)."""
    array = np.asarray(values)
    if array.dtype in (np.float32, np.float64):
        return array
    if array.dtype.kind not in "buif":
        raise ValueError(f"{name} must hold numbers, got dtype {array.dtype}")
    return array.astype(np.float64)


def as_count(value: Any, name: str, least: int) -> int:
    """`value` as an int of at least `least`."""
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, np.integer)) or value < least:
        raise ValueError(f"{name} must be a whole number of at least {least}, got {value!r}")
    return int(value)
