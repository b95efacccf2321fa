"""What figures share: matplotlib, asked for when one is drawn; panels, colours, the history of a training."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

# Okabe and Ito 2008: told apart by colour-blind readers too.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
BLUE, RED = COLOURS[:2]
SHARES = "cividis"  # of numbers in [0, 1]
SIGNED = "PuOr"  # of numbers around 0


def panels(ax: Any, count: int, *, size: tuple[float, float], columns: int = 1, **options: Any) -> list[Any]:
    """`count` matplotlib Axes to draw into: those given as `ax` (one, or a sequence), or new ones in one Figure.

    size: inches of one panel; options: of `pyplot.subplots`. Figures are never shown: that is the caller's.

    Raises:
        ImportError: matplotlib is not installed.
        ValueError: ax holds another number of Axes.
    """
    try:
        from matplotlib import pyplot
    except ImportError as error:
        raise ImportError('figures need matplotlib: pip install "latchwork[viz]"') from error
    if ax is not None:
        given = list(np.ravel(np.asarray(ax, dtype=object)))
        if len(given) != count:
            raise ValueError(f"ax must hold {count} Axes, one a panel, got {len(given)}")
        return given
    columns = min(columns, count)
    rows = -(-count // columns)
    figure, axes = pyplot.subplots(
        rows, columns, figsize=(size[0] * columns, size[1] * rows), layout="constrained", squeeze=False, **options
    )
    for unused in axes.ravel()[count:]:
        figure.delaxes(unused)
    return list(axes.ravel()[:count])


class OnePanel(ABC):
    """Base of findings whose figure is one panel, `_size()` inches wide and high, that `_draw` fills."""

    def plot(self, *, ax: Any = None) -> Any:
        """Its figure, as the class describes it.

        Args:
            ax: Axes to draw into; None: a new Figure.

        Returns:
            The matplotlib Figure.

        Raises:
            ImportError: matplotlib is not installed.
            ValueError: Another number of Axes.
        """
        [axis] = panels(ax, 1, size=self._size())
        self._draw(axis)
        return axis.figure

    @abstractmethod
    def _size(self) -> tuple[float, float]:
        """Inches of the panel."""

    @abstractmethod
    def _draw(self, axis: Any) -> None:
        """Draw into matplotlib Axes."""


def draw_history(
    epochs: Sequence[int], history: Mapping[str, Sequence[float]], names: Sequence[str] | None, log: bool, ax: Any
) -> Any:
    """The figure of `History.plot`."""
    known = [name for name in history if not (name.startswith("val_") and name[4:] in history)]
    if not epochs:
        raise ValueError("there is nothing to plot: the history has no epochs")
    chosen = known if names is None else [names] if isinstance(names, str) else list(names)
    for name in chosen:
        if name not in history:
            raise ValueError(f"names must be among {', '.join(known)}, got {name!r}")
    axes = panels(ax, len(chosen), size=(5.0, 3.4), columns=3)
    numbers = [epoch + 1 for epoch in epochs]
    for i, (name, axis) in enumerate(zip(chosen, axes, strict=True)):
        _draw_figure(axis, numbers, name, history, COLOURS[i % len(COLOURS)])
        if log:
            axis.set_yscale("log")
    return axes[0].figure


def _draw_figure(axis: Any, numbers: list[int], name: str, history: Mapping[str, Sequence[float]], colour: str) -> None:
    validation = history.get(f"val_{name}")
    axis.plot(_at(numbers, history[name]), history[name], color=colour, label="training")
    title = name
    if validation is not None:
        axis.plot(_at(numbers, validation), validation, color=colour, linestyle="--", label="validation")
        title = f"{name}: does validation part from training?"
        is_loss = name == "loss" or name.endswith("_loss")
        if is_loss and np.isfinite(validation).any():
            best = int(np.nanargmin(validation))
            at = _at(numbers, validation)[best]
            axis.axvline(at, color="0.6", linestyle=":", linewidth=1, label=f"lowest in epoch {at}")
        axis.legend(frameon=False)
    axis.set(title=title, xlabel="epoch", ylabel=name)
    axis.xaxis.get_major_locator().set_params(integer=True)


def _at(numbers: list[int], values: Sequence[float]) -> list[int]:
    """The epochs of the last values: a figure may have begun later than others."""
    return numbers[len(numbers) - len(values) :]
