"""Metrics: names, defaults and formulas of Keras 3, gathered over batches as a sum and a count."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

from . import _core, losses
from .floats import usual_floats
from .names import resolve

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray


class Metric(ABC):
    """Base: a mean over everything seen since `reset`. Subclass it and write `measure`.

    Args:
        name: How histories call it.

    Example:
        >>> import numpy as np
        >>> m = MeanAbsoluteError()
        >>> m.update([1.0, 2.0], np.array([[1.0], [4.0]]))
        >>> m.result()
        1.0
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.reset()

    @abstractmethod
    def measure(self, y_true: ArrayLike, y_pred: NDArray[Any]) -> tuple[float, int]:
        """(sum, count) of one batch: `y_true` of any numeric dtype, `y_pred` float32 or float64 [N, ...]."""

    def update(self, y_true: ArrayLike, y_pred: NDArray[Any]) -> None:
        """Add a batch: targets `y_true` of any numeric dtype, outputs `y_pred` float32 or float64.

        Raises:
            ValueError: As the loss of the same kind: a wrong dtype or shape, a label out of range.
        """
        total, count = self.measure(y_true, y_pred)
        self._total += total
        self._count += count

    @usual_floats
    def result(self) -> float:
        """The mean so far; 0 before the first batch."""
        return self._total / self._count if self._count else 0.0

    def reset(self) -> None:
        """Forget all batches."""
        self._total = 0.0
        self._count = 0

    def __repr__(self) -> str:
        return f"{type(self).__name__}(name={self.name!r})"


class LossMetric(Metric):
    """The mean of a loss's elements.

    Args:
        loss: A `losses.Loss`.
        name: Default: the loss's.

    Example:
        >>> LossMetric(losses.Huber(delta=2.0)).name
        'huber_loss'
    """

    def __init__(self, loss: losses.Loss, name: str | None = None) -> None:
        self.loss = loss
        super().__init__(loss.name if name is None else name)

    def measure(self, y_true: ArrayLike, y_pred: NDArray[Any]) -> tuple[float, int]:
        return self.loss.value(y_true, y_pred)


class MeanSquaredError(LossMetric):
    """mean((y_pred - y_true)^2). Names: "mse", "MSE", "mean_squared_error".

    Example:
        >>> import numpy as np
        >>> m = MeanSquaredError()
        >>> m.update([1.0, 2.0], np.array([[1.0], [4.0]]))
        >>> m.result()
        2.0
    """

    def __init__(self, name: str = "mean_squared_error") -> None:
        super().__init__(losses.MeanSquaredError(), name)


class RootMeanSquaredError(MeanSquaredError):
    """sqrt(mean((y_pred - y_true)^2)), the mean over everything seen. Names: "rmse", "root_mean_squared_error".

    Example:
        >>> import numpy as np
        >>> m = RootMeanSquaredError()
        >>> m.update([0.0, 0.0], np.array([[1.0], [7.0]]))
        >>> m.result()
        5.0
    """

    def __init__(self, name: str = "root_mean_squared_error") -> None:
        super().__init__(name)

    @usual_floats
    def result(self) -> float:
        return math.sqrt(super().result())


class MeanAbsoluteError(LossMetric):
    """mean(|y_pred - y_true|). Names: "mae", "MAE", "mean_absolute_error".

    Example:
        >>> import numpy as np
        >>> m = MeanAbsoluteError()
        >>> m.update([1.0, 2.0], np.array([[1.0], [4.0]]))
        >>> m.result()
        1.0
    """

    def __init__(self, name: str = "mean_absolute_error") -> None:
        super().__init__(losses.MeanAbsoluteError(), name)


class BinaryCrossentropy(LossMetric):
    """The mean of Keras' and `losses.BinaryCrossentropy`. Names: "bce", "BCE", "binary_crossentropy".

    Args:
        from_logits, label_smoothing: See the loss.

    Example:
        >>> import numpy as np
        >>> m = BinaryCrossentropy()
        >>> m.update([1, 0], np.array([[0.5], [0.5]]))
        >>> round(m.result(), 12)
        0.69314718056
    """

    def __init__(
        self, name: str = "binary_crossentropy", *, from_logits: bool = False, label_smoothing: float = 0.0
    ) -> None:
        super().__init__(losses.BinaryCrossentropy(from_logits, label_smoothing), name)


class CategoricalCrossentropy(LossMetric):
    """The mean of Keras' and `losses.CategoricalCrossentropy`. Name: "categorical_crossentropy".

    Args:
        from_logits, label_smoothing: See the loss.

    Example:
        >>> import numpy as np
        >>> m = CategoricalCrossentropy()
        >>> m.update([[0, 1]], np.array([[0.5, 0.5]]))
        >>> round(m.result(), 12)
        0.69314718056
    """

    def __init__(
        self, name: str = "categorical_crossentropy", *, from_logits: bool = False, label_smoothing: float = 0.0
    ) -> None:
        super().__init__(losses.CategoricalCrossentropy(from_logits, label_smoothing), name)


class SparseCategoricalCrossentropy(LossMetric):
    """The mean of Keras' and `losses.SparseCategoricalCrossentropy`. Name: "sparse_categorical_crossentropy".

    Args:
        from_logits: See the loss.

    Example:
        >>> import numpy as np
        >>> m = SparseCategoricalCrossentropy()
        >>> m.update([1], np.array([[0.5, 0.5]]))
        >>> round(m.result(), 12)
        0.69314718056
    """

    def __init__(self, name: str = "sparse_categorical_crossentropy", *, from_logits: bool = False) -> None:
        super().__init__(losses.SparseCategoricalCrossentropy(from_logits), name)


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

    def measure(self, y_true: ArrayLike, y_pred: NDArray[Any]) -> tuple[float, int]:
        targets = losses.targets_like(y_true, y_pred)
        return _core.accuracy("binary_accuracy", targets, y_pred, threshold=self.threshold)


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

    def measure(self, y_true: ArrayLike, y_pred: NDArray[Any]) -> tuple[float, int]:
        return _core.accuracy("categorical_accuracy", losses.targets_like(y_true, y_pred), y_pred)


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

    def measure(self, y_true: ArrayLike, y_pred: NDArray[Any]) -> tuple[float, int]:
        return _core.accuracy("sparse_categorical_accuracy", losses.labels_for(y_true, y_pred), y_pred)


class AccuracyByShape(Metric):
    """What "accuracy" and "acc" mean, Keras' rule: binary if the output's last axis has one element; else sparse if the
    targets have fewer axes or a last axis of one; else categorical.

    Example:
        >>> import numpy as np
        >>> m = get("accuracy")
        >>> m.update([1, 0], np.array([[0.2, 0.8], [0.3, 0.7]]))
        >>> m.result()
        0.5
    """

    def __init__(self, name: str = "accuracy") -> None:
        self._binary = BinaryAccuracy()
        self._sparse = SparseCategoricalAccuracy()
        self._categorical = CategoricalAccuracy()
        super().__init__(name)

    def measure(self, y_true: ArrayLike, y_pred: NDArray[Any]) -> tuple[float, int]:
        return self._kind(losses.shape_of(y_true), y_pred.shape).measure(y_true, y_pred)

    def _kind(self, y_shape: tuple[int, ...], output: tuple[int, ...]) -> Metric:
        if output[-1:] == (1,):
            return self._binary
        if len(y_shape) < len(output) or y_shape[-1:] == (1,):
            return self._sparse
        return self._categorical


_NAMES: dict[str, type[Any]] = {
    "mse": MeanSquaredError,
    "mae": MeanAbsoluteError,
    "rmse": RootMeanSquaredError,
    "accuracy": AccuracyByShape,
    "acc": AccuracyByShape,
    "binary_accuracy": BinaryAccuracy,
    "categorical_accuracy": CategoricalAccuracy,
    "sparse_categorical_accuracy": SparseCategoricalAccuracy,
    "binary_crossentropy": BinaryCrossentropy,
    "categorical_crossentropy": CategoricalCrossentropy,
    "sparse_categorical_crossentropy": SparseCategoricalCrossentropy,
    "mean_squared_error": MeanSquaredError,
    "mean_absolute_error": MeanAbsoluteError,
    "root_mean_squared_error": RootMeanSquaredError,
    "MSE": MeanSquaredError,
    "MAE": MeanAbsoluteError,
    "bce": BinaryCrossentropy,
    "BCE": BinaryCrossentropy,
    "MeanSquaredError": MeanSquaredError,
    "MeanAbsoluteError": MeanAbsoluteError,
    "RootMeanSquaredError": RootMeanSquaredError,
    "BinaryAccuracy": BinaryAccuracy,
    "CategoricalAccuracy": CategoricalAccuracy,
    "SparseCategoricalAccuracy": SparseCategoricalAccuracy,
    "BinaryCrossentropy": BinaryCrossentropy,
    "CategoricalCrossentropy": CategoricalCrossentropy,
    "SparseCategoricalCrossentropy": SparseCategoricalCrossentropy,
}

# By the names that files use.
CLASSES = {known.__name__: known for known in _NAMES.values()}


def get(identifier: str | Metric) -> Metric:
    """Return a new metric of a name, which it keeps as its own ("mse" stays "mse" in histories), or the object itself.

    Args:
        identifier: The name, or a Metric.

    Raises:
        ValueError: An unknown name (the nearest known ones are told), or neither a name nor a Metric.

    Example:
        >>> get("rmse")
        RootMeanSquaredError(name='rmse')
    """
    if isinstance(identifier, Metric):
        return identifier
    if not isinstance(identifier, str):
        raise ValueError(f"metric must be a name or a Metric, got {identifier!r}")
    metric: Metric = _NAMES[resolve("metric", identifier, _NAMES)](identifier)
    return metric
