"""What is taken for what."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from latchwork import drawing


@dataclass(frozen=True, eq=False)
class ConfusionMatrix(drawing.OnePanel):
    """Counts by true and predicted class, as `confusion_matrix` finds them.

    Its `plot`: counts as numbers, shares of each row as colours.

    Attributes:
        counts: int64 [C, C]: row the true class, column the predicted one.
        names: Of the C classes.

    >>> confusion_matrix([0, 1, 1], [0, 1, 0]).accuracy
    0.6666666666666666
    """

    counts: NDArray[np.int64]
    names: tuple[str, ...]

    @property
    def accuracy(self) -> float:
        """The share on the diagonal."""
        return float(np.trace(self.counts) / self.counts.sum())

    def _size(self) -> tuple[float, float]:
        side = max(3.6, 0.5 * len(self.names) + 1.6)
        return (side + 0.9, side)

    def _draw(self, axis: Any) -> None:
        shares = self.counts / np.maximum(self.counts.sum(axis=1, keepdims=True), 1)
        image = axis.imshow(shares, cmap=drawing.SHARES, vmin=0, vmax=1)
        for (i, j), count in np.ndenumerate(self.counts):
            if count:
                axis.text(j, i, str(count), ha="center", va="center", color="black" if shares[i, j] > 0.5 else "white")
        axis.figure.colorbar(image, ax=axis, shrink=0.8, label="share of the true class")
        ticks = range(len(self.names))
        axis.set(
            xticks=ticks,
            yticks=ticks,
            xticklabels=self.names,
            yticklabels=self.names,
            title=f"Off the diagonal: what is taken for what\n({self.accuracy:.1%} of {self.counts.sum()} are right)",
            xlabel="predicted class",
            ylabel="true class",
        )


def confusion_matrix(y_true: ArrayLike, y_pred: ArrayLike, names: Sequence[str] | None = None) -> ConfusionMatrix:
    """How often each class is taken for each other one.

    Args:
        y_true: Class numbers from 0, whole numbers of any shape; or one-hot, in the shape of float scores `[..., C]`.
        y_pred: Class numbers in that shape, or a model's scores `[..., C]` float, of which the highest counts (of equal
            ones the first).
        names: Of the C classes; None: their numbers, as many as there are in y_true and y_pred, or scores.

    Raises:
        ValueError: Shapes that do not fit, numbers that are not whole or negative, or too few names.

    >>> confusion_matrix([0, 1, 1], [[0.9, 0.1], [0.2, 0.8], [0.6, 0.4]]).counts.tolist()
    [[1, 0], [1, 1]]
    """
    truth, guess = np.asarray(y_true), np.asarray(y_pred)
    least = 1
    if truth.ndim > 1 and truth.shape[-1] == 1 and truth.ndim == max(guess.ndim, 2):  # (N, 1), as a model's targets
        truth = truth[..., 0]
        guess = guess[..., 0] if guess.ndim > 1 and guess.shape[-1] == 1 else guess
    if guess.ndim == truth.ndim + 1 or (guess.shape == truth.shape and guess.dtype.kind == "f" and _one_hot(truth)):
        least = guess.shape[-1]
        truth = truth.argmax(axis=-1) if guess.ndim == truth.ndim else truth
        guess = guess.argmax(axis=-1)
    if truth.shape != guess.shape or not truth.size:
        raise ValueError(f"y_pred must be class numbers like y_true {truth.shape} or scores, got shape {guess.shape}")
    true, predicted = (_whole(each, name).ravel() for each, name in ((truth, "y_true"), (guess, "y_pred")))
    count = max(least, int(true.max()) + 1, int(predicted.max()) + 1)
    if names is not None:
        if len(names) < count:
            raise ValueError(f"names must be of {count} classes, got {len(names)}")
        count = len(names)
    counts = np.zeros((count, count), np.int64)
    np.add.at(counts, (true, predicted), 1)
    return ConfusionMatrix(counts, tuple(map(str, range(count) if names is None else names)))


def _one_hot(values: NDArray[Any]) -> bool:
    """Whether rows hold one 1 among zeros: class numbers never look so in rows of two and more."""
    return (
        values.ndim > 1
        and values.shape[-1] > 1
        and bool(((values == 0) | (values == 1)).all() and (values.sum(-1) == 1).all())
    )


def _whole(values: NDArray[Any], name: str) -> NDArray[np.int64]:
    if values.dtype.kind not in "biuf" or not (values == np.floor(values)).all() or (values < 0).any():
        raise ValueError(f"{name} must be class numbers 0, 1, ..., got {values.dtype} that are others")
    return values.astype(np.int64)
