"""What callbacks are: Callback, the list that calls them, History, LambdaCallback."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from latchwork.drawing import draw_history
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
    epoch logs will hold). `epoch` and `batch` count from 0; `logs` are the mean figures so far, None where there are
    none yet. `self.model.stop_training = True` ends training with the current batch. Names and order are Keras'.

    >>> class Count(Callback):
    ...     epochs = 0
    ...     def on_epoch_end(self, epoch, logs=None):
    ...         self.epochs += 1
    >>> Count().epochs
    0
    """

    def __init__(self) -> None:
        self.model: Any = None
        self.params: dict[str, Any] = {}

    def set_model(self, model: Any) -> None:
        """Called before training with the `model`."""
        self.model = model

    def set_params(self, params: dict[str, Any]) -> None:
        """Called before training with the `params`."""
        self.params = params

    def on_train_begin(self, logs: Any = None) -> None:
        """`fit` begins."""

    def on_train_end(self, logs: Any = None) -> None:
        """`fit` has ended."""

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """An epoch begins."""

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """An epoch has ended, its validation too."""

    def on_batch_begin(self, batch: int, logs: Any = None) -> None:
        """Another name of `on_train_batch_begin`."""

    def on_batch_end(self, batch: int, logs: Any = None) -> None:
        """Another name of `on_train_batch_end`."""

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        """A step of training begins."""
        self.on_batch_begin(batch, logs)

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """A step of training has been made."""
        self.on_batch_end(batch, logs)

    def on_test_begin(self, logs: Any = None) -> None:
        """`evaluate`, or the validation of an epoch, begins."""

    def on_test_end(self, logs: Any = None) -> None:
        """`evaluate`, or the validation of an epoch, has ended."""

    def on_test_batch_begin(self, batch: int, logs: Any = None) -> None:
        """A batch of it begins."""

    def on_test_batch_end(self, batch: int, logs: Any = None) -> None:
        """A batch of it has been run."""

    def on_predict_begin(self, logs: Any = None) -> None:
        """`predict` begins."""

    def on_predict_end(self, logs: Any = None) -> None:
        """`predict` has ended."""

    def on_predict_batch_begin(self, batch: int, logs: Any = None) -> None:
        """A batch of it begins."""

    def on_predict_batch_end(self, batch: int, logs: Any = None) -> None:
        """A batch of it has been run."""


def check_settable(callback: Callback) -> None:
    """Raise before training where the callback could not set the learning rate."""
    schedule = callback.model.optimizer.schedule
    if schedule is not None:
        raise ValueError(
            f"{type(callback).__name__} sets the learning rate, which follows {schedule!r}: give the optimizer a number"
        )


class CallbackList:
    """Calls a hook of several callbacks in order; batch hooks only of those that have one (they run every step).

    Args:
        callbacks: A `Callback`, a list of them, or None.
        model: The model they are told.
        params: What they find in `params`.

    Raises:
        ValueError: Something that is no Callback.

    >>> CallbackList([History()], model=None).wants("on_train_batch_end")
    False
    """

    def __init__(self, callbacks: Any, model: Any, **params: Any) -> None:
        given: Iterable[Any] = (
            [] if callbacks is None else [callbacks] if isinstance(callbacks, Callback) else callbacks
        )
        self._callbacks = list(given)
        for callback in self._callbacks:
            if not isinstance(callback, Callback):
                raise ValueError(f"callbacks must hold lw.callbacks.Callback objects, got {callback!r}")
        hooks = _HOOKS if self._callbacks else ()
        self._listening = {hook: [c for c in self._callbacks if _overrides(c, hook)] for hook in hooks}
        self._model, self._params = model, params

    @property
    def callbacks(self) -> list[Callback]:
        """All of them, in order."""
        return self._callbacks

    def attach(self) -> None:
        """Tell the callbacks their model and parameters."""
        for callback in self._callbacks:
            callback.set_params(dict(self._params))
            callback.set_model(self._model)

    def wants(self, hook: str) -> bool:
        """Whether a callback defines `hook`."""
        return bool(self._listening.get(hook))

    def call(self, hook: str, *arguments: Any) -> None:
        """Call `hook` of every callback that defines it."""
        for callback in self._listening.get(hook, ()):
            getattr(callback, hook)(*arguments)


def _overrides(callback: Callback, hook: str) -> bool:
    aliases = {"on_train_batch_begin": "on_batch_begin", "on_train_batch_end": "on_batch_end"}
    names = [hook, aliases[hook]] if hook in aliases else [hook]
    return any(getattr(getattr(callback, name), "__func__", None) is not getattr(Callback, name) for name in names)


class History(Callback):
    """What `fit` returns: `history` maps each figure's name to its value per epoch, `epoch` holds the epochs' numbers.

    `stopped` says where and why `on_nonfinite="stop"` ended training, None if it did not.

    >>> history = History()
    >>> history.on_epoch_end(0, {"loss": 2.0})
    >>> history.epoch, history.history
    ([0], {'loss': [2.0]})
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

    def plot(self, names: Any = None, *, log: bool = False, ax: Any = None) -> Any:
        """Loss and metrics by epoch, a panel each; those of the validation dashed.

        Args:
            names: A figure of `history` or a list of them, without "val_"; None: all.
            log: Whether values are on a logarithmic axis.
            ax: matplotlib Axes to draw into, one for each name; None: a new Figure.

        Returns:
            The matplotlib Figure; it is not shown.

        Raises:
            ImportError: matplotlib is not installed: `pip install "latchwork[viz]"`.
            ValueError: No epochs, an unknown name, or another number of Axes.
        """
        return draw_history(self.epoch, self.history, names, log, ax)

    def __repr__(self) -> str:
        return f"<History of {len(self.epoch)} epochs: {', '.join(self.history) or 'nothing'}>"


class LambdaCallback(Callback):
    """A callback from functions: any hook of `Callback` by name; None leaves it out.

    Raises:
        ValueError: An unknown hook, or one that is no function.

    >>> callback = LambdaCallback(on_epoch_end=lambda epoch, logs: print(epoch, logs["loss"]))
    >>> callback.on_epoch_end(3, {"loss": 0.5})
    3 0.5
    """

    def __init__(self, **hooks: Callable[..., Any] | None) -> None:
        super().__init__()
        for name, hook in hooks.items():
            resolve("hook", name, (*_HOOKS, "on_batch_begin", "on_batch_end"))
            if hook is not None and not callable(hook):
                raise ValueError(f"LambdaCallback: {name} must be a function, got {hook!r}")
            if hook is not None:
                setattr(self, name, hook)
