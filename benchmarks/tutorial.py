"""The tutorials' program: LSTM(50) -> Dense(1) with Adam and mse on 4096 windows of 32 steps, batches of 32."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np

from engines import Prepared

N, T, BATCH = 4096, 32, 32
STEPS = N // BATCH
LINES = ("training step", "evaluate 4096", "predict 1")


@cache
def data() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    phase = rng.uniform(0, 2 * np.pi, (N, 1))
    wave = np.sin(phase + 0.3 * np.arange(T + 1)).astype(np.float32)
    return wave[:, :T, None].copy(), wave[:, T:].copy()


@cache
def weights() -> list[np.ndarray]:
    """To begin with, in the order of get_weights: LSTM kernel, recurrent kernel and bias, Dense kernel and bias."""
    rng = np.random.default_rng(1)
    shapes = [(1, 200), (50, 200), (200,), (50, 1), (1,)]
    return [rng.uniform(-0.14, 0.14, shape).astype(np.float32) for shape in shapes]


class Program:
    """One engine's, with `weights()` to begin with."""

    nanoseconds: Callable[[], int] = staticmethod(lambda: 0)

    def epoch(self, *, shuffle: bool) -> None:
        raise NotImplementedError

    def evaluate(self) -> object:
        raise NotImplementedError

    def predict(self, samples: int) -> np.ndarray:
        raise NotImplementedError


def prepare(program: Program, line: str) -> Prepared:
    """One of LINES. What is compared first: predictions after one epoch in the order given, from equal weights."""
    calls = {
        "training step": lambda: program.epoch(shuffle=True),
        "evaluate 4096": program.evaluate,
        "predict 1": lambda: program.predict(1),
    }

    def results() -> dict[str, np.ndarray]:
        program.epoch(shuffle=False)
        return {"predictions": np.asarray(program.predict(64))}

    return Prepared(
        calls[line], results, nanoseconds=program.nanoseconds, steps=STEPS if line == "training step" else 1
    )
