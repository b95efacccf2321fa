"""Windows over a series, and splits that respect time."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from latchwork.data.series import as_columns, as_count, as_series
from latchwork.names import resolve


def windows(
    series: ArrayLike,
    lookback: int,
    horizon: int,
    stride: int = 1,
    relative_to: str | None = None,
    *,
    target: int | None = None,
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Cut a series into inputs x [W, lookback, F] and targets y [W, horizon]: "from this past, predict what follows".

    Args:
        series: [N] or [N, F], rows in time order; float32 stays, other numbers become float64. Missing values (NaN)
            travel into the windows: see `fill_missing`.
        lookback: Rows that a window sees.
        horizon: Rows that it predicts.
        stride: Rows from one window to the next; W = (N - lookback - horizon) // stride + 1 windows.
        relative_to: None: y holds the series' own values. "last": y holds the change from the last target value the
            window sees, so a trend need not be learned; add `x[:, -1, target, None]` to a prediction to come back. x is
            the same in both cases.
        target: The column of `series` that y holds; may be left out when there is only one.

    Raises:
        ValueError: A series shorter than one window, or an argument out of range.

    >>> x, y = windows([1.0, 2.0, 4.0, 8.0, 16.0], lookback=2, horizon=1)
    >>> x[:, :, 0].tolist(), y.tolist()
    ([[1.0, 2.0], [2.0, 4.0], [4.0, 8.0]], [[4.0], [8.0], [16.0]])
    >>> windows([1.0, 2.0, 4.0, 8.0, 16.0], 2, 1, relative_to="last")[1].tolist()
    [[2.0], [4.0], [8.0]]
    """
    array = as_series(series)
    lookback = as_count(lookback, "lookback", 1)
    horizon = as_count(horizon, "horizon", 1)
    stride = as_count(stride, "stride", 1)
    if relative_to is not None:
        resolve("relative_to", relative_to, ("last",))
    columns = as_columns(array)
    column = _target_column(columns.shape[1], target)
    length = lookback + horizon
    if len(columns) < length:
        raise ValueError(
            f"series has {len(columns)} rows, fewer than one window of "
            f"lookback {lookback} + horizon {horizon} = {length}"
        )
    starts = np.arange(0, len(columns) - length + 1, stride)[:, None]
    x = columns[starts + np.arange(lookback)]
    y = columns[starts + np.arange(lookback, length), column]
    if relative_to == "last":
        y -= x[:, -1, column, None]
    return x, y


def _target_column(features: int, target: int | None) -> int:
    if target is None:
        if features != 1:
            raise ValueError(f"series has {features} features: say which one to predict, target=0 to {features - 1}")
        return 0
    if isinstance(target, bool) or not isinstance(target, (int, np.integer)) or not -features <= target < features:
        raise ValueError(f"target must be the index of one of the {features} features of series, got {target!r}")
    return int(target) % features


def split_by_time(
    series: ArrayLike, validation: float = 0.15, test: float = 0.15, *, context: int = 0
) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Cut rows in time order into (train, validation, test): the past to learn from, the future to be judged on.

    Args:
        series: [N, ...] of any dtype, the first axis is time; the parts are views of it.
        validation, test: Their shares of all rows (float below 1) or numbers of rows (int), taken from the end; 0 gives
            an empty part.
        context: How many earlier rows to repeat in front of validation and test. With `context=lookback`, the first
            window of a part predicts its first own row: targets never overlap, and none is lost.

    Raises:
        ValueError: Shares that leave nothing to train on, or an argument out of range.

    Split first, then scale (fitted on train) and cut windows: then no training target reaches into a later part.

    >>> [part.tolist() for part in split_by_time(list(range(10)), 2, 0.3)]
    [[0, 1, 2, 3, 4], [5, 6], [7, 8, 9]]
    >>> [part.tolist() for part in split_by_time(list(range(10)), 2, 0.3, context=1)]
    [[0, 1, 2, 3, 4], [4, 5, 6], [6, 7, 8, 9]]
    """
    array = np.asarray(series)
    if array.ndim == 0:
        raise ValueError("series must have a time axis, got a single number")
    n = len(array)
    context = as_count(context, "context", 0)
    first_test = n - _rows(test, "test", n)
    first_validation = first_test - _rows(validation, "validation", n)
    if first_validation < max(context, 1):
        raise ValueError(
            f"series has {n} rows: validation={validation!r} and test={test!r} leave {first_validation} to train on, "
            f"at least {max(context, 1)} must be left"
        )
    return (
        array[:first_validation],
        array[first_validation - context if first_test > first_validation else first_test : first_test],
        array[first_test - context if n > first_test else n :],
    )


def _rows(share: float, name: str, n: int) -> int:
    """A share of n (float) or a number of rows (int) as a number of rows."""
    if isinstance(share, (int, np.integer)) and not isinstance(share, bool) and share >= 0:
        return int(share)
    if isinstance(share, (float, np.floating)) and 0 <= share < 1:
        return int(n * float(share) + 1e-9)  # 0.29 * 100 is 28.999999999999996
    raise ValueError(f"{name} must be a share of the rows in [0, 1) or a whole number of rows, got {share!r}")
