"""CSVLogger, LearningRateScheduler, TerminateOnNaN."""

from __future__ import annotations

import inspect
import os
import sys
from collections.abc import Callable
from typing import Any

from latchwork.callbacks.base import Callback, check_settable


class CSVLogger(Callback):
    """Write each epoch's figures as a line of a CSV file: epoch, then the figures by name.

    The file is complete after each epoch, whatever ends the training. Beside `BackupAndRestore` a run that goes on
    from a checkpoint leaves each epoch in it once.

    Args:
        filename: The file.
        separator: One character between columns.
        append: Go on in a file that is there, without a second heading; False begins anew.

    Raises:
        ValueError: The separator is not one character.

    >>> CSVLogger("log.csv").separator
    ','
    """

    def __init__(self, filename: str | os.PathLike[str], separator: str = ",", append: bool = False) -> None:
        super().__init__()
        if not isinstance(separator, str) or len(separator) != 1:
            raise ValueError(f"CSVLogger: separator must be one character, got {separator!r}")
        self.filename, self.separator, self.append = os.fspath(filename), separator, append
        self._size = 0  # of what was written: a run that goes on from a checkpoint cuts off the lines behind it

    def on_train_begin(self, logs: Any = None) -> None:
        with open(self.filename, "a", encoding="utf-8"):  # an error now, not after an epoch
            pass
        self._size = os.path.getsize(self.filename) if self.append else 0

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        import csv  # 0.5 ms, for this callback alone

        names = sorted(logs or {})
        with open(self.filename, "r+", newline="", encoding="utf-8") as file:
            self._size = min(self._size, file.seek(0, os.SEEK_END))
            file.truncate(file.seek(self._size))
            writer = csv.writer(file, delimiter=self.separator)
            if self._size == 0:
                writer.writerow(["epoch", *names])
            writer.writerow([epoch, *((logs or {})[name] for name in names)])
            self._size = file.tell()


class LearningRateScheduler(Callback):
    """Set the learning rate at the start of each epoch to `schedule(epoch, learning_rate)`, or `schedule(epoch)`.

    The epoch logs, and so the History, get "learning_rate".

    Args:
        schedule: A function of the epoch, counted from 0, and the rate in force, or of the epoch alone.
        verbose: 1 says the rate on stderr.

    Raises:
        ValueError: schedule is no function; in training, a rate below 0.

    >>> halved = LearningRateScheduler(lambda epoch, rate: rate if epoch < 10 else rate / 2)
    >>> halved.schedule(10, 0.5)
    0.25
    """

    def __init__(self, schedule: Callable[..., float], verbose: int = 0) -> None:
        super().__init__()
        if not callable(schedule):
            raise ValueError(f"LearningRateScheduler: schedule must be a function, got {schedule!r}")
        self.schedule, self.verbose = schedule, verbose
        try:
            inspect.signature(schedule).bind(0, 0.0)
            self._takes_rate = True
        except TypeError:
            self._takes_rate = False

    def on_train_begin(self, logs: Any = None) -> None:
        check_settable(self)

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        optimizer = self.model.optimizer
        rate = self.schedule(epoch, optimizer.learning_rate) if self._takes_rate else self.schedule(epoch)
        optimizer.learning_rate = rate  # which raises for what is no rate
        if self.verbose:
            told = f"setting learning rate to {optimizer.learning_rate}"
            print(f"Epoch {epoch + 1}: LearningRateScheduler {told}.", file=sys.stderr)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        if logs is not None:
            logs["learning_rate"] = self.model.optimizer.learning_rate


class TerminateOnNaN(Callback):
    """End training, without an error, at the first loss that is NaN or infinite.

    It makes `fit(on_nonfinite="raise")`, the default, "stop": the weights are those before that batch, and
    `history.stopped` says where it was. With "ignore" training ends after the batch, whose update is made.

    >>> isinstance(TerminateOnNaN(), Callback)
    True
    """

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        if not abs((logs or {}).get("loss", 0.0)) < float("inf"):
            self.model.stop_training = True
