"""compile, fit, evaluate, predict, train_on_batch: what a model does besides having layers."""

from __future__ import annotations

import math
import weakref
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from latchwork import _core, losses, metrics, optimizers
from latchwork.callbacks import CallbackList, History
from latchwork.layers.arena import Arena
from latchwork.layers.arguments import Shape, refuse
from latchwork.layers.base import Layer
from latchwork.layers.dense import like, values_of
from latchwork.models.batches import Batches, Rows, as_target, rows_between, split_rows
from latchwork.models.figures import Figures, NonFiniteError, reported, suspects
from latchwork.models.fit import Fit, Validation
from latchwork.names import resolve
from latchwork.progress import Progress, verbosity
from latchwork.ragged import Ragged

BATCH_SIZE = 32  # Keras' default
ON_NONFINITE = ("raise", "stop", "skip", "ignore")
# Whose parameters an optimizer's moments belong to; an optimizer itself knows sizes only.
OWNERS: weakref.WeakKeyDictionary[optimizers.Optimizer, Arena] = weakref.WeakKeyDictionary()


@dataclass
class Compiled:
    """What `compile` was told."""

    optimizer: Any
    loss: Any
    metrics: dict[str, Any]  # name in the history -> what the user gave


class Trainer:
    """Training for a model that has `layers` and knows `_as_input`, `_forward`, `_infer` and `_backward`."""

    name: str
    layers: list[Layer]
    _arena: Arena | None

    def __init__(self) -> None:
        self.stop_training = False
        self.epochs_trained = 0  # numbers the shuffles: fit twice for one epoch is fit once for two
        self._compiled: Compiled | None = None

    # ---- what the model below provides --------------------------------------------------------------------------

    @property
    def dtype(self) -> np.dtype[Any]:
        raise NotImplementedError

    def build(self, input_shape: Any = None) -> None:
        raise NotImplementedError

    def _as_input(self, x: Any) -> tuple[Rows, Shape]:
        raise NotImplementedError

    def _forward(self, x: Any, step: int) -> tuple[Any, list[Any]]:
        raise NotImplementedError

    def _infer(self, x: Any) -> Any:
        raise NotImplementedError

    def _backward(self, contexts: list[Any], dy: Any) -> None:
        raise NotImplementedError

    # ---- the public verbs ---------------------------------------------------------------------------------------

    def compile(self, optimizer: Any = "rmsprop", loss: Any = None, metrics: Any = None, **others: Any) -> None:
        """Say how to train: optimizer and loss by name or object, metrics as a list of names or objects.

        Names, defaults and formulas are Keras'. The figures of `fit` carry the names as written here.
        """
        unbuilt = {
            "loss_weights": None,
            "weighted_metrics": None,
            "run_eagerly": False,
            "steps_per_execution": 1,
            "jit_compile": "auto",
            "auto_scale_loss": True,
        }
        refuse("compile", others, unbuilt, ("optimizer", "loss", "metrics"))
        self._compiled = Compiled(
            optimizers.get(optimizer), None if loss is None else losses.get(loss), named_metrics(metrics)
        )

    def fit(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        epochs: int = 1,
        verbose: Any = "auto",
        callbacks: Any = None,
        validation_split: float = 0.0,
        validation_data: Any = None,
        shuffle: bool = True,
        *,
        initial_epoch: int = 0,
        validation_batch_size: int | None = None,
        on_nonfinite: str = "raise",
        **others: Any,
    ) -> History:
        """Train for epochs `initial_epoch` to `epochs` on x [N, ...] and y [N, ...] (numbers, or lw.Ragged).

        batch_size: 32 by default. verbose: 0 silent, 1 a bar, 2 a line an epoch, "auto" 1 on a terminal or notebook,
        else 0; it goes to stderr. validation_split: this share of the samples, the last ones, is validated on;
        validation_data: (x, y) instead. shuffle: the order is a pure function of the seed and the epoch.
        on_nonfinite: what a loss or gradient that is NaN or infinite does: "raise" ends with FloatingPointError,
        "stop" ends training, "skip" leaves the batch out, "ignore" goes on; in the first three the weights stay
        those before the batch.

        Returns the History: `history.history["loss"]` has the mean over the samples of each epoch, in training.
        Everything is checked before anything is changed.
        """
        unbuilt = {
            "class_weight": None,
            "sample_weight": None,
            "steps_per_epoch": None,
            "validation_steps": None,
            "validation_freq": 1,
        }
        refuse("fit", others, unbuilt, ("batch_size", "epochs", "verbose", "callbacks", "shuffle", "initial_epoch"))
        self._compiled_with_loss("fit")
        batch_size = whole(batch_size or BATCH_SIZE, "batch_size", 1)
        epochs, initial_epoch = whole(epochs, "epochs", 0), whole(initial_epoch, "initial_epoch", 0)
        on_nonfinite = resolve("on_nonfinite", on_nonfinite, ON_NONFINITE)
        if not isinstance(shuffle, bool):
            raise ValueError(f"shuffle must be True or False, got {shuffle!r}")
        x, y, output = self._pair(x, y, "fit")
        held_out = None
        if validation_data is not None:
            if not isinstance(validation_data, (tuple, list)) or len(validation_data) != 2:
                raise ValueError("validation_data must be a pair (x, y)")
            held_out = self._pair(*validation_data, "validation_data")[:2]
        elif validation_split:
            (x, y), held_out = split_rows(x, y, validation_split)
        figures = self._figures()
        level = verbosity(verbose)

        batches = Batches(x, y, batch_size)
        names = [*figures.names, *(f"val_{name}" for name in figures.names if held_out is not None)]
        history = History()
        given = [] if callbacks is None else callbacks if isinstance(callbacks, (list, tuple)) else [callbacks]
        hooks = CallbackList([*given, history], self, verbose=level, epochs=epochs, steps=batches.count, metrics=names)
        self._prepare(x)
        validation_size = whole(validation_batch_size or batch_size, "validation_batch_size", 1)
        Fit(
            model=self,
            batches=batches,
            validation=None if held_out is None else Validation(*held_out, validation_size),
            figures=figures,
            ranges=self._ranges(),
            shuffle=shuffle,
            on_nonfinite=on_nonfinite,
            hooks=hooks,
            history=history,
            progress=Progress(level, batches.count),
        ).run(initial_epoch, epochs)
        return history

    def evaluate(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        verbose: Any = "auto",
        *,
        callbacks: Any = None,
        return_dict: bool = False,
        **others: Any,
    ) -> Any:
        """The loss over all samples of x and y: a float, or [loss, *metrics], or a dict with return_dict=True.

        The figures do not depend on batch_size, which only bounds memory: they are taken from all outputs at once.
        """
        refuse("evaluate", others, {"sample_weight": None, "steps": None}, ("batch_size", "verbose", "return_dict"))
        self._compiled_with_loss("evaluate")
        batch_size = whole(batch_size or BATCH_SIZE, "batch_size", 1)
        x, y, output = self._pair(x, y, "evaluate")
        figures = self._figures()
        level = verbosity(verbose)
        progress = Progress(level, -(-len(x) // batch_size))
        hooks = CallbackList(callbacks, self, verbose=level, steps=-(-len(x) // batch_size), metrics=figures.names)
        self._prepare(x)
        hooks.attach()
        logs = self._evaluate(x, y, batch_size, figures, hooks, progress)
        return reported(logs, return_dict)

    def predict(
        self, x: Any, batch_size: int | None = None, verbose: Any = 0, *, callbacks: Any = None, **others: Any
    ) -> Any:
        """The model's output on x, [N, ...]; Ragged where x is Ragged and the output a sequence. No rows give no rows.

        Works before `compile`. The result does not depend on batch_size, which only bounds memory.
        """
        refuse("predict", others, {"steps": None}, ("batch_size", "verbose", "callbacks"))
        batch_size = whole(batch_size or BATCH_SIZE, "batch_size", 1)
        rows, output = self._as_input(x)
        level = verbosity(verbose)
        hooks = CallbackList(callbacks, self, verbose=level, steps=-(-len(rows) // batch_size))
        self._prepare(rows)
        hooks.attach()
        progress = Progress(level, -(-len(rows) // batch_size))
        progress.begin("Predict")
        hooks.call("on_predict_begin")
        y = self._outputs(rows, output, batch_size, hooks, "predict", progress)
        hooks.call("on_predict_end")
        if len(rows):
            progress.end(-(-len(rows) // batch_size), {})
        return y

    def train_on_batch(self, x: Any, y: Any, *, return_dict: bool = False, **others: Any) -> Any:
        """One step of the optimizer on all of x and y. Returns the loss before it (and metrics) like `evaluate`.

        Raises FloatingPointError for a loss or gradient that is NaN or infinite, the weights unchanged.
        """
        refuse("train_on_batch", others, {"sample_weight": None, "class_weight": None}, ("x", "y", "return_dict"))
        self._compiled_with_loss("train_on_batch")
        x, y, output = self._pair(x, y, "train_on_batch")
        figures = self._figures()
        self._prepare(x)
        try:
            figures.add(*self._step(x, y, self._ranges(), check=True))
        except NonFiniteError as found:
            raise FloatingPointError(f"{found}; the weights are unchanged") from None
        return reported(figures.result(), return_dict)

    # ---- one step, and one pass ---------------------------------------------------------------------------------

    def _step(
        self, x: Rows, y: Rows, ranges: list[tuple[int, int, str]], check: bool
    ) -> tuple[float, int, NDArray[Any], NDArray[Any]]:
        """Forward, backward, update: (sum of losses, their count, y, output). NonFiniteError is raised before the update."""
        assert self._compiled is not None
        assert self._arena is not None
        arena, optimizer = self._arena, self._compiled.optimizer
        arena.grads.fill(0)
        output, contexts = self._forward(x, optimizer.iterations)
        y_values, values = values_of(y), values_of(output)
        total, count, gradient = self._compiled.loss.value_and_grad(y_values, values)
        if check and not math.isfinite(total):
            raise NonFiniteError(f"the loss is {total / max(count, 1)}{suspects(x, y)}")
        self._backward(contexts, like(output, gradient))
        if check and not _core.all_finite(arena.grads):
            raise NonFiniteError(f"the gradient of {self._first_nonfinite()} is not finite{suspects(x, y)}")
        for layer in self.layers:  # before the update: an interrupt after it must not leave stale packs
            layer.touch()
        optimizer.apply(arena.params, arena.grads, ranges)
        return total, count, y_values, values

    def _outputs(
        self, x: Rows, output: Shape, batch_size: int, hooks: CallbackList, phase: str, progress: Progress
    ) -> Rows:
        """The model's output on all rows, batch by batch."""
        sequences = isinstance(x, Ragged) and len(output) == 2
        count = len(x.values) if isinstance(x, Ragged) and sequences else len(x)
        values = np.empty((count, *(output[1:] if sequences else output)), self.dtype)
        for batch, start in enumerate(range(0, len(x), batch_size)):
            hooks.call(f"on_{phase}_batch_begin", batch)
            stop = min(start + batch_size, len(x))
            y = self._infer(rows_between(x, start, stop))
            if isinstance(x, Ragged) and sequences:
                values[x.offsets[start] : x.offsets[stop]] = y.values
            else:
                values[start:stop] = y
            hooks.call(f"on_{phase}_batch_end", batch)
            progress.step(batch + 1, dict)
        return Ragged(values, x.offsets) if isinstance(x, Ragged) and sequences else values

    def _evaluate(
        self, x: Rows, y: Rows, batch_size: int, figures: Figures, hooks: CallbackList, progress: Progress
    ) -> dict[str, float]:
        assert self._compiled is not None
        progress.begin("Evaluate")
        hooks.call("on_test_begin")
        output = values_of(self._outputs(x, self._as_input(x)[1], batch_size, hooks, "test", progress))
        total, count = self._compiled.loss.value(values_of(y), output)
        figures.reset()
        figures.add(total, count, values_of(y), output)
        logs = figures.result()
        hooks.call("on_test_end", logs)
        progress.end(-(-len(x) // batch_size), logs)
        return logs

    # ---- checks -------------------------------------------------------------------------------------------------

    def _compiled_with_loss(self, verb: str) -> Compiled:
        if self._compiled is None or self._compiled.loss is None:
            raise ValueError(f"{verb} needs a loss: call compile(optimizer=..., loss=...) first")
        return self._compiled

    def _pair(self, x: Any, y: Any, verb: str) -> tuple[Rows, Rows, Shape]:
        """x and y checked and cast, and the output's sample shape; the model is not built yet."""
        if x is None or y is None:
            raise ValueError(f"{verb}: {'x' if x is None else 'y'} must be given")
        assert self._compiled is not None
        rows, output = self._as_input(x)
        if len(rows) == 0:
            raise ValueError(f"{verb}: x must hold at least one sample, got none")
        labels = isinstance(self._compiled.loss, losses.SparseCategoricalCrossentropy)
        return rows, as_target(y, output, rows, labels, self.dtype), output

    def _figures(self) -> Figures:
        assert self._compiled is not None
        return Figures({name: metrics.get(metric) for name, metric in self._compiled.metrics.items()})

    def _prepare(self, x: Rows) -> None:
        """Build the model for these rows if it is not built yet."""
        if self._arena is None:
            values = values_of(x)
            self.build((None, *values.shape[1:]) if isinstance(x, Ragged) else values.shape[1:])

    def _ranges(self) -> list[tuple[int, int, str]]:
        """What the optimizer may change; it is given its state for this model here."""
        assert self._compiled is not None
        assert self._arena is not None
        optimizer = self._compiled.optimizer
        if optimizer.iterations and OWNERS.get(optimizer) is not self._arena:
            raise ValueError(f"optimizer {optimizer.name!r} has taken steps with other parameters: give this model its own")
        optimizer.build(self._arena.params.size, self.dtype)
        OWNERS[optimizer] = self._arena
        return self._arena.trainable_ranges()

    def _first_nonfinite(self) -> str:
        assert self._arena is not None
        bad = (v.name for _, v, start, stop in self._arena.spans if not _core.all_finite(self._arena.grads[start:stop]))
        return next(bad, "a parameter")


def named_metrics(given: Any) -> dict[str, Any]:
    """Metrics by the name that figures carry: the user's own spelling, or the object's name."""
    found = [] if given is None else list(given) if isinstance(given, (list, tuple)) else [given]
    named: dict[str, Any] = {}
    for metric in found:
        name = metrics.get(metric).name  # an unknown name is an error now
        if name in named or name == "loss":
            raise ValueError(f"metrics must have different names, {name!r} is taken")
        named[name] = metric
    return named


def whole(value: Any, name: str, least: int) -> int:
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, np.integer)) or value < least:
        raise ValueError(f"{name} must be a whole number of at least {least}, got {value!r}")
    return int(value)
