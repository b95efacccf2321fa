"""One step of training, and passes over data without: what a model's verbs are made of."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from latchwork import _core
from latchwork.callbacks import CallbackList
from latchwork.layers.arena import Arena
from latchwork.layers.base import Layer, Passing, Stage
from latchwork.layers.dense import values_of
from latchwork.models.accumulation import Counts, scaled, steps_before
from latchwork.models.batches import Rows, rows_between
from latchwork.models.carried import Carried
from latchwork.models.compiled import Compiled
from latchwork.models.figures import Figures, NonFiniteError, SeveralFigures, suspects
from latchwork.models.forms import Form
from latchwork.models.gradients import Beyond
from latchwork.models.streams import Stream, joined
from latchwork.progress import Progress
from latchwork.ragged import Ragged


class Passes:
    """For a model that has `layers` and knows `_read`, `_run` and `_backward`.

    A row of layers and a graph differ in these alone. Where a model has several inputs, x is a `Several`; where it has
    several outputs, outputs, masks and gradients are lists of what they are for one.
    """

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

    @property
    def output_names(self) -> list[str]:
        raise NotImplementedError

    def _read(self, x: Any) -> tuple[Rows, list[Form]]:
        """x cast and checked against the layers, and what each output will be; nothing is built yet."""
        raise NotImplementedError

    def _sample_shape(self, x: Rows) -> Any:
        """What the parameters are built for, if x is the first batch."""
        raise NotImplementedError

    def _run(self, x: Any, training: bool, step: int | None = None) -> tuple[Any, Any, list[Any]]:
        """The output, its mask or None, and contexts."""
        raise NotImplementedError

    def _backward(self, contexts: list[Any], dy: Any, beyond: Beyond | None = None) -> None:
        """Add the gradients of the parameters to the arena, and note in `beyond` what it asks for."""
        raise NotImplementedError

    def _largest_stages(self, x: Rows, batch_size: int) -> list[Stage]:
        """The recurrent calls of the largest batch that x has, in the order they run."""
        raise NotImplementedError

    def _calls(self, shape: Any) -> Iterator[tuple[Layer, Any]]:
        """Every call of a layer in the order they run, with the shape (or shapes) of a sample of its x.

        shape: of a sample of the model's input, or the list of those of several.
        """
        raise NotImplementedError

    # ---- one step, and one pass ---------------------------------------------------------------------------------

    def _step(self, x: Rows, y: Rows, ranges: tuple[tuple[int, int, str], ...], check: bool) -> Any:
        """Forward, backward, update; returns what figures add. NonFiniteError comes before the update."""
        compiled, arena = self._compiled, self._arena
        assert compiled is not None
        assert arena is not None
        arena.grads.fill(0)
        moving = arena.moving_values() if arena.moving else ()
        output, mask, contexts = self._run(x, True, compiled.optimizer.iterations)
        loss, seen, gradient = compiled.step(y, output, mask)
        if check and not math.isfinite(loss):
            arena.put_back(moving)
            raise NonFiniteError(f"the loss is {loss}{suspects(x, y)}")
        self._backward(contexts, gradient)
        if check and not _core.all_finite(arena.grads):
            arena.put_back(moving)
            raise NonFiniteError(f"the gradient of {self._first_nonfinite()} is not finite{suspects(x, y)}")
        for layer in self.layers:  # before the update: an interrupt behind it must not leave stale packs
            layer.touch()
        compiled.optimizer.update(arena.params, arena.grads, ranges)
        self._carried.commit()
        return seen

    def _step_in_parts(
        self, x: Rows, y: Rows, ranges: tuple[tuple[int, int, str], ...], check: bool, rows: int
    ) -> list[Any]:
        """`_step`, forward and backward on so many rows at a time; returns what figures add, part by part.

        The loss is the mean over all counted elements. A part's gradient is that of its own mean, brought to the count
        of the first part that has any; the sum is divided in the end. So parts of equal counts are not rescaled, and
        the division of 2, 4, 8 ... of them is exact.
        """
        compiled, arena = self._compiled, self._arena
        assert compiled is not None
        assert arena is not None
        arena.grads.fill(0)
        moving = arena.moving_values() if arena.moving else ()
        found: list[Any] = []
        counts = Counts()
        try:
            for start in range(0, len(x), rows):
                stop = min(start + rows, len(x))
                part, of_part = rows_between(x, start, stop), rows_between(y, start, stop)
                passing = Passing(first=start, first_step=steps_before(x, start))
                for layer in self.layers:
                    layer.passing = passing
                output, mask, contexts = self._run(part, True, compiled.optimizer.iterations)
                loss, seen, gradient = compiled.step(of_part, output, mask)
                if check and not math.isfinite(loss):
                    raise NonFiniteError(f"samples {start} to {stop - 1}: the loss is {loss}{suspects(part, of_part)}")
                scaled(gradient, counts.share(seen))
                self._backward(contexts, gradient)
                found.append(seen)
            _core.scale(arena.grads, counts.division())
            if check and not _core.all_finite(arena.grads):
                raise NonFiniteError(f"the gradient of {self._first_nonfinite()} is not finite{suspects(x, y)}")
        except BaseException:
            arena.put_back(moving)
            raise
        finally:
            for layer in self.layers:
                layer.passing = Passing()
        for layer in self.layers:
            layer.touch()
        compiled.optimizer.update(arena.params, arena.grads, ranges)
        return found

    def _outputs(
        self,
        x: Rows,
        forms: list[Form],
        batch_size: int,
        hooks: CallbackList,
        phase: str,
        progress: Progress,
    ) -> tuple[Any, Any]:
        """The model's outputs on all rows, batch by batch, and their masks or None."""
        gathered = [_Gathered(form, form.empty(len(x), self.dtype)) for form in forms]
        for batch, start in enumerate(range(0, len(x), batch_size)):
            hooks.call(f"on_{phase}_batch_begin", batch)
            stop = min(start + batch_size, len(x))
            y, mask, _ = self._run(rows_between(x, start, stop), False)
            self._carried.commit()
            if len(gathered) == 1:
                gathered[0].put(start, stop, y, mask)
            else:
                for one, y_of, mask_of in zip(gathered, y, mask, strict=True):
                    one.put(start, stop, y_of, mask_of)
            hooks.call(f"on_{phase}_batch_end", batch)
            progress.step(batch + 1, dict)
        if len(gathered) == 1:
            return gathered[0].rows, gathered[0].real
        return [one.rows for one in gathered], [one.real for one in gathered]

    def _evaluate(
        self,
        x: Rows,
        y: Rows,
        batch_size: int,
        figures: Figures | SeveralFigures,
        hooks: CallbackList,
        progress: Progress,
    ) -> dict[str, float]:
        assert self._compiled is not None
        progress.begin("Evaluate")
        hooks.call("on_test_begin")
        output, mask = self._outputs(x, self._read(x)[1], batch_size, hooks, "test", progress)
        figures.reset()
        figures.add(*self._compiled.seen(y, output, mask))
        logs = figures.result()
        hooks.call("on_test_end", logs)
        progress.end(-(-len(x) // batch_size), logs)
        return logs

    def _evaluate_stream(
        self, stream: Stream, figures: Figures | SeveralFigures, hooks: CallbackList, progress: Progress
    ) -> dict[str, float]:
        """`_evaluate`, batch by batch."""
        assert self._compiled is not None
        progress.begin("Evaluate")
        hooks.call("on_test_begin")
        figures.reset()
        stream.rewind()
        done = 0
        for x, y in stream.epoch():
            hooks.call("on_test_batch_begin", done)
            output, mask, _ = self._run(x, False)
            self._carried.commit()
            seen = self._compiled.seen(y, output, mask)
            figures.add(*seen)
            hooks.call("on_test_batch_end", done)
            done += 1
            progress.step(done, figures.result)
        logs = figures.result()
        hooks.call("on_test_end", logs)
        progress.end(done, logs)
        return logs

    def _predict_stream(self, stream: Stream, hooks: CallbackList, progress: Progress) -> Any:
        """The outputs of all batches, one behind the other."""
        made: list[list[Any]] = []
        for x in stream.epoch():
            hooks.call("on_predict_batch_begin", len(made))
            y, _, _ = self._run(x, False)
            self._carried.commit()
            made.append(y if isinstance(y, list) else [y])
            hooks.call("on_predict_batch_end", len(made) - 1)
            progress.step(len(made), dict)
        whole = [joined(parts) for parts in zip(*made, strict=True)]
        return whole if len(whole) > 1 else whole[0]

    def _given_states(self) -> list[Layer]:
        """Recurrent layers that the model itself gives states to, or calls several times."""
        return []

    def _first_nonfinite(self) -> str:
        assert self._arena is not None
        bad = (v.name for _, v, start, stop in self._arena.spans if not _core.all_finite(self._arena.grads[start:stop]))
        return next(bad, "a parameter")


@dataclass(eq=False, repr=False)
class _Gathered:
    """One output on all rows, filled batch by batch."""

    form: Form
    values: NDArray[Any]
    real: NDArray[np.bool_] | None = None  # the mask, once a batch has one

    def put(self, start: int, stop: int, y: Any, mask: Any) -> None:
        at = self.form.rows(start, stop)
        self.values[at] = values_of(y)
        if mask is not None:
            if self.real is None:
                self.real = np.ones((len(self.values), *mask.shape[1:]), np.bool_)
            self.real[at] = mask

    @property
    def rows(self) -> NDArray[Any] | Ragged:
        return self.values if self.form.offsets is None else Ragged(self.values, self.form.offsets)
