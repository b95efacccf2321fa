"""A run's record as a chart: how much faster than the best peer, and how far from the floor. Needs matplotlib."""

from __future__ import annotations

from pathlib import Path

import matplotlib

matplotlib.use("agg")
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter

from figures import Figures, figures_of

COLOURS = {"lstm": "#3b6ea5", "gru": "#d0893a", "rnn": "#5a9367"}
KINDS = {"training": "training", "forward": "inference", "stream": "single steps"}


def _label(f: Figures) -> str:
    row = f.row
    sizes = f"H {row.H}" if row.kind == "stream" else f"{row.T}, {row.B}, {row.I}, {row.H}"
    return f"{row.cell.upper()}  {sizes}"


def _bars(axes: Axes, found: list[Figures], values: list[float], title: str) -> None:
    places = range(len(found))
    axes.barh(places, [v - 1 for v in values], left=1, height=0.72, color=[COLOURS[f.row.cell] for f in found])
    for place, value in zip(places, values, strict=True):
        axes.annotate(f"{value:.1f}", (value, place), (3 if value >= 1 else -3, 0), textcoords="offset points",
                      va="center", ha="left" if value >= 1 else "right", fontsize=7, color="#444444")  # fmt: skip
    axes.set_xscale("log", base=2)
    axes.set_xlim(min(values) * 0.7 if min(values) < 1 else 0.95, max(2, *values) * 1.35)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:g}x"))
    axes.axvline(1, color="#222222", linewidth=0.8)
    axes.set_title(title, fontsize=9, loc="left")
    axes.set_ylim(len(found) - 0.4, -0.6)
    axes.tick_params(labelsize=7, length=0)
    axes.grid(axis="x", color="#e4e4e4", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[:].set_visible(False)


def draw(record: dict, path: Path) -> None:
    """A row of two panels for each kind of call that the section "layers" measured."""
    found = figures_of(record, "layers")
    kinds = [kind for kind in KINDS if any(f.row.kind == kind for f in found)]
    if not kinds:
        return
    heights = [sum(f.row.kind == kind for f in found) + 2 for kind in kinds]
    figure, grid = plt.subplots(len(kinds), 2, figsize=(9, 0.19 * sum(heights) + 0.8), squeeze=False,
                                gridspec_kw={"height_ratios": heights}, layout="constrained")  # fmt: skip
    for (left, right), kind in zip(grid, kinds, strict=True):
        of_kind = [f for f in found if f.row.kind == kind]
        _bars(left, of_kind, [f.best_peer or 1.0 for f in of_kind], f"{KINDS[kind]}: times faster than the best peer")
        left.set_yticks(range(len(of_kind)), [_label(f) for f in of_kind])
        _bars(right, of_kind, [f.ours / f.floor.us for f in of_kind], "time over the floor of this machine")
        right.set_yticks([])
    title = f"latchwork, {record['threads']} threads, {record['processor']}; layers as T, B, I, H"
    figure.suptitle(title, fontsize=9, x=0.01, ha="left")
    figure.savefig(path, dpi=160)
    plt.close(figure)
