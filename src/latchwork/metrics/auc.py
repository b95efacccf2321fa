"""The area below a curve."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from latchwork import _core, losses
from latchwork._core import sum as sum_of
from latchwork.floats import usual_floats
from latchwork.metrics.base import Metric
from latchwork.metrics.confusion import binary_targets, positives, shares

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray


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
        return float(shares(np.array([sum_of(areas * weights)]), np.array([sum_of(weights)]))[0])

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
        recall = shares(true, np.full_like(true, true[0]))
        x, y = (shares(false, np.full_like(false, false[0])), recall)
        if self.curve == "PR":
            x, y = recall, shares(true, true + false)
        heights = {
            "interpolation": (y[:-1] + y[1:]) / 2,
            "minoring": np.minimum(y[:-1], y[1:]),
            "majoring": np.maximum(y[:-1], y[1:]),
        }
        return sum_of((x[:-1] - x[1:]) * heights[self.summation_method])

    def _bent(self, false: NDArray[np.float64], true: NDArray[np.float64]) -> float:
        found = true + false
        gained = true[:-1] - true[1:]
        slope = shares(gained, np.maximum(found[:-1] - found[1:], 0))
        intercept = true[1:] - slope * found[1:]
        both = (found[:-1] > 0) & (found[1:] > 0)
        ratio = np.where(both, found[:-1] / np.where(both, found[1:], 1), 1.0)
        steps = slope * (gained + intercept * _core.unary("log", ratio))
        return sum_of(shares(steps, np.full_like(steps, max(true[0], 0))))
