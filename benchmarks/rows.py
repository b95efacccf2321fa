"""What is compared: rows of layers, by section. A row is a cell, its sizes and what is done with it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

import numpy as np

GATES = {"lstm": 4, "gru": 3, "rnn": 1}

Kind = Literal["forward", "training", "stream"]


@dataclass(frozen=True)
class Row:
    """One layer (or a stack of them) and one kind of call.

    T time steps, B sequences, I features, H units. "forward" keeps nothing, "training" is forward and backward with the
    gradients of x and of the weights, "stream" is one step of a sequence whose states are carried on.
    """

    cell: str
    T: int
    B: int
    I: int
    H: int
    kind: Kind
    layers: int = 1
    bidirectional: bool = False
    ragged: str = ""  # how lengths are drawn: "uniform", or "lognormal" and a seed; "": all are T

    @property
    def name(self) -> str:
        extra = (f" x{self.layers}" if self.layers > 1 else "") + (" bidirectional" if self.bidirectional else "")
        extra += f" {self.ragged}" if self.ragged else ""
        return f"{self.cell}{extra}:{self.T},{self.B},{self.I},{self.H}:{self.kind}"

    @property
    def directions(self) -> int:
        return 2 if self.bidirectional else 1

    @cached_property
    def lengths(self) -> np.ndarray:
        """[B], real steps of each sequence."""
        if not self.ragged:
            return np.full(self.B, self.T)
        kind, _, seed = self.ragged.partition(" ")
        rng = np.random.default_rng(int(seed or 0))
        drawn = rng.integers(5, 101, self.B) if kind == "uniform" else np.exp(rng.normal(4.105, 1.0, self.B)).round()
        return np.clip(drawn, 1, 1000).astype(np.int64)

    @property
    def real_steps(self) -> int:
        """Of all sequences."""
        return int(self.lengths.sum())

    @property
    def weights(self) -> int:
        """Numbers in the kernels of all layers and directions."""
        inputs = [self.I] + [self.directions * self.H] * (self.layers - 1)
        return sum(self.directions * i * GATES[self.cell] * self.H for i in inputs) + self.recurrent_weights

    @property
    def recurrent_weights(self) -> int:
        """Those that every step needs anew; the others serve many steps at once, where they are known."""
        return self.layers * self.directions * GATES[self.cell] * self.H * self.H

    @property
    def flops(self) -> float:
        """Of the products: forward, and twice as much again for the gradients of x, h and the weights."""
        forward = 2.0 * self.real_steps * self.weights
        return 3 * forward if self.kind == "training" else forward

    @property
    def steps(self) -> int:
        """Of the longest sequence, in one call."""
        return int(self.lengths.max())

    def padded(self) -> Row:
        """The same with every sequence as long as the longest."""
        return replace(self, T=self.steps, ragged="")


_BATCHES = [(32, 32, 1, 50), (30, 32, 8, 32), (60, 64, 16, 64), (100, 64, 128, 128), (128, 32, 256, 256)]
_BATCHES += [(50, 64, 512, 512), (25, 64, 1024, 1024)]
_SINGLE = [(100, 1, 64, 64), (100, 1, 256, 256), (100, 1, 1024, 1024)]
_SHAPES = {
    "lstm": [*_SINGLE, *_BATCHES, (50, 16, 1760, 1760)],
    "gru": [*_SINGLE, *_BATCHES],
    "rnn": [_SINGLE[0], *(b for b in _BATCHES if b[3] not in (32, 1024))],
}
_STREAMS = [("lstm", 64), ("lstm", 256), ("lstm", 512), ("lstm", 1024), ("gru", 64), ("gru", 256)]


def layers() -> list[Row]:
    """What people run: from one feature and fifty units to a thousand of each; training, inference, single steps."""
    both: tuple[Kind, Kind] = ("training", "forward")
    rows = [Row(cell, *shape, kind) for kind in both for cell, shapes in _SHAPES.items() for shape in shapes]
    return rows + [Row(cell, 1, 1, H, H, "stream") for cell, H in _STREAMS]


def field() -> list[Row]:
    """Shapes of others' benchmarks: DeepBench, benchdnn, issues of oneDNN and PyTorch, audio, time series."""
    both: tuple[Kind, Kind] = ("training", "forward")
    shapes = [(25, 16, 512, 512), (150, 64, 256, 256), (50, 64, 500, 500)]
    shapes += [(24, 32, 1, 8), (96, 128, 7, 32), (336, 256, 21, 64)]
    rows = [Row("lstm", *shape, kind) for kind in both for shape in shapes]
    rows += [
        Row("lstm", 63, 1, 24, 32, "forward", bidirectional=True),
        Row("lstm", 2000, 8, 256, 256, "forward", layers=2),
        Row("lstm", 2000, 8, 256, 256, "training", layers=2),
        Row("lstm", 100, 64, 128, 128, "training", layers=2, bidirectional=True),
        Row("gru", 375, 32, 1536, 1536, "forward"),
    ]
    return rows + [Row("lstm", 1, 1, 1, H, "stream") for H in (8, 16, 24, 40)]


def ragged() -> list[Row]:
    """Training on sequences of many lengths, without padding."""
    kinds = ["uniform 0", *(f"lognormal {seed}" for seed in range(5))]
    rows = [Row("lstm", 1000, 64, 64, 128, "training", ragged=kind) for kind in kinds]
    return [replace(row, T=row.steps) for row in rows]


def odd() -> list[tuple[Row, Row]]:
    """Sizes that fill no vector or tile, each with the neighbour it stands against: the nearest multiple of 16, and of
    64 where it is one of 16 itself."""
    base = Row("lstm", 60, 64, 64, 128, "training")
    pairs = [(replace(base, H=H), replace(base, H=even)) for H, even in ((50, 48), (100, 96), (193, 192), (320, 256))]
    pairs += [(replace(base, I=I), replace(base, I=even)) for I, even in ((1, 16), (7, 16), (33, 32))]
    pairs += [(replace(base, B=B), replace(base, B=even)) for B, even in ((17, 16), (48, 64))]
    return [(replace(a, kind=kind), replace(b, kind=kind)) for kind in ("training", "forward") for a, b in pairs]


_QUICK = ("lstm:32,32,1,50:", "gru:60,64,16,64:", "rnn:60,64,16,64:", "lstm:100,64,128,128:", "lstm:1,1,64,64:")


def quick(rows: Iterable[Row]) -> list[Row]:
    """A few of `layers()`: one of each cell, each kind, small and large."""
    return [row for row in rows if row.name.startswith(_QUICK)]
