"""Measuring side by side: contestants take turns within one run, so that a drifting machine drifts for all of them."""

from __future__ import annotations

import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

# ONNX Runtime's worker spins for more than 20 ms after a call: with shorter pauses the next one had one core of two.
PAUSE = 0.1


@dataclass
class Measured:
    """Milliseconds of one call: the median over the rounds, and half the distance between the quartiles in percent."""

    median: float
    spread: float
    rounds: int


def side_by_side(contestants: dict[str, Callable[[], object]], seconds: float) -> dict[str, Measured]:
    """Times each contestant in turn, round after round, for about `seconds` in all.

    Before its turn a contestant runs twice untimed, after a pause in which the threads of the one before stop spinning;
    fast calls are repeated within a turn until the turn takes some milliseconds.
    """
    repeats: dict[str, int] = {}
    for name, call in contestants.items():
        call()
        start = time.perf_counter()
        call()
        repeats[name] = max(1, int(0.004 / max(time.perf_counter() - start, 1e-7)))
    samples: dict[str, list[float]] = {name: [] for name in contestants}
    end = time.perf_counter() + seconds
    while len(samples[next(iter(samples))]) < 5 or time.perf_counter() < end:
        for name, call in contestants.items():
            time.sleep(PAUSE)
            call()
            call()
            start = time.perf_counter()
            for _ in range(repeats[name]):
                call()
            samples[name].append((time.perf_counter() - start) / repeats[name] * 1e3)
    return {name: _summary(values) for name, values in samples.items()}


def _summary(values: list[float]) -> Measured:
    low, median, high = statistics.quantiles(values, n=4)
    return Measured(median, (high - low) / 2 / median * 100, len(values))


class FmaPeak:
    """GFLOP/s of float32 fused multiply-adds on `threads` threads: fma_peak.cpp, compiled for this processor."""

    def __init__(self, threads: int) -> None:
        self._threads = threads
        self._folder = tempfile.TemporaryDirectory()
        self._program = str(Path(self._folder.name) / "fma_peak")
        source = str(Path(__file__).parent / "fma_peak.cpp")
        flags = ["-O3", "-march=native", "-std=c++20", "-pthread"]
        subprocess.run(["c++", *flags, source, "-o", self._program], check=True)
        self.samples: list[float] = []

    def measure(self) -> float:
        """One more sample; returns it."""
        command = [self._program, str(self._threads), "0.1"]
        self.samples.append(float(subprocess.run(command, check=True, capture_output=True, text=True).stdout))
        return self.samples[-1]

    @property
    def gflops(self) -> float:
        """The best sample: a peak is what the machine can do when left alone."""
        return max(self.samples)
