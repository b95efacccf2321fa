"""Hooks into training, with Keras' names: Callback, History, EarlyStopping, LambdaCallback."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from latchwork.names import resolve

Logs = Mapping[str, float]

_HOOKS = (
    "on_train_begin", "on_train_end", "on_epoch_begin", "on_epoch_end", "on_train_batch_begin", "on_train_batch_end",
    "on_test_begin", "on_test_end", "on_test_batch_begin", "on_test_batch_end",
    "on_predict_begin", "on_predict_end", "on_predict_batch_begin", "on_predict_batch_end",
)  # fmt: skip


class Callback:
    """Base class of callbacks: override the hooks you need.

    `self.model` is the model, `self.params` a dict with "verbose", "epochs", "steps" and "metrics" (the names that
    epoch logs will hold). Logs are the mean figures so far. `self.model.stop_training = True` ends training with the
    current batch. `on_batch_begin` / `on_batch_end` are other names of the train batch hooks.
    """

    def __init__(self) -> None:
        self.model: Any = None
        self.params: dict[str, Any] = {}

    def set_model(self, model: Any) -> None:
        self.model = model

    def set_params(self, params: dict[str, Any]) -> None:
        self.params = params

    def on_train_begin(self, logs: Any = None) -> None: ...
    def on_train_end(self, logs: Any = None) -> None: ...
    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None: ...
    def on_epoch_end(self, epoch: int, logs: Any = None) -> None: ...
    def on_batch_begin(self, batch: int, logs: Any = None) -> None: ...
    def on_batch_end(self, batch: int, logs: Any = None) -> None: ...

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        self.on_batch_begin(batch, logs)

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.on_batch_end(batch, logs)

    def on_test_begin(self, logs: Any = None) -> None: ...
    def on_test_end(self, logs: Any = None) -> None: ...
    def on_test_batch_begin(self, batch: int, logs: Any = None) -> None: ...
    def on_test_batch_end(self, batch: int, logs: Any = None) -> None: ...
    def on_predict_begin(self, logs: Any = None) -> None: ...
    def on_predict_end(self, logs: Any = None) -> None: ...
    def on_predict_batch_begin(self, batch: int, logs: Any = None) -> None: ...
    def on_predict_batch_end(self, batch: int, logs: Any = None) -> None: ...


class CallbackList:
    """Calls a hook of several callbacks in order; batch hooks only of those that have one (they run every step)."""

    def __init__(self, callbacks: Any, model: Any, **params: Any) -> None:
        given: Iterable[Any] = (
            [] if callbacks is None else [callbacks] if isinstance(callbacks, Callback) else callbacks
        )
        self._callbacks = list(given)
        for callback in self._callbacks:
            if not isinstance(callback, Callback):
                raise ValueError(f"callbacks must hold lw.callbacks.Callback objects, got {callback!r}")
        self._listening = {hook: [c for c in self._callbacks if _overrides(c, hook)] for hook in _HOOKS}
        self._model, self._params = model, params

    def attach(self) -> None:
        """Tell the callbacks their model and parameters."""
        for callback in self._callbacks:
            callback.set_params(dict(self._params))
            callback.set_model(self._model)

    def wants(self, hook: str) -> bool:
        return bool(self._listening[hook])

    def call(self, hook: str, *arguments: Any) -> None:
        for callback in self._listening[hook]:
            getattr(callback, hook)(*arguments)


def _overrides(callback: Callback, hook: str) -> bool:
    aliases = {"on_train_batch_begin": "on_batch_begin", "on_train_batch_end": "on_batch_end"}
    names = [hook, aliases[hook]] if hook in aliases else [hook]
    return any(getattr(getattr(callback, name), "__func__", None) is not getattr(Callback, name) for name in names)


class History(Callback):
    """What `fit` returns: `history` maps each figure's name to its value per epoch, `epoch` holds the epochs' numbers.

    `stopped` says where and why `on_nonfinite="stop"` ended training, None if it did not.
    """

    def __init__(self) -> None:
        super().__init__()
        self.epoch: list[int] = []
        self.history: dict[str, list[float]] = {}
        self.stopped: str | None = None

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.epoch.append(epoch)
        for name, value in (logs or {}).items():
            self.history.setdefault(name, []).append(value)

    def __repr__(self) -> str:
        return f"<History of {len(self.epoch)} epochs: {', '.join(self.history) or 'nothing'}>"


class EarlyStopping(Callback):
    """Stop when a figure has not improved for `patience` epochs. Arguments, defaults and rules are Keras'.

    monitor: a name in the epoch logs. min_delta: a smaller change is no improvement. mode: "min", "max" or "auto"
    ("max" for names with acc or auc, else "min"). baseline: only what is better than this resets the patience.
    restore_best_weights: go back to the weights of the best epoch when training ends. start_from_epoch: wait this many
    epochs first. verbose=1 says on stderr what was done. After training `stopped_epoch` (0 if not stopped),
    `best_epoch` and `best` tell the story.

    Raises ValueError when `monitor` is not among the figures of the run (Keras only warns).
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
        super().__init__()
        self.monitor = monitor
        self.min_delta = abs(min_delta)
        self.patience = patience
        self.verbose = verbose
        self.mode = resolve("mode", mode, ("auto", "min", "max"))
        self.baseline = baseline
        self.restore_best_weights = restore_best_weights
        self.start_from_epoch = start_from_epoch
        self._reset()

    def _reset(self) -> None:
        self.wait = self.stopped_epoch = self.best_epoch = 0
        self.best: float | None = None
        self.best_weights: list[Any] | None = None

    def on_train_begin(self, logs: Any = None) -> None:
        known = self.params.get("metrics")
        if known is not None and self.monitor not in known:
            raise ValueError(
                f"EarlyStopping: monitor must be a figure of this run, {', '.join(known)}, got {self.monitor!r}"
            )
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

    def _better(self, current: float, reference: float | None) -> bool:
        highest = self.mode == "max" or (self.mode == "auto" and any(part in self.monitor for part in ("acc", "auc")))
        if reference is None:
            return current == current  # anything but NaN
        return current - self.min_delta > reference if highest else current + self.min_delta < reference


class LambdaCallback(Callback):
    """A callback from functions: `LambdaCallback(on_epoch_end=lambda epoch, logs: print(epoch, logs["loss"]))`.

    Takes any hook of `Callback` by name; None leaves it out.
    """

    def __init__(self, **hooks: Callable[..., Any] | None) -> None:
        super().__init__()
        for name, hook in hooks.items():
            resolve("hook", name, (*_HOOKS, "on_batch_begin", "on_batch_end"))
            if hook is not None and not callable(hook):
                raise ValueError(f"LambdaCallback: {name} must be a function, got {hook!r}")
            if hook is not None:
                setattr(self, name, hook)


__all__ = ["Callback", "EarlyStopping", "History", "LambdaCallback"]
