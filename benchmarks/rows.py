"""The shapes compared, by name: the field's own, from one feature and fifty units to a thousand of each."""

from __future__ import annotations

from dataclasses import dataclass

GATES = {"lstm": 4, "gru": 3, "rnn": 1}


@dataclass(frozen=True)
class Row:
    cell: str
    T: int
    B: int
    I: int
    H: int
    training: bool

    @property
    def name(self) -> str:
        return f"{self.cell}:{self.T},{self.B},{self.I},{self.H}:{'training' if self.training else 'forward'}"

    @property
    def flops(self) -> float:
        """Of the products: forward, and twice as much again for the gradients of x, h and the weights."""
        forward = 2.0 * self.T * self.B * (self.I + self.H) * GATES[self.cell] * self.H
        return 3 * forward if self.training else forward


_BATCHES = (
    (32, 32, 1, 50),
    (30, 32, 8, 32),
    (60, 64, 16, 64),
    (100, 64, 128, 128),
    (128, 32, 256, 256),
    (50, 64, 512, 512),
)
_LARGE = ((25, 64, 1024, 1024),)
_STREAMS = ((1, 1, 64, 64), (1, 1, 256, 256), (100, 1, 64, 64), (100, 1, 256, 256))


def all_rows() -> list[Row]:
    """Training of the batches (the issue's gates), then forward of batches and single sequences."""
    rows = []
    for training in (True, False):
        for cell in GATES:
            batches = [s for s in _BATCHES if cell != "rnn" or s != (30, 32, 8, 32)]
            if cell != "rnn":
                batches += _LARGE
            rows += [Row(cell, *shape, training) for shape in batches]
    return rows + [Row(cell, *shape, False) for cell in GATES for shape in _STREAMS]


QUICK = ("lstm:32,32,1,50:", "lstm:60,64,16,64:", "gru:60,64,16,64:", "rnn:60,64,16,64:", "lstm:100,64,128,128:")
