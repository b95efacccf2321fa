"""What a metric is: figures gathered over batches."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from latchwork import losses
from latchwork._core import sum as sum_of
from latchwork.fields import Refusing
from latchwork.floats import usual_floats

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray


class Metric(Refusing, ABC):
    """Base: a mean over everything seen since `reset`. Subclass it and write `measure`.

    Args:
        name: How histories call it.

    Example:
        >>> import numpy as np
        >>> from latchwork.metrics import MeanAbsoluteError
        >>> m = MeanAbsoluteError()
        >>> m.update([1.0, 2.0], np.array([[1.0], [4.0]]))
        >>> m.result()
        1.0
    """

    refused: ClassVar[dict[str, str]] = {
        "dtype": "sums are float64",
        "axis": "classes and features stand on the last axis",
        "ignore_class": "Perplexity has mask_token_id, losses have lw.losses.Masked",
        "num_labels": "multi_label=True takes as many as there are",
        "from_sorted_ids": "scores in any order are taken",
    }

    def __init__(self, name: str) -> None:
        self.name = name
        self.reset()

    @property
    def per_class(self) -> bool:
        """Whether `result` is an array, which a history cannot hold."""
        return False

    @abstractmethod
    def measure(
        self, y_true: ArrayLike, y_pred: NDArray[Any], sample_weight: ArrayLike | None = None
    ) -> tuple[float, float]:
        """(sum, count) of one batch: `y_true` of any numeric dtype, `y_pred` float32 or float64 [N, ...].

        With `sample_weight`, numbers of the shape of the first axes, the weighted sum and the sum of the weights, as
        in Keras. A metric of your own may leave the argument out as long as no weights are given.
        """

    @usual_floats
    def update(self, y_true: ArrayLike, y_pred: NDArray[Any], sample_weight: ArrayLike | None = None) -> None:
        """Add a batch: targets `y_true` of any numeric dtype, outputs `y_pred` float32 or float64.

        Args:
            y_true, y_pred: As the loss of the same kind takes them.
            sample_weight: Numbers of the shape of the first axes; default: every element counts once.

        Raises:
            ValueError: As the loss of the same kind: a wrong dtype or shape, a label out of range.
        """
        weights = () if sample_weight is None else (sample_weight,)
        total, count = self.measure(y_true, y_pred, *weights)
        self._total += total
        self._count += count

    @usual_floats
    def result(self) -> Any:
        """The mean so far, a float; 0 before the first batch."""
        return self._total / self._count if self._count else 0.0

    def reset(self) -> None:
        """Forget all batches."""
        self._total = 0.0
        self._count = 0.0

    def __repr__(self) -> str:
        return f"{type(self).__name__}(name={self.name!r})"


def check_whole(name: str, value: Any, least: int) -> None:
    """Raise unless value is a whole number of at least `least`."""
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ValueError(f"{name} must be a whole number from {least}, got {value!r}")


def share(matches: NDArray[np.bool_], sample_weight: ArrayLike | None) -> tuple[float, float]:
    """(sum, count) of what is true among `matches`, weighted by numbers of the shape of their first axes.

    Example:
        >>> import numpy as np
        >>> share(np.array([True, False]), [2, 1])
        (2.0, 3.0)
    """
    if sample_weight is None:
        return float(np.count_nonzero(matches)), float(matches.size)
    weights = losses.weights_for(sample_weight, matches.shape, np.float64)
    return sum_of(weights * matches), sum_of(weights)
