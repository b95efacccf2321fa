"""Callbacks that watch one figure: EarlyStopping, ReduceLROnPlateau, ModelCheckpoint."""

from __future__ import annotations

import math
import os
import sys
from typing import Any

from latchwork.callbacks.base import Callback, check_settable
from latchwork.names import resolve


class _Monitor(Callback):
    """Watches the figure `monitor`; "auto" takes more for better where the name has acc or auc in it, else less."""

    def __init__(self, monitor: str, mode: str, min_delta: float) -> None:
        super().__init__()
        self.monitor = monitor
        self.mode = resolve("mode", mode, ("auto", "min", "max"))
        self.min_delta = abs(min_delta)

    def _check_monitor(self) -> None:
        known = self.params.get("metrics")
        if known is not None and self.monitor not in known:
            raise ValueError(
                f"{type(self).__name__}: monitor must be a figure of this run, {', '.join(known)}, got {self.monitor!r}"
            )

    def _better(self, current: float, reference: float | None) -> bool:
        highest = self.mode == "max" or (self.mode == "auto" and any(part in self.monitor for part in ("acc", "auc")))
        if reference is None:
            return current == current  # anything but NaN
        return current - self.min_delta > reference if highest else current + self.min_delta < reference


class EarlyStopping(_Monitor):
    """Stop when a figure has not improved for `patience` epochs. Arguments, defaults and rules are Keras'.

    After training `stopped_epoch` (0 if not stopped), `best_epoch` and `best` tell the story.

    Args:
        monitor: A name in the epoch logs.
        min_delta: A smaller change is no improvement.
        patience: Epochs without improvement to wait.
        verbose: 1 says on stderr what was done.
        mode: "min", "max" or "auto" ("max" for names with acc or auc, else "min").
        baseline: Only what is better than this resets the patience.
        restore_best_weights: Go back to the weights of the best epoch when training ends.
        start_from_epoch: Wait this many epochs first.

    Raises:
        ValueError: An unknown mode; in training, a `monitor` that is not among the figures (Keras only warns).

    >>> EarlyStopping(patience=10, restore_best_weights=True).monitor
    'val_loss'
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        min_delta: float = 0,
        patience: int = 0,
        verbose: int = 0,
        mode: str = "auto",
        baseline: float | None = None,
        restore_best_weights: bool = False,
        start_from_epoch: int = 0,
    ) -> None:
        super().__init__(monitor, mode, min_delta)
        self.patience = patience
        self.verbose = verbose
        self.baseline = baseline
        self.restore_best_weights = restore_best_weights
        self.start_from_epoch = start_from_epoch
        self._reset()

    def _reset(self) -> None:
        self.wait = self.stopped_epoch = self.best_epoch = 0
        self.best: float | None = None
        self.best_weights: list[Any] | None = None

    def on_train_begin(self, logs: Any = None) -> None:
        self._check_monitor()
        self._reset()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        current = (logs or {}).get(self.monitor)
        if current is None or epoch < self.start_from_epoch:
            return
        if self.restore_best_weights and self.best_weights is None:
            self.best_weights, self.best_epoch = self.model.get_weights(), epoch
        self.wait += 1
        if self._better(current, self.best):
            self.best, self.best_epoch = current, epoch
            if self.restore_best_weights:
                self.best_weights = self.model.get_weights()
            if self.baseline is None or self._better(current, self.baseline):
                self.wait = 0
        elif self.wait >= self.patience and epoch > 0:
            self.stopped_epoch = epoch
            self.model.stop_training = True

    def on_train_end(self, logs: Any = None) -> None:
        if self.stopped_epoch and self.verbose:
            print(f"Epoch {self.stopped_epoch + 1}: early stopping", file=sys.stderr)
        if self.best_weights is not None:
            if self.verbose:
                print(f"Restoring the weights of the best epoch: {self.best_epoch + 1}", file=sys.stderr)
            self.model.set_weights(self.best_weights)


class ReduceLROnPlateau(_Monitor):
    """Multiply the learning rate by `factor` when a figure has not improved for `patience` epochs.

    The epoch logs, and so the History, get the "learning_rate" of each epoch. Arguments, defaults and rules are Keras'.

    Args:
        monitor, min_delta, mode: As in `EarlyStopping`.
        factor: In (0, 1).
        patience: Epochs without improvement to wait.
        verbose: 1 says so on stderr.
        cooldown: Epochs that pass after a reduction before epochs count again.
        min_lr: The rate does not fall below it.

    Raises:
        ValueError: A factor or min_lr out of range; in training, a `monitor` that is not among the figures.

    >>> ReduceLROnPlateau("loss", factor=0.5, patience=3).patience
    3
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        factor: float = 0.1,
        patience: int = 10,
        verbose: int = 0,
        mode: str = "auto",
        min_delta: float = 1e-4,
        cooldown: int = 0,
        min_lr: float = 0.0,
    ) -> None:
        super().__init__(monitor, mode, min_delta)
        if not 0 < factor < 1:
            raise ValueError(f"ReduceLROnPlateau: factor must lie between 0 and 1, got {factor!r}")
        if not (math.isfinite(min_lr) and min_lr >= 0):
            raise ValueError(f"ReduceLROnPlateau: min_lr must be 0 or more, got {min_lr!r}")
        self.factor, self.patience, self.verbose = factor, patience, verbose
        self.cooldown, self.min_lr = cooldown, min_lr
        self._reset()

    def _reset(self) -> None:
        self.wait = self.cooldown_counter = 0
        self.best: float | None = None

    def on_train_begin(self, logs: Any = None) -> None:
        self._check_monitor()
        check_settable(self)
        self._reset()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        logs = {} if logs is None else logs
        optimizer = self.model.optimizer
        logs["learning_rate"] = rate = optimizer.learning_rate
        current = logs.get(self.monitor)
        if current is None:
            return
        if self.cooldown_counter > 0:
            self.cooldown_counter -= 1
            self.wait = 0
        if self._better(current, self.best):
            self.best, self.wait = current, 0
        elif self.cooldown_counter == 0:
            self.wait += 1
            if self.wait >= self.patience and rate > self.min_lr:
                optimizer.learning_rate = max(rate * self.factor, self.min_lr)
                self.cooldown_counter, self.wait = self.cooldown, 0
                if self.verbose:
                    told = f"reducing learning rate to {optimizer.learning_rate}"
                    print(f"Epoch {epoch + 1}: ReduceLROnPlateau {told}.", file=sys.stderr)


class ModelCheckpoint(_Monitor):
    """Save the model after each epoch, or each `save_freq` batches.

    A file is replaced at once or left as it was. Arguments, defaults and rules are Keras'.

    Args:
        filepath: Ends in ".safetensors"; "{epoch:02d}-{val_loss:.3f}.safetensors" is filled with the epoch, counted
            from 1, and its figures.
        monitor, mode: As in `EarlyStopping`.
        verbose: 1 says so on stderr.
        save_best_only: Only when `monitor` is better than at every save before.
        save_weights_only: `save_weights`, else `save`.
        save_freq: "epoch", or a number of batches.
        initial_value_threshold: With save_best_only, the first save must be better than this.

    Raises:
        ValueError: Another suffix or save_freq; in training, a `monitor` that is not among the figures.

    >>> ModelCheckpoint("best.safetensors", save_best_only=True).monitor
    'val_loss'
    """

    def __init__(
        self,
        filepath: str | os.PathLike[str],
        monitor: str = "val_loss",
        verbose: int = 0,
        save_best_only: bool = False,
        save_weights_only: bool = False,
        mode: str = "auto",
        save_freq: str | int = "epoch",
        initial_value_threshold: float | None = None,
    ) -> None:
        super().__init__(monitor, mode, 0)
        self.filepath = os.fspath(filepath)
        if not self.filepath.endswith(".safetensors"):
            raise ValueError(f'ModelCheckpoint: filepath must end in ".safetensors", got {self.filepath!r}')
        if save_freq != "epoch" and (isinstance(save_freq, bool) or not isinstance(save_freq, int) or save_freq < 1):
            raise ValueError(f"ModelCheckpoint: save_freq must be 'epoch' or a number of batches, got {save_freq!r}")
        self.verbose, self.save_best_only, self.save_weights_only = verbose, save_best_only, save_weights_only
        self.save_freq, self.best = save_freq, initial_value_threshold
        self._epoch = self._batches = 0

    def on_train_begin(self, logs: Any = None) -> None:
        if self.save_best_only:
            self._check_monitor()

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self._epoch = epoch

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self._batches += 1
        if self.save_freq != "epoch" and self._batches % int(self.save_freq) == 0:
            self._save(logs or {})

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        if self.save_freq == "epoch":
            self._save(logs or {})

    def _save(self, logs: dict[str, float]) -> None:
        if self.save_best_only:
            current = logs.get(self.monitor)
            if current is None or not self._better(current, self.best):
                return
            self.best = current
        try:
            path = self.filepath.format(epoch=self._epoch + 1, **logs)
        except KeyError as missing:
            known = ", ".join(["epoch", *logs])
            raise ValueError(f"ModelCheckpoint: filepath may name {known}, got {missing} in {self.filepath}") from None
        if self.save_weights_only:
            self.model.save_weights(path)
        else:
            self.model.save(path)
        if self.verbose:
            print(f"Epoch {self._epoch + 1}: saving model to {path}", file=sys.stderr)
