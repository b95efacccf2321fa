"""Losses: names, defaults and formulas of Keras 3, value and gradient in one pass of the core.

A loss gives the sum of its elements, their number, and the gradient of their mean. Sums are added in one fixed order
(float64 over chunks), so they do not depend on threads or CPU. Targets are never broadcast.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from . import _core
from .fields import Value
from .floats import usual_floats
from .names import resolve

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray


def targets_like(y: ArrayLike, y_pred: NDArray[Any]) -> NDArray[Any]:
    """Return `y` in the shape and dtype of `y_pred`: (N,) and (N, 1) are the same against (N, 1), nothing else is.

    Raises:
        ValueError: Another shape, or `y` is not bool, integer or float.

    Example:
        >>> targets_like([1, 2], np.zeros((2, 1), np.float32)).shape
        (2, 1)
    """
    if type(y) is np.ndarray and y.dtype == y_pred.dtype and y.shape == y_pred.shape and y.flags.c_contiguous:
        return y
    targets = _numbers(y)
    if targets.shape != y_pred.shape:
        if y_pred.shape != (*targets.shape, 1) or targets.ndim != 1:
            raise ValueError(f"y must have the shape of the output, {y_pred.shape}, got {targets.shape}")
        targets = targets.reshape(y_pred.shape)
    return np.ascontiguousarray(targets, dtype=y_pred.dtype)


def labels_for(y: ArrayLike, y_pred: NDArray[Any]) -> NDArray[np.int64]:
    """Return `y` as int64 labels [...] for outputs `y_pred` [..., classes]; [..., 1] is the same. Floats must be whole.

    Raises:
        ValueError: Another shape, a label that is no integer, or `y` is not bool, integer or float.

    Example:
        >>> labels_for([[2.0], [0.0]], np.zeros((2, 3)))
        array([2, 0])
    """
    labels = _numbers(y)
    expected = y_pred.shape[:-1]
    if y_pred.ndim < 2 or labels.shape not in (expected, (*expected, 1)):
        raise ValueError(f"y must hold one class label for each row of the output {y_pred.shape}, got {labels.shape}")
    with np.errstate(invalid="ignore"):  # NaN and infinity are told by the comparison
        whole = labels.astype(np.int64)
    if not np.array_equal(whole, labels):
        raise ValueError("y must hold integer class labels, got fractions")
    return np.ascontiguousarray(whole.reshape(expected))


def shape_of(y: ArrayLike) -> tuple[int, ...]:
    """Return the shape of targets `y` of any dtype, whatever holds them.

    Example:
        >>> shape_of([[1], [2]])
        (2, 1)
    """
    return np.shape(y)


def _numbers(y: ArrayLike) -> NDArray[Any]:
    array = np.asarray(y)
    if array.dtype.kind not in "biuf":
        raise ValueError(f"y must be bool, integer or float, got {array.dtype}")
    return array


class Loss(ABC):
    """Base: subclass it and write `value_and_grad`. `name` is how histories and errors call it.

    Example:
        >>> class Sum(Loss):
        ...     name = "sum"
        ...     def value_and_grad(self, y_true, y_pred):
        ...         return float(y_pred.sum()), y_pred.size, np.full_like(y_pred, 1 / y_pred.size)
        >>> Sum()([0.0, 0.0], np.array([[1.0], [2.0]]))
        1.5
    """

    name: str

    @abstractmethod
    def value_and_grad(self, y_true: ArrayLike, y_pred: NDArray[Any]) -> tuple[float, int, NDArray[Any]]:
        """Return (sum of the loss elements, their number, gradient of sum / number with respect to y_pred).

        Args:
            y_true: Targets of y_pred's shape, of any numeric dtype; see `targets_like` and `labels_for`.
            y_pred: float32 or float64, C-contiguous.
        """

    def value(self, y_true: ArrayLike, y_pred: NDArray[Any]) -> tuple[float, int]:
        """(sum, number) without the gradient; y_true and y_pred in shapes and dtypes as for `value_and_grad`."""
        total, count, _ = self.value_and_grad(y_true, y_pred)
        return total, count

    @usual_floats
    def __call__(self, y_true: ArrayLike, y_pred: NDArray[Any]) -> float:
        """The mean of the loss elements, 0 for an empty batch; y_true and y_pred in shapes and dtypes as above."""
        total, count = self.value(y_true, y_pred)
        return total / count if count else 0.0


class _CoreLoss(Value, Loss):
    """A loss of the core's; `_core_name` is what the core calls it, `_options` what it takes."""

    _core_name: str

    def _options(self) -> dict[str, Any]:
        return {}

    def _targets(self, y_true: ArrayLike, y_pred: NDArray[Any]) -> NDArray[Any]:
        return targets_like(y_true, y_pred)

    def value_and_grad(self, y_true: ArrayLike, y_pred: NDArray[Any]) -> tuple[float, int, NDArray[Any]]:
        targets = self._targets(y_true, y_pred)
        total, count, gradient = _core.loss(self._core_name, targets, y_pred, **self._options())
        assert gradient is not None
        return total, count, gradient

    def value(self, y_true: ArrayLike, y_pred: NDArray[Any]) -> tuple[float, int]:
        targets = self._targets(y_true, y_pred)
        total, count, _ = _core.loss(self._core_name, targets, y_pred, gradient=False, **self._options())
        return total, count


@dataclass(eq=False, repr=False)
class MeanSquaredError(_CoreLoss):
    """mean((y_pred - y_true)^2). Names: "mse", "MSE", "mean_squared_error".

    Example:
        >>> MeanSquaredError()([1.0, 2.0], np.array([[1.0], [4.0]]))
        2.0
    """

    name: str = "mean_squared_error"
    _core_name = "mse"


@dataclass(eq=False, repr=False)
class MeanAbsoluteError(_CoreLoss):
    """mean(|y_pred - y_true|); the gradient at 0 is 0. Names: "mae", "MAE", "mean_absolute_error".

    Example:
        >>> MeanAbsoluteError()([1.0, 2.0], np.array([[1.0], [4.0]]))
        1.0
    """

    name: str = "mean_absolute_error"
    _core_name = "mae"


@dataclass(eq=False, repr=False)
class Huber(_CoreLoss):
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


def _check_smoothing(label_smoothing: float) -> None:
    if not 0 <= label_smoothing <= 1:
        raise ValueError(f"label_smoothing must be in [0, 1], got {label_smoothing}")


@dataclass(eq=False, repr=False)
class BinaryCrossentropy(_CoreLoss):
    """mean(-(t log p + (1 - t) log(1 - p))), every output a probability of its own.

    From probabilities, p is kept 1e-7 away from 0 and 1, and the gradient is 0 where that clips (as in Keras). From
    logits x, the loss is max(x, 0) - x t + log(1 + exp(-|x|)), which neither overflows nor clips: prefer it.

    Args:
        from_logits: y_pred holds logits; default False.
        label_smoothing: s in [0, 1]: targets become t (1 - s) + s / 2; default 0.

    Raises:
        ValueError: `label_smoothing` out of range; when called, a target outside [0, 1].

    Example:
        >>> round(BinaryCrossentropy()([1, 0], np.array([[0.5], [0.5]])), 12)
        0.69314718056
    """

    from_logits: bool = False
    label_smoothing: float = 0.0
    name: str = "binary_crossentropy"
    _core_name = "binary_crossentropy"

    def __post_init__(self) -> None:
        _check_smoothing(self.label_smoothing)

    def _options(self) -> dict[str, Any]:
        return {"from_logits": self.from_logits, "label_smoothing": self.label_smoothing}


@dataclass(eq=False, repr=False)
class CategoricalCrossentropy(_CoreLoss):
    """mean over rows of -sum(t log p), targets and outputs [..., classes].

    From probabilities, a row is divided by its sum, then kept 1e-7 away from 0 and 1 (as in Keras). From logits,
    log p = (x - max x) - log(sum(exp(x - max x))).

    Args:
        from_logits: y_pred holds logits; default False.
        label_smoothing: s in [0, 1]: targets become t (1 - s) + s / classes; default 0.

    Raises:
        ValueError: `label_smoothing` out of range; when called, a target outside [0, 1].

    Example:
        >>> round(CategoricalCrossentropy()([[0, 1]], np.array([[0.5, 0.5]])), 12)
        0.69314718056
    """

    from_logits: bool = False
    label_smoothing: float = 0.0
    name: str = "categorical_crossentropy"
    _core_name = "categorical_crossentropy"

    def __post_init__(self) -> None:
        _check_smoothing(self.label_smoothing)

    def _options(self) -> dict[str, Any]:
        return {"from_logits": self.from_logits, "label_smoothing": self.label_smoothing}


@dataclass(eq=False, repr=False)
class SparseCategoricalCrossentropy(_CoreLoss):
    """`CategoricalCrossentropy` (Keras') with class labels [...] or [..., 1] as targets for outputs [..., classes].

    Args:
        from_logits: y_pred holds logits; default False.

    Raises:
        ValueError: When called, a label that is no integer in [0, classes).

    Example:
        >>> round(SparseCategoricalCrossentropy()([1], np.array([[0.5, 0.5]])), 12)
        0.69314718056
    """

    from_logits: bool = False
    name: str = "sparse_categorical_crossentropy"
    _core_name = "sparse_categorical_crossentropy"

    def _targets(self, y_true: ArrayLike, y_pred: NDArray[Any]) -> NDArray[Any]:
        return labels_for(y_true, y_pred)

    def _options(self) -> dict[str, Any]:
        return {"from_logits": self.from_logits}


_NAMES: dict[str, type[Loss]] = {
    "mse": MeanSquaredError,
    "mae": MeanAbsoluteError,
    "huber": Huber,
    "binary_crossentropy": BinaryCrossentropy,
    "categorical_crossentropy": CategoricalCrossentropy,
    "sparse_categorical_crossentropy": SparseCategoricalCrossentropy,
    "mean_squared_error": MeanSquaredError,
    "mean_absolute_error": MeanAbsoluteError,
    "MSE": MeanSquaredError,
    "MAE": MeanAbsoluteError,
    "bce": BinaryCrossentropy,
    "BCE": BinaryCrossentropy,
    "MeanSquaredError": MeanSquaredError,
    "MeanAbsoluteError": MeanAbsoluteError,
    "Huber": Huber,
    "BinaryCrossentropy": BinaryCrossentropy,
    "CategoricalCrossentropy": CategoricalCrossentropy,
    "SparseCategoricalCrossentropy": SparseCategoricalCrossentropy,
}

# By the names that files use.
CLASSES = {known.__name__: known for known in _NAMES.values()}


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
