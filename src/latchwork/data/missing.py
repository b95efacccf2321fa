"""Missing values."""

from __future__ import annotations

from typing import Any, Literal, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from latchwork.data.series import as_columns, as_series
from latchwork.floats import usual_floats
from latchwork.names import resolve

_METHODS = ("linear", "previous")


@overload
@usual_floats
def fill_missing(series: ArrayLike, method: str = ..., mask: Literal[False] = ...) -> NDArray[Any]: ...
@overload
def fill_missing(
    series: ArrayLike, method: str = ..., *, mask: Literal[True]
) -> tuple[NDArray[Any], NDArray[np.bool_]]: ...
def fill_missing(
    series: ArrayLike, method: str = "linear", mask: bool = False
) -> NDArray[Any] | tuple[NDArray[Any], NDArray[np.bool_]]:
    """A copy of `series` ([N] or [N, F], NaN = missing) with every gap filled, feature by feature.

    Args:
        series: float32 stays, other numbers become float64.
        method: "linear" draws a straight line between the neighbours of a gap (it looks one value ahead: fill each part
            of a split by itself if that matters to you); "previous" repeats the last value seen, which uses the past
            alone. Before the first value and after the last, both repeat the nearest one.
        mask: Also return `missing`, bool, shaped like `series`, True where a value was filled in. As a further input
            feature (`np.column_stack`) it lets a model trust filled values less.

    Raises:
        ValueError: A feature that has no value at all, or an unknown method.

    >>> fill_missing([1.0, float("nan"), 3.0])
    array([1., 2., 3.])
    >>> fill_missing([1.0, float("nan"), 3.0], "previous", mask=True)
    (array([1., 1., 3.]), array([False,  True, False]))
    """
    method = resolve("method", method, _METHODS)
    array = as_series(series)
    missing = np.isnan(array)
    filled = np.array(array, order="C")
    columns = as_columns(filled)
    for f, gaps in enumerate(as_columns(missing).T):
        if len(gaps) and gaps.all():
            raise ValueError(f"series has no value to fill from: feature {f} is missing everywhere")
        if gaps.any():
            _fill(columns[:, f], gaps, method)
    return (filled, missing) if mask else filled


def _fill(column: NDArray[Any], gaps: NDArray[np.bool_], method: str) -> None:
    """Fill one feature in place."""
    known = np.flatnonzero(~gaps)
    at = np.flatnonzero(gaps)
    after = np.searchsorted(known, at)  # position in `known` of the first value behind each gap
    right = known[np.minimum(after, len(known) - 1)]
    left = known[np.maximum(after - 1, 0)]
    if method == "previous":
        column[at] = column[left]
        return
    # left == right outside the first and last value: a span of 1 keeps the division defined, the slope is 0
    span = np.maximum(right - left, 1).astype(column.dtype)
    slope = (column[right] - column[left]) / span
    column[at] = np.where(at < left, column[left], column[left] + slope * (at - left).astype(column.dtype))
