"""Metrics that are means: of a loss, of an error."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from latchwork import _core, losses
from latchwork._core import sum as sum_of
from latchwork.floats import usual_floats
from latchwork.losses.base import CoreLoss
from latchwork.metrics.base import Metric

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray


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

    def measure(
        self, y_true: ArrayLike, y_pred: NDArray[Any], sample_weight: ArrayLike | None = None
    ) -> tuple[float, float]:
        if sample_weight is None:
            return self.loss.value(y_true, y_pred)
        if not isinstance(self.loss, CoreLoss):
            raise ValueError(f"sample_weight: {self.loss!r} must be a loss of lw.losses other than CTC and Masked")
        total, _ = self.loss.value(y_true, y_pred, sample_weight)
        return total, sum_of(losses.weights_for(sample_weight, self.loss.loss_shape(y_pred.shape), np.float64))


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


class CosineSimilarity(LossMetric):
    """The mean of sum(t / |t| p / |p|) over rows, as in Keras: the loss's negative. Name: "cosine_similarity".

    Example:
        >>> m = CosineSimilarity()
        >>> m.update([[0.0, 2.0]], np.array([[3.0, 4.0]]))
        >>> m.result()
        0.8
    """

    def __init__(self, name: str = "cosine_similarity") -> None:
        super().__init__(losses.CosineSimilarity(), name)

    @usual_floats
    def result(self) -> float:
        return -float(super().result())


class Perplexity(LossMetric):
    """exp(mean of -log p(label)), labels [...] for outputs [..., classes]: among how many classes the model still
    hesitates, as KerasHub has it (F. Jelinek and others, 1977). Name: "perplexity".

    Args:
        from_logits: y_pred holds logits.
        mask_token_id: Labels that do not count, such as padding; default: all count.

    Example:
        >>> m = Perplexity()
        >>> m.update([1, 0], np.full((2, 4), 0.25))
        >>> m.result()
        4.0
    """

    def __init__(
        self, name: str = "perplexity", *, from_logits: bool = False, mask_token_id: int | None = None
    ) -> None:
        self.mask_token_id = mask_token_id
        super().__init__(losses.SparseCategoricalCrossentropy(from_logits), name)

    def measure(
        self, y_true: ArrayLike, y_pred: NDArray[Any], sample_weight: ArrayLike | None = None
    ) -> tuple[float, float]:
        if self.mask_token_id is None:
            return super().measure(y_true, y_pred, sample_weight)
        labels = losses.labels_for(y_true, y_pred)
        there = labels != self.mask_token_id
        weights = there.astype(np.float64)
        if sample_weight is not None:
            weights = weights * losses.weights_for(sample_weight, labels.shape, np.float64)
        return super().measure(np.where(there, labels, 0), y_pred, weights)

    @usual_floats
    def result(self) -> float:
        return float(_core.unary("exp", np.array([super().result()], np.float64))[0])


class SymmetricMeanAbsolutePercentageError(Metric):
    """mean(200 |p - t| / (|t| + |p|)), 0 where both are 0 (S. Makridakis, 1993, as in the M4 competition, 2020). Names:
    "smape", "SMAPE".

    Example:
        >>> m = SymmetricMeanAbsolutePercentageError()
        >>> m.update([1.0, 0.0], np.array([[3.0], [0.0]]))
        >>> m.result()
        50.0
    """

    def __init__(self, name: str = "symmetric_mean_absolute_percentage_error") -> None:
        super().__init__(name)

    @usual_floats
    def measure(
        self, y_true: ArrayLike, y_pred: NDArray[Any], sample_weight: ArrayLike | None = None
    ) -> tuple[float, float]:
        t, p = losses.targets_like(y_true, y_pred).astype(np.float64), y_pred.astype(np.float64)
        sizes = np.abs(t) + np.abs(p)
        errors = 200 * (np.abs(p - t) / np.where(sizes == 0, 1, sizes))
        return weighed(errors, sample_weight)


class MeanAbsoluteScaledError(Metric):
    """mean(|p - t|) / scale, the scale the error of the naive forecast on the training series (R. Hyndman and A.
    Koehler, 2006): below 1 beats it. Names: "mase", "MASE", which need the scale and so an object.

    Args:
        scale: See `naive_scale`; above 0.

    Raises:
        ValueError: `scale` is not above 0.

    Example:
        >>> m = MeanAbsoluteScaledError(naive_scale([1.0, 3.0, 2.0, 4.0]))
        >>> m.update([5.0], np.array([[4.0]]))
        >>> round(m.result(), 12)
        0.6
    """

    def __init__(self, scale: float, name: str = "mean_absolute_scaled_error") -> None:
        if not 0 < scale < math.inf:
            raise ValueError(f"scale must be above 0, got {scale}")
        self.scale = scale
        super().__init__(name)

    def measure(
        self, y_true: ArrayLike, y_pred: NDArray[Any], sample_weight: ArrayLike | None = None
    ) -> tuple[float, float]:
        t, p = losses.targets_like(y_true, y_pred).astype(np.float64), y_pred.astype(np.float64)
        return weighed(np.abs(p - t) / self.scale, sample_weight)


@usual_floats
def naive_scale(series: ArrayLike, season: int = 1) -> float:
    """The mean of |series[i] - series[i - season]|: what the naive forecast is off by (Hyndman and Koehler, 2006).

    Args:
        series: The training series, [T] of any float or integer dtype.
        season: Steps back to the value that is repeated; 1 is the last one.

    Raises:
        ValueError: Another shape, or no step to compare.

    Example:
        >>> naive_scale([1.0, 3.0, 2.0, 6.0], season=2)
        2.0
    """
    values = losses.as_numbers(series, "series").astype(np.float64)
    if values.ndim != 1 or not 0 < season < len(values):
        raise ValueError(f"series must be [T] with more than {season} steps, got shape {values.shape}")
    return sum_of(np.abs(values[season:] - values[:-season])) / (len(values) - season)


def weighed(values: NDArray[np.float64], sample_weight: ArrayLike | None) -> tuple[float, float]:
    """(sum, count) of float64 values [N, ...], weighted by numbers of the shape of their first axes.

    Example:
        >>> weighed(np.array([1.0, 4.0]), [2, 1])
        (6.0, 3.0)
    """
    if sample_weight is None:
        return sum_of(values), float(values.size)
    weights = losses.weights_for(sample_weight, values.shape, np.float64)
    return sum_of(np.where(weights == 0, 0, values * weights)), sum_of(weights)
