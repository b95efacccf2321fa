"""BackupAndRestore: a run that is killed goes on where it was."""

from __future__ import annotations

import os
from typing import Any

from latchwork.callbacks.base import Callback
from latchwork.callbacks.checkpoints import Checkpoints


class BackupAndRestore(Callback):
    """Checkpoint the whole training, so that the same program, run again after it was killed, goes on where it was.

    Weights, the optimizer's state, History, the order of samples, and what callbacks and metrics hold are then the same
    bits as without the interruption, also in the midst of an epoch. `fit` itself takes the checkpoints, after the hooks
    of all callbacks, and begins with the newest one in `backup_dir`. SIGTERM, where `fit` runs in the main thread,
    takes one after the running batch, or of validation its state before it, then does what it did before; a hook is let
    end first. Ctrl-C takes none.

    What comes back of a callback or metric are the attributes that its constructor has no argument for, as far as they
    are numbers, texts, arrays, or lists, tuples and dicts of these. Data that make their own batches are begun
    again, and those before the place left out: they must be the same each time; an iterator is refused.

    Args:
        backup_dir: A folder of this run's own, made when training begins.
        save_freq: "epoch", or a number of batches.
        delete_checkpoint: Remove the checkpoints when training has ended, also by `stop_training`; not after an error.
        keep: How many are kept, 1 or more. If the newest is damaged, the one before it is taken, with a warning.

    Raises:
        ValueError: An argument out of range. In training: every checkpoint is damaged, or they are those of another
            model or run.
        OSError: In training: a checkpoint cannot be written; the ones before it are whole.

    >>> BackupAndRestore("backup", save_freq=100).keep
    2
    """

    def __init__(
        self,
        backup_dir: str | os.PathLike[str],
        save_freq: str | int = "epoch",
        delete_checkpoint: bool = True,
        *,
        keep: int = 2,
    ) -> None:
        super().__init__()
        self.backup_dir = os.fspath(backup_dir)
        if not isinstance(self.backup_dir, str) or not self.backup_dir:
            raise ValueError(f"BackupAndRestore: backup_dir must be a folder, got {backup_dir!r}")
        if save_freq != "epoch" and (isinstance(save_freq, bool) or not isinstance(save_freq, int) or save_freq < 1):
            raise ValueError(f"BackupAndRestore: save_freq must be 'epoch' or a number of batches, got {save_freq!r}")
        if not isinstance(delete_checkpoint, bool):
            raise ValueError(f"BackupAndRestore: delete_checkpoint must be True or False, got {delete_checkpoint!r}")
        if isinstance(keep, bool) or not isinstance(keep, int) or keep < 1:
            raise ValueError(f"BackupAndRestore: keep must be a number of checkpoints, 1 or more, got {keep!r}")
        self.save_freq, self.delete_checkpoint, self.keep = save_freq, delete_checkpoint, keep
        self.checkpoints = Checkpoints(self.backup_dir, keep)
        self._batches = 0  # since the run began

    def is_due(self, epoch_ended: bool) -> bool:
        """Whether `fit` is to take a checkpoint: asked once after each batch, and each epoch, with `epoch_ended`."""
        if self.save_freq == "epoch":
            return epoch_ended
        self._batches += not epoch_ended
        return not epoch_ended and self._batches % int(self.save_freq) == 0

    def on_train_begin(self, logs: Any = None) -> None:
        self._batches = 0
        self.checkpoints.open()

    def on_train_end(self, logs: Any = None) -> None:
        if self.delete_checkpoint:
            self.checkpoints.delete()
