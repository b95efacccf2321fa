"""SwapEMAWeights: figures and files of the averaged weights."""

from __future__ import annotations

from typing import Any

from latchwork.callbacks.base import Callback


class SwapEMAWeights(Callback):
    """Evaluate, and with `swap_on_epoch` save, with the averages that an optimizer with `use_ema=True` keeps.

    Weights and averages change places when a validation, `evaluate` or `predict` begins, and back when it ends. With
    swap_on_epoch they also do at the end of an epoch, and back when the next one begins: a `ModelCheckpoint` behind
    this callback then saves the averages. Before the first step there are none, and nothing changes places.

    Args:
        swap_on_epoch: Default False. The callback must then stand behind those that may stop training.

    Raises:
        ValueError: In use, an optimizer without use_ema.

    >>> SwapEMAWeights(swap_on_epoch=True).swap_on_epoch
    True
    """

    def __init__(self, swap_on_epoch: bool = False) -> None:
        super().__init__()
        if not isinstance(swap_on_epoch, bool):
            raise ValueError(f"SwapEMAWeights: swap_on_epoch must be True or False, got {swap_on_epoch!r}")
        self.swap_on_epoch = swap_on_epoch
        self._swapped = False

    def _put(self, averages: bool) -> None:
        """Let the weights be the averages, or themselves again."""
        model, optimizer = self.model, self.model.optimizer
        if not optimizer.use_ema:
            raise ValueError(f"SwapEMAWeights needs an optimizer with use_ema=True, got {optimizer!r}")
        if averages == self._swapped or optimizer.iterations == 0:
            return
        for layer in model.layers:
            layer.touch()
        params, average = model._arena.params, optimizer.slots["average"]
        for start, stop, _ in model._arena.trainable_ranges():
            kept = params[start:stop].copy()
            params[start:stop] = average[start:stop]
            average[start:stop] = kept
        self._swapped = averages

    def on_train_begin(self, logs: Any = None) -> None:
        self._put(averages=False)  # as a fit that was interrupted left it; an error without use_ema

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self._put(averages=False)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        if not self.swap_on_epoch:
            return
        self._put(averages=True)
        if epoch == self.params["epochs"] - 1 or self.model.stop_training:  # `fit` writes the averages in the end
            for start, stop, _ in self.model._arena.trainable_ranges():
                self.model.optimizer.slots["average"][start:stop] = self.model._arena.params[start:stop]
            self._swapped = False

    def on_test_begin(self, logs: Any = None) -> None:
        self._put(averages=True)

    def on_test_end(self, logs: Any = None) -> None:
        self._put(averages=False)

    def on_predict_begin(self, logs: Any = None) -> None:
        self._put(averages=True)

    def on_predict_end(self, logs: Any = None) -> None:
        self._put(averages=False)
