"""What every recurrent layer is, of one direction or two, fused or a loop in Python."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

from numpy.typing import ArrayLike, NDArray

from latchwork import functional
from latchwork.layers.arguments import Shape, as_array
from latchwork.layers.base import Layer
from latchwork.layers.flow import Advancing, Retreating, run
from latchwork.layers.symbol import call_on_symbols, is_symbolic


class Kept(NamedTuple):
    """What backward needs, and whether it is to return the gradients of the initial states."""

    inner: Any
    given_state: bool


class SequenceLayer(Layer):
    """A layer that reads sequences, with states that go in and come out.

    `_advancing` and `_retreating` say which calls of the core its passes need, so that those of several layers can run
    at once (see `flow`).
    """

    takes_mask = supports_masking = True
    return_sequences: bool
    return_state: bool
    units: int  # features of y
    state_count: int = 1

    def _advancing(
        self, x: Any, initial_state: Any, mask: Any, *, training: bool, out: NDArray[Any] | None = None
    ) -> Advancing[tuple[Any, list[Any], Any]]:
        """(y, final states, what backward needs). out: where sequences may be written, see `functional.lstm`."""
        raise NotImplementedError

    def _retreating(self, inner: Any, dy: Any, d_states: list[Any], need_dx: bool) -> Retreating[tuple[Any, list[Any]]]:
        """(dx, gradients of the initial states), from what `_advancing` kept. None: no gradient."""
        raise NotImplementedError

    def _advance(self, x: Any, initial_state: Any, mask: Any, training: bool) -> tuple[Any, list[Any], Any]:
        """`_advancing`, alone."""
        core = partial(functional.forward, training=training)
        return run(core, self._advancing(x, initial_state, mask, training=training))

    def _retreat(self, inner: Any, dy: Any, d_states: list[Any], need_dx: bool) -> tuple[Any, list[Any]]:
        """`_retreating`, alone."""
        return run(functional.backward, self._retreating(inner, dy, d_states, need_dx))

    # ---- what follows from these --------------------------------------------------------------------------------

    @property
    def python_loop(self) -> bool:
        """Whether steps are a loop in Python, and not the fused kernels."""
        return False

    @property
    def label(self) -> str:
        return f"{super().label}, a loop in Python" if self.python_loop else super().label

    @property
    def outputs(self) -> int:
        return self.y_count + (self.state_count if self.return_state else 0)

    @property
    def state_sizes(self) -> list[int]:
        return [self.units] * self.state_count

    def y_shapes(self, x_shape: Shape) -> list[Shape]:
        states: list[Shape] = [(size,) for size in self.state_sizes] if self.return_state else []
        return [self.y_shape(x_shape)] * self.y_count + states

    def compute_mask(self, x: Any, mask: Any) -> Any:
        return mask if self.return_sequences else None

    def __call__(
        self,
        x: Any,
        initial_state: Sequence[ArrayLike] | ArrayLike | None = None,
        mask: ArrayLike | None = None,
        training: bool = False,
    ) -> Any:
        if is_symbolic(x, initial_state):
            return call_on_symbols(self, x, initial_state, mask, training)
        return self.forward(x, initial_state, mask, training=training)[0]

    def forward(
        self,
        x: Any,
        initial_state: Sequence[ArrayLike] | ArrayLike | None = None,
        mask: ArrayLike | None = None,
        *,
        training: bool = True,
        step: int | None = None,
    ) -> tuple[Any, Any]:
        if self.stateful and initial_state is None:
            raise ValueError(
                f"{self.name}: stateful=True carries states in a model: add it to one or give initial_state"
            )
        y, states, ctx = self.advance(x, initial_state, mask, training=training, step=step)
        if ctx is not None and initial_state is not None:
            ctx = Kept(ctx.inner, given_state=True)
        if not self.return_state:  # y of several arrays is their list
            return y, ctx
        return [*(y if self.y_count > 1 else [y]), *states], ctx

    def advance(
        self, x: Any, initial_state: Any = None, mask: Any = None, *, training: bool, step: int | None = None
    ) -> tuple[Any, list[Any], Any]:
        y, states, inner = self._advance(x, initial_state, mask, training)
        return y, states, Kept(inner, given_state=False) if training else None

    def backward(self, ctx: Any, dy: Any, *, need_dx: bool = True) -> Any:
        d_states: list[Any] = [None] * self.state_count
        if self.outputs > 1:
            dy, d_states = self._parted(dy, d_states)
        dx, back = self._retreat(ctx.inner, dy, d_states, need_dx)
        return [dx, *back] if ctx.given_state else dx

    def _parted(self, dy: Any, d_states: list[Any]) -> tuple[Any, list[Any]]:
        """The gradients of y and of the final states, from those of all that forward returned."""
        parts = list(dy) if isinstance(dy, (list, tuple)) else [dy]
        if len(parts) != self.outputs:
            raise ValueError(f"{self.name}: dy must be {self.outputs} arrays, as forward returned, got {len(parts)}")
        if self.return_state:
            d_states = [None if d is None else as_array(d, "dstate", self.dtype) for d in parts[self.y_count :]]
        return (parts[: self.y_count] if self.y_count > 1 else parts[0]), d_states
