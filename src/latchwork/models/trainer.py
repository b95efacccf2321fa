"""compile and fit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from latchwork import optimizers, random
from latchwork.callbacks import CallbackList, History, TerminateOnNaN
from latchwork.data.series import as_count
from latchwork.layers.arguments import refuse
from latchwork.memory import as_memory
from latchwork.models.batches import Batches, Rows, split_rows
from latchwork.models.checked import BATCH_SIZE
from latchwork.models.compiled import Compiled
from latchwork.models.evaluating import Evaluating
from latchwork.models.feeding import only_arrays, optional_count
from latchwork.models.fit import Fit
from latchwork.models.heads import heads_of
from latchwork.models.memory import MemoryPlan, memory_plan
from latchwork.models.streams import Stream, is_stream
from latchwork.models.tbptt import Chunks, steps_between
from latchwork.models.use import alone
from latchwork.names import resolve
from latchwork.progress import Progress, verbosity

ON_NONFINITE = ("raise", "stop", "skip", "ignore")


class Trainer(Evaluating):
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
        steps_per_epoch: int | None = None,
        validation_steps: int | None = None,
        validation_batch_size: int | None = None,
        validation_freq: Any = 1,
        accumulate: int = 1,
        tbptt: int | None = None,
        on_nonfinite: str = "raise",
        memory: str = "store",
        **others: Any,
    ) -> History:
        """Train. Everything is checked before anything is changed.

        Args:
            x: [N, ...], numbers of any dtype (cast to the model's), or a `lw.Ragged` of N sequences. Of several inputs
                a list of them, or a dict by input name. Or what makes batches (x, y) or (x, y, sample_weight) of all
                these: an iterable, such as `lw.data.TimeseriesDataset` or a list of such tuples, an object with indices
                and a length (Keras' Sequence), or a function without arguments that makes an iterable, for each pass
                anew; or an iterator, such as a generator, which ends once. Then y, batch_size, sample_weight and
                validation_split are left out, and `shuffle` means nothing: the order is its own.
            y: Targets in the shape of the output; (N,) will do for (N, 1). Of several outputs a list, with None for one
                without a loss, or a dict by output name.
            batch_size: None: 32.
            epochs, initial_epoch: Train for epochs `initial_epoch` to `epochs`.
            verbose: 0 silent, 1 a bar, 2 a line an epoch, "auto" 1 on a terminal or notebook, else 0; to stderr.
            callbacks: An `lw.callbacks.Callback` or a list of them.
            validation_split: This share of the samples, the last ones, is validated on instead of trained on.
            validation_data: (x, y) to validate on, or (x, y, sample_weight), or what makes batches of these: its first
                batch is made and checked before training.
            shuffle: Whether batches are drawn in an order that is a pure function of the seed and the epoch.
            class_weight: A dict of weights of at least 0 by class number, for a model of one output: that of a sample's
                class is its weight in training; classes without one have 1.
            sample_weight: [N], at least 0: the loss is the sum of weighted elements over their number, as in Keras.
                [N, T] for an output of sequences, a Ragged for a Ragged one. Of several outputs one for all, a list
                (None: no weights) or a dict by output name. Metrics do not depend on weights.
            steps_per_epoch: Batches of an epoch; None: all there are, once. The next epoch goes on where this one
                ended, and the data begin anew when they end.
            validation_steps: Validate on the first so many batches only (of 32, if validation_batch_size is None).
            validation_batch_size: Bounds memory; without validation_steps no figure depends on it.
            validation_freq: Validate after every so many epochs, or a list of epochs, counted from 1.
            accumulate: Batches whose gradients make one step, of `batch_size` each, so that a step is that of a batch
                `accumulate` times as large in the memory of one: the same means, random masks and noise, for the
                gradient of the mean over all its elements. Weights differ from those by rounding, as sums of products
                are cut elsewhere; batch normalization sees each part alone. Hooks and `steps` count steps.
            tbptt: Cut the sequences of each batch into chunks of so many steps, each with a step of the optimizer:
                states go on from chunk to chunk, gradients do not (truncated back-propagation through time,
                R. J. Williams, J. Peng, 1990). It is the loop of `train_on_batch` on the chunks of a stateful model, to
                the bit. Every layer must go step by step, every output with a loss must be a sequence. Ragged sequences
                end where they end. None: whole sequences.
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
                layer (in a wrapper with its path: 'bidirectional/forward_lstm') whose output or gradient was the first
                that is not finite, with the sample and time step, both counted from 0; of LSTM, GRU and SimpleRNN also
                the gate. Of a gradient that is the first step on the way back.
            KeyboardInterrupt: Ctrl-C: the model is whole, with the weights of the last step that was made, and
                `model.history` holds the epochs that ended.
        """
        refuse("fit", others, {}, ("batch_size", "epochs", "verbose", "callbacks", "shuffle", "initial_epoch"))
        compiled = self._compiled_with_loss("fit")
        epochs, initial_epoch = as_count(epochs, "epochs", 0), as_count(initial_epoch, "initial_epoch", 0)
        steps = None if steps_per_epoch is None else as_count(steps_per_epoch, "steps_per_epoch", 1)
        on_nonfinite = resolve("on_nonfinite", on_nonfinite, ON_NONFINITE)
        mode = as_memory(memory)
        if not isinstance(shuffle, bool):
            raise ValueError(f"shuffle must be True or False, got {shuffle!r}")
        streamed = is_stream(x)
        accumulate, chunks = self._accumulation(accumulate, tbptt, streamed), self._chunks(tbptt)
        validation_steps = optional_count(validation_steps, "validation_steps")
        if validation_data is not None and validation_split:
            raise ValueError("validation_split and validation_data exclude each other: give one of them")
        if validation_data is None and not validation_split and (validation_steps is not None or validation_freq != 1):
            raise ValueError("validation_steps and validation_freq need validation_data or validation_split")
        held_out = self._held_out(validation_data, validation_batch_size, validation_steps, validation_freq)
        batches: Batches | Stream
        if streamed:
            split = validation_split or None
            only_arrays("fit", y=y, batch_size=batch_size, sample_weight=sample_weight, validation_split=split)
            if not isinstance(mode, str):
                raise ValueError(f"memory must be a mode, not a size, where x makes the batches, got {memory!r}")
            batches = self._training_stream(x, "x", steps, "steps_per_epoch", class_weight, chunks)
            if not batches.again and steps is None and epochs - initial_epoch > 1:
                raise ValueError("fit: x is an iterator, which ends once: give steps_per_epoch, or a function")
            known, _ = batches.first(max(self.epochs_trained, batches.passes(initial_epoch)))
            plan, size = MemoryPlan(mode, []), 0
        else:
            size = as_count(BATCH_SIZE if batch_size is None else batch_size, "batch_size", 1)
            x, y = self._pair(x, y, "fit", sample_weight)
            if validation_split:
                (x, y), (x_held, y_held) = split_rows(x, y, validation_split)
                held_out = self._held_out_rows(x_held, y_held, validation_batch_size, validation_steps, validation_freq)
            batches = self._training_arrays(
                x, y, size * accumulate, steps=steps, shuffle=shuffle, class_weight=class_weight, tbptt=chunks
            )
            known, size = x, min(size, len(x))
        figures = compiled.figures()
        names = [*figures.names, *(f"val_{name}" for name in figures.names if held_out is not None)]
        level = verbosity(verbose)
        history = History()
        given = [] if callbacks is None else callbacks if isinstance(callbacks, (list, tuple)) else [callbacks]
        if on_nonfinite == "raise" and any(isinstance(callback, TerminateOnNaN) for callback in given):
            on_nonfinite = "stop"
        hooks = CallbackList([*given, history], self, verbose=level, epochs=epochs, steps=batches.count, metrics=names)
        arena = self._built(known)
        if not isinstance(batches, Stream):
            plan = memory_plan(memory, lambda: self._largest_stages(_cut(known, chunks), size), size)
        Fit(
            model=self,
            batches=batches,
            rows=size if accumulate > 1 else None,
            chunks=chunks,
            validation=held_out,
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


def _cut(x: Rows, chunks: Chunks | None) -> Rows:
    """The longest part of x that runs at once."""
    return x if chunks is None else steps_between(x, 0, chunks.steps)
