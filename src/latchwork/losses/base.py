"""What a loss is: the sum of its elements, their number, and the gradient of their mean."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar

from latchwork import _core
from latchwork.fields import Refusing, Value
from latchwork.floats import usual_floats
from latchwork.losses.targets import targets_like, targets_of_shape, weights_for

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

Shape = tuple[int | None, ...]


class Loss(ABC):
    """Base: subclass it and write `value_and_grad`. `name` is how histories and errors call it.

    Example:
        >>> import numpy as np
        >>> class Sum(Loss):
        ...     name = "sum"
        ...     def value_and_grad(self, y_true, y_pred):
        ...         return float(y_pred.sum()), y_pred.size, np.full_like(y_pred, 1 / y_pred.size)
        >>> Sum()([0.0, 0.0], np.array([[1.0], [2.0]]))
        1.5
    """

    name: str
    # Whether targets are class numbers, which stay integers.
    labels: ClassVar[bool] = False
    # Whether it takes whole sequences: outputs [B, T, ...], or a Ragged of the real steps; else any rows of outputs.
    sequences: ClassVar[bool] = False

    @abstractmethod
    def value_and_grad(
        self, y_true: ArrayLike, y_pred: NDArray[Any], sample_weight: ArrayLike | None = None
    ) -> tuple[float, int, NDArray[Any]]:
        """Return (sum of the loss elements, their number, gradient of sum / number with respect to y_pred).

        Args:
            y_true: Targets of y_pred's shape, of any numeric dtype; see `targets_like` and `labels_for`.
            y_pred: float32 or float64, C-contiguous.
            sample_weight: Multiplies the elements; the number stays theirs. See `weights_for`. A loss of your own may
                leave this argument out as long as no weights are given.
        """

    def value(
        self, y_true: ArrayLike, y_pred: NDArray[Any], sample_weight: ArrayLike | None = None
    ) -> tuple[float, int]:
        """(sum, number) without the gradient; y_true, y_pred, sample_weight in shapes and dtypes as above."""
        weights = () if sample_weight is None else (sample_weight,)
        total, count, _ = self.value_and_grad(y_true, y_pred, *weights)
        return total, count

    def target_shape(self, output: Shape) -> Shape:
        """The shape of targets for outputs of the shape `output`; None is an axis of any length. Default: the same."""
        return output

    def check_targets(self, y: NDArray[Any], output: Shape) -> None:  # noqa: B027
        """Raise for targets `y`, of any float or integer dtype, that outputs of the shape `output` cannot have.

        Trainers ask before the first batch, as a bad target may come after many updates. Default: takes all.

        Raises:
            ValueError: As the loss itself would: a label out of range, a target that is no probability.
        """

    @usual_floats
    def __call__(self, y_true: ArrayLike, y_pred: NDArray[Any], sample_weight: ArrayLike | None = None) -> float:
        """The mean of the elements, 0 for an empty batch.

        Args:
            y_true, y_pred, sample_weight: In shapes and dtypes as for `value_and_grad`.
        """
        weights = () if sample_weight is None else (sample_weight,)
        total, count = self.value(y_true, y_pred, *weights)
        return total / count if count else 0.0


class CoreLoss(Refusing, Value, Loss):
    """A loss of the core's; `_core_name` is what `_function` calls it, `_options` what it takes."""

    refused: ClassVar[dict[str, str]] = {
        "reduction": "fit takes the mean over the elements, value_and_grad gives their sum and number",
        "axis": "classes and features stand on the last axis",
        "dtype": "a loss computes in the dtype of the outputs",
        "ignore_class": "see lw.losses.Masked(loss, mask_value=...)",
    }

    _core_name: ClassVar[str]
    _function: ClassVar[Any] = staticmethod(_core.loss)
    _bounds: ClassVar[tuple[float, float] | None] = None  # of targets, by default none

    def check_targets(self, y: NDArray[Any], output: Shape) -> None:
        if self._bounds is not None:
            require_range(y, *self._bounds, self.name)

    def _options(self) -> dict[str, Any]:
        return {}

    def _targets(self, y_true: ArrayLike, y_pred: NDArray[Any]) -> NDArray[Any]:
        return targets_like(y_true, y_pred)

    def loss_shape(self, output: tuple[int, ...]) -> tuple[int, ...]:
        """The shape of the losses of outputs of the shape `output`: that of weights, see `weights_for`."""
        return output

    def _call(self, targets: NDArray[Any], y_pred: NDArray[Any], **given: Any) -> tuple[float, int, Any]:
        """What the core says of targets in their shape; `given`: weight, an array of the elements; count; gradient."""
        return self._function(self._core_name, targets, y_pred, **self._options(), **given)  # type: ignore[no-any-return]

    def value_and_grad(
        self, y_true: ArrayLike, y_pred: NDArray[Any], sample_weight: ArrayLike | None = None
    ) -> tuple[float, int, NDArray[Any]]:
        targets, options = self._targets(y_true, y_pred), {}
        if sample_weight is not None:
            options["weight"] = weights_for(sample_weight, self.loss_shape(y_pred.shape), y_pred.dtype)
        return self._call(targets, y_pred, **options)

    def value(
        self, y_true: ArrayLike, y_pred: NDArray[Any], sample_weight: ArrayLike | None = None
    ) -> tuple[float, int]:
        targets, options = self._targets(y_true, y_pred), {}
        if sample_weight is not None:
            options["weight"] = weights_for(sample_weight, self.loss_shape(y_pred.shape), y_pred.dtype)
        total, count, _ = self._call(targets, y_pred, gradient=False, **options)
        return total, count


class FormulaLoss(CoreLoss):
    """A loss that the core computes in float64 from a formula."""

    _function = staticmethod(_core.formula_loss)

    def _targets(self, y_true: ArrayLike, y_pred: NDArray[Any]) -> NDArray[Any]:
        targets = targets_of_shape(y_true, self.target_shape(y_pred.shape), y_pred)
        self.check_targets(targets, y_pred.shape)
        return targets


class RowLoss(CoreLoss):
    """Every row of the last axis is one loss."""

    def loss_shape(self, output: tuple[int, ...]) -> tuple[int, ...]:
        return output[:-1]


def require_range(y: NDArray[Any], low: float, high: float, name: str) -> None:
    """Raise unless low <= y <= high everywhere."""
    if y.size and not (y.min() >= low and y.max() <= high):
        wanted = f"must be {low} or more" if high == math.inf else f"must lie in [{low}, {high}]"
        raise ValueError(f"y {wanted} for {name}, got {y.min()} to {y.max()}")
