"""What a model's layers run on, and why; what a step of it will cost."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np

from latchwork import _core
from latchwork.layers.arguments import Shape, as_flag
from latchwork.layers.explain import Asked, asked_for, steps_of, with_steps
from latchwork.layers.explanation import Explanation
from latchwork.models.estimate import (
    LONG_ENOUGH,
    Estimate,
    Rate,
    Stage,
    predict_peak,
    shape_text,
    stages,
    timed,
    training_peak,
)
from latchwork.models.passes import Passes
from latchwork.models.use import alone


class Explaining(Passes):
    """`explain` and `estimate`, for a model that has `layers`."""

    _input: Shape | None
    predict: Callable[..., Any]

    def __init__(self) -> None:
        super().__init__()
        self._rates: dict[tuple[Any, ...], Rate] = {}  # what estimates have measured

    @alone
    def explain(
        self,
        batch_size: int = 32,
        steps: int | None = None,
        *,
        training: bool = False,
        memory: str = "store",
        measure: bool = True,
    ) -> Explanation:
        """What runs each layer, and why: products, instruction set, plan, threads, bytes, nanoseconds a step.

        Args:
            batch_size: Rows of x.
            steps: Of x; None: those the model was built for.
            training: Whether backward is to follow.
            memory: What then is kept, as in `fit`.
            measure: Run each layer a few times on numbers of that shape; weights, gradients, carried states and random
                streams stay.

        Raises:
            ValueError: The sizes of x are not known yet, or an argument has the wrong value.

        >>> from latchwork.layers import LSTM, Dense
        >>> from latchwork.models import Sequential
        >>> model = Sequential([LSTM(8, input_shape=(None, 3)), Dense(1)])
        >>> print(model.explain(1, 30, measure=False).parts[0].levels[0][0].why["input"])
        hoisted, 30 steps at once: 1 row a step, fewer than 4
        """
        asked = asked_for(batch_size, training, memory)
        shape = self._asked_shape(steps)
        found = self._explained(shape, asked)
        if not as_flag(measure, "measure", "explain"):
            return found
        parts = self._timed_parts(found, shape)
        ns = [
            sum((getattr(part, name) or 0.0) * (part.steps or 1) for part in parts) / (found.steps or 1)
            for name in ("forward_ns", "backward_ns")
        ]
        return replace(found, parts=tuple(parts), forward_ns=ns[0], backward_ns=ns[1] if asked.training else None)

    @alone
    def estimate(
        self, batch_size: int = 32, steps: int | None = None, *, memory: str = "store", measure: bool = True
    ) -> Estimate:
        """What a training step and a prediction of one batch will cost: bytes at their most, and time.

        Bytes come from the functions that size the core's buffers: nothing of that size is run. Time, of a batch in
        `fit` and of a call of `predict`, is that of fewer steps, measured for some milliseconds and kept until the
        model, the instruction set or the threads change, and drawn out by the cost table that chooses plans. A loop in
        Python, or a layer of your own, counts with its x and y alone; x is taken to have the model's dtype, and no step
        to be masked.

        Args:
            batch_size: Rows of a batch.
            steps: Of x; None: those the model was built for.
            memory: As in `fit`.
            measure: False: bytes alone.

        Raises:
            ValueError: The sizes of x are not known yet, or an argument has the wrong value.

        >>> from latchwork.layers import LSTM, Dense
        >>> from latchwork.models import Sequential
        >>> model = Sequential([LSTM(8, return_sequences=True, input_shape=(None, 3)), Dense(1)])
        >>> stored, fewer = (model.estimate(64, 1000, memory=m, measure=False) for m in ("store", "checkpoint"))
        >>> fewer.training_bytes < stored.training_bytes / 3
        True
        """
        asked, shape = asked_for(batch_size, True, memory), self._asked_shape(steps)
        found = self._estimated(shape, asked)
        return self._with_times(shape, asked, found) if as_flag(measure, "measure", "estimate") else found

    # ---- what they are made of ----------------------------------------------------------------------------------

    def _asked_shape(self, steps: Any) -> Shape:
        self.build()
        assert self._input is not None
        return with_steps(self.layers[0], self._input, steps)

    def _explained(self, shape: Shape, asked: Asked) -> Explanation:
        """Of all layers on samples of `shape`; not measured."""
        parts = [layer._explain(x_shape, asked) for layer, x_shape in self._calls(shape)]
        return asked.answer(
            self.layers[0], self.name, f"{type(self).__name__}, {self.dtype}", shape, parts=tuple(parts)
        )

    def _timed_parts(self, found: Explanation, shape: Shape) -> list[Explanation]:
        """What is found of each layer, with the times of runs."""
        x, mask, parts = self.layers[0]._sample((found.batch_size, *shape)), None, []
        first = self._first_to_learn()
        for i, (layer, part) in enumerate(zip(self.layers, found.parts, strict=True)):
            timed_part, y = layer._timed(part, x, mask, need_dx=i > first)
            parts.append(timed_part)
            x, mask = y, layer.compute_mask(x, mask)
        return parts

    def _first_to_learn(self) -> int:
        """Where backward ends."""
        learns = (i for i, layer in enumerate(self.layers) if layer.trainable and layer.variables)
        return next(learns, len(self.layers))

    def _estimated(self, shape: Shape, asked: Asked) -> Estimate:
        training, predicting = (self._explained(shape, replace(asked, training=t)) for t in (True, False))
        rows: tuple[list[Stage], list[Stage]] = ([], [])
        begins = []
        for i, (layer, x_shape) in enumerate(self._calls(shape)):
            begins.append(len(rows[0]))
            for row, found in zip(rows, (training, predicting), strict=True):
                row += stages(layer, x_shape, found.parts[i], self.dtype.itemsize)
        first = [*begins, len(rows[0])][self._first_to_learn()]
        peak, waiting = training_peak(rows[0], first)
        return Estimate(
            batch_size=asked.batch_size, steps=training.steps, memory=asked.memory, isa=_core.isa(),
            threads=training.threads, training_bytes=peak, predict_bytes=predict_peak(rows[1]), kept_bytes=waiting,
            weight_bytes=self._weight_bytes(training),
        )  # fmt: skip

    def _weight_bytes(self, found: Explanation) -> int:
        assert self._arena is not None
        moments = 0 if self._compiled is None else len(self._compiled.optimizer.slot_names)
        return (2 + moments) * self._arena.params.nbytes + found.pack_bytes

    def _with_times(self, shape: Shape, asked: Asked, found: Estimate) -> Estimate:
        training_ns, step_text = None, "no training step: compile with a loss first"
        if self._compiled is not None and self._compiled.loss is not None:
            with self._unchanged(asked.memory):
                training_ns, step_text = self._time_of("training step", self._training_run, shape, asked)
        held = self._carried.held()
        try:
            predict_ns, predict_text = self._time_of("prediction", self._predict_run, shape, asked)
        finally:
            self._carried.put_back(held)
        return replace(found, training_ns=training_ns, predict_ns=predict_ns, measured=(step_text, predict_text))

    def _time_of(
        self, what: str, ready: Callable[[Shape, Asked], Callable[[], Any]], shape: Shape, asked: Asked
    ) -> tuple[float, str]:
        """Nanoseconds on samples of `shape`, and what was run to know."""
        steps = steps_of(self.layers[0], shape)
        key = (what, _core.isa(), _core.num_threads(), asked, shape if steps is None else shape[1:])
        rate = self._rates.get(key)
        if rate is None or not (rate.steps == steps or (rate.ns >= LONG_ENOUGH and (rate.steps or 0) < (steps or 0))):
            fixed = any(layer.fixes_steps for layer in self.layers)
            rate = self._rates[key] = timed(lambda few: ready((few, *shape[1:]) if few else shape, asked), steps, fixed)
        text = f"a {what} of {shape_text(asked.batch_size, rate.steps)} took {rate.ns / 1e6:,.3f} ms"
        if rate.steps == steps:
            return rate.ns, text
        assert rate.steps is not None
        assert steps is not None
        costs = [self._explained((t, *shape[1:]), asked).cost for t in (steps, rate.steps)]
        loop = any(getattr(layer, "python_loop", False) for layer in self.layers)
        factor = steps / rate.steps if loop or not costs[1] else costs[0] / costs[1]
        return rate.ns * factor, f"{text}; {factor:.1f} times that by " + ("steps" if loop else "the cost table")

    def _predict_run(self, shape: Shape, asked: Asked) -> Callable[[], Any]:
        x = self.layers[0]._sample((asked.batch_size, *shape))
        return lambda: self.predict(x, asked.batch_size)

    def _training_run(self, shape: Shape, asked: Asked) -> Callable[[], Any]:
        compiled, arena = self._compiled, self._arena
        assert compiled is not None
        assert arena is not None
        x, output = self.layers[0]._sample((asked.batch_size, *shape)), shape
        for layer in self.layers:
            output = layer.y_shape(output)
        rows = tuple(size or 0 for size in (asked.batch_size, *output))
        assert compiled.loss is not None
        wanted = tuple(size or 0 for size in compiled.loss.target_shape(rows))
        y = np.zeros(wanted, np.int64) if compiled.loss.labels else np.ones(wanted, self.dtype)
        ranges = compiled.begin(arena)
        return lambda: self._step(x, y, ranges, check=False)

    @contextmanager
    def _unchanged(self, memory: str) -> Iterator[None]:
        """Training steps within it leave no trace."""
        arena, optimizer = self._arena, self._compiled.optimizer if self._compiled is not None else None
        assert arena is not None
        assert optimizer is not None
        kept = [(array, array.copy()) for array in (arena.params, arena.grads, *optimizer.slots.values())]
        slots, iterations, held = optimizer.slots, optimizer.iterations, self._carried.held()
        for layer in self.layers:
            layer._remember(memory)
        try:
            yield
        finally:
            for layer in self.layers:
                layer._remember("store")
                layer.touch()
            for array, before in kept:
                array[...] = before
            if not slots:  # they were made meanwhile
                for moment in optimizer.slots.values():
                    moment.fill(0)
            optimizer.iterations = iterations
            self._carried.put_back(held)
