"""Checkpoints of a running `fit`: what is in them, when they are taken, and how a run goes on from one."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from types import TracebackType
from typing import TYPE_CHECKING, Any

from latchwork import random
from latchwork.callbacks import BackupAndRestore
from latchwork.callbacks.checkpoints import State
from latchwork.layers.base import Layer
from latchwork.models.plain import attributes, put, put_attributes, take

if TYPE_CHECKING:
    from latchwork.models.fit import Fit


class Keeper:
    """For one call of `fit` with a `BackupAndRestore`. As a context it holds SIGTERM back until a checkpoint is taken.

    With no such callback it does nothing, and `keeps` is False.
    """

    def __init__(self, fit: Fit) -> None:
        found = [callback for callback in fit.hooks.callbacks if isinstance(callback, BackupAndRestore)]
        if len(found) > 1:
            raise ValueError(f"callbacks may hold one BackupAndRestore, got {len(found)}")
        self.keeps = bool(found)
        if self.keeps and not fit.batches.resumable:
            raise ValueError(
                "BackupAndRestore needs data whose place can be found again: x must be arrays, or what can be iterated "
                "anew (a function that makes a generator, not the generator) and, with steps_per_epoch, has a length"
            )
        self._fit = fit
        self._backup = found[0] if found else None
        self._restored: State | None = None
        self._before: Any = None  # the handler of SIGTERM that was there
        self._process = os.getpid()
        self._ending = False
        self._before_validation: State | None = None

    # ---- going on -----------------------------------------------------------------------------------------------

    def restore(self) -> None:
        """Go on from the newest checkpoint, if there is one."""
        if self._backup is None:
            return
        found = self._backup.checkpoints.newest()
        if found is not None:
            path, self._restored = found
            self._check(path, self._restored)
            restore(self._fit, self._restored)

    def restore_again(self) -> None:
        """Once more, behind the hooks that begin an epoch in whose midst the run goes on: they ran before it."""
        assert self._restored is not None
        restore(self._fit, self._restored)

    def _check(self, path: str, state: State) -> None:
        for name, now in run_of(self._fit).items():
            then = state.plain["run"].get(name)
            if then != now:
                if name == "variables":
                    then, now = _first_difference(then, now)
                raise ValueError(
                    f'"{path}" is the checkpoint of another run: {name} must be {then}, got {now}. '
                    "Give this run a backup_dir of its own, or remove that one to begin anew"
                )

    # ---- taking -------------------------------------------------------------------------------------------------

    def passed(self, epoch_ended: bool = False) -> None:
        """To be called after each batch and each epoch."""
        assert self._backup is not None
        if self._backup.is_due(epoch_ended) or self._ending:
            self._backup.checkpoints.save(capture(self._fit))
        if self._ending:
            self._end()

    def validates(self) -> None:
        """To be called before each validation: with what changes in it, a run begins it anew."""
        if self.keeps:
            state = capture(self._fit)  # copied: SwapEMAWeights, for one, puts other weights in their place
            self._before_validation = State(state.plain, {name: a.copy() for name, a in state.arrays.items()})
            self.validated_batch()

    def validated_batch(self) -> None:
        """To be called after each batch of a validation."""
        if self._ending:
            assert self._backup is not None
            assert self._before_validation is not None
            self._backup.checkpoints.save(self._before_validation)
            self._end()

    # ---- SIGTERM ------------------------------------------------------------------------------------------------

    def __enter__(self) -> Keeper:
        if self.keeps and threading.current_thread() is threading.main_thread():
            handler = signal.getsignal(signal.SIGTERM)
            if handler is not None and handler is not signal.SIG_IGN:  # None: a handler that is not Python's
                self._before = handler
                signal.signal(signal.SIGTERM, self._hear)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._before is not None:
            signal.signal(signal.SIGTERM, self._before)
            if self._ending:  # it came where no checkpoint could be taken any more
                os.kill(os.getpid(), signal.SIGTERM)

    def _hear(self, number: int, frame: Any) -> None:
        self._ending = True
        if os.getpid() != self._process:  # in the child of a fork, which trains nothing
            self._end()

    def _end(self) -> None:
        """Let SIGTERM do what it did before; where that is to go on, go on."""
        self._ending = False
        signal.signal(signal.SIGTERM, self._before)
        os.kill(os.getpid(), signal.SIGTERM)
        signal.signal(signal.SIGTERM, self._hear)


def run_of(fit: Fit) -> dict[str, Any]:
    """What a checkpoint and the run that goes on from it must agree on, as JSON can hold it."""
    model = fit.model
    return {
        "variables": [[variable.name, list(variable.shape)] for _, variable, _, _ in fit.arena.spans],
        "dtype": str(fit.arena.dtype),
        "optimizer": [type(model.optimizer).__name__, *model.optimizer.slot_names],
        "batches": [fit.batches.count, fit.batches.batch_size],
        "accumulate": fit.rows,
        "tbptt": None if fit.chunks is None else fit.chunks.steps,
        "shuffle": fit.shuffle,
        "figures": list(fit.figures.names),
        "callbacks": [type(callback).__name__ for callback in fit.hooks.callbacks],
    }


def _first_difference(then: Any, now: Any) -> tuple[Any, Any]:
    pairs = [(a, b) for a, b in zip(then, now, strict=False) if a != b]
    return pairs[0] if pairs else (f"{len(then)} variables", len(now))


def capture(fit: Fit) -> State:
    """The whole state of a run, between two batches or epochs."""
    model, optimizer = fit.model, fit.model.optimizer
    arrays = {"params": fit.arena.params}
    arrays |= {f"optimizer.{name}": values for name, values in optimizer.slots.items()}
    plain = {
        "run": run_of(fit),
        "place": attributes(fit.place, "place", arrays),
        "stopped": model.stop_training,
        "epochs_trained": model.epochs_trained,
        "iterations": optimizer.iterations,
        "learning_rate": optimizer.learning_rate,
        "seed": model._seed(),
        "layer_seeds": [layer.seed for layer in _seeded(model.layers)],
        "carried": take(model._carried.held(), "carried", arrays),
        "figures": take(fit.figures, "figures", arrays),
        "callbacks": [attributes(c, f"callbacks.{i}", arrays) for i, c in enumerate(fit.hooks.callbacks)],
    }
    return State(plain, arrays)


def restore(fit: Fit, state: State) -> None:
    """Put back what `capture` took."""
    model, plain, arrays = fit.model, state.plain, state.arrays
    assert model._compiled is not None
    for layer in model.layers:
        layer.touch()
    fit.arena.params[...] = arrays["params"]
    slots = {name: arrays[f"optimizer.{name}"] for name in model.optimizer.slot_names}
    model._compiled.resume(fit.arena, plain["iterations"], slots)
    if model.optimizer.schedule is None:
        model.optimizer.learning_rate = plain["learning_rate"]
    put_attributes(fit.place, plain["place"], arrays)
    model.stop_training, model.epochs_trained = plain["stopped"], plain["epochs_trained"]
    model._seed = random.resumed(plain["seed"])
    for layer, seed in zip(_seeded(model.layers), plain["layer_seeds"], strict=True):
        layer.seed = seed
    model._carried.put_back(put(plain["carried"], None, arrays))
    put(plain["figures"], fit.figures, arrays)
    for callback, saved in zip(fit.hooks.callbacks, plain["callbacks"], strict=True):
        put_attributes(callback, saved, arrays)


def _seeded(layers: list[Layer]) -> Iterator[Any]:
    """The layers that draw random numbers, wrapped ones too: without `lw.set_seed` each run would have other seeds."""
    for layer in layers:
        if hasattr(layer, "seed"):
            yield layer
        inner = [part for part in vars(layer).values() if isinstance(part, Layer)]
        yield from _seeded(inner)
