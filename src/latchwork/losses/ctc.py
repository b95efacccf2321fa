"""Labels for whole sequences, without saying which steps they belong to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from latchwork import _core
from latchwork.fields import Refusing, Value
from latchwork.losses.base import CoreLoss, Loss, Shape
from latchwork.losses.targets import weights_for, whole_numbers
from latchwork.ragged import Ragged

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

_IMPOSSIBLE = ("raise", "skip")


@dataclass(eq=False, repr=False)
class CTC(Refusing, Value, Loss):
    """mean over sequences of -log p(labels | y_pred): connectionist temporal classification (A. Graves and others,
    2006). Keras' name: "ctc".

    y_pred are logits [B, T, classes], or a Ragged of them where lengths differ. y_true are labels [B, L], integers,
    padded behind with -1 or the blank index, or a Ragged of them [N, 1]. A path says one class or blank at each step;
    repeats merge, blanks vanish. L labels, R of them the same as the label before, take L + R steps at least.

    Args:
        blank: The class that means nothing; default 0, as in Keras.
        impossible: Sequences with too few steps for their labels: "raise" (the default) is an error that names the
            first, "skip" leaves them out: no loss, no gradient, not counted.

    Raises:
        ValueError: An option out of range; when called, shapes that do not fit, labels that are no classes or blank
            before the end, too few steps.

    Example:
        >>> round(CTC()([[1, -1]], np.zeros((1, 2, 2))), 12)
        0.287682072452
    """

    blank: int = 0
    impossible: str = "raise"
    name: str = "ctc"
    refused = CoreLoss.refused
    labels = True
    sequences = True

    def __post_init__(self) -> None:
        if isinstance(self.blank, bool) or not isinstance(self.blank, int) or self.blank < 0:
            raise ValueError(f"blank must be a whole number from 0, got {self.blank!r}")
        if self.impossible not in _IMPOSSIBLE:
            raise ValueError(f"impossible must be 'raise' or 'skip', got {self.impossible!r}")

    def target_shape(self, output: Shape) -> Shape:
        if len(output) != 3:
            raise ValueError(f"{self.name} needs outputs [B, T, classes], got {output}")
        return (output[0], None)

    def check_targets(self, y: NDArray[Any], output: Shape) -> None:
        classes = output[-1] or 0
        if not self.blank < classes:
            raise ValueError(f"blank must be one of {classes} classes, got {self.blank}")
        if y.size and not (y.min() >= -1 and y.max() < classes):
            raise ValueError(f"y must hold class numbers from 0 to {classes - 1}, or -1, got {y.min()} to {y.max()}")

    def value_and_grad(
        self, y_true: ArrayLike | Ragged, y_pred: NDArray[Any] | Ragged, sample_weight: ArrayLike | None = None
    ) -> tuple[float, int, NDArray[Any]]:
        total, count, gradient = self._run(y_true, y_pred, sample_weight, True)
        assert gradient is not None
        return total, count, gradient

    def value(
        self, y_true: ArrayLike | Ragged, y_pred: NDArray[Any] | Ragged, sample_weight: ArrayLike | None = None
    ) -> tuple[float, int]:
        return self._run(y_true, y_pred, sample_weight, False)[:2]

    def _run(self, y_true: Any, y_pred: Any, sample_weight: Any, gradient: bool) -> tuple[float, int, Any]:
        logits, steps = sequences_of(y_pred)
        sequences = len(steps) - 1
        labels, places = self._labels(y_true, sequences, logits.shape[-1])
        weight = None if sample_weight is None else weights_for(sample_weight, (sequences,), logits.dtype)
        count, possible = sequences, self._possible(labels, places, steps)
        if not possible.all():
            weight = np.where(possible, 1 if weight is None else weight, 0).astype(logits.dtype)
            count = int(np.count_nonzero(possible))
        return _core.ctc_loss(
            labels, places, logits, steps, blank=self.blank, gradient=gradient, weight=weight, count=count
        )

    def _labels(self, y_true: Any, sequences: int, classes: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """All labels one after the other, and where those of each sequence begin."""
        y: NDArray[np.int64]
        if isinstance(y_true, Ragged):
            if y_true.values.shape[-1] != 1:
                raise ValueError(f"y must be a Ragged of labels [N, 1], got {y_true.values.shape}")
            y, places = whole_numbers(y_true.values).reshape(-1), y_true.offsets
            real = np.ones(y.shape, np.bool_)
        else:
            y = whole_numbers(y_true)
            if y.ndim != 2:
                raise ValueError(f"y must hold labels [B, L], got shape {y.shape}")
            real = (y != -1) & (y != self.blank)
            lengths = np.count_nonzero(real, axis=1)
            if (real != (np.arange(y.shape[1]) < lengths[:, None])).any():
                raise ValueError(f"y must have its padding, -1 or blank ({self.blank}), behind the labels alone")
            places = np.zeros(len(y) + 1, np.int64)
            np.cumsum(lengths, dtype=np.int64, out=places[1:])
        if len(places) - 1 != sequences:
            raise ValueError(f"y must hold labels of {sequences} sequences, as y_pred does, got {len(places) - 1}")
        self.check_targets(y, (sequences, None, classes))
        return np.ascontiguousarray(y[real]), places

    def _possible(
        self, labels: NDArray[np.int64], places: NDArray[np.int64], steps: NDArray[np.int64]
    ) -> NDArray[np.bool_]:
        """Which sequences have steps enough for their labels."""
        again = np.zeros(len(labels) + 1, np.int64)  # how many labels so far are the same as the one before
        np.cumsum(labels[1:] == labels[:-1], dtype=np.int64, out=again[2:])
        first = np.minimum(places[:-1] + 1, places[1:])  # a sequence's first label has none before it
        needed = np.diff(places) + again[places[1:]] - again[first]
        possible: NDArray[np.bool_] = np.diff(steps) >= needed
        if self.impossible == "raise" and not possible.all():
            i = int(np.argmin(possible))
            raise ValueError(
                f"y: the {places[i + 1] - places[i]} labels of sequence {i} take {needed[i]} steps or more, "
                f"got {steps[i + 1] - steps[i]}"
            )
        return possible


def sequences_of(y_pred: NDArray[Any] | Ragged) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """The steps of all sequences, and where each begins, of outputs [B, T, classes] or a Ragged of any float dtype.

    Raises:
        ValueError: Another shape.

    Example:
        >>> sequences_of(np.zeros((2, 3, 4)))[1]
        array([0, 3, 6])
    """
    if isinstance(y_pred, Ragged):
        return y_pred.values, y_pred.offsets
    y_pred = np.asarray(y_pred)
    if y_pred.ndim != 3:
        raise ValueError(f"y_pred must be [B, T, classes] or Ragged, got shape {y_pred.shape}")
    return y_pred, np.arange(len(y_pred) + 1, dtype=np.int64) * y_pred.shape[1]


def ctc_decode(y_pred: NDArray[Any] | Ragged, *, blank: int = 0) -> Ragged:
    """Return the labels of the best path, a Ragged of int64 [N, 1]: the largest output of each step, repeats merged,
    blanks taken out (Graves and others, 2006, section 3.2).

    Args:
        y_pred: Logits or probabilities [B, T, classes] of any float dtype, or a Ragged of them.
        blank: As `CTC` has it.

    Raises:
        ValueError: Another shape, or a blank that is no class.

    Example:
        >>> ctc_decode(np.eye(3)[[[1, 1, 0, 1, 2]]])[0].tolist()
        [[1], [1], [2]]
    """
    values, steps = sequences_of(y_pred)
    if not 0 <= blank < values.shape[-1]:
        raise ValueError(f"blank must be one of {values.shape[-1]} classes, got {blank}")
    best = values.reshape(-1, values.shape[-1]).argmax(-1)
    new = np.ones(len(best), np.bool_)
    new[1:] = best[1:] != best[:-1]
    begins = steps[:-1]
    new[begins[begins < len(best)]] = True
    said = new & (best != blank)
    before = np.zeros(len(best) + 1, np.int64)
    np.cumsum(said, dtype=np.int64, out=before[1:])
    return Ragged(best[said].reshape(-1, 1).astype(np.int64), before[steps])
