"""StackedRNNCells: cells on top of each other, as one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from latchwork.layers.arguments import Shape
from latchwork.layers.cell import Cell, CoreCell, States
from latchwork.layers.wrapper import Wrapper


class StackedRNNCells(Wrapper, Cell):
    """Cells one on top of the other as one cell: each reads the output of the one before.

    States are one flat list, the first cell's first. Variables: "stacked_rnn_cells/lstm_cell/kernel", ...

    Args:
        cells: A list of `Cell` objects, each of its own.

    Raises:
        ValueError: An empty list, or something in it that is no cell or is in use.

    >>> import numpy as np
    >>> from latchwork.layers import GRUCell, LSTMCell
    >>> y, states = StackedRNNCells([LSTMCell(4), GRUCell(5)])(np.ones((2, 3)))
    >>> y.shape, [s.shape for s in states]
    ((2, 5), [(2, 4), (2, 4), (2, 5)])
    """

    def __init__(self, cells: Sequence[Cell], **common: Any) -> None:
        given = list(cells) if isinstance(cells, (list, tuple)) else []
        if not given or not all(isinstance(cell, Cell) for cell in given):
            raise ValueError(f"StackedRNNCells: cells must be a list of cells, got {cells!r}")
        super().__init__(list(given), common)
        self.cells: list[Cell] = given
        taken: set[str] = set()
        for cell in given:
            names = [cell.name, *(f"{cell.name}_{i}" for i in range(1, len(given)))]
            cell.name = next(name for name in names if name not in taken)
            taken.add(cell.name)

    def copied(self) -> Any:
        stack = super().copied()
        stack.cells = stack.inner
        return stack

    @property
    def state_sizes(self) -> list[int]:
        return [size for cell in self.cells for size in cell.state_sizes]

    @property
    def output_size(self) -> int:
        return int(self.cells[-1].output_size)

    def core_cells(self) -> list[CoreCell] | None:
        found = [cell.core_cells() for cell in self.cells]
        return None if None in found else [cell for cells in found for cell in cells or ()]

    def _declare(self, input_shape: Shape) -> None:
        for cell in self.cells:
            self._take(cell, input_shape)
            input_shape = (cell.output_size,)

    def forward(self, x: Any, states: Any, training: bool = False) -> Any:  # type: ignore[override]
        final, contexts = [], []
        for cell in self.cells:
            count = len(cell.state_sizes)
            own, states = states[:count], states[count:]
            x, new, ctx = cell.forward(x, own, training)
            final += new
            contexts.append(ctx)
        return x, final, contexts

    def backward(self, ctx: Any, dy: Any, dstates: Any) -> Any:  # type: ignore[override]
        back: States = []
        for cell, inner in zip(reversed(self.cells), reversed(ctx), strict=True):
            count = len(dstates) - len(cell.state_sizes)
            dstates, own = dstates[:count], dstates[count:]
            dy, new = cell.backward(inner, dy, own)
            back = [*new, *back]
        return dy, back
