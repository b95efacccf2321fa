"""Metrics of what is above a threshold: true and false positives and negatives, counted exactly."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from latchwork import losses
from latchwork._core import sum as sum_of
from latchwork.floats import usual_floats
from latchwork.metrics.base import Metric, check_whole

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray


def binary_targets(y_true: ArrayLike, y_pred: NDArray[Any]) -> NDArray[np.bool_]:
    """Return targets as bool in the shape of `y_pred`, of any dtype.

    Raises:
        ValueError: Another shape, or a target that is neither 0 nor 1.

    Example:
        >>> binary_targets([1.0, 0.0], np.zeros((2, 1)))[:, 0]
        array([ True, False])
    """
    targets = losses.targets_like(y_true, y_pred)
    positive: NDArray[np.bool_] = targets == 1
    if not (positive | (targets == 0)).all():
        raise ValueError(f"y must hold 0 or 1, got {targets.min()} to {targets.max()}")
    return positive


def positives(
    targets: NDArray[np.bool_], scores: NDArray[Any], weights: NDArray[np.float64] | None, thresholds: NDArray[Any]
) -> NDArray[np.float64]:
    """The weights of [negatives, positives] whose scores are above each rising threshold: [2, thresholds].

    NaN is above none.

    Example:
        >>> positives(np.array([True, False]), np.array([0.7, 0.4]), None, np.array([0.3, 0.5])).tolist()
        [[1.0, 0.0], [1.0, 1.0]]
    """
    passed = np.searchsorted(thresholds, scores, side="left")  # how many thresholds a score is above
    passed[scores != scores] = 0
    count = len(thresholds) + 1
    bins = passed + count * targets
    found = np.bincount(bins, weights, minlength=2 * count).reshape(2, count).astype(np.float64)
    return np.add.accumulate(found[:, :0:-1], axis=1)[:, ::-1]


@dataclass(eq=False, repr=False)
class _AtThresholds(Metric):
    thresholds: float | Sequence[float] | None = None
    top_k: int | None = None
    class_id: int | None = None

    def __post_init__(self) -> None:
        given = self.thresholds
        if given is None:
            levels = [0.5 if self.top_k is None else -np.inf]
        else:
            levels = [float(level) for level in (given if isinstance(given, Sequence) else [given])]
            if not levels or not all(0 <= level <= 1 for level in levels):
                raise ValueError(f"thresholds must lie in [0, 1], got {given!r}")
        for what, least in (("top_k", 1), ("class_id", 0)):
            if getattr(self, what) is not None:
                check_whole(what, getattr(self, what), least)
        self._levels = np.array(levels)
        self.reset()

    @property
    def per_class(self) -> bool:
        """Whether `result` is an array: there are several thresholds."""
        return len(self._levels) > 1

    def measure(
        self, y_true: ArrayLike, y_pred: NDArray[Any], sample_weight: ArrayLike | None = None
    ) -> tuple[float, float]:
        raise TypeError(f"{self.name} is no mean: it has update and result alone")

    def reset(self) -> None:
        self._true = np.zeros(len(self._levels))
        self._false = np.zeros(len(self._levels))
        self._wanted = 0.0

    @usual_floats
    def update(self, y_true: ArrayLike, y_pred: NDArray[Any], sample_weight: ArrayLike | None = None) -> None:
        targets, scores = binary_targets(y_true, y_pred), y_pred
        weights = None if sample_weight is None else losses.weights_for(sample_weight, y_pred.shape, np.float64)
        if self.top_k is not None:
            scores = _best(scores, self.top_k)
        if self.class_id is not None:
            if self.class_id >= y_pred.shape[-1]:
                raise ValueError(f"class_id must be below {y_pred.shape[-1]} classes, got {self.class_id}")
            targets, scores = targets[..., self.class_id], scores[..., self.class_id]
            weights = None if weights is None else weights[..., self.class_id]
        flat = None if weights is None else weights.ravel()
        order = self._levels.argsort(kind="stable")
        above = positives(targets.ravel(), scores.ravel(), flat, self._levels[order].astype(scores.dtype))
        self._false[order] += above[0]
        self._true[order] += above[1]
        self._wanted += np.count_nonzero(targets) if weights is None else sum_of(np.where(targets, weights, 0.0))

    def _over(self, whole: NDArray[np.float64]) -> Any:
        found = shares(self._true, whole)
        return found if self.per_class else float(found[0])


@dataclass(eq=False, repr=False)
class Precision(_AtThresholds):
    """The share of true among positives, outputs above a threshold; 0 without any, as in Keras. Name: "precision".

    Targets are 0 or 1 in the shape of the output; every element counts for itself.

    Args:
        thresholds: One or several numbers in [0, 1]; default 0.5, or none with top_k. Several: `result` is an array.
        top_k: Only the k largest outputs of a row can be positive (of equals the first).
        class_id: Of this class of the last axis alone.

    Raises:
        ValueError: An argument out of range.

    Example:
        >>> m = Precision()
        >>> m.update([0, 1, 1, 1], np.array([[1.0], [0.0], [1.0], [1.0]]))
        >>> round(m.result(), 12)
        0.666666666667
    """

    name: str = "precision"

    @usual_floats
    def result(self) -> Any:
        """The share so far: a float, or a float64 array [thresholds]."""
        return self._over(self._true + self._false)


@dataclass(eq=False, repr=False)
class Recall(_AtThresholds):
    """The share of true positives among what is positive; 0 without any, as in Keras. Name: "recall".

    Args:
        thresholds, top_k, class_id: As `Precision` has them.

    Raises:
        ValueError: An argument out of range.

    Example:
        >>> m = Recall()
        >>> m.update([0, 1, 1, 1], np.array([[1.0], [0.0], [1.0], [1.0]]))
        >>> round(m.result(), 12)
        0.666666666667
    """

    name: str = "recall"

    @usual_floats
    def result(self) -> Any:
        """The share so far: a float, or a float64 array [thresholds]."""
        return self._over(np.full(len(self._levels), self._wanted))


def _best(scores: NDArray[Any], k: int) -> NDArray[Any]:
    """The k largest of each row; the others are minus infinity."""
    order = np.argsort(-scores, axis=-1, kind="stable")[..., :k]
    kept = np.full_like(scores, -np.inf)
    np.put_along_axis(kept, order, np.take_along_axis(scores, order, -1), -1)
    return kept


def shares(part: NDArray[np.float64], whole: NDArray[np.float64]) -> NDArray[np.float64]:
    """part / whole in float64, 0 where there is nothing."""
    return np.divide(part, whole, out=np.zeros_like(part), where=whole != 0)
