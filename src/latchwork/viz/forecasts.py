"""Forecasts with quantiles: how wide they are, and whether they are right as often as they say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from latchwork import drawing

Array = NDArray[Any]


@dataclass(frozen=True, eq=False)
class Fan:
    """Quantiles of one forecast, as `fan` puts them together.

    Attributes:
        levels: float64 [Q], rising.
        values: float64 [T, Q].
        bands: From the widest, (share, low, high): between low [T] and high [T] the truth should lie with probability
            `share`, the difference of their levels.
        middle: [T], the quantile of level 0.5; None if there is none.
        crossings: At how many steps a higher level has a lower value: a model's fault.

    >>> fan([[1.0, 2.0, 4.0]], [0.1, 0.5, 0.9]).bands[0][0]
    0.8
    """

    levels: Array
    values: Array
    bands: list[tuple[float, Array, Array]]
    middle: Array | None
    crossings: int

    def plot(
        self,
        *,
        past: ArrayLike | None = None,
        truth: ArrayLike | None = None,
        time: ArrayLike | None = None,
        unit: str = "value",
        ax: Any = None,
    ) -> Any:
        """The bands over time, darker in the middle, behind the past and before the truth.

        Args:
            past: [P] numbers before the forecast.
            truth: [T] numbers that came.
            time: [P + T] for the horizontal axis, dates too; None: steps ahead of the last known value.
            unit: What the values are measured in.
            ax: Axes to draw into; None: a new Figure.

        Returns:
            The matplotlib Figure.

        Raises:
            ImportError: matplotlib is not installed.
            ValueError: An array has another shape, or another number of Axes.
        """
        steps = len(self.values)
        before = np.zeros(0) if past is None else np.asarray(past, np.float64)
        came = None if truth is None else np.asarray(truth, np.float64)
        if before.ndim != 1:
            raise ValueError(f"past must be [P], got shape {before.shape}")
        if came is not None and came.shape != (steps,):
            raise ValueError(f"truth must be ({steps},), got shape {came.shape}")
        at = np.arange(1 - len(before), steps + 1) if time is None else np.asarray(time)
        if at.shape != (len(before) + steps,):
            raise ValueError(f"time must be ({len(before) + steps},), got shape {at.shape}")
        [axis] = drawing.panels(ax, 1, size=(8.8, 3.6))
        last = before[-1:]  # where everything ahead begins
        ahead = at[len(before) - len(last) :]
        for i, (share, low, high) in enumerate(self.bands):
            opacity = 0.2 + 0.5 * i / len(self.bands)
            low, high = np.append(last, low), np.append(last, high)
            axis.fill_between(
                ahead, low, high, color=drawing.BLUE, alpha=opacity, linewidth=0, label=f"{share:.0%} of the time"
            )
        if self.middle is not None:
            axis.plot(ahead, np.append(last, self.middle), color=drawing.BLUE, linewidth=1.4, label="median")
        if len(before):
            axis.plot(at[: len(before)], before, color="0.35", linewidth=1, label="past")
        if came is not None:
            axis.plot(ahead, np.append(last, came), color=drawing.RED, linewidth=1.2, label="what came")
        axis.legend(frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
        if at.dtype.kind == "M":
            from matplotlib import dates

            short: Any = dates.ConciseDateFormatter
            axis.xaxis.set_major_formatter(short(axis.xaxis.get_major_locator()))
        axis.set(
            title="Does the truth stay in the fan, and does the fan open as the horizon grows?",
            xlabel="steps ahead" if time is None else "time",
            ylabel=unit,
        )
        return axis.figure


def fan(quantiles: ArrayLike, levels: Sequence[float]) -> Fan:
    """One forecast with quantiles, as bands around its middle.

    Args:
        quantiles: [T, Q] numbers, float64 in what is returned: one sample and feature of
            `model.forecast(..., quantiles=levels)`, or the Q outputs of a model at T times.
        levels: Q of them that rise within (0, 1).

    Raises:
        ValueError: Another shape, or levels that do not rise within (0, 1).

    >>> fan([[1.0, 2.0, 4.0], [3.0, 2.0, 5.0]], [0.1, 0.5, 0.9]).crossings
    1
    """
    values, known = _quantiles(quantiles, levels, "fan", 2)
    count = len(known)
    pairs = [(i, count - 1 - i) for i in range(count // 2)]
    bands = [(float(np.round(known[j] - known[i], 12)), values[:, i], values[:, j]) for i, j in pairs]
    middle = np.flatnonzero(known == 0.5)
    crossings = int((np.diff(values, axis=1) < 0).any(axis=1).sum())
    return Fan(known, values, bands, values[:, middle[0]] if len(middle) else None, crossings)


@dataclass(frozen=True, eq=False)
class Calibration(drawing.OnePanel):
    """How often the truth lay below each quantile, as `calibration` counts it.

    Its `plot`: shares against levels, with what chance alone would give 95 % of the time if all forecasts were
    independent.

    Attributes:
        levels: float64 [Q], how often it should.
        below: int64 [Q], how often it did.
        count: Of how many.
        shares: float64 [Q], below / count.

    >>> calibration([1.0, 3.0], [[2.0], [2.0]], [0.5]).shares.tolist()
    [0.5]
    """

    levels: Array
    below: NDArray[np.int64]
    count: int
    shares: Array

    def _size(self) -> tuple[float, float]:
        return (4.8, 4.4)

    def _draw(self, axis: Any) -> None:
        level = np.linspace(0, 1, 201)
        chance = 1.96 * np.sqrt(level * (1 - level) / self.count)
        axis.fill_between(
            level, np.maximum(level - chance, 0), np.minimum(level + chance, 1), color="0.85", linewidth=0,
            label="chance, 95 %",
        )  # fmt: skip
        axis.plot([0, 1], [0, 1], color="0.5", linewidth=1)
        axis.plot(self.levels, self.shares, "o-", color=drawing.BLUE, label=f"{self.count} values")
        axis.legend(frameon=False, loc="upper left")
        axis.set(
            xlim=(0, 1),
            ylim=(0, 1),
            aspect="equal",
            title="On the diagonal, quantiles keep their word;\nflatter: too sure, steeper: too cautious",
            xlabel="level of the quantile",
            ylabel="share of the truth below it",
        )


def calibration(y_true: ArrayLike, quantiles: ArrayLike, levels: Sequence[float]) -> Calibration:
    """The share of the truth below each quantile: of level 0.1, a tenth should be.

    Args:
        y_true: Numbers of any shape; NaN are missing and not counted.
        quantiles: [..., Q] numbers, float64 here: the forecasts for them.
        levels: Q of them that rise within (0, 1).

    Raises:
        ValueError: Shapes that do not fit, no numbers, or levels that do not rise within (0, 1).

    >>> calibration([1.0, 2.0, 3.0, 4.0], [[2.5, 9.0]] * 4, [0.5, 0.9]).below.tolist()
    [2, 4]
    """
    values, known = _quantiles(quantiles, levels, "calibration", None)
    truth = np.asarray(y_true, np.float64)
    if truth.shape == (*values.shape[:-1], 1) and truth.ndim > 1:  # targets (N, 1) of a model
        truth = truth[..., 0]
    if truth.shape != values.shape[:-1]:
        raise ValueError(f"calibration: y_true must be {values.shape[:-1]}, got shape {truth.shape}")
    there = np.isfinite(truth)
    count = int(there.sum())
    if not count:
        raise ValueError("calibration: y_true must hold at least one number, got none")
    below = (truth[there][:, None] < values[there]).sum(axis=0, dtype=np.int64)
    return Calibration(known, below, count, below / count)


def _quantiles(quantiles: ArrayLike, levels: Sequence[float], verb: str, axes: int | None) -> tuple[Array, Array]:
    values, known = np.asarray(quantiles, np.float64), np.asarray(levels, np.float64)
    if known.ndim != 1 or not len(known) or not ((known > 0) & (known < 1)).all() or (np.diff(known) <= 0).any():
        raise ValueError(f"{verb}: levels must rise within (0, 1), got {levels!r}")
    wanted = "[T, {}]" if axes else "[..., {}]"
    if values.ndim < 1 or values.shape[-1] != len(known) or (axes is not None and values.ndim != axes):
        raise ValueError(f"{verb}: quantiles must be {wanted.format(len(known))}, got shape {values.shape}")
    return values, known
