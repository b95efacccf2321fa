"""RNN: any cell over sequences."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from latchwork.layers.arena import Arena
from latchwork.layers.arguments import Shape, as_array, as_flag, shape_text
from latchwork.layers.cell import Cell, States, states_like
from latchwork.layers.dense import like, values_of
from latchwork.layers.flow import Advancing, Retreating
from latchwork.layers.loop import Loop
from latchwork.layers.masking import as_mask
from latchwork.layers.recurrent import Recurrent
from latchwork.layers.sequence import SequenceLayer
from latchwork.layers.stacked import StackedRNNCells
from latchwork.layers.wrapper import Wrapper
from latchwork.ragged import Ragged


class RNN(SequenceLayer, Wrapper):
    """A cell, or a list of cells on top of each other, over sequences: x [B, T, F] -> y as in `LSTM`.

    Cells of the library run in the fused kernels, like the layers of their names. A cell of your own (see `Cell`) runs
    as a loop in Python, one call a step: `python_loop` is then True, and `summary` says so. Masks, `lw.Ragged`,
    initial_state, return_state, go_backwards, stateful and zero_output_for_mask are as in `LSTM`; states are one flat
    list. Variables: "rnn/lstm_cell/kernel", ...

    Args:
        cell: A `Cell`, or a list of them.
        return_sequences, return_state, go_backwards, stateful, zero_output_for_mask: As in `Recurrent`.

    Raises:
        ValueError: cell is no cell, is in use elsewhere, or does not say its state_size.

    >>> import numpy as np
    >>> from latchwork.layers import GRUCell, LSTMCell
    >>> layer = RNN([LSTMCell(4), GRUCell(5)], return_sequences=True)
    >>> layer(np.ones((2, 6, 3))).shape, layer.python_loop
    ((2, 6, 5), False)
    """

    unbuilt: ClassVar[dict[str, Any]] = {**SequenceLayer.unbuilt, "unroll": False}

    def __init__(
        self,
        cell: Cell | Sequence[Cell],
        return_sequences: bool = False,
        return_state: bool = False,
        go_backwards: bool = False,
        stateful: bool = False,
        zero_output_for_mask: bool = False,
        **common: Any,
    ) -> None:
        given = cell if isinstance(cell, Cell) else StackedRNNCells(cell) if isinstance(cell, (list, tuple)) else None
        if given is None:
            raise ValueError(f"RNN: cell must be a cell (lw.layers.Cell) or a list of cells, got {cell!r}")
        self.state_count, self.units = len(given.state_sizes), given.output_size
        self.cell: Cell = given
        super().__init__([self.cell], common)
        self.return_sequences = as_flag(return_sequences, "return_sequences", "RNN")
        self.return_state = as_flag(return_state, "return_state", "RNN")
        self.go_backwards = as_flag(go_backwards, "go_backwards", "RNN")
        self.stateful = as_flag(stateful, "stateful", "RNN")
        self.by_step = not self.go_backwards
        self.zero_output_for_mask = as_flag(zero_output_for_mask, "zero_output_for_mask", "RNN")
        self._prepare(align=False)

    def _prepare(self, align: bool) -> None:
        """What runs the cells: a fused layer for each or, where there is none, a loop. align: every output lies where
        its input does."""
        self._loop = Loop(
            self.cell, sequences=self.return_sequences, backwards=self.go_backwards, align=align,
            zero_output_for_mask=self.zero_output_for_mask,
        )  # fmt: skip
        self._fused: list[Recurrent] = []
        cells = self.cell.core_cells() or []
        for cell in cells:
            last = cell is cells[-1]
            layer = cell.sequence_layer(
                return_sequences=self.return_sequences or not last,
                return_state=True,
                go_backwards=self.go_backwards,
                zero_output_for_mask=self.zero_output_for_mask and last,
            )
            layer._options["align"] = self.go_backwards and (align or not last)
            self._fused.append(layer)

    def _half(self, name: str, align: bool) -> Any:
        """See `Recurrent._half`."""
        layer = self.copied()
        layer.name, layer.go_backwards, layer.input_shape, layer.cell = name, align, None, layer.inner[0]
        layer.zero_output_for_mask = self.return_sequences
        layer._prepare(align)
        return layer

    def _remember(self, memory: str) -> None:
        for layer in self._fused:
            layer._remember(memory)

    @property
    def python_loop(self) -> bool:
        return not self._fused

    @property
    def state_sizes(self) -> list[int]:
        return list(self.cell.state_sizes)

    def _levels(self) -> list[list[Any]]:
        return [[layer] for layer in self._fused]

    # ---- building -----------------------------------------------------------------------------------------------

    def inner_shape(self, x_shape: Shape) -> Shape:
        return x_shape[1:]

    def _bind(self, arena: Arena) -> None:
        super()._bind(arena)
        for layer, cell in zip(self._fused, self.cell.core_cells() or (), strict=True):
            layer.variables, layer._declared = cell.variables, True  # one set of parameters, packed for both
            layer._bind(arena)

    def touch(self) -> None:
        super().touch()
        for layer in self._fused:
            layer.touch()

    def y_shape(self, x_shape: Shape) -> Shape:
        if len(x_shape) != 2:
            raise ValueError(f"{self.name}: x must be (B, T, F), got {shape_text(x_shape)}")
        if self._fused and self._fused[0].variables:
            self._fused[0].y_shape(x_shape)
        return (x_shape[0], self.cell.output_size) if self.return_sequences else (self.cell.output_size,)

    # ---- running ------------------------------------------------------------------------------------------------

    def _advancing(
        self, x: Any, initial_state: Any, mask: Any, *, training: bool, out: NDArray[Any] | None = None
    ) -> Advancing[tuple[Any, States, Any]]:
        x = self._checked(x)
        self.y_shape((None, *values_of(x).shape[1:]) if isinstance(x, Ragged) else x.shape[1:])
        states = None
        if initial_state is not None:
            shapes = [(len(x), size) for size in self.cell.state_sizes]
            states = states_like(initial_state, shapes, self.dtype, self.name)
        if not self._fused:
            states = self.cell.get_initial_state(len(x)) if states is None else states
            real = None if mask is None else as_mask(mask, x, self.name)
            y, final, kept = self._loop.advance(x, states, real, training)
            if out is not None:
                out[...] = values_of(y)
            return y, final, kept
        final, contexts = [], []
        for layer in self._fused:
            own = None if states is None else [states.pop(0) for _ in range(layer.state_count)]
            into = out if layer is self._fused[-1] else None
            x, new, inner = yield from layer._advancing(x, own, mask, training=training, out=into)
            final += new
            contexts.append(inner)
        return x, final, contexts

    def _retreating(self, inner: Any, dy: Any, d_states: list[Any], need_dx: bool) -> Retreating[tuple[Any, States]]:
        if not self._fused:
            shapes = [(len(inner.x), size) for size in self.cell.state_sizes]
            whole = [np.zeros(n, self.dtype) if d is None else d for d, n in zip(d_states, shapes, strict=True)]
            grad = None if dy is None else like(dy, as_array(values_of(dy), "dy", self.dtype))
            dx, back = self._loop.backward(inner, grad, whole)
            return dx if need_dx else None, back
        back = []
        for i in range(len(self._fused) - 1, -1, -1):
            layer = self._fused[i]
            count = len(d_states) - layer.state_count
            d_states, own = d_states[:count], d_states[count:]
            dy, new = yield from layer._retreating(inner[i], dy, own, need_dx or i > 0)
            back = [*new, *back]
        return dy, back
