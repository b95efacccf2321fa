"""Metrics of what is above a threshold: true and false positives and negatives, counted exactly."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from latchwork import _core, losses
from latchwork._core import sum as sum_of
from latchwork.floats import usual_floats
from latchwork.metrics.base import Metric

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


class _AtThresholds(Metric):
    def __init__(
        self,
        thresholds: float | Sequence[float] | None,
        top_k: int | None,
        class_id: int | None,
        name: str,
    ) -> None:
        self.thresholds, self.top_k, self.class_id = thresholds, top_k, class_id
        if thresholds is None:
            levels = [0.5 if top_k is None else -np.inf]
        else:
            levels = [float(level) for level in (thresholds if isinstance(thresholds, Sequence) else [thresholds])]
            if not levels or not all(0 <= level <= 1 for level in levels):
                raise ValueError(f"thresholds must lie in [0, 1], got {thresholds!r}")
        for given, what in ((top_k, "top_k"), (class_id, "class_id")):
            least = 1 if what == "top_k" else 0
            if given is not None and (isinstance(given, bool) or not isinstance(given, int) or given < least):
                raise ValueError(f"{what} must be a whole number from {least}, got {given!r}")
        self._levels = np.array(levels)
        super().__init__(name)

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
        shares = _shares(self._true, whole)
        return shares if self.per_class else float(shares[0])


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

    def __init__(
        self,
        thresholds: float | Sequence[float] | None = None,
        top_k: int | None = None,
        class_id: int | None = None,
        name: str = "precision",
    ) -> None:
        super().__init__(thresholds, top_k, class_id, name)

    @usual_floats
    def result(self) -> Any:
        """The share so far: a float, or a float64 array [thresholds]."""
        return self._over(self._true + self._false)


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

    def __init__(
        self,
        thresholds: float | Sequence[float] | None = None,
        top_k: int | None = None,
        class_id: int | None = None,
        name: str = "recall",
    ) -> None:
        super().__init__(thresholds, top_k, class_id, name)

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


def _shares(part: NDArray[np.float64], whole: NDArray[np.float64]) -> NDArray[np.float64]:
    """part / whole, 0 where there is nothing."""
    return np.divide(part, whole, out=np.zeros_like(part), where=whole != 0)


class AUC(Metric):
    """The area below a curve: ROC, true against false positives, or PR, precision against recall. Keras' formulas and
    its 200 thresholds. Name: "auc".

    Between thresholds a ROC curve is a line; a PR curve bends as J. Davis and M. Goadrich have it (2006).

    Args:
        num_thresholds: At equal distances in [0, 1], 2 or more; None: every score is one, which is exact for any
            scores, and keeps them all.
        curve: "ROC" or "PR".
        summation_method: "interpolation", or "minoring" and "majoring": the lower or upper end of each step.
        thresholds: Those between 0 and 1, instead of num_thresholds.
        multi_label: The mean of the areas of the last axis's columns; else all elements are one curve.
        label_weights: Of the columns in that mean, with multi_label; default: equal.
        from_logits: The sigmoid of y_pred is taken first.

    Raises:
        ValueError: An argument out of range.

    Example:
        >>> m = AUC(num_thresholds=3)
        >>> m.update([0, 0, 1, 1], np.array([[0.0], [0.5], [0.3], [0.9]]))
        >>> m.result()
        0.75
    """

    def __init__(
        self,
        num_thresholds: int | None = 200,
        curve: str = "ROC",
        summation_method: str = "interpolation",
        name: str = "auc",
        *,
        thresholds: Sequence[float] | None = None,
        multi_label: bool = False,
        label_weights: Sequence[float] | None = None,
        from_logits: bool = False,
    ) -> None:
        if curve not in ("ROC", "PR"):
            raise ValueError(f"curve must be 'ROC' or 'PR', got {curve!r}")
        if summation_method not in ("interpolation", "minoring", "majoring"):
            raise ValueError(
                f"summation_method must be 'interpolation', 'minoring' or 'majoring', got {summation_method!r}"
            )
        if label_weights is not None and not multi_label:
            raise ValueError("label_weights needs multi_label=True")
        self.num_thresholds, self.curve, self.summation_method = num_thresholds, curve, summation_method
        self.thresholds, self.multi_label, self.label_weights = thresholds, multi_label, label_weights
        self.from_logits = from_logits
        self._levels = self._all_levels()
        super().__init__(name)

    def _all_levels(self) -> NDArray[np.float64] | None:
        """The thresholds with one below and one above all probabilities; None: the scores themselves."""
        if self.thresholds is not None:
            between = sorted(float(level) for level in self.thresholds)
            if not all(0 <= level <= 1 for level in between):
                raise ValueError(f"thresholds must lie in [0, 1], got {self.thresholds!r}")
        elif self.num_thresholds is None:
            return None
        elif isinstance(self.num_thresholds, int) and self.num_thresholds >= 2:
            between = [(i + 1) / (self.num_thresholds - 1) for i in range(self.num_thresholds - 2)]
        else:
            raise ValueError(f"num_thresholds must be a whole number from 2 or None, got {self.num_thresholds!r}")
        return np.array([-1e-7, *between, 1 + 1e-7])

    def measure(
        self, y_true: ArrayLike, y_pred: NDArray[Any], sample_weight: ArrayLike | None = None
    ) -> tuple[float, float]:
        raise TypeError(f"{self.name} is no mean: it has update and result alone")

    def reset(self) -> None:
        self._above: NDArray[np.float64] | None = None  # [columns, 2, thresholds]
        self._kept: list[tuple[Any, Any, Any]] = []

    @usual_floats
    def update(self, y_true: ArrayLike, y_pred: NDArray[Any], sample_weight: ArrayLike | None = None) -> None:
        targets = binary_targets(y_true, y_pred)
        weights = None if sample_weight is None else losses.weights_for(sample_weight, y_pred.shape, np.float64)
        columns = y_pred.shape[-1] if self.multi_label else 1
        if self.label_weights is not None and len(self.label_weights) != columns:
            raise ValueError(f"label_weights must hold {columns} numbers, got {len(self.label_weights)}")
        if self._above is not None and len(self._above) != columns:
            raise ValueError(f"y_pred must have {len(self._above)} columns as before, got {columns}")
        scores = _core.activation("sigmoid", np.ascontiguousarray(y_pred)) if self.from_logits else y_pred
        t, s, w = (None if each is None else each.reshape(-1, columns).T for each in (targets, scores, weights))
        if self._levels is None:
            self._kept.append((t, s, w))
            return
        found = self._counted(t, s, w, self._levels.astype(scores.dtype))
        self._above = found if self._above is None else self._above + found

    def _counted(self, targets: Any, scores: Any, weights: Any, levels: NDArray[Any]) -> NDArray[np.float64]:
        each = weights if weights is not None else [None] * len(targets)
        return np.stack([positives(t, s, w, levels) for t, s, w in zip(targets, scores, each, strict=True)])

    @usual_floats
    def result(self) -> float:
        """The area so far; 0 before the first batch."""
        above = self._above if self._levels is not None else self._exact()
        if above is None:
            return 0.0
        areas = np.array([self._area(false, true) for false, true in above])
        if self.label_weights is None:
            return sum_of(areas) / len(areas)
        weights = np.array(self.label_weights, np.float64)
        return float(_shares(np.array([sum_of(areas * weights)]), np.array([sum_of(weights)]))[0])

    def _exact(self) -> NDArray[np.float64] | None:
        """Counts at every score there was."""
        if not self._kept:
            return None
        targets = np.concatenate([t for t, _, _ in self._kept], axis=1)
        scores = np.concatenate([s for _, s, _ in self._kept], axis=1)
        weights = None
        if any(w is not None for _, _, w in self._kept):
            weights = np.concatenate([np.ones(t.shape) if w is None else w for t, _, w in self._kept], axis=1)
        levels = np.concatenate([[-np.inf], np.unique(scores)]).astype(scores.dtype)
        return self._counted(targets, scores, weights, levels)

    def _area(self, false: NDArray[np.float64], true: NDArray[np.float64]) -> float:
        """false, true: positives above rising thresholds; above the first are all."""
        if self.curve == "PR" and self.summation_method == "interpolation":
            return self._bent(false, true)
        recall = _shares(true, np.full_like(true, true[0]))
        x, y = (_shares(false, np.full_like(false, false[0])), recall)
        if self.curve == "PR":
            x, y = recall, _shares(true, true + false)
        heights = {
            "interpolation": (y[:-1] + y[1:]) / 2,
            "minoring": np.minimum(y[:-1], y[1:]),
            "majoring": np.maximum(y[:-1], y[1:]),
        }
        return sum_of((x[:-1] - x[1:]) * heights[self.summation_method])

    def _bent(self, false: NDArray[np.float64], true: NDArray[np.float64]) -> float:
        found = true + false
        gained = true[:-1] - true[1:]
        slope = _shares(gained, np.maximum(found[:-1] - found[1:], 0))
        intercept = true[1:] - slope * found[1:]
        both = (found[:-1] > 0) & (found[1:] > 0)
        ratio = np.where(both, found[:-1] / np.where(both, found[1:], 1), 1.0)
        steps = slope * (gained + intercept * _core.unary("log", ratio))
        return sum_of(_shares(steps, np.full_like(steps, max(true[0], 0))))
