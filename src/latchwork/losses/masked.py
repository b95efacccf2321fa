"""Targets that are not there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from latchwork.fields import Value
from latchwork.losses.base import CoreLoss, Loss, Shape
from latchwork.losses.targets import as_numbers, weights_for

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray


@dataclass(eq=False, repr=False)
class Masked(Value, Loss):
    """`loss` over the targets that are there: one that is NaN gives no loss and no gradient, and is not counted.

    A loss of rows, such as a cross-entropy over classes, leaves out rows with such a target; quantiles all of that
    target's. The mean is over what remains; a batch without any has the loss 0 and a gradient of 0.

    Args:
        loss: A loss of `lw.losses`, other than `CTC`.
        mask_value: Which targets are not there; default NaN. For class numbers, which have no NaN, one that is no
            class, such as -1.

    Raises:
        ValueError: A loss of your own or CTC; when called, as `loss`.

    Example:
        >>> from latchwork.losses import MeanSquaredError
        >>> Masked(MeanSquaredError())([1.0, np.nan], np.array([[3.0], [5.0]]))
        4.0
    """

    loss: Any
    mask_value: float = float("nan")
    name: str = ""

    def __post_init__(self) -> None:
        if not isinstance(self.loss, CoreLoss):
            raise ValueError(f"Masked: loss must be one of lw.losses (not CTC or Masked), got {self.loss!r}")
        if not self.name:
            object.__setattr__(self, "name", f"masked_{self.loss.name}")
        object.__setattr__(self, "mask_value", float(self.mask_value))

    def _shown(self) -> dict[str, Any]:
        """NaN is this value's own default, and equals itself here."""
        shown = super()._shown()
        return shown if self.mask_value == self.mask_value else shown | {"mask_value": np.nan}

    @property
    def labels(self) -> bool:  # type: ignore[override]
        """As the loss."""
        return bool(self.loss.labels)

    def target_shape(self, output: Shape) -> Shape:
        return self.loss.target_shape(output)  # type: ignore[no-any-return]

    def check_targets(self, y: NDArray[Any], output: Shape) -> None:
        self.loss.check_targets(self._filled(y)[0], output)

    def value_and_grad(
        self, y_true: ArrayLike, y_pred: NDArray[Any], sample_weight: ArrayLike | None = None
    ) -> tuple[float, int, NDArray[Any]]:
        total, count, gradient = self._run(y_true, y_pred, sample_weight, True)
        assert gradient is not None
        return total, count, gradient

    def value(
        self, y_true: ArrayLike, y_pred: NDArray[Any], sample_weight: ArrayLike | None = None
    ) -> tuple[float, int]:
        return self._run(y_true, y_pred, sample_weight, False)[:2]

    def _filled(self, y: NDArray[Any]) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        """y with 0, which every loss takes, for targets that are not there; and which those are."""
        gone: NDArray[np.bool_] = np.isnan(y) if self.mask_value != self.mask_value else y == self.mask_value
        return np.where(gone, np.zeros((), y.dtype), y), gone

    def _run(self, y_true: Any, y_pred: NDArray[Any], sample_weight: Any, gradient: bool) -> tuple[float, int, Any]:
        y, gone = self._filled(as_numbers(y_true))
        targets = self.loss._targets(y, y_pred)
        elements = self.loss.loss_shape(y_pred.shape)
        gone = gone.reshape(targets.shape)
        there = ~np.broadcast_to(np.any(gone, -1) if targets.ndim > len(elements) else gone, elements)
        weight = there.astype(y_pred.dtype)
        if sample_weight is not None:
            weight = np.where(there, weights_for(sample_weight, elements, y_pred.dtype), weight)
        count = int(np.count_nonzero(there))
        return self.loss._call(targets, y_pred, weight=weight, count=count, gradient=gradient)  # type: ignore[no-any-return]
