"""The loop over epochs and batches."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from latchwork.callbacks import CallbackList, History
from latchwork.layers.arena import Arena
from latchwork.models.batches import Batches, Rows
from latchwork.models.diagnosis import where_it_began
from latchwork.models.figures import Figures, NonFiniteError, SeveralFigures
from latchwork.models.keeping import Keeper
from latchwork.models.memory import MemoryPlan
from latchwork.models.streams import Stream
from latchwork.models.tbptt import Chunks
from latchwork.progress import Progress

if TYPE_CHECKING:
    from latchwork.models.trainer import Trainer


@dataclass(eq=False, repr=False)
class Validation:
    """Held-out data, (x, y) and how many rows of it to run at once, or a stream of it; and after which epochs."""

    data: tuple[Rows, Rows, int] | Stream
    freq: int | frozenset[int]

    def is_due(self, epoch: int) -> bool:
        """Whether epoch number `epoch`, from 0, is validated."""
        return (epoch + 1) % self.freq == 0 if isinstance(self.freq, int) else epoch + 1 in self.freq


@dataclass(eq=False, repr=False)
class Place:
    """How far a run has come: `batch` batches of epoch `epoch`, which is shuffle `epoch + earlier`."""

    epoch: int
    batch: int = 0
    earlier: int = 0
    logs: dict[str, float] = field(default_factory=dict)  # of the last epoch


@dataclass(eq=False, repr=False)
class Fit:
    """One call of `fit`, everything checked and ready."""

    model: Trainer
    batches: Batches | Stream
    rows: int | None  # at once, where gradients are accumulated
    chunks: Chunks | None  # of truncated back-propagation
    validation: Validation | None
    figures: Figures | SeveralFigures
    arena: Arena
    ranges: tuple[tuple[int, int, str], ...]
    shuffle: bool
    on_nonfinite: str
    memory: MemoryPlan
    hooks: CallbackList
    history: History
    progress: Progress
    place: Place = field(init=False)
    keeper: Keeper = field(init=False)

    def run(self, initial_epoch: int, epochs: int) -> None:
        """Train for epochs `initial_epoch` to `epochs`, or on from a checkpoint of this run."""
        model, hooks = self.model, self.hooks
        model.stop_training, model.history = False, self.history
        # A second fit takes up the count of shuffles where the first left it, unless initial_epoch says it already.
        self.place = Place(initial_epoch, earlier=max(model.epochs_trained - self.batches.passes(initial_epoch), 0))
        self.keeper = Keeper(self)
        hooks.attach()
        hooks.call("on_train_begin")
        self.memory.apply(model.layers)
        try:
            with self.keeper:
                self.keeper.restore()
                self._epochs(epochs)
        except BaseException:
            self.progress.abort()
            raise
        finally:
            MemoryPlan("store", []).apply(model.layers)
        if epochs > initial_epoch and model.optimizer.use_ema:
            for layer in model.layers:
                layer.touch()
            model.optimizer.finalize(self.arena.params, self.ranges)
        hooks.call("on_train_end", self.place.logs)

    def _epochs(self, epochs: int) -> None:
        model, hooks, place = self.model, self.hooks, self.place
        while place.epoch < epochs and not (model.stop_training and place.batch == 0):
            hooks.call("on_epoch_begin", place.epoch)
            if place.batch:
                self.keeper.restore_again()
            place.logs = self._epoch(place, epochs)
            model.epochs_trained = self.batches.passes(place.epoch + 1) + place.earlier
            hooks.call("on_epoch_end", place.epoch, place.logs)
            place.epoch, place.batch = place.epoch + 1, 0
            if self.keeper.keeps:
                self.keeper.passed(epoch_ended=True)

    def _epoch(self, place: Place, epochs: int) -> dict[str, float]:
        """Every batch once, or those from `place` on, then the held-out data. Returns the epoch's figures."""
        figures, progress, hooks = self.figures, self.progress, self.hooks
        train = self._step if self.chunks is None else self._in_chunks
        progress.begin(f"Epoch {place.epoch + 1:{len(str(epochs))}}/{epochs}")
        stopped = False
        if place.batch:
            stopped = self.model.stop_training
        else:
            figures.reset()
        for x, y in () if stopped else self.batches.epoch(place.epoch, place.batch, place.earlier):
            hooks.call("on_train_batch_begin", place.batch)
            train(x, y, place.epoch, place.batch)
            if hooks.wants("on_train_batch_end"):
                hooks.call("on_train_batch_end", place.batch, figures.result())
            place.batch += 1
            progress.step(place.batch, figures.result)
            if self.keeper.keeps:
                self.keeper.passed()
            if self.model.stop_training:
                break
        logs = figures.result()
        if self.validation is not None and self.validation.is_due(place.epoch):
            logs |= {f"val_{name}": value for name, value in self._validate(self.validation).items()}
        progress.end(place.batch, logs)
        return logs

    def _in_chunks(self, x: Rows, y: Rows, epoch: int, batch: int) -> None:
        """A step for each chunk of the sequences, as long as there is a state to go on with."""
        assert self.chunks is not None
        with self.chunks.carrying():
            for chunk, (x_chunk, y_chunk) in enumerate(self.chunks.cut(x, y)):
                if not self._step(x_chunk, y_chunk, epoch, batch, chunk):
                    break

    def _step(self, x: Rows, y: Rows, epoch: int, batch: int, chunk: int | None = None) -> bool:
        """One step of the optimizer; returns False where it met NaN or infinity, and that is to be passed over."""
        check, rows = self.on_nonfinite != "ignore", self.rows
        step: partial[Any]
        if rows is None:
            step = partial(self.model._step, x, y, self.ranges, check=check)
        else:
            step = partial(self.model._step_in_parts, x, y, self.ranges, check=check, rows=rows)
        try:
            found = step()
        except NonFiniteError as error:
            first = 0 if self.chunks is None or chunk is None else chunk * self.chunks.steps
            began = "" if self.on_nonfinite == "skip" else where_it_began(self.model.layers, self.arena, step, first)
            of = "" if self.batches.count is None else f" of {self.batches.count}"
            place = "" if chunk is None else f", chunk {chunk + 1}"
            where = f"epoch {epoch + 1}, batch {batch + 1}{of}{place}: {error}{began}"
            if self.on_nonfinite == "raise":
                before = "batch" if chunk is None else "chunk"
                raise FloatingPointError(f"{where}; the weights are those before this {before}") from None
            if self.on_nonfinite == "stop":
                self.history.stopped = where
                self.model.stop_training = True
            return False
        for seen in (found,) if rows is None else found:
            self.figures.add(*seen)
        return True

    def _validate(self, held_out: Validation) -> dict[str, Any]:
        # The training figures are in hand by now, so the same metric objects can serve.
        self.keeper.validates()
        progress = _Unseen(self.keeper)
        if isinstance(held_out.data, Stream):
            return self.model._evaluate_stream(held_out.data, self.figures, self.hooks, progress)
        return self.model._evaluate(*held_out.data, self.figures, self.hooks, progress)


class _Unseen(Progress):
    """That of a validation, which is not drawn: between batches SIGTERM may end the run."""

    def __init__(self, keeper: Keeper) -> None:
        super().__init__(0, None)
        self._keeper = keeper

    def step(self, done: int, figures: Any) -> None:
        self._keeper.validated_batch()
