"""The loop over epochs and batches."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from latchwork.callbacks import CallbackList, History
from latchwork.data import permutation
from latchwork.models.batches import Batches, Rows
from latchwork.models.figures import Figures, NonFiniteError, SeveralFigures
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
class Fit:
    """One call of `fit`, everything checked and ready."""

    model: Trainer
    batches: Batches
    validation: Validation | None
    figures: Figures | SeveralFigures
    ranges: tuple[tuple[int, int, str], ...]
    shuffle: bool
    on_nonfinite: str
    memory: MemoryPlan
    hooks: CallbackList
    history: History
    progress: Progress

    def run(self, initial_epoch: int, epochs: int) -> None:
        """Train for epochs `initial_epoch` to `epochs`."""
        model, hooks = self.model, self.hooks
        model.stop_training = False
        # A second fit takes up the count of shuffles where the first left it, unless initial_epoch says it already.
        earlier = max(model.epochs_trained - initial_epoch, 0)
        hooks.attach()
        hooks.call("on_train_begin")
        logs: dict[str, float] = {}
        self.memory.apply(model.layers)
        try:
            for epoch in range(initial_epoch, epochs):
                hooks.call("on_epoch_begin", epoch)
                logs = self._epoch(epoch, epochs, epoch + earlier)
                model.epochs_trained = epoch + earlier + 1
                hooks.call("on_epoch_end", epoch, logs)
                if model.stop_training:
                    break
        except BaseException:
            self.progress.abort()
            raise
        finally:
            MemoryPlan("store", []).apply(model.layers)
        hooks.call("on_train_end", logs)

    def _epoch(self, epoch: int, epochs: int, shuffle_number: int) -> dict[str, float]:
        """Every batch once, then the held-out data. Returns the epoch's figures."""
        figures, progress = self.figures, self.progress
        figures.reset()
        progress.begin(f"Epoch {epoch + 1:{len(str(epochs))}}/{epochs}")
        done = 0
        for x, y in self._rows(shuffle_number):
            self._batch(x, y, epoch, done)
            done += 1
            progress.step(done, figures.result)
            if self.model.stop_training:
                break
        logs = figures.result()
        if self.validation is not None:
            logs |= {f"val_{name}": value for name, value in self._validate(self.validation).items()}
        progress.end(done, logs)
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
        try:
            self.figures.add(*self.model._step(x, y, self.ranges, check=self.on_nonfinite != "ignore"))
        except NonFiniteError as found:
            where = f"epoch {epoch + 1}, batch {batch + 1} of {self.batches.count}: {found}"
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
