"""RNN: any cell over sequences."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from latchwork.layers.arena import Arena
from latchwork.layers.arguments import Shape, as_array, as_flag, shape_text
from latchwork.layers.cell import Cell, States, states_like
from latchwork.layers.dense import like, values_of
from latchwork.layers.loop import Loop
from latchwork.layers.masking import as_mask
from latchwork.layers.recurrent import Recurrent
from latchwork.layers.stacked import StackedRNNCells
from latchwork.layers.wrapper import Wrapper
from latchwork.ragged import Ragged


class _Context(NamedTuple):
    """What the fused layers or the loop need, and whether the states' gradients are wanted."""

    inner: Any
    given_state: bool


class RNN(Wrapper):
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

    takes_mask = supports_masking = True

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
        given.state_sizes  # noqa: B018 (raises where a cell does not say them)
        self.cell: Cell = given
        super().__init__([self.cell], common)
        self.return_sequences = as_flag(return_sequences, "return_sequences", "RNN")
        self.return_state = as_flag(return_state, "return_state", "RNN")
        self.go_backwards = as_flag(go_backwards, "go_backwards", "RNN")
        self.stateful = as_flag(stateful, "stateful", "RNN")
        self.zero_output_for_mask = as_flag(zero_output_for_mask, "zero_output_for_mask", "RNN")
        self._fused = self._fused_layers()
        self._loop = Loop(self.cell, self.return_sequences, self.go_backwards, self.zero_output_for_mask)

    def _fused_layers(self) -> list[Recurrent]:
        """One layer a cell; all but the last give sequences, each output at its step. None for a loop in Python."""
        cells = self.cell.core_cells() or []
        layers = []
        for cell in cells:
            last = cell is cells[-1]
            layer = cell.sequence_layer(
                return_sequences=self.return_sequences or not last,
                return_state=True,
                go_backwards=self.go_backwards,
                zero_output_for_mask=self.zero_output_for_mask and last,
            )
            layer._options["align"] = self.go_backwards and not last
            layers.append(layer)
        return layers

    @property
    def python_loop(self) -> bool:
        """Whether the steps are a loop in Python, and not the fused kernels."""
        return not self._fused

    @property
    def label(self) -> str:
        return "RNN, a loop in Python" if self.python_loop else "RNN"

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

    @property
    def outputs(self) -> int:
        return 1 + len(self.cell.state_sizes) if self.return_state else 1

    def y_shape(self, x_shape: Shape) -> Shape:
        if len(x_shape) != 2:
            raise ValueError(f"{self.name}: x must be (B, T, F), got {shape_text(x_shape)}")
        if self._fused and self._fused[0].variables:
            self._fused[0].y_shape(x_shape)
        return (x_shape[0], self.cell.output_size) if self.return_sequences else (self.cell.output_size,)

    def compute_mask(self, x: Any, mask: Any) -> Any:
        return mask if self.return_sequences else None

    # ---- running ------------------------------------------------------------------------------------------------

    def __call__(self, x: Any, initial_state: Any = None, mask: ArrayLike | None = None, training: bool = False) -> Any:
        self._no_graph(x)
        return self.forward(x, initial_state, mask, training=training)[0]

    def forward(
        self,
        x: Any,
        initial_state: Any = None,
        mask: ArrayLike | None = None,
        *,
        training: bool = True,
        step: int | None = None,
    ) -> tuple[Any, Any]:
        if self.stateful and initial_state is None:
            raise ValueError(f"{self.name}: stateful=True carries states in a model: add it or give initial_state")
        y, states, ctx = self.advance(x, initial_state, mask, training=training, step=step)
        if ctx is not None and initial_state is not None:
            ctx = ctx._replace(given_state=True)
        return ([y, *states] if self.return_state else y), ctx

    def advance(
        self, x: Any, initial_state: Any = None, mask: Any = None, *, training: bool, step: int | None = None
    ) -> tuple[Any, States, Any]:
        x = self._checked(x)
        self.y_shape((None, *values_of(x).shape[1:]) if isinstance(x, Ragged) else x.shape[1:])
        states = None
        if initial_state is not None:
            shapes = [(len(x), size) for size in self.cell.state_sizes]
            states = states_like(initial_state, shapes, self.dtype, self.name)
        if not self._fused:
            states = self.cell.get_initial_state(len(x)) if states is None else states
            real = None if mask is None else as_mask(mask, x, self.name)
            y, final, inner = self._loop.advance(x, states, real, training)
            return y, final, _Context(inner, given_state=False) if training else None
        final, contexts = [], []
        for layer in self._fused:
            own = None if states is None else [states.pop(0) for _ in range(layer.state_count)]
            x, new, ctx = layer.advance(x, own, mask, training=training, step=step)
            final += new
            contexts.append(ctx._replace(given_state=True) if training else None)
        return x, final, _Context(contexts, given_state=False) if training else None

    def backward(self, ctx: Any, dy: Any, *, need_dx: bool = True) -> Any:
        inner, sizes = ctx.inner, self.cell.state_sizes
        parts = list(dy) if self.return_state and isinstance(dy, (list, tuple)) else [dy]
        if len(parts) != self.outputs:
            raise ValueError(f"{self.name}: dy must be {self.outputs} arrays, as forward returned, got {len(parts)}")
        grad = None if parts[0] is None else like(parts[0], as_array(values_of(parts[0]), "dy", self.dtype))
        d_states = [None if d is None else as_array(d, "dstate", self.dtype) for d in parts[1:]] or [None] * len(sizes)
        if self._fused:
            dx, back = self._fused_backward(inner, grad, d_states, need_dx)
        else:
            batch = len(inner.x)
            whole = [np.zeros((batch, n), self.dtype) if d is None else d for d, n in zip(d_states, sizes, strict=True)]
            dx, back = self._loop.backward(inner, grad, whole)
        return [dx, *back] if ctx.given_state else dx if need_dx else None

    def _fused_backward(self, contexts: Any, dy: Any, d_states: list[Any], need_dx: bool) -> tuple[Any, States]:
        back: States = []
        for i in range(len(self._fused) - 1, -1, -1):
            layer = self._fused[i]
            count = len(d_states) - layer.state_count
            d_states, own = d_states[:count], d_states[count:]
            dy, *new = layer.backward(contexts[i], [dy, *own], need_dx=need_dx or i > 0)
            back = [*new, *back]
        return dy, back
