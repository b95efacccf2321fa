"""The loop over epochs and batches."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any

from latchwork.callbacks import CallbackList, History
from latchwork.data import permutation
from latchwork.layers.arena import Arena
from latchwork.models.batches import Batches, Rows
from latchwork.models.diagnosis import where_it_began
from latchwork.models.figures import Figures, NonFiniteError, SeveralFigures
from latchwork.models.keeping import Keeper
from latchwork.models.memory import MemoryPlan
from latchwork.progress import Progress

if TYPE_CHECKING:
    from latchwork.models.trainer import Trainer


@dataclass(eq=False, repr=False)
class Validation:
    """Held-out data, and how many rows of it to run at once."""

    x: Rows
    y: Rows
    batch_size: int


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
    batches: Batches
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
        self.place = Place(initial_epoch, earlier=max(model.epochs_trained - initial_epoch, 0))
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
            model.epochs_trained = place.epoch + place.earlier + 1
            hooks.call("on_epoch_end", place.epoch, place.logs)
            place.epoch, place.batch = place.epoch + 1, 0
            if self.keeper.keeps:
                self.keeper.passed(epoch_ended=True)

    def _epoch(self, place: Place, epochs: int) -> dict[str, float]:
        """Every batch once, or those from `place` on, then the held-out data. Returns the epoch's figures."""
        figures, progress = self.figures, self.progress
        progress.begin(f"Epoch {place.epoch + 1:{len(str(epochs))}}/{epochs}")
        stopped = False
        if place.batch:
            stopped = self.model.stop_training
        else:
            figures.reset()
        for x, y in () if stopped else islice(self._rows(place.epoch + place.earlier), place.batch, None):
            self._batch(x, y, place.epoch, place.batch)
            place.batch += 1
            progress.step(place.batch, figures.result)
            if self.keeper.keeps:
                self.keeper.passed()
            if self.model.stop_training:
                break
        logs = figures.result()
        if self.validation is not None:
            logs |= {f"val_{name}": value for name, value in self._validate(self.validation).items()}
        progress.end(place.batch, logs)
        return logs

    def _rows(self, shuffle_number: int) -> Iterator[tuple[Rows, Rows]]:
        if not self.shuffle:
            return self.batches.in_order()
        order = permutation(len(self.batches.x), seed=self.model._seed(), epoch=shuffle_number)
        return self.batches.shuffled(order)

    def _batch(self, x: Rows, y: Rows, epoch: int, batch: int) -> None:
        """One step, and what is to happen when it meets NaN or infinity."""
        hooks = self.hooks
        hooks.call("on_train_batch_begin", batch)
        step = partial(self.model._step, x, y, self.ranges, check=self.on_nonfinite != "ignore")
        try:
            self.figures.add(*step())
        except NonFiniteError as found:
            began = "" if self.on_nonfinite == "skip" else where_it_began(self.model.layers, self.arena, step)
            where = f"epoch {epoch + 1}, batch {batch + 1} of {self.batches.count}: {found}{began}"
            if self.on_nonfinite == "raise":
                raise FloatingPointError(f"{where}; the weights are those before this batch") from None
            if self.on_nonfinite == "stop":
                self.history.stopped = where
                self.model.stop_training = True
        if hooks.wants("on_train_batch_end"):
            hooks.call("on_train_batch_end", batch, self.figures.result())

    def _validate(self, held_out: Validation) -> dict[str, Any]:
        # The training figures are in hand by now, so the same metric objects can serve.
        return self.model._evaluate(
            held_out.x, held_out.y, held_out.batch_size, self.figures, self.hooks, Progress(0, 1)
        )
