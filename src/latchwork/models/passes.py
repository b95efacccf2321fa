"""One step of training, and passes over data without: what a model's verbs are made of."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from latchwork import _core
from latchwork.callbacks import CallbackList
from latchwork.layers.arena import Arena
from latchwork.layers.arguments import Shape
from latchwork.layers.base import Layer
from latchwork.layers.dense import values_of
from latchwork.models.batches import Rows, gives_sequences, rows_between
from latchwork.models.carried import Carried
from latchwork.models.compiled import Compiled
from latchwork.models.figures import Figures, NonFiniteError, suspects
from latchwork.models.masked import real_steps, scattered
from latchwork.progress import Progress
from latchwork.ragged import Ragged


class Passes:
    """For a model that has `layers` and knows `_as_input`, `_run` and `_backward`."""

    name: str
    layers: list[Layer]
    _arena: Arena | None

    def __init__(self) -> None:
        self._carried = Carried()
        self._compiled: Compiled | None = None

    # ---- what the model below provides --------------------------------------------------------------------------

    @property
    def dtype(self) -> np.dtype[Any]:
        raise NotImplementedError

    def build(self, input_shape: Any = None) -> None:
        raise NotImplementedError

    def _as_input(self, x: Any) -> tuple[Rows, Shape]:
        raise NotImplementedError

    def _opened(self, shape: Shape) -> Shape:
        raise NotImplementedError

    def _run(self, x: Any, training: bool, step: int | None = None) -> tuple[Any, Any, list[Any]]:
        raise NotImplementedError

    def _backward(self, contexts: list[Any], dy: Any) -> None:
        raise NotImplementedError

    # ---- one step, and one pass ---------------------------------------------------------------------------------

    def _step(
        self, x: Rows, y: Rows, ranges: tuple[tuple[int, int, str], ...], check: bool
    ) -> tuple[float, int, NDArray[Any], NDArray[Any]]:
        """Forward, backward, update: (sum of losses, count, y, output). NonFiniteError comes before the update."""
        compiled, arena = self._compiled, self._arena
        assert compiled is not None
        assert compiled.loss is not None
        assert arena is not None
        arena.grads.fill(0)
        moving = arena.moving_values() if arena.moving else ()
        output, mask, contexts = self._run(x, True, compiled.optimizer.iterations)
        y_values, values = real_steps(y, mask), real_steps(output, mask)
        total, count, gradient = compiled.loss.value_and_grad(y_values, values)
        if check and not math.isfinite(total):
            arena.put_back(moving)
            raise NonFiniteError(f"the loss is {total / max(count, 1)}{suspects(x, y)}")
        self._backward(contexts, scattered(gradient, output, mask))
        if check and not _core.all_finite(arena.grads):
            arena.put_back(moving)
            raise NonFiniteError(f"the gradient of {self._first_nonfinite()} is not finite{suspects(x, y)}")
        for layer in self.layers:  # before the update: an interrupt behind it must not leave stale packs
            layer.touch()
        compiled.optimizer.apply(arena.params, arena.grads, ranges)
        self._carried.commit()
        return total, count, y_values, values

    def _outputs(
        self, x: Rows, output: Shape, batch_size: int, hooks: CallbackList, phase: str, progress: Progress
    ) -> tuple[Rows, Any]:
        """The model's output, of samples of the shape `output`, on all rows, batch by batch, and its mask or None."""
        sequences = gives_sequences(x, output)
        count = len(x.values) if isinstance(x, Ragged) and sequences else len(x)
        values = np.empty((count, *(size or 0 for size in (output[1:] if sequences else output))), self.dtype)
        real = None
        for batch, start in enumerate(range(0, len(x), batch_size)):
            hooks.call(f"on_{phase}_batch_begin", batch)
            stop = min(start + batch_size, len(x))
            y, mask, _ = self._run(rows_between(x, start, stop), False)
            self._carried.commit()
            at = slice(start, stop)
            if isinstance(x, Ragged) and sequences:
                at = slice(x.offsets[start], x.offsets[stop])
            values[at] = values_of(y)
            if mask is not None:
                real = np.ones((count, *mask.shape[1:]), np.bool_) if real is None else real
                real[at] = mask
            hooks.call(f"on_{phase}_batch_end", batch)
            progress.step(batch + 1, dict)
        return Ragged(values, x.offsets) if isinstance(x, Ragged) and sequences else values, real

    def _evaluate(
        self, x: Rows, y: Rows, batch_size: int, figures: Figures, hooks: CallbackList, progress: Progress
    ) -> dict[str, float]:
        assert self._compiled is not None
        assert self._compiled.loss is not None
        progress.begin("Evaluate")
        hooks.call("on_test_begin")
        output, mask = self._outputs(x, self._as_input(x)[1], batch_size, hooks, "test", progress)
        y_values, values = real_steps(y, mask), real_steps(output, mask)
        total, count = self._compiled.loss.value(y_values, values)
        figures.reset()
        figures.add(total, count, y_values, values)
        logs = figures.result()
        hooks.call("on_test_end", logs)
        progress.end(-(-len(x) // batch_size), logs)
        return logs

    def _first_nonfinite(self) -> str:
        assert self._arena is not None
        bad = (v.name for _, v, start, stop in self._arena.spans if not _core.all_finite(self._arena.grads[start:stop]))
        return next(bad, "a parameter")
