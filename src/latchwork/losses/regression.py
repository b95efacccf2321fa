"""Losses of numbers: every element of the output is a loss of its own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from latchwork.losses.base import CoreLoss, FormulaLoss, RowLoss, Shape


@dataclass(eq=False, repr=False)
class MeanSquaredError(CoreLoss):
    """mean((y_pred - y_true)^2). Names: "mse", "MSE", "mean_squared_error".

    Example:
        >>> MeanSquaredError()([1.0, 2.0], np.array([[1.0], [4.0]]))
        2.0
    """

    name: str = "mean_squared_error"
    _core_name = "mse"


@dataclass(eq=False, repr=False)
class MeanAbsoluteError(CoreLoss):
    """mean(|y_pred - y_true|); the gradient at 0 is 0. Names: "mae", "MAE", "mean_absolute_error".

    Example:
        >>> MeanAbsoluteError()([1.0, 2.0], np.array([[1.0], [4.0]]))
        1.0
    """

    name: str = "mean_absolute_error"
    _core_name = "mae"


@dataclass(eq=False, repr=False)
class Huber(CoreLoss):
    """mean of e^2 / 2 where |e| <= delta, else delta |e| - delta^2 / 2, with e = y_pred - y_true (P. Huber, 1964).

    Args:
        delta: Where the square turns into a line, above 0; default 1.

    Raises:
        ValueError: `delta` is not above 0.

    Example:
        >>> Huber()([1.0, 2.0], np.array([[1.5], [4.0]]))
        0.8125
    """

    delta: float = 1.0
    name: str = "huber_loss"
    _core_name = "huber"

    def __post_init__(self) -> None:
        if not self.delta > 0:
            raise ValueError(f"delta must be above 0, got {self.delta}")

    def _options(self) -> dict[str, Any]:
        return {"delta": self.delta}


@dataclass(eq=False, repr=False)
class LogCosh(FormulaLoss):
    """mean(log(cosh(y_pred - y_true))): half a square near 0, a line far out. Keras' name: "log_cosh", "logcosh".

    Example:
        >>> round(LogCosh()([0.0], np.array([[1.0]])), 12)
        0.433780830483
    """

    name: str = "log_cosh"
    _core_name = "log_cosh"


@dataclass(eq=False, repr=False)
class MeanSquaredLogarithmicError(FormulaLoss):
    """mean((log(y_pred + 1) - log(y_true + 1))^2), both kept at 1e-7 or above as in Keras. Names: "msle", "MSLE".

    Example:
        >>> round(MeanSquaredLogarithmicError()([1.0], np.array([[3.0]])), 12)
        0.480453013918
    """

    name: str = "mean_squared_logarithmic_error"
    _core_name = "msle"


@dataclass(eq=False, repr=False)
class MeanAbsolutePercentageError(FormulaLoss):
    """100 mean(|y_pred - y_true| / max(|y_true|, 1e-7)), as in Keras. Names: "mape", "MAPE".

    Example:
        >>> MeanAbsolutePercentageError()([2.0, 4.0], np.array([[1.0], [5.0]]))
        37.5
    """

    name: str = "mean_absolute_percentage_error"
    _core_name = "mape"


@dataclass(eq=False, repr=False)
class Quantile(FormulaLoss):
    """mean(max(q e, (q - 1) e)), e = y_true - y_pred: least where y_pred is the q-quantile (Koenker and Bassett, 1978).

    Outputs [..., Q] are the Q quantiles of one target: y_true is [..., 1] or [...]. The gradient at e = 0 is 0. Also
    called pinball loss. Names: "quantile", "pinball".

    Args:
        quantiles: One or several numbers between 0 and 1, in rising order; default 0.5, half the absolute error.

    Raises:
        ValueError: `quantiles` is none, does not rise or leaves (0, 1); when called, outputs of another width.

    Example:
        >>> round(Quantile([0.1, 0.5, 0.9])([2.0], np.array([[1.0, 2.0, 4.0]])), 12)
        0.1
    """

    quantiles: Any = 0.5
    name: str = "quantile"
    _core_name = "quantile"

    def __post_init__(self) -> None:
        given = self.quantiles
        object.__setattr__(self, "quantiles", float(given) if np.ndim(given) == 0 else [float(q) for q in given])
        levels = self._levels()
        if not levels or not all(low < high for low, high in zip([0.0, *levels], [*levels, 1.0], strict=True)):
            raise ValueError(f"quantiles must rise within (0, 1), got {given!r}")

    def __hash__(self) -> int:
        levels = self.quantiles
        return hash((tuple(levels) if isinstance(levels, list) else levels, self.name))

    def _levels(self) -> list[float]:
        return self.quantiles if isinstance(self.quantiles, list) else [self.quantiles]

    def _options(self) -> dict[str, Any]:
        return {"levels": self._levels()}

    def target_shape(self, output: Shape) -> Shape:
        return (*output[:-1], 1)


@dataclass(eq=False, repr=False)
class Poisson(FormulaLoss):
    """mean(rate - y_true log(rate + 1e-7)), the rate y_pred itself, as in Keras: counts, up to what does not depend on
    y_pred. Name: "poisson".

    Args:
        log_input: y_pred is the logarithm of the rate: mean(exp(y_pred) - y_true y_pred), for any output and without
            the 1e-7; default False, for rates above 0, from "softplus" or "exponential".

    Raises:
        ValueError: When called, a target below 0.

    Example:
        >>> Poisson(log_input=True)([3.0], np.array([[0.0]]))
        1.0
    """

    log_input: bool = False
    name: str = "poisson"
    _core_name = "poisson"
    _bounds = (0.0, float("inf"))

    def _options(self) -> dict[str, Any]:
        return {"from_logits": self.log_input}


@dataclass(eq=False, repr=False)
class CosineSimilarity(RowLoss, FormulaLoss):
    """mean over rows of -sum(t / |t| p / |p|), targets and outputs [..., N]; lengths below 1e-7 count as that, as in
    Keras. -1 is the same direction. Name: "cosine_similarity".

    Example:
        >>> CosineSimilarity()([[0.0, 2.0]], np.array([[3.0, 4.0]]))
        -0.8
    """

    name: str = "cosine_similarity"
    _core_name = "cosine_similarity"
