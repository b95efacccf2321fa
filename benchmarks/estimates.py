"""What `model.estimate` says against what happens: bytes within 15 %, and time within 30 % on a quiet machine.

`python benchmarks/estimates.py` prints a table and fails where a row is outside; `--busy` judges bytes alone.
"""

from __future__ import annotations

import argparse
import gc
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from latchwork import _core
from latchwork.layers import GRU, LSTM, Bidirectional, Dense, Dropout, SimpleRNN
from latchwork.models import Sequential

ROWS: dict[str, tuple[Callable[[], list[Any]], int, int, int]] = {  # layers, B, T, I
    "LSTM(50), Dense": (lambda: [LSTM(50), Dense(1)], 32, 12, 1),
    "LSTM(50), Dense, long": (lambda: [LSTM(50), Dense(1)], 32, 500, 1),
    "LSTM(256)": (lambda: [LSTM(256, return_sequences=True)], 64, 200, 128),
    "GRU(32), Dense": (lambda: [GRU(32), Dense(1)], 64, 1000, 32),
    "one row": (lambda: [LSTM(128, return_sequences=True), Dropout(0.2), LSTM(64), Dense(1)], 1, 2000, 16),
    "both directions": (lambda: [Bidirectional(GRU(64)), Dense(1)], 16, 400, 8),
    "SimpleRNN(16), Dense": (lambda: [SimpleRNN(16, return_sequences=True), Dense(1)], 256, 200, 4),
}


def observed(work: Callable[[], Any]) -> tuple[int, float]:
    """Bytes of the core's pool at once, and nanoseconds: the median of five."""
    work()
    gc.collect()
    before = _core.pool_bytes()
    _core.reset_pool_peak()
    times = []
    for _ in range(5):
        begin = time.perf_counter_ns()
        work()
        times.append(time.perf_counter_ns() - begin)
    return _core.pool_peak() - before, statistics.median(times)


def ratios(name: str, memory: str) -> dict[str, float]:
    """Estimated over observed."""
    layers, batch, steps, features = ROWS[name]
    model = Sequential(layers())
    model.build((None, None, features))
    model.compile(loss="mse", optimizer="adam")
    said = model.estimate(batch, steps, memory=memory)
    batches = 4 if steps > 100 else 64
    x = np.random.default_rng(0).normal(size=(batches * batch, steps, features)).astype(np.float32)
    y = np.zeros_like(model.predict(x, batch))
    trained = observed(lambda: model.fit(x, y, batch, verbose=0, memory=memory))
    predicted = observed(lambda: model.predict(x[:batch], batch))
    return {
        "training bytes": said.training_bytes / trained[0],
        "predict bytes": said.predict_bytes / predicted[0],
        "training time": batches * said.training_ns / trained[1],
        "predict time": said.predict_ns / predicted[1],
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--busy", action="store_true", help="judge bytes alone")
    options = parser.parse_args()
    outside = 0
    for name in ROWS:
        for memory in ("store", "recompute", "checkpoint"):
            found = ratios(name, memory)
            bounds = {what: 1.15 if "bytes" in what else 1.3 for what in found}
            bad = [what for what, ratio in found.items() if not 1 / bounds[what] <= ratio <= bounds[what]]
            outside += any("bytes" in what or not options.busy for what in bad)
            text = ", ".join(f"{what} {ratio:.2f}" for what, ratio in found.items())
            print(f"{name}, {memory}: {text}{'  OUTSIDE' * bool(bad)}")
    return int(outside > 0)


if __name__ == "__main__":
    raise SystemExit(main())
