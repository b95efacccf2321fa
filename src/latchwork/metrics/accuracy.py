"""Accuracies: shares of what is right. Counts are exact, so the order of batches does not matter."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from latchwork import losses
from latchwork.metrics.base import Metric, check_whole, share

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray


class BinaryAccuracy(Metric):
    """The share of elements with y_true == (y_pred > threshold). Name: "binary_accuracy".

    Args:
        threshold: Default 0.5, for logits too, as in Keras: give 0 for those.

    Example:
        >>> import numpy as np
        >>> m = BinaryAccuracy()
        >>> m.update([1, 1, 0, 0], np.array([[0.9], [0.4], [0.1], [0.2]]))
        >>> m.result()
        0.75
    """

    def __init__(self, name: str = "binary_accuracy", *, threshold: float = 0.5) -> None:
        self.threshold = threshold
        super().__init__(name)

    def measure(
        self, y_true: ArrayLike, y_pred: NDArray[Any], sample_weight: ArrayLike | None = None
    ) -> tuple[float, float]:
        targets = losses.targets_like(y_true, y_pred)
        return share(targets == (y_pred > y_pred.dtype.type(self.threshold)), sample_weight)


class CategoricalAccuracy(Metric):
    """The share of rows whose largest target and largest output stand at the same place (the first of equals),
    as in Keras. Name: "categorical_accuracy".

    Example:
        >>> import numpy as np
        >>> m = CategoricalAccuracy()
        >>> m.update([[0, 1], [1, 0]], np.array([[0.2, 0.8], [0.3, 0.7]]))
        >>> m.result()
        0.5
    """

    def __init__(self, name: str = "categorical_accuracy") -> None:
        super().__init__(name)

    def measure(
        self, y_true: ArrayLike, y_pred: NDArray[Any], sample_weight: ArrayLike | None = None
    ) -> tuple[float, float]:
        targets = losses.targets_like(y_true, y_pred)
        return share(targets.argmax(-1) == y_pred.argmax(-1), sample_weight)


class SparseCategoricalAccuracy(Metric):
    """The share of rows whose largest output stands at the label, as in Keras. Name: "sparse_categorical_accuracy".

    Example:
        >>> import numpy as np
        >>> m = SparseCategoricalAccuracy()
        >>> m.update([1, 0], np.array([[0.2, 0.8], [0.3, 0.7]]))
        >>> m.result()
        0.5
    """

    def __init__(self, name: str = "sparse_categorical_accuracy") -> None:
        super().__init__(name)

    def measure(
        self, y_true: ArrayLike, y_pred: NDArray[Any], sample_weight: ArrayLike | None = None
    ) -> tuple[float, float]:
        return share(_classes(y_true, y_pred) == y_pred.argmax(-1), sample_weight)


@dataclass(eq=False, repr=False)
class _TopK(Metric):
    """The share of rows where fewer than k outputs are above that of the label."""

    k: int = 5

    def __post_init__(self) -> None:
        check_whole("k", self.k, 1)
        self.reset()

    @abstractmethod
    def _labels(self, y_true: ArrayLike, y_pred: NDArray[Any]) -> NDArray[np.int64]:
        """The label of each row."""

    def measure(
        self, y_true: ArrayLike, y_pred: NDArray[Any], sample_weight: ArrayLike | None = None
    ) -> tuple[float, float]:
        own = np.take_along_axis(y_pred, self._labels(y_true, y_pred)[..., None], -1)
        better = np.count_nonzero(y_pred > own, axis=-1)
        return share((better < self.k) & np.isfinite(own[..., 0]), sample_weight)


@dataclass(eq=False, repr=False)
class TopKCategoricalAccuracy(_TopK):
    """The share of rows where fewer than k outputs are above that of the largest target, as in Keras. Name:
    "top_k_categorical_accuracy".

    Args:
        k: Default 5.

    Raises:
        ValueError: `k` is no whole number from 1.

    Example:
        >>> import numpy as np
        >>> m = TopKCategoricalAccuracy(k=2)
        >>> m.update([[0, 0, 1], [1, 0, 0]], np.array([[0.1, 0.5, 0.4], [0.1, 0.5, 0.4]]))
        >>> m.result()
        0.5
    """

    name: str = "top_k_categorical_accuracy"

    def _labels(self, y_true: ArrayLike, y_pred: NDArray[Any]) -> NDArray[np.int64]:
        labels: NDArray[np.int64] = losses.targets_like(y_true, y_pred).argmax(-1)
        return labels


@dataclass(eq=False, repr=False)
class SparseTopKCategoricalAccuracy(_TopK):
    """`TopKCategoricalAccuracy` (Keras') of class labels. Name: "sparse_top_k_categorical_accuracy".

    Args:
        k: Default 5.

    Raises:
        ValueError: `k` is no whole number from 1.

    Example:
        >>> import numpy as np
        >>> m = SparseTopKCategoricalAccuracy(k=2)
        >>> m.update([2, 0], np.array([[0.1, 0.5, 0.4], [0.1, 0.5, 0.4]]))
        >>> m.result()
        0.5
    """

    name: str = "sparse_top_k_categorical_accuracy"

    def _labels(self, y_true: ArrayLike, y_pred: NDArray[Any]) -> NDArray[np.int64]:
        return _classes(y_true, y_pred)


def _classes(y_true: ArrayLike, y_pred: NDArray[Any]) -> NDArray[np.int64]:
    labels = losses.labels_for(y_true, y_pred)
    outside = labels[(labels < 0) | (labels >= y_pred.shape[-1])]
    if outside.size:
        raise ValueError(f"y must hold class labels in [0, {y_pred.shape[-1]}), got {outside[0]}")
    return labels


class AccuracyByShape(Metric):
    """What "accuracy" and "acc" mean, Keras' rule: binary if the output's last axis has one element; else sparse if the
    targets have fewer axes or a last axis of one; else categorical.

    Example:
        >>> import numpy as np
        >>> from latchwork import metrics
        >>> m = metrics.get("accuracy")
        >>> m.update([1, 0], np.array([[0.2, 0.8], [0.3, 0.7]]))
        >>> m.result()
        0.5
    """

    def __init__(self, name: str = "accuracy") -> None:
        self._binary = BinaryAccuracy()
        self._sparse = SparseCategoricalAccuracy()
        self._categorical = CategoricalAccuracy()
        super().__init__(name)

    def measure(
        self, y_true: ArrayLike, y_pred: NDArray[Any], sample_weight: ArrayLike | None = None
    ) -> tuple[float, float]:
        return self._kind(losses.shape_of(y_true), y_pred.shape).measure(y_true, y_pred, sample_weight)

    def _kind(self, y_shape: tuple[int, ...], output: tuple[int, ...]) -> Metric:
        if output[-1:] == (1,):
            return self._binary
        if len(y_shape) < len(output) or y_shape[-1:] == (1,):
            return self._sparse
        return self._categorical
