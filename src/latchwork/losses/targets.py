"""Targets and weights, checked and cast to what a loss of these outputs takes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from latchwork.floats import usual_floats

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
    targets = as_numbers(y)
    if targets.shape != y_pred.shape:
        if y_pred.shape != (*targets.shape, 1) or targets.ndim != 1:
            raise ValueError(f"y must have the shape of the output, {y_pred.shape}, got {targets.shape}")
        targets = targets.reshape(y_pred.shape)
    return np.ascontiguousarray(targets, dtype=y_pred.dtype)


@usual_floats
def targets_of_shape(y: ArrayLike, shape: tuple[int | None, ...], y_pred: NDArray[Any]) -> NDArray[Any]:
    """Return `y` in `shape` and in the dtype of `y_pred`. A last axis of one may be left out.

    Raises:
        ValueError: Another shape, or `y` is not bool, integer or float.

    Example:
        >>> targets_of_shape([1, 2], (2, 1), np.zeros((2, 3), np.float32)).shape
        (2, 1)
    """
    targets = as_numbers(y)
    if targets.shape != shape:
        alike = y_pred.shape == shape
        if shape[-1:] != (1,) or targets.shape != shape[:-1] or (alike and targets.ndim != 1):
            raise ValueError(f"y must have the shape {shape} for outputs {y_pred.shape}, got {targets.shape}")
        targets = targets.reshape((*y_pred.shape[:-1], 1))
    return np.ascontiguousarray(targets, dtype=y_pred.dtype)


def labels_for(y: ArrayLike, y_pred: NDArray[Any]) -> NDArray[np.int64]:
    """Return `y` as int64 labels [...] for outputs `y_pred` [..., classes]; [..., 1] is the same. Floats must be whole.

    Raises:
        ValueError: Another shape, a label that is no integer, or `y` is not bool, integer or float.

    Example:
        >>> labels_for([[2.0], [0.0]], np.zeros((2, 3)))
        array([2, 0])
    """
    labels = as_numbers(y)
    expected = y_pred.shape[:-1]
    if y_pred.ndim < 2 or labels.shape not in (expected, (*expected, 1)):
        raise ValueError(f"y must hold one class label for each row of the output {y_pred.shape}, got {labels.shape}")
    return np.ascontiguousarray(whole_numbers(labels).reshape(expected))


def shape_of(y: ArrayLike) -> tuple[int, ...]:
    """Return the shape of targets `y` of any dtype, whatever holds them.

    Example:
        >>> shape_of([[1], [2]])
        (2, 1)
    """
    return np.shape(y)


def as_numbers(y: ArrayLike, name: str = "y") -> NDArray[Any]:
    """Return `y` as an array of any shape; `name` is what the error calls it.

    Raises:
        ValueError: Not bool, integer or float.

    Example:
        >>> as_numbers([1, 2]).dtype.kind
        'i'
    """
    array = np.asarray(y)
    if array.dtype.kind not in "biuf":
        raise ValueError(f"{name} must be bool, integer or float, got {array.dtype}")
    return array


def whole_numbers(y: ArrayLike) -> NDArray[np.int64]:
    """Return `y`, of any shape, as int64. Floats must be whole.

    Raises:
        ValueError: Fractions, NaN, or not bool, integer or float.

    Example:
        >>> whole_numbers([2.0, 0.0])
        array([2, 0])
    """
    labels = as_numbers(y)
    with np.errstate(invalid="ignore"):  # NaN and infinity are told by the comparison
        whole = labels.astype(np.int64)
    if not np.array_equal(whole, labels):
        raise ValueError("y must hold integer class labels, got fractions")
    return whole


@usual_floats
def weights_for(sample_weight: ArrayLike, elements: tuple[int, ...], dtype: Any) -> NDArray[Any]:
    """Return `sample_weight` for loss elements of the shape `elements`, in the float dtype `dtype`.

    Weights have the shape of the leading axes, those of 1 or no more axes behind them: (N,), (N, 1) and (N, T) for
    elements (N, T). They may be 0 and negative.

    Raises:
        ValueError: Another shape, or weights that are not bool, integer or float.

    Example:
        >>> weights_for([1, 2], (2, 3), np.float32)
        array([[1., 1., 1.],
               [2., 2., 2.]], dtype=float32)
    """
    weights = as_numbers(sample_weight, "sample_weight")
    axes = weights.ndim
    while axes > 1 and weights.shape[axes - 1] == 1:
        axes -= 1
    leading = weights.shape[:axes]
    if not 0 < axes <= weights.ndim <= max(len(elements), 1) + 1 or leading != elements[:axes]:
        raise ValueError(
            f"sample_weight must have the shape of the losses, {elements}, or of their first axes, got {weights.shape}"
        )
    spread = np.broadcast_to(weights.reshape(*leading, *(1,) * (len(elements) - axes)), elements)
    return np.ascontiguousarray(spread, dtype=dtype)
