"""Losses: names, defaults and formulas of Keras 3, value and gradient in one pass of the core.

A loss gives the sum of its elements, their number, and the gradient of their mean. Sums are added in one fixed order
(float64 over chunks), so they do not depend on threads or CPU. Targets are never broadcast.

With `sample_weight` every element is multiplied by its weight; the mean is still over all elements, as in Keras. A
weight of 0 leaves an element out, whatever it holds.
"""

from __future__ import annotations

from latchwork.losses.base import Loss
from latchwork.losses.classes import (
    BinaryCrossentropy,
    BinaryFocalCrossentropy,
    CategoricalCrossentropy,
    CategoricalFocalCrossentropy,
    CategoricalHinge,
    Hinge,
    KLDivergence,
    SparseCategoricalCrossentropy,
    SquaredHinge,
)
from latchwork.losses.ctc import CTC, ctc_decode
from latchwork.losses.likelihoods import (
    GaussianNegativeLogLikelihood,
    MixtureNegativeLogLikelihood,
    StudentTNegativeLogLikelihood,
)
from latchwork.losses.masked import Masked
from latchwork.losses.regression import (
    CosineSimilarity,
    Huber,
    LogCosh,
    MeanAbsoluteError,
    MeanAbsolutePercentageError,
    MeanSquaredError,
    MeanSquaredLogarithmicError,
    Poisson,
    Quantile,
)
from latchwork.losses.targets import (
    as_numbers,
    labels_for,
    shape_of,
    targets_like,
    targets_of_shape,
    weights_for,
    whole_numbers,
)
from latchwork.names import resolve

# The short names and Keras' further ones; each is known by its class's name too.
_ALIASES: dict[type[Loss], tuple[str, ...]] = {
    MeanSquaredError: ("mse", "MSE", "mean_squared_error"),
    MeanAbsoluteError: ("mae", "MAE", "mean_absolute_error"),
    Huber: ("huber",),
    LogCosh: ("log_cosh", "logcosh"),
    MeanSquaredLogarithmicError: ("msle", "MSLE", "mean_squared_logarithmic_error"),
    MeanAbsolutePercentageError: ("mape", "MAPE", "mean_absolute_percentage_error"),
    Quantile: ("quantile", "pinball"),
    Poisson: ("poisson",),
    CosineSimilarity: ("cosine_similarity",),
    BinaryCrossentropy: ("binary_crossentropy", "bce", "BCE"),
    CategoricalCrossentropy: ("categorical_crossentropy",),
    SparseCategoricalCrossentropy: ("sparse_categorical_crossentropy",),
    BinaryFocalCrossentropy: ("binary_focal_crossentropy",),
    CategoricalFocalCrossentropy: ("categorical_focal_crossentropy",),
    KLDivergence: ("kl_divergence", "kld", "KLD"),
    Hinge: ("hinge",),
    SquaredHinge: ("squared_hinge",),
    CategoricalHinge: ("categorical_hinge",),
    GaussianNegativeLogLikelihood: ("gaussian_nll", "gaussian_negative_log_likelihood"),
    StudentTNegativeLogLikelihood: ("student_t_nll", "student_t_negative_log_likelihood"),
    MixtureNegativeLogLikelihood: ("mixture_nll", "mixture_negative_log_likelihood"),
    CTC: ("ctc",),
}
_NAMES: dict[str, type[Loss]] = {name: known for known, names in _ALIASES.items() for name in (*names, known.__name__)}

# By the names that files use.
CLASSES: dict[str, type[Loss]] = {known.__name__: known for known in _ALIASES} | {"Masked": Masked}

__all__ = [
    "CTC",
    "BinaryCrossentropy",
    "BinaryFocalCrossentropy",
    "CategoricalCrossentropy",
    "CategoricalFocalCrossentropy",
    "CategoricalHinge",
    "CosineSimilarity",
    "GaussianNegativeLogLikelihood",
    "Hinge",
    "Huber",
    "KLDivergence",
    "LogCosh",
    "Loss",
    "Masked",
    "MeanAbsoluteError",
    "MeanAbsolutePercentageError",
    "MeanSquaredError",
    "MeanSquaredLogarithmicError",
    "MixtureNegativeLogLikelihood",
    "Poisson",
    "Quantile",
    "SparseCategoricalCrossentropy",
    "SquaredHinge",
    "StudentTNegativeLogLikelihood",
    "as_numbers",
    "ctc_decode",
    "get",
    "labels_for",
    "shape_of",
    "targets_like",
    "targets_of_shape",
    "weights_for",
    "whole_numbers",
]


def get(identifier: str | Loss) -> Loss:
    """Return the loss of a name, as Keras has them ("mse", "MSE", "mean_squared_error", ...), or the object itself.

    Args:
        identifier: The name, or a Loss.

    Raises:
        ValueError: An unknown name (the nearest known ones are told), or neither a name nor a Loss.

    Example:
        >>> get("mse")
        MeanSquaredError(name='mean_squared_error')
    """
    if isinstance(identifier, Loss):
        return identifier
    if not isinstance(identifier, str):
        raise ValueError(f"loss must be a name or a Loss, got {identifier!r}")
    return _NAMES[resolve("loss", identifier, _NAMES)]()
