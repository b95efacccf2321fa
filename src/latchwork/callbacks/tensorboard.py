"""TensorBoard: figures, rates and weights as event files."""

from __future__ import annotations

import os
from time import perf_counter
from typing import Any

from latchwork.callbacks.base import Callback


class TensorBoard(Callback):
    """Write figures for TensorBoard, by Keras' tags: `tensorboard --logdir logs` shows them.

    "epoch_loss" and the like, with "epoch_learning_rate", go to `log_dir`/train, those of the validation, without
    their "val_", to `log_dir`/validation. Needs tensorboardX: `pip install "latchwork[tensorboard]"`.

    Args:
        log_dir: The folder; made when it is needed.
        histogram_freq: Histograms of all weights every so many epochs; 0: none.
        write_steps_per_second: Also "epoch_steps_per_second".
        update_freq: "epoch"; "batch" or a number of batches writes "batch_loss" and the like every so often too.

    Raises:
        ImportError: tensorboardX is not installed.
        ValueError: A value out of range.

    >>> TensorBoard("logs", update_freq=100).update_freq
    100
    """

    def __init__(
        self,
        log_dir: str | os.PathLike[str] = "logs",
        histogram_freq: int = 0,
        *,
        write_steps_per_second: bool = False,
        update_freq: str | int = "epoch",
    ) -> None:
        super().__init__()
        try:
            from tensorboardX import SummaryWriter
        except ImportError as error:
            raise ImportError('TensorBoard needs tensorboardX: pip install "latchwork[tensorboard]"') from error
        if isinstance(histogram_freq, bool) or not isinstance(histogram_freq, int) or histogram_freq < 0:
            raise ValueError(f"TensorBoard: histogram_freq must be a number of epochs or 0, got {histogram_freq!r}")
        if not isinstance(write_steps_per_second, bool):
            raise ValueError(
                f"TensorBoard: write_steps_per_second must be True or False, got {write_steps_per_second!r}"
            )
        number = 1 if update_freq == "batch" else update_freq
        if number != "epoch" and (isinstance(number, bool) or not isinstance(number, int) or number < 1):
            raise ValueError(
                f"TensorBoard: update_freq must be 'epoch', 'batch' or a number of batches, got {update_freq!r}"
            )
        self.log_dir, self.histogram_freq = os.fspath(log_dir), histogram_freq
        self.write_steps_per_second, self.update_freq = write_steps_per_second, number
        self._make = SummaryWriter
        self._writers: dict[str, Any] = {}
        self._steps = 0  # of training, in this run
        self._began = (0, 0.0)  # the steps and the time where the epoch began
        if number != "epoch":  # figures of every batch are only made for who asks for them
            self.on_train_batch_end = self._on_batch  # type: ignore[method-assign]

    def _write(self, part: str, tag: str, value: float, step: int) -> None:
        if part not in self._writers:
            self._writers[part] = self._make(os.path.join(self.log_dir, part))
        self._writers[part].add_scalar(tag, value, step)

    def on_train_begin(self, logs: Any = None) -> None:
        self._steps = 0

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self._began = (self.model.optimizer.iterations, perf_counter())

    def _on_batch(self, batch: int, logs: Any = None) -> None:
        self._steps += 1
        if self._steps % int(self.update_freq) == 0:
            for name, value in (logs or {}).items():
                self._write("train", f"batch_{name}", value, self._steps)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        optimizer = self.model.optimizer
        figures = {**(logs or {}), "learning_rate": optimizer.learning_rate}
        if self.write_steps_per_second:
            steps, time = self._began
            figures["steps_per_second"] = (optimizer.iterations - steps) / (perf_counter() - time)
        for name, value in figures.items():
            part = "validation" if name.startswith("val_") else "train"
            self._write(part, f"epoch_{name.removeprefix('val_')}", value, epoch)
        if self.histogram_freq and epoch % self.histogram_freq == 0:
            for variable in self.model.variables:
                self._writers["train"].add_histogram(f"{variable.name}/histogram", variable.value, epoch)
        for writer in self._writers.values():
            writer.flush()

    def on_test_end(self, logs: Any = None) -> None:
        for name, value in (logs or {}).items():
            tag = f"evaluation_{name}_vs_iterations"
            self._write("validation", tag, value, self.model.optimizer.iterations)
        self._writers["validation"].flush()

    def on_train_end(self, logs: Any = None) -> None:
        for writer in self._writers.values():
            writer.close()
        self._writers = {}
