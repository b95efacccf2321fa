"""Losses of classes: cross-entropies."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from latchwork.losses.base import CoreLoss, FormulaLoss, RowLoss, Shape
from latchwork.losses.targets import labels_for

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray


def _check_smoothing(label_smoothing: float) -> None:
    if not 0 <= label_smoothing <= 1:
        raise ValueError(f"label_smoothing must be in [0, 1], got {label_smoothing}")


@dataclass(eq=False, repr=False)
class _Smoothed(CoreLoss):
    """Of probabilities or logits, with targets that are probabilities and may be smoothed."""

    from_logits: bool = False
    label_smoothing: float = 0.0
    _bounds = (0, 1)

    def __post_init__(self) -> None:
        _check_smoothing(self.label_smoothing)

    def _options(self) -> dict[str, Any]:
        return {"from_logits": self.from_logits, "label_smoothing": self.label_smoothing}


@dataclass(eq=False, repr=False)
class BinaryCrossentropy(_Smoothed):
    """mean(-(t log p + (1 - t) log(1 - p))), every output a probability of its own.

    From probabilities, p is kept 1e-7 away from 0 and 1, and the gradient is 0 where that clips (as in Keras). From
    logits x, the loss is max(x, 0) - x t + log(1 + exp(-|x|)), which neither overflows nor clips: prefer it.

    Args:
        from_logits: y_pred holds logits; default False.
        label_smoothing: s in [0, 1]: targets become t (1 - s) + s / 2; default 0.

    Raises:
        ValueError: `label_smoothing` out of range; when called, a target outside [0, 1].

    Example:
        >>> import numpy as np
        >>> round(BinaryCrossentropy()([1, 0], np.array([[0.5], [0.5]])), 12)
        0.69314718056
    """

    name: str = "binary_crossentropy"
    _core_name = "binary_crossentropy"


@dataclass(eq=False, repr=False)
class CategoricalCrossentropy(_Smoothed, RowLoss):
    """mean over rows of -sum(t log p), targets and outputs [..., classes].

    From probabilities, a row is divided by its sum, then kept 1e-7 away from 0 and 1 (as in Keras). From logits,
    log p = (x - max x) - log(sum(exp(x - max x))).

    Args:
        from_logits: y_pred holds logits; default False.
        label_smoothing: s in [0, 1]: targets become t (1 - s) + s / classes; default 0.

    Raises:
        ValueError: `label_smoothing` out of range; when called, a target outside [0, 1].

    Example:
        >>> import numpy as np
        >>> round(CategoricalCrossentropy()([[0, 1]], np.array([[0.5, 0.5]])), 12)
        0.69314718056
    """

    name: str = "categorical_crossentropy"
    _core_name = "categorical_crossentropy"


@dataclass(eq=False, repr=False)
class SparseCategoricalCrossentropy(RowLoss):
    """`CategoricalCrossentropy` (Keras') with class labels [...] or [..., 1] as targets for outputs [..., classes].

    Args:
        from_logits: y_pred holds logits; default False.

    Raises:
        ValueError: When called, a label that is no integer in [0, classes).

    Example:
        >>> import numpy as np
        >>> round(SparseCategoricalCrossentropy()([1], np.array([[0.5, 0.5]])), 12)
        0.69314718056
    """

    from_logits: bool = False
    name: str = "sparse_categorical_crossentropy"
    _core_name = "sparse_categorical_crossentropy"
    labels = True

    def target_shape(self, output: Shape) -> Shape:
        return output[:-1]

    def check_targets(self, y: NDArray[Any], output: Shape) -> None:
        classes = output[-1] or 0
        if y.size and not (y.min() >= 0 and y.max() < classes):
            raise ValueError(f"y must hold class numbers from 0 to {classes - 1}, got {y.min()} to {y.max()}")

    def _targets(self, y_true: ArrayLike, y_pred: NDArray[Any]) -> NDArray[Any]:
        return labels_for(y_true, y_pred)

    def _options(self) -> dict[str, Any]:
        return {"from_logits": self.from_logits}


class _Margin(FormulaLoss):
    """Targets are -1 and 1, or 0 and 1; 0 means -1."""

    def check_targets(self, y: NDArray[Any], output: Shape) -> None:
        if y.size and not ((y == -1) | (y == 0) | (y == 1)).all():
            raise ValueError(f"y must be -1 or 1 (or 0, which means -1) for {self.name}, got {y.min()} to {y.max()}")


@dataclass(eq=False, repr=False)
class Hinge(_Margin):
    """mean(max(1 - t y_pred, 0)), targets t of -1 and 1; 0 is taken as -1. Keras' name: "hinge".

    Raises:
        ValueError: When called, another target.

    Example:
        >>> import numpy as np
        >>> Hinge()([1, 0], np.array([[0.5], [0.5]]))
        1.0
    """

    name: str = "hinge"
    _core_name = "hinge"


@dataclass(eq=False, repr=False)
class SquaredHinge(_Margin):
    """mean(max(1 - t y_pred, 0)^2), targets t of -1 and 1; 0 is taken as -1. Keras' name: "squared_hinge".

    Raises:
        ValueError: When called, another target.

    Example:
        >>> import numpy as np
        >>> SquaredHinge()([1, 0], np.array([[0.5], [0.5]]))
        1.25
    """

    name: str = "squared_hinge"
    _core_name = "squared_hinge"


@dataclass(eq=False, repr=False)
class CategoricalHinge(RowLoss, FormulaLoss):
    """mean over rows of max(max((1 - t) p) - sum(t p) + 1, 0), targets and outputs [..., classes], as in Keras. Name:
    "categorical_hinge".

    Raises:
        ValueError: When called, a target outside [0, 1].

    Example:
        >>> import numpy as np
        >>> CategoricalHinge()([[0, 1]], np.array([[0.25, 0.75]]))
        0.5
    """

    name: str = "categorical_hinge"
    _core_name = "categorical_hinge"
    _bounds = (0, 1)


@dataclass(eq=False, repr=False)
class KLDivergence(RowLoss, FormulaLoss):
    """mean over rows of sum(t log(t / p)), both kept within [1e-7, 1], as in Keras; targets and outputs [..., classes].
    Names: "kl_divergence", "kld", "KLD".

    Raises:
        ValueError: When called, a target outside [0, 1].

    Example:
        >>> import numpy as np
        >>> round(KLDivergence()([[0.5, 0.5]], np.array([[0.25, 0.75]])), 12)
        0.143841036226
    """

    name: str = "kl_divergence"
    _core_name = "kl_divergence"
    _bounds = (0, 1)


class _Focal(FormulaLoss):
    """A cross-entropy that what is told well already adds little to."""

    alpha: float
    gamma: float
    from_logits: bool
    label_smoothing: float
    _bounds = (0, 1)

    def __post_init__(self) -> None:
        _check_smoothing(self.label_smoothing)
        if not 0 <= self.alpha <= 1:
            raise ValueError(f"alpha must be in [0, 1], got {self.alpha}")
        if not self.gamma >= 0:
            raise ValueError(f"gamma must be 0 or more, got {self.gamma}")

    def _options(self) -> dict[str, Any]:
        return {
            "from_logits": self.from_logits,
            "label_smoothing": self.label_smoothing,
            "alpha": self._balance(),
            "gamma": self.gamma,
        }

    def _balance(self) -> float:
        """The core's alpha."""
        return self.alpha


@dataclass(eq=False, repr=False)
class BinaryFocalCrossentropy(_Focal):
    """`BinaryCrossentropy` times u^gamma, u the probability given to the other class: what is well told already counts
    little (T.-Y. Lin and others, "Focal Loss for Dense Object Detection", 2017). Name: "binary_focal_crossentropy".

    Args:
        apply_class_balancing: Weigh ones by alpha, zeros by 1 - alpha.
        alpha: In [0, 1].
        gamma: 0 or more; 0 is the plain cross-entropy.
        from_logits: y_pred holds logits: exact, where Keras clips the probability.
        label_smoothing: s in [0, 1]: targets become t (1 - s) + s / 2.

    Raises:
        ValueError: An option out of range; when called, a target outside [0, 1].

    Example:
        >>> import numpy as np
        >>> round(BinaryFocalCrossentropy()([1], np.array([[0.5]])), 12)
        0.17328679514
    """

    apply_class_balancing: bool = False
    alpha: float = 0.25
    gamma: float = 2.0
    from_logits: bool = False
    label_smoothing: float = 0.0
    name: str = "binary_focal_crossentropy"
    _core_name = "binary_focal"

    def _balance(self) -> float:
        return self.alpha if self.apply_class_balancing else -1.0


@dataclass(eq=False, repr=False)
class CategoricalFocalCrossentropy(RowLoss, _Focal):
    """mean over rows of -sum(alpha t (1 - p)^gamma log p) (Lin and others, 2017), targets and outputs [..., classes].
    Name: "categorical_focal_crossentropy".

    Args:
        alpha: In [0, 1], of all classes alike, as in Keras.
        gamma: 0 or more; 0 is alpha times the plain cross-entropy.
        from_logits: y_pred holds logits: exact, where Keras clips the probability.
        label_smoothing: s in [0, 1]: targets become t (1 - s) + s / classes.

    Raises:
        ValueError: An option out of range; when called, a target outside [0, 1].

    Example:
        >>> import numpy as np
        >>> round(CategoricalFocalCrossentropy()([[0, 1]], np.array([[0.5, 0.5]])), 12)
        0.043321698785
    """

    alpha: float = 0.25
    gamma: float = 2.0
    from_logits: bool = False
    label_smoothing: float = 0.0
    name: str = "categorical_focal_crossentropy"
    _core_name = "categorical_focal"
