"""Scores over classes and columns: F-scores, R²."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from latchwork import losses
from latchwork._core import sum as sum_of
from latchwork.floats import usual_floats
from latchwork.metrics.base import Metric
from latchwork.metrics.confusion import binary_targets

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

_EPSILON = 1e-7  # keras.config.epsilon()


class _ByColumn(Metric):
    """Sums of each column of the last axis, gathered over batches: `_sums` [kinds, columns], None before the first."""

    _sums: NDArray[np.float64] | None

    def measure(
        self, y_true: ArrayLike, y_pred: NDArray[Any], sample_weight: ArrayLike | None = None
    ) -> tuple[float, float]:
        raise TypeError(f"{self.name} is no mean: it has update and result alone")

    def reset(self) -> None:
        self._sums = None

    def _columns(self, y_pred: NDArray[Any]) -> int:
        """Of the last axis: as many as in the batches before."""
        columns: int = y_pred.shape[-1]
        if self._sums is not None and self._sums.shape[-1] != columns:
            raise ValueError(f"y_pred must have {self._sums.shape[-1]} columns as before, got {columns}")
        return columns

    def _add(self, found: NDArray[np.float64]) -> None:
        self._sums = found if self._sums is None else self._sums + found


class FBetaScore(_ByColumn):
    """(1 + beta²) precision recall / (beta² precision + recall) of each class, targets of 0 and 1 in the shape of the
    output [..., classes]. Keras' formula, its 1e-7 in the denominators with it. Name: "fbeta_score".

    Args:
        average: None: `result` is an array, a figure for each class; "macro" is their mean, "weighted" that by how
            often a class is a target, "micro" the score of all counted together. Histories need one of the three.
        beta: How much recall weighs against precision, above 0.
        threshold: Outputs above it are positive, in (0, 1]; None: the largest of a row is.

    Raises:
        ValueError: An argument out of range.

    Example:
        >>> m = FBetaScore(average="micro", beta=2.0, threshold=0.5)
        >>> m.update([[1, 0], [1, 1]], np.array([[0.9, 0.8], [0.1, 0.7]]))
        >>> round(m.result(), 6)
        0.666667
    """

    def __init__(
        self,
        average: str | None = None,
        beta: float = 1.0,
        threshold: float | None = None,
        name: str = "fbeta_score",
    ) -> None:
        if average not in (None, "micro", "macro", "weighted"):
            raise ValueError(f"average must be None, 'micro', 'macro' or 'weighted', got {average!r}")
        if not beta > 0:
            raise ValueError(f"beta must be above 0, got {beta}")
        if threshold is not None and not 0 < threshold <= 1:
            raise ValueError(f"threshold must be in (0, 1], got {threshold}")
        self.average, self.beta, self.threshold = average, beta, threshold
        super().__init__(name)

    @property
    def per_class(self) -> bool:
        """Whether `result` is an array: there is no average."""
        return self.average is None

    @usual_floats
    def update(self, y_true: ArrayLike, y_pred: NDArray[Any], sample_weight: ArrayLike | None = None) -> None:
        if y_pred.ndim < 2:
            raise ValueError(f"y_pred must be [..., classes], got shape {y_pred.shape}")
        classes, targets = self._columns(y_pred), binary_targets(y_true, y_pred)
        if self.threshold is None:  # a row of zeros has no largest
            found = (y_pred >= y_pred.max(-1, keepdims=True)) & (np.abs(y_pred) > 1e-9)
        else:
            found = y_pred > y_pred.dtype.type(self.threshold)
        weights = None
        if sample_weight is not None:
            weights = losses.weights_for(sample_weight, y_pred.shape[:-1], np.float64).ravel()
        kinds = (targets & found, ~targets & found, targets & ~found)
        self._add(np.stack([_counted(kind.reshape(-1, classes), weights) for kind in kinds]))

    @usual_floats
    def result(self) -> Any:
        """The score so far: a float, or a float64 array [classes]; 0 before the first batch."""
        if self._sums is None:
            return 0.0
        sums = self._sums
        if self.average == "micro":
            sums = np.array([[sum_of(kind)] for kind in sums])
        true, false, missed = sums
        precision = true / (true + false + _EPSILON)
        recall = true / (true + missed + _EPSILON)
        square = self.beta * self.beta
        scores: NDArray[np.float64] = precision * recall / (square * precision + recall + _EPSILON) * (1 + square)
        if self.average == "weighted":
            wanted = true + missed
            return sum_of(scores * (wanted / (sum_of(wanted) + _EPSILON)))
        return scores if self.average is None else sum_of(scores) / len(scores)


class F1Score(FBetaScore):
    """`FBetaScore` with beta 1: the harmonic mean of precision and recall, as in Keras. Name: "f1_score".

    Args:
        average, threshold: See `FBetaScore`.

    Example:
        >>> m = F1Score(average="macro")
        >>> m.update([[1, 0], [0, 1]], np.array([[0.9, 0.1], [0.8, 0.2]]))
        >>> round(m.result(), 6)
        0.333333
    """

    def __init__(self, average: str | None = None, threshold: float | None = None, name: str = "f1_score") -> None:
        super().__init__(average, 1.0, threshold, name)


def _counted(hits: NDArray[np.bool_], weights: NDArray[np.float64] | None) -> NDArray[np.float64]:
    """How many, or which weight, in each column of [N, columns]."""
    rows, columns = np.nonzero(hits)
    found = np.bincount(columns, None if weights is None else weights[rows], minlength=hits.shape[1])
    return found.astype(np.float64)


class R2Score(_ByColumn):
    """1 - (sum of squared errors) / (sum of squares about the mean of the targets), of each column of [..., D], as in
    Keras: 1 is perfect, 0 what the mean would score. Names: "r2_score", "r2".

    Args:
        class_aggregation: "uniform_average", the mean over columns; "variance_weighted_average"; None: `result` is an
            array.
        num_regressors: For the adjusted score, how many regressors there are; 0: not adjusted.

    Raises:
        ValueError: An argument out of range; from `result`, too few samples to adjust by.

    Example:
        >>> m = R2Score()
        >>> m.update([1.0, 2.0, 3.0], np.array([[1.0], [2.0], [4.0]]))
        >>> m.result()
        0.5
    """

    def __init__(
        self,
        class_aggregation: str | None = "uniform_average",
        num_regressors: int = 0,
        name: str = "r2_score",
    ) -> None:
        if class_aggregation not in (None, "uniform_average", "variance_weighted_average"):
            raise ValueError(
                "class_aggregation must be 'uniform_average', 'variance_weighted_average' or None, "
                f"got {class_aggregation!r}"
            )
        if isinstance(num_regressors, bool) or not isinstance(num_regressors, int) or num_regressors < 0:
            raise ValueError(f"num_regressors must be a whole number from 0, got {num_regressors!r}")
        self.class_aggregation, self.num_regressors = class_aggregation, num_regressors
        super().__init__(name)

    @property
    def per_class(self) -> bool:
        """Whether `result` is an array: there is no aggregation."""
        return self.class_aggregation is None

    def reset(self) -> None:
        super().reset()
        self._first: NDArray[np.float64] | None = None  # sums are of differences from it: their squares cancel less
        self._seen = 0

    @usual_floats
    def update(self, y_true: ArrayLike, y_pred: NDArray[Any], sample_weight: ArrayLike | None = None) -> None:
        columns = self._columns(y_pred)
        p = y_pred.astype(np.float64).reshape(-1, columns)
        t = losses.targets_like(y_true, y_pred).astype(np.float64).reshape(-1, columns)
        w = np.ones(p.shape)
        if sample_weight is not None:
            w = losses.weights_for(sample_weight, y_pred.shape, np.float64).reshape(-1, columns)
        if self._first is None and len(t):
            self._first = t[0]
        moved = t - (0 if self._first is None else self._first)
        kinds = (w, w * moved, w * (moved * moved), w * ((t - p) * (t - p)))
        self._add(np.array([[sum_of(np.ascontiguousarray(column)) for column in kind.T] for kind in kinds]))
        self._seen += t.size

    @usual_floats
    def result(self) -> Any:
        """The score so far: a float, or a float64 array [D]; 0 before the first batch."""
        if self._sums is None:
            return 0.0
        count, total, squares, errors = self._sums
        with np.errstate(divide="ignore", invalid="ignore"):
            spread = squares - total * (total / count)
            scores = 1 - errors / spread
        scores = np.where(np.isinf(scores), 0.0, scores)
        if self.class_aggregation is None:
            return self._adjusted(scores)
        if self.class_aggregation == "uniform_average":
            return float(self._adjusted(sum_of(scores) / len(scores)))
        return float(self._adjusted(sum_of(spread * scores) / sum_of(spread)))

    def _adjusted(self, score: Any) -> Any:
        if self.num_regressors == 0:
            return score
        left = self._seen - self.num_regressors - 1
        if left <= 0:
            raise ValueError(f"num_regressors must be below {self._seen - 1} for {self._seen} targets")
        return 1 - (1 - score) * (self._seen - 1) / left
