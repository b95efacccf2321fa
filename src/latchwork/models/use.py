"""Which threads may use a model at once."""

from __future__ import annotations

import os
import threading
import weakref
from collections import Counter
from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")


class Use:
    """Any number of threads may read a model's weights at once; one that changes something needs the model alone.

    The thread that has it alone may enter again: a callback predicts with the model that is being trained.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._entered: Counter[int] = Counter()  # calls by thread
        self._alone = False
        _USES.add(self)

    def enter(self, verb: str, alone: bool) -> bool:
        """What `leave` is to be given. RuntimeError where another thread is in the way: to wait could take hours."""
        thread = threading.get_ident()
        with self._lock:
            others = any(other != thread for other in self._entered)
            if others and (alone or self._alone):
                needs = "needs it alone" if alone else "must wait for the one that changes it"
                raise RuntimeError(f"{verb}: the model is in use by another thread, and {verb} {needs}")
            self._entered[thread] += 1
            before, self._alone = self._alone, self._alone or alone
        return before

    def leave(self, before: bool) -> None:
        thread = threading.get_ident()
        with self._lock:
            self._alone = before
            self._entered[thread] -= 1
            if not self._entered[thread]:
                del self._entered[thread]

    def _keep_this_thread(self) -> None:
        thread = threading.get_ident()
        self._lock = threading.Lock()
        self._entered = Counter({thread: self._entered[thread]} if thread in self._entered else {})
        self._alone = self._alone and thread in self._entered


_USES: weakref.WeakSet[Use] = weakref.WeakSet()


def _forked() -> None:
    """In the child of a fork the thread that forked is the only one, and nobody holds a lock."""
    for use in _USES:
        use._keep_this_thread()


os.register_at_fork(after_in_child=_forked)


def alone(method: Callable[P, R]) -> Callable[P, R]:
    """For a method of a model that changes weights or states."""
    return _guarded(method, lambda model: True)


def shared(method: Callable[P, R]) -> Callable[P, R]:
    """For a method that reads weights; it carries the states of stateful layers on, and then needs the model alone."""
    return _guarded(method, lambda model: any(layer.stateful for layer in model.layers))


def _guarded(method: Callable[P, R], is_alone: Callable[[Any], bool]) -> Callable[P, R]:
    @wraps(method)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> R:
        model: Any = args[0]
        before = model._use.enter(method.__name__.lstrip("_"), is_alone(model))
        try:
            return method(*args, **kwargs)
        finally:
            model._use.leave(before)

    return guarded
