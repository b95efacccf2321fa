"""compile, fit, evaluate, predict, train_on_batch: what a model does besides having layers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from latchwork import optimizers, random
from latchwork.callbacks import CallbackList, History, TerminateOnNaN
from latchwork.data.series import as_count
from latchwork.layers.arguments import refuse
from latchwork.memory import as_memory
from latchwork.models.batches import Batches, split_rows
from latchwork.models.checked import BATCH_SIZE
from latchwork.models.compiled import Compiled
from latchwork.models.figures import reported
from latchwork.models.fit import Fit, Validation
from latchwork.models.heads import heads_of
from latchwork.models.memory import memory_plan
from latchwork.models.own_loops import OwnLoops
from latchwork.models.use import alone, shared
from latchwork.names import resolve
from latchwork.progress import Progress, verbosity

ON_NONFINITE = ("raise", "stop", "skip", "ignore")


class Trainer(OwnLoops):
    """Training for a model that has `layers` and knows what `Passes` asks of it.

    Threads may predict and evaluate at once; what changes weights or carried states needs the model alone, and raises
    RuntimeError where another thread has it.
    """

    def __init__(self) -> None:
        super().__init__()
        self.stop_training = False
        self.history: History | None = None  # of the last `fit`, also of one that was interrupted
        self.epochs_trained = 0  # numbers the shuffles: fit twice for one epoch is fit once for two
        self._seed: Callable[[], int] = random.seed  # of the shuffles; a file brings its own

    # ---- the public verbs ---------------------------------------------------------------------------------------

    def compile(
        self,
        optimizer: Any = "rmsprop",
        loss: Any = None,
        metrics: Any = None,
        loss_weights: Any = None,
        **others: Any,
    ) -> None:
        """Say how to train. Names, defaults and formulas are Keras'; the figures of `fit` carry the names as written.

        Of a model with several outputs, the loss is the sum of theirs, each times its weight; figures are "loss",
        "<output>_loss" (not weighted) and "<output>_<metric>".

        Args:
            optimizer: A name or an `lw.optimizers.Optimizer`.
            loss: A name or an `lw.losses.Loss`; None for a model that only predicts. With several outputs one for all
                of them, or a list or a dict by output name; an output without one is not trained on, and has no target.
            metrics: A list of names or `lw.metrics.Metric` objects; with several outputs a list of such lists, or a
                dict by output name.
            loss_weights: A list or a dict by output name of numbers of at least 0, or one number for one output; 1 by
                default.

        Raises:
            ValueError: An unknown name, an argument of Keras' that is not built, or a list or dict that does not fit
                the outputs.
        """
        unbuilt = {
            "weighted_metrics": None,
            "run_eagerly": False,
            "steps_per_execution": 1,
            "jit_compile": "auto",
            "auto_scale_loss": True,
        }
        refuse("compile", others, unbuilt, ("optimizer", "loss", "metrics", "loss_weights"))
        heads = heads_of(self.output_names, loss, loss_weights, metrics)
        found = optimizers.get(optimizer)
        self._rates.clear()
        self._compiled = Compiled(found, heads)

    @property
    def optimizer(self) -> optimizers.Optimizer:
        """The optimizer that `compile` was given or made: `model.optimizer.learning_rate` may be set between steps.

        Raises:
            ValueError: `compile` was not called yet.
        """
        if self._compiled is None:
            raise ValueError("there is no optimizer yet: call compile(optimizer=..., loss=...) first")
        return self._compiled.optimizer

    @alone
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
        class_weight: Any = None,
        sample_weight: Any = None,
        initial_epoch: int = 0,
        validation_batch_size: int | None = None,
        on_nonfinite: str = "raise",
        memory: str = "store",
        **others: Any,
    ) -> History:
        """Train. Everything is checked before anything is changed.

        Args:
            x: [N, ...], numbers of any dtype (cast to the model's), or a `lw.Ragged` of N sequences. Of several inputs
                a list of them, or a dict by input name.
            y: Targets in the shape of the output; (N,) will do for (N, 1). Of several outputs a list, with None for one
                without a loss, or a dict by output name.
            batch_size: None: 32.
            epochs, initial_epoch: Train for epochs `initial_epoch` to `epochs`.
            verbose: 0 silent, 1 a bar, 2 a line an epoch, "auto" 1 on a terminal or notebook, else 0; to stderr.
            callbacks: An `lw.callbacks.Callback` or a list of them.
            validation_split: This share of the samples, the last ones, is validated on instead of trained on.
            validation_data: (x, y) to validate on, or (x, y, sample_weight).
            shuffle: Whether batches are drawn in an order that is a pure function of the seed and the epoch.
            class_weight: A dict of weights by class number, for a model of one output: that of a sample's class is its
                weight in training; classes without one have 1.
            sample_weight: [N]: the loss is the sum of weighted elements over their number, as in Keras. [N, T] for an
                output of sequences, a Ragged for a Ragged one. Of several outputs one for all, a list (None: no
                weights) or a dict by output name. Metrics do not depend on weights.
            validation_batch_size: Bounds memory; no figure depends on it.
            on_nonfinite: What a loss or gradient that is NaN or infinite does: "raise" ends with FloatingPointError,
                "stop" ends training, "skip" leaves the batch out, "ignore" goes on; in the first three the weights stay
                those before the batch.
            memory: What recurrent layers keep of a batch until its backward pass: "store" every gate of every step,
                "recompute" or "checkpoint" only some states, from which the rest is made again: a fraction of the
                memory for making it twice, the same weights to the bit; or a size such as "200MB", "1.5GB" or "64MiB",
                within which the recurrent layers keep what makes them fastest: "store" all of them, and while that is
                too much the layer that saves most goes on to "recompute", then "checkpoint". It covers what they keep
                of the largest batch and their work space, not the layers' x, y and weights, nor a cell of your own,
                which keeps what its `forward` returns. See `lw.functional.lstm`.

        Returns:
            The `History`: `history.history["loss"]` has the mean over the samples of each epoch, in training.

        Raises:
            ValueError: An argument has the wrong shape, dtype or value, no loss was compiled, or `memory` is too little
                (then it says how much would do).
            FloatingPointError: See on_nonfinite; it names the epoch, the batch, and, from a second run of the step, the
                layer whose output or gradient was the first that is not finite; of LSTM, GRU and SimpleRNN also the
                sample, the time step (both counted from 0) and the gate.
            KeyboardInterrupt: Ctrl-C: the model is whole, with the weights of the last step that was made, and
                `model.history` holds the epochs that ended.
        """
        unbuilt = {
            "steps_per_epoch": None,
            "validation_steps": None,
            "validation_freq": 1,
        }
        refuse("fit", others, unbuilt, ("batch_size", "epochs", "verbose", "callbacks", "shuffle", "initial_epoch"))
        compiled = self._compiled_with_loss("fit")
        batch_size = as_count(BATCH_SIZE if batch_size is None else batch_size, "batch_size", 1)
        epochs, initial_epoch = as_count(epochs, "epochs", 0), as_count(initial_epoch, "initial_epoch", 0)
        on_nonfinite = resolve("on_nonfinite", on_nonfinite, ON_NONFINITE)
        as_memory(memory)
        if not isinstance(shuffle, bool):
            raise ValueError(f"shuffle must be True or False, got {shuffle!r}")
        x, y = self._pair(x, y, "fit", sample_weight)
        held_out = None
        if validation_data is not None:
            if validation_split:
                raise ValueError("validation_split and validation_data exclude each other: give one of them")
            if not isinstance(validation_data, (tuple, list)) or len(validation_data) not in (2, 3):
                raise ValueError("validation_data must be a pair (x, y), or (x, y, sample_weight)")
            given_x, given_y, *weights = validation_data
            held_out = self._pair(given_x, given_y, "validation_data", *weights)
        elif validation_split:
            (x, y), held_out = split_rows(x, y, validation_split)
        if class_weight is not None:
            y = self._class_weighted(y, class_weight)
        batches = Batches(x, y, batch_size)
        figures = compiled.figures()
        names = [*figures.names, *(f"val_{name}" for name in figures.names if held_out is not None)]
        level = verbosity(verbose)
        history = History()
        given = [] if callbacks is None else callbacks if isinstance(callbacks, (list, tuple)) else [callbacks]
        if on_nonfinite == "raise" and any(isinstance(callback, TerminateOnNaN) for callback in given):
            on_nonfinite = "stop"
        hooks = CallbackList([*given, history], self, verbose=level, epochs=epochs, steps=batches.count, metrics=names)
        size = self._rows_at_once(validation_batch_size, "validation_batch_size")
        arena = self._built(x)
        plan = memory_plan(memory, lambda: self._largest_stages(batches.x, batch_size), min(batch_size, len(batches.x)))
        Fit(
            model=self,
            batches=batches,
            validation=None if held_out is None else Validation(*held_out, size),
            figures=figures,
            arena=arena,
            ranges=compiled.begin(arena),
            shuffle=shuffle,
            on_nonfinite=on_nonfinite,
            memory=plan,
            hooks=hooks,
            history=history,
            progress=Progress(level, batches.count),
        ).run(initial_epoch, epochs)
        return history

    @shared
    def evaluate(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        verbose: Any = "auto",
        *,
        callbacks: Any = None,
        return_dict: bool = False,
        sample_weight: Any = None,
        **others: Any,
    ) -> Any:
        """The loss over all samples: a float, or [loss, *metrics], or a dict with return_dict=True.

        Args:
            x, y, sample_weight, verbose, callbacks: As in `fit`.
            batch_size: None: 256. It only bounds memory: figures are taken from all outputs at once.
            return_dict: Figures by name.

        Raises:
            ValueError: As `fit`.
        """
        refuse("evaluate", others, {"steps": None}, ("batch_size", "verbose", "return_dict"))
        compiled = self._compiled_with_loss("evaluate")
        batch_size = self._rows_at_once(batch_size, "batch_size")
        x, y = self._pair(x, y, "evaluate", sample_weight)
        figures = compiled.figures()
        level, batches = verbosity(verbose), -(-len(x) // batch_size)
        hooks = CallbackList(callbacks, self, verbose=level, steps=batches, metrics=figures.names)
        self._built(x)
        hooks.attach()
        return reported(self._evaluate(x, y, batch_size, figures, hooks, Progress(level, batches)), return_dict)

    @shared
    def predict(
        self, x: Any, batch_size: int | None = None, verbose: Any = 0, *, callbacks: Any = None, **others: Any
    ) -> Any:
        """The model's output, [N, ...] of its dtype; Ragged where x is Ragged and the output a sequence. Of several
        outputs the list.

        Works before `compile`. No rows give no rows.

        Args:
            x: As in `fit`.
            batch_size: None: 256. It only bounds memory, the result does not depend on it.
            verbose: As in `fit`, 0 by default.
            callbacks: As in `fit`.

        Raises:
            ValueError: x has the wrong shape or dtype.
        """
        refuse("predict", others, {"steps": None}, ("batch_size", "verbose", "callbacks"))
        batch_size = self._rows_at_once(batch_size, "batch_size")
        rows, forms = self._read(x)
        level, batches = verbosity(verbose), -(-len(rows) // batch_size)
        hooks = CallbackList(callbacks, self, verbose=level, steps=batches)
        self._built(rows)
        hooks.attach()
        progress = Progress(level, batches)
        progress.begin("Predict")
        hooks.call("on_predict_begin")
        y, _ = self._outputs(rows, forms, batch_size, hooks, "predict", progress)
        hooks.call("on_predict_end")
        progress.end(batches, {})
        return y
