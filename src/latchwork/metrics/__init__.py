"""Metrics: names, defaults and formulas of Keras 3, gathered over batches; figures do not depend on where batches end.

Counts are exact. Sums are of float64, of each batch in the contract's order.
"""

from __future__ import annotations

from typing import Any

from latchwork import losses
from latchwork.metrics.accuracy import (
    AccuracyByShape,
    BinaryAccuracy,
    CategoricalAccuracy,
    SparseCategoricalAccuracy,
    SparseTopKCategoricalAccuracy,
    TopKCategoricalAccuracy,
)
from latchwork.metrics.auc import AUC
from latchwork.metrics.base import Metric
from latchwork.metrics.confusion import Precision, Recall
from latchwork.metrics.means import (
    BinaryCrossentropy,
    CategoricalCrossentropy,
    CosineSimilarity,
    LossMetric,
    MeanAbsoluteError,
    MeanAbsoluteScaledError,
    MeanSquaredError,
    Perplexity,
    RootMeanSquaredError,
    SparseCategoricalCrossentropy,
    SymmetricMeanAbsolutePercentageError,
    naive_scale,
)
from latchwork.metrics.scores import F1Score, FBetaScore, R2Score
from latchwork.names import resolve

# The short names and Keras' further ones; each is known by its class's name too.
_ALIASES: dict[type[Any], tuple[str, ...]] = {
    MeanSquaredError: ("mse", "MSE", "mean_squared_error"),
    MeanAbsoluteError: ("mae", "MAE", "mean_absolute_error"),
    RootMeanSquaredError: ("rmse", "root_mean_squared_error"),
    SymmetricMeanAbsolutePercentageError: ("smape", "SMAPE", "symmetric_mean_absolute_percentage_error"),
    R2Score: ("r2_score", "r2"),
    AccuracyByShape: ("accuracy", "acc"),
    BinaryAccuracy: ("binary_accuracy",),
    CategoricalAccuracy: ("categorical_accuracy",),
    SparseCategoricalAccuracy: ("sparse_categorical_accuracy",),
    TopKCategoricalAccuracy: ("top_k_categorical_accuracy",),
    SparseTopKCategoricalAccuracy: ("sparse_top_k_categorical_accuracy",),
    Precision: ("precision",),
    Recall: ("recall",),
    AUC: ("auc",),
    F1Score: ("f1_score",),
    FBetaScore: ("fbeta_score",),
    BinaryCrossentropy: ("binary_crossentropy", "bce", "BCE"),
    CategoricalCrossentropy: ("categorical_crossentropy",),
    SparseCategoricalCrossentropy: ("sparse_categorical_crossentropy",),
    CosineSimilarity: ("cosine_similarity",),
    Perplexity: ("perplexity",),
}
_NAMES: dict[str, type[Any]] = {name: known for known, names in _ALIASES.items() for name in (*names, known.__name__)}
# Keras' further ones that are the mean of a loss.
_LOSSES = (
    "mape", "MAPE", "mean_absolute_percentage_error", "msle", "MSLE", "mean_squared_logarithmic_error", "log_cosh",
    "logcosh", "poisson", "kl_divergence", "kld", "KLD", "hinge", "squared_hinge", "categorical_hinge",
)  # fmt: skip

# By the names that files use.
CLASSES: dict[str, type[Any]] = {known.__name__: known for known in _ALIASES} | {
    "LossMetric": LossMetric,
    "MeanAbsoluteScaledError": MeanAbsoluteScaledError,
}

__all__ = [
    "AUC",
    "AccuracyByShape",
    "BinaryAccuracy",
    "BinaryCrossentropy",
    "CategoricalAccuracy",
    "CategoricalCrossentropy",
    "CosineSimilarity",
    "F1Score",
    "FBetaScore",
    "LossMetric",
    "MeanAbsoluteError",
    "MeanAbsoluteScaledError",
    "MeanSquaredError",
    "Metric",
    "Perplexity",
    "Precision",
    "R2Score",
    "Recall",
    "RootMeanSquaredError",
    "SparseCategoricalAccuracy",
    "SparseCategoricalCrossentropy",
    "SparseTopKCategoricalAccuracy",
    "SymmetricMeanAbsolutePercentageError",
    "TopKCategoricalAccuracy",
    "get",
    "naive_scale",
]


def get(identifier: str | Metric) -> Metric:
    """Return a new metric of a name, which it keeps as its own ("mse" stays "mse" in histories), or the object itself.

    Args:
        identifier: The name, or a Metric.

    Raises:
        ValueError: An unknown name (the nearest known ones are told), neither a name nor a Metric, or a metric whose
            result is an array: histories hold numbers.

    Example:
        >>> get("rmse")
        RootMeanSquaredError(name='rmse')
    """
    if isinstance(identifier, Metric):
        metric = identifier
    elif not isinstance(identifier, str):
        raise ValueError(f"metric must be a name or a Metric, got {identifier!r}")
    elif resolve("metric", identifier, (*_NAMES, *_LOSSES)) in _LOSSES:
        metric = LossMetric(losses.get(identifier), identifier)
    else:
        metric = _NAMES[identifier](name=identifier)
    if metric.per_class:
        raise ValueError(
            f"metric {metric.name!r} gives several numbers and a history holds one: choose an average, one threshold"
        )
    return metric
