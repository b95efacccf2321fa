"""How long units remember, and how often their gates are shut or open."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from latchwork import drawing
from latchwork.viz.steps import Steps, all_gates, labels

Array = NDArray[Any]
KEPT = {"f": "forget gate f", "z": "update gate z"}  # the gate that the old state is multiplied by


@dataclass(frozen=True, eq=False)
class HalfLife(drawing.OnePanel):
    """How long units remember, as `half_life` finds it.

    Its `plot`: half-lives of the units, the shortest first, against the length of the sequences.

    Attributes:
        layer: Its name.
        gate: "f" of an LSTM, "z" of a GRU.
        mean: The gate's mean over all real steps, float64 [H].
        steps: log(0.5) / log(mean), in time steps, float64 [H]; inf where the gate is always 1, 0 where it is always 0.
        length: The steps of the longest sequence looked at.

    >>> import numpy as np
    >>> HalfLife("lstm", "f", np.array([0.5]), np.array([1.0]), 10).steps.tolist()
    [1.0]
    """

    layer: str
    gate: str
    mean: Array
    steps: Array
    length: int

    def _size(self) -> tuple[float, float]:
        return (6.4, 3.6)

    def _draw(self, axis: Any) -> None:
        steps, low, high = np.sort(self.steps), 0.05, 10.0 * self.length
        axis.plot(np.arange(len(steps)), np.clip(steps, low, high), "o", markersize=4, color=drawing.BLUE)
        outside = [at for at, value in enumerate(steps) if not low <= value <= high]
        if outside:
            axis.plot(
                outside, np.clip(steps[outside], low, high), "o", markersize=8, fillstyle="none", color=drawing.RED
            )
            axis.set_xlabel(f"unit, shortest memory first (ringed: below {low:g} or above {high:g})")
        else:
            axis.set_xlabel("unit, shortest memory first")
        axis.axhline(self.length, color="0.4", linestyle="--", linewidth=1)
        axis.annotate(
            f"length of a sequence, {self.length} steps",
            (0, self.length),
            (0, 4),
            textcoords="offset points",
            color="0.3",
        )
        axis.set_yscale("log")
        axis.set_ylim(top=max(1.8 * self.length, 1.2 * float(np.clip(steps, low, high).max())))
        axis.set(
            title=f"{self.layer}: do some units remember as long as the data ask?",
            ylabel=f"half-life by {KEPT[self.gate]}, time steps",
        )


def half_life(model: Any, x: Any, layer: Any = None, *, direction: str | None = None) -> HalfLife:
    """After how many steps half of a unit's state is forgotten, if nothing is added: log(0.5) / log(mean gate).

    The gate is the one that the old state is multiplied by: the LSTM's forget gate, the GRU's update gate.

    Args:
        model, x, layer, direction: As in `gates`; all samples of x [N, ...] are looked at, whatever their dtype.

    Raises:
        ValueError: As `gates`; the layer has no such gate, the gate leaves [0, 1], or x has no real step.

    >>> import numpy as np
    >>> from latchwork.layers import GRU
    >>> from latchwork.models import Sequential
    >>> model = Sequential([GRU(4, input_shape=(None, 1))])
    >>> half_life(model, np.ones((2, 7, 1))).steps.shape
    (4,)
    """
    total: Any = 0.0
    count, length, letter, name = 0, 0, "", ""
    for name, steps, values in all_gates(model, x, layer, direction, "half_life"):
        letter = next((each for each in KEPT if each in values), "")
        if not letter:
            raise ValueError(f"half_life: layer must have a forget or update gate, {name!r} has none")
        gate = _real(values[letter], steps)
        _check_range(gate, letter, name, "half_life")
        total, count = total + gate.sum(axis=0), count + len(gate)
        length = max(length, int(steps.real.sum(axis=1).max(initial=0)))
    mean = total / _counted(count, "half_life")
    with np.errstate(divide="ignore"):
        return HalfLife(name, letter, mean, np.abs(np.log(0.5) / np.log(mean)), length)


@dataclass(frozen=True, eq=False)
class Saturation(drawing.OnePanel):
    """How often gates are as good as shut or open, as `saturation` finds it.

    Its `plot`: units by how often their gates are shut and open, as in A. Karpathy et al., "Visualizing and
    understanding recurrent networks", 2015.

    Attributes:
        layer: Its name.
        low: By the letter of a gate, the share of real steps where it is below 0.1, float64 [H].
        high: Likewise, above 0.9.
        count: Real steps looked at.
        labels: What the letters stand for.

    >>> import numpy as np
    >>> seen = Saturation("gru", {"z": np.zeros(2)}, {"z": np.ones(2)}, 10, {"z": "update gate z"})
    >>> seen.high["z"].tolist()
    [1.0, 1.0]
    """

    layer: str
    low: dict[str, Array]
    high: dict[str, Array]
    count: int
    labels: dict[str, str]

    def _size(self) -> tuple[float, float]:
        return (5.2, 4.6)

    def _draw(self, axis: Any) -> None:
        for i, name in enumerate(self.low):
            axis.plot(
                self.low[name], self.high[name], "o^sD"[i], color=drawing.COLOURS[i], alpha=0.8, markersize=5,
                label=self.labels[name], clip_on=False,
            )  # fmt: skip
        axis.plot([0, 1], [1, 0], color="0.7", linewidth=1, zorder=0)
        axis.legend(frameon=False)
        axis.set(
            xlim=(0, 1),
            ylim=(0, 1),
            title=f"{self.layer}: gates near the line are switches,\nnear (0, 0) they are dimmers; in a corner, stuck",
            xlabel="share of steps with the gate shut (< 0.1)",
            ylabel="share of steps with the gate open (> 0.9)",
        )


def saturation(model: Any, x: Any, layer: Any = None, *, direction: str | None = None) -> Saturation:
    """Of each unit's gates, the share of steps where they are below 0.1 and above 0.9.

    Args:
        model, x, layer, direction: As in `gates`; all samples of x [N, ...] are looked at, whatever their dtype.

    Raises:
        ValueError: As `gates`; the layer has no gates, a gate leaves [0, 1], or x has no real step.

    >>> import numpy as np
    >>> from latchwork.layers import LSTM
    >>> from latchwork.models import Sequential
    >>> model = Sequential([LSTM(4, input_shape=(None, 1))])
    >>> list(saturation(model, np.ones((2, 7, 1))).low)
    ['i', 'f', 'o']
    """
    low: dict[str, Any] = {}
    high: dict[str, Any] = {}
    count, named, name = 0, dict[str, str](), ""
    for name, steps, values in all_gates(model, x, layer, direction, "saturation"):
        named = {letter: text for letter, text in labels(steps.layer).items() if letter in values and letter in "ifozr"}
        if not named:
            raise ValueError(f"saturation: layer must have gates, {name!r} has none")
        for letter in named:
            gate = _real(values[letter], steps)
            _check_range(gate, letter, name, "saturation")
            low[letter] = low.get(letter, 0) + (gate < 0.1).sum(axis=0)
            high[letter] = high.get(letter, 0) + (gate > 0.9).sum(axis=0)
        count += int(steps.real.sum())
    counted = _counted(count, "saturation")
    shut, opened = ({letter: number / counted for letter, number in each.items()} for each in (low, high))
    return Saturation(name, shut, opened, count, named)


def _real(gate: Array, steps: Steps) -> Array:
    """Its values at real steps, float64 [N, H]."""
    return gate[steps.real].astype(np.float64)


def _check_range(gate: Array, letter: str, name: str, verb: str) -> None:
    if gate.size and not (gate.min() >= 0 and gate.max() <= 1):
        found = f"[{gate.min():.3g}, {gate.max():.3g}]"
        raise ValueError(f"{verb}: gate {letter} of {name!r} must be within [0, 1], its activation gave {found}")


def _counted(count: int, verb: str) -> int:
    if not count:
        raise ValueError(f"{verb}: x must have at least one real step, got none")
    return count
