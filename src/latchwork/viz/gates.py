"""Gates and states over time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from latchwork import drawing
from latchwork.names import resolve
from latchwork.viz.running import at_rest, layer_of, one_row
from latchwork.viz.steps import calls, gates_of, labels, run

Array = NDArray[Any]
READ = {
    "i": "bright lets the candidate in",
    "f": "bright keeps the cell state, dark forgets",
    "g": "what would be added (purple) or taken off (orange)",
    "o": "bright shows the cell state",
    "z": "bright keeps the old state, dark takes the candidate",
    "r": "dark hides the old state from the candidate",
    "n": "what the old state would give way to",
    "h": "what the next layer sees",
    "c": "the memory; stripes along time are kept for long",
}


@dataclass(frozen=True, eq=False)
class Gates:
    """Gates and states of one sequence, as `gates` finds them.

    Attributes:
        layer: Its name.
        values: By letter, [T, H] in the model's dtype: LSTM i f g o c h, GRU z r n h, SimpleRNN h. Step t holds the
            gates of step t and the states behind it. Gates of masked steps are NaN, states go on as they were.
        x: What the layer reads, [T, F].
        real: bool [T], False for masked steps.
        labels: What the letters stand for.

    >>> import numpy as np
    >>> seen = Gates("lstm", {"f": np.ones((3, 2))}, np.ones((3, 1)), np.ones(3, bool), {"f": "forget gate f"})
    >>> seen.values["f"].shape
    (3, 2)
    """

    layer: str
    values: dict[str, Array]
    x: Array
    real: NDArray[np.bool_]
    labels: dict[str, str]

    def plot(self, names: Sequence[str] | None = None, *, ax: Any = None) -> Any:
        """Heat maps, a panel each, units from bottom to top; above them x, where it has at most 8 features.

        Args:
            names: Letters of `values`; None: all.
            ax: Axes to draw into, one for each name (then x is not drawn); None: a new Figure.

        Returns:
            The matplotlib Figure.

        Raises:
            ImportError: matplotlib is not installed.
            ValueError: An unknown letter, or another number of Axes.
        """
        chosen = list(self.values if names is None else names)
        for name in chosen:
            resolve("gate or state", name, self.values)
        above = int(ax is None and self.x.shape[1] <= 8)
        axes = drawing.panels(ax, len(chosen) + above, size=(8.0, 1.7), sharex=True)
        for name, axis in zip(chosen, axes[above:], strict=True):
            self._draw(name, axis)
        if above:
            lines = axes[0].plot(self.x, linewidth=1)
            for i, line in enumerate(lines):
                line.set_color(drawing.COLOURS[i % len(drawing.COLOURS)])
            axes[0].set_title(f"{self.layer}: what it reads, and what its units make of it", fontsize=10)
            axes[0].set_ylabel("x")
        axes[-1].set_xlabel("time step")
        return axes[0].figure

    def _draw(self, name: str, axis: Any) -> None:
        values = self.values[name]
        there = values[np.isfinite(values)]
        is_gate = name in "ifozr" and bool(((there >= 0) & (there <= 1)).all())
        largest = float(np.abs(there).max(initial=1e-12))
        low, high = (0.0, 1.0) if is_gate else (-largest, largest)
        colours = drawing.SHARES if is_gate else drawing.SIGNED
        image = axis.imshow(
            values.T, aspect="auto", origin="lower", interpolation="nearest", cmap=colours, vmin=low, vmax=high
        )
        axis.set_title(f"{self.labels[name]}: {READ[name]}", fontsize=10)
        axis.set_ylabel("unit")
        axis.yaxis.get_major_locator().set_params(integer=True)
        axis.figure.colorbar(image, ax=axis, pad=0.01)


def gates(model: Any, x: Any, layer: Any = None, sample: int = 0, *, direction: str | None = None) -> Gates:
    """Gates and states of a recurrent layer over time, on one sample. The numbers are the core's, to the bit.

    Args:
        model: A `Sequential` or `Model`.
        x: Its input, as in `predict`: [N, ...] of any dtype that is cast to the model's, or a Ragged.
        layer: An LSTM, GRU or SimpleRNN, or a Bidirectional of one: its name or itself; None: the first one.
        sample: Which of the N.
        direction: Of a Bidirectional, "forward" (None) or "backward".

    Raises:
        ValueError: An argument is out of range, the layer is of another kind, or the graph calls it more than once.

    >>> import numpy as np
    >>> from latchwork.layers import LSTM, Dense
    >>> from latchwork.models import Sequential
    >>> model = Sequential([LSTM(4, input_shape=(None, 1)), Dense(1)])
    >>> seen = gates(model, np.ones((2, 7, 1)))
    >>> list(seen.values), seen.values["f"].shape
    (['i', 'f', 'g', 'o', 'h', 'c'], (7, 4))
    """
    with at_rest(model, x, "gates") as rows:
        found = layer_of(model, layer, "gates")
        [steps] = calls(model, one_row(rows, sample, "gates"), found, direction, "gates")
        done = run(steps, training=False)
        values = gates_of(steps, done.before)
    for gate in values.values():
        gate[~steps.real] = np.nan
    values |= dict(zip(("h", "c"), done.after, strict=False))
    return Gates(found.name, {k: v[0] for k, v in values.items()}, steps.x[0], steps.real[0], labels(steps.layer))
