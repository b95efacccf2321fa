"""Scaling."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from latchwork import _core
from latchwork.data.series import as_float
from latchwork.floats import usual_floats


class StandardScaler:
    """Each feature minus its mean, divided by its standard deviation: (x - mean_) / scale_.

    Fit it on the training part only. The last axis holds the features; all axes before it are samples, and a vector
    [N] is one feature.

    Attributes:
        mean_: [F], after `fit`.
        scale_: [F], the standard deviation over N (not N - 1), 1 for a feature that does not vary.

    >>> scaler = StandardScaler().fit([[1.0], [3.0]])
    >>> scaler.transform([[5.0]])
    array([[3.]])
    >>> scaler.inverse_transform([[3.0]])
    array([[5.]])
    >>> scaler.inverse_transform([[3.0, 4.0]], feature=0)  # a forecast of two steps
    array([[5., 6.]])
    """

    mean_: NDArray[Any]
    scale_: NDArray[Any]

    @usual_floats
    def fit(self, x: ArrayLike) -> StandardScaler:
        """Learn mean and scale from `x`; returns the scaler.

        Args:
            x: [N] or [..., F] of any numeric dtype (float32 stays, others count as float64).

        Raises:
            ValueError: No sample, NaN or infinity, or no numbers.
        """
        rows = self._rows(as_float(x, "x"))
        if rows.size == 0:
            raise ValueError(f"x must hold at least one sample and one feature, got shape {np.shape(x)}")
        if not _core.all_finite(rows):
            raise ValueError("x holds NaN or infinite values: fill or drop them first (see lw.data.fill_missing)")
        mean, deviation = _core.mean_std(rows)
        # A constant feature has a deviation of rounding size, not always of 0.
        tiny = 10 * np.finfo(rows.dtype).eps * np.abs(mean)
        self.mean_, self.scale_ = mean, np.where(deviation <= tiny, np.ones_like(deviation), deviation)
        return self

    @usual_floats
    def transform(self, x: ArrayLike, *, feature: int | None = None) -> NDArray[Any]:
        """(x - mean_) / scale_, shaped like `x`; float32 stays float32, all else is float64.

        Args:
            x: [N] or [..., F] of any numeric dtype.
            feature: All numbers of x, then of any shape, are of this one feature: targets [N, T] of T steps, say.

        Raises:
            ValueError: Called before `fit`, on another number of features, or for a feature that there is not.
        """
        array, mean, scale = self._aligned(x, feature)
        scaled: NDArray[Any] = (array - mean) / scale
        return scaled

    def fit_transform(self, x: ArrayLike) -> NDArray[Any]:
        """`fit(x).transform(x)`, shape and dtype of `x` as there."""
        return self.fit(x).transform(x)

    @usual_floats
    def inverse_transform(self, x: ArrayLike, *, feature: int | None = None) -> NDArray[Any]:
        """`x` * scale_ + mean_: undoes `transform`, shape and dtype as there.

        For a difference of two scaled values multiply by `scale_` alone.

        Args:
            x, feature: As in `transform`; forecasts [N, T] of one feature need `feature`.

        Raises:
            ValueError: As `transform`.
        """
        array, mean, scale = self._aligned(x, feature)
        restored: NDArray[Any] = array * scale + mean
        return restored

    def _aligned(self, x: ArrayLike, feature: int | None) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
        if not hasattr(self, "mean_"):
            raise ValueError("this StandardScaler is not fitted yet: call fit(x) first")
        array = as_float(x, "x")
        mean, scale = self.mean_.astype(array.dtype), self.scale_.astype(array.dtype)
        if feature is not None:
            known = len(mean)
            if isinstance(feature, bool) or not isinstance(feature, (int, np.integer)) or not 0 <= feature < known:
                raise ValueError(f"feature must be a whole number from 0 to {known - 1}, got {feature!r}")
            return array, mean[feature], scale[feature]
        features = 1 if array.ndim == 1 else array.shape[-1] if array.ndim else 0
        if features != len(mean):
            raise ValueError(
                f"x must have {len(mean)} features on its last axis, or feature= must say which one x holds, "
                f"got shape {array.shape}"
            )
        return array, mean, scale

    @staticmethod
    def _rows(array: NDArray[Any]) -> NDArray[Any]:
        if array.ndim == 0:
            raise ValueError("x must be [N] or [..., F], got a single number")
        return np.ascontiguousarray(array.reshape(-1, 1) if array.ndim == 1 else array.reshape(-1, array.shape[-1]))
