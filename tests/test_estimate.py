"""`estimate` against what the core's memory pool counts, and its time on a clock of the test's own."""

import gc
import itertools

import numpy as np
import pytest

from latchwork import _core
from latchwork.layers import (
    GRU,
    LSTM,
    RNN,
    BatchNormalization,
    Bidirectional,
    Conv1D,
    Dense,
    Dropout,
    Embedding,
    GlobalMaxPooling1D,
    GRUCell,
    LayerNormalization,
    LSTMCell,
    MaxPooling1D,
    SimpleRNN,
    TimeDistributed,
)
from latchwork.models import Sequential, estimate
from problems import using
from test_explain import Own

STACKS = {
    "lstm": (6, lambda: [LSTM(50, return_sequences=True)]),
    "tutorial": (1, lambda: [LSTM(50), Dense(1)]),
    "wide": (33, lambda: [GRU(100, return_sequences=True, dtype="float64")]),
    "stack": (8, lambda: [LSTM(64, return_sequences=True), Dropout(0.2), GRU(32, return_sequences=True), Dense(1)]),
    "both directions": (7, lambda: [Bidirectional(LSTM(20, return_sequences=True)), LSTM(30), Dense(4, "softmax")]),
    "product": (7, lambda: [Bidirectional(GRU(20, return_sequences=True), "mul"), TimeDistributed(Dense(2))]),
    "average": (7, lambda: [SimpleRNN(9, return_sequences=True), Bidirectional(GRU(20), "ave"), Dense(2)]),
    "cells": (7, lambda: [RNN([LSTMCell(24), GRUCell(40)]), Dense(2, activation="tanh")]),
    "normalized": (
        7,
        lambda: [BatchNormalization(), LSTM(40, return_sequences=True), LayerNormalization(), LSTM(20), Dense(1)],
    ),
    "convolution": (
        7,
        lambda: [
            Conv1D(30, 5, padding="causal", activation="relu"),
            MaxPooling1D(2),
            Conv1D(40, 3),
            GlobalMaxPooling1D(),
            Dense(2),
        ],
    ),
    "tokens": (None, lambda: [Embedding(50, 16), LSTM(32), Dense(1)]),
}
SIZES = [(3, 300), (32, 60), (200, 20)]


def model(stack):
    features, layers = STACKS[stack]
    net = Sequential(layers())
    net.build((None, None) if features is None else (None, None, features))
    net.compile(loss="mse", optimizer="adam")
    return net


def in_use_at_most(work):
    """Bytes that the pool hands out at once beyond those it holds before."""
    work()  # weights are packed
    gc.collect()
    before = _core.pool_bytes()
    _core.reset_pool_peak()
    work()
    return _core.pool_peak() - before


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("stack", STACKS)
def test_bytes(stack, threads):
    net = model(stack)
    with using(threads=threads):
        for (batch, steps), memory in itertools.product(SIZES, ("store", "recompute", "checkpoint")):
            x = net.layers[0]._sample((batch, steps) if STACKS[stack][0] is None else (batch, steps, STACKS[stack][0]))
            y = np.zeros_like(net.predict(x, batch_size=batch))
            options = {"batch_size": batch, "verbose": 0, "shuffle": False, "memory": memory}
            found = net.estimate(batch, steps, memory=memory, measure=False)
            trained = in_use_at_most(lambda: net.fit(x, y, **options))  # noqa: B023
            predicted = in_use_at_most(lambda: net.predict(x, batch_size=batch))  # noqa: B023
            assert 0.85 <= found.training_bytes / trained <= 1.15, (batch, steps, memory)
            # Results of less than 16 KB are in numpy's own memory, which the pool does not count.
            assert 0.85 * predicted <= found.predict_bytes <= 1.15 * predicted + 16384, (batch, steps, memory)
            assert 0 < found.kept_bytes <= found.training_bytes


def test_weights():
    """Those of the model, their gradients, two moments and both packed copies."""
    net = model("lstm")
    count = net.count_params()
    found = net.estimate(4, 5, measure=False).weight_bytes
    assert 6 * 4 * count <= found <= 6 * 4 * count * 1.3  # packs are padded to whole vectors


def test_asking_takes_no_memory():
    """Of a step that no machine could run."""
    net = model("stack")
    _core.reset_pool_peak()
    before = _core.pool_bytes()
    assert net.estimate(4096, 1_000_000, measure=False).training_bytes > 10**12
    assert _core.pool_peak() - before < 10**8


class Clock:
    """A run of some steps takes 1000 ns a step and 500 ns."""

    def __init__(self, monkeypatch):
        self.now, self.runs = 0, []
        monkeypatch.setattr(estimate.time, "perf_counter_ns", lambda: self.now)

    def run(self, steps):
        def once():
            self.now += 1000 * (steps or 1) + 500
            self.runs.append(steps)

        return once


def test_as_few_steps_as_last_long_enough(monkeypatch):
    clock = Clock(monkeypatch)
    rate = estimate.timed(clock.run, 100_000, fixed=False)
    assert rate.ns == 1000 * rate.steps + 500
    assert estimate.LONG_ENOUGH <= rate.ns < 16 * estimate.LONG_ENOUGH
    assert sum(clock.runs) < 3 * 8 * rate.steps
    assert estimate.timed(clock.run, 20, fixed=False) == (20, 20_500)
    assert estimate.timed(clock.run, None, fixed=False) == (None, 1500)
    clock.runs.clear()
    assert estimate.timed(clock.run, 90_000, fixed=True).steps == 90_000
    assert set(clock.runs) == {90_000}


def test_time_is_drawn_out_by_the_cost_table(monkeypatch):
    net = model("stack")
    monkeypatch.setattr(estimate, "_nanoseconds", lambda once: 6e7)
    found = net.estimate(32, 800)
    few = net.explain(32, 8, measure=False).cost
    many = net.explain(32, 800, measure=False).cost
    assert found.training_ns == found.predict_ns == pytest.approx(6e7 * many / few)
    assert 95 < many / few < 100.1  # what a call costs beside its steps
    assert found.measured[0].startswith("a training step of 32 rows x 8 steps took 60.000 ms; ")
    assert "ms" in str(found)


def test_a_measurement_is_kept(monkeypatch):
    net = model("tutorial")
    found = net.estimate(8, 20)
    monkeypatch.setattr(estimate, "_nanoseconds", lambda once: 1e9)
    assert net.estimate(8, 20) == found
    with using(threads=_core.num_threads() + 1):
        assert net.estimate(8, 20).training_ns > 1e9
    net.compile(loss="mae", optimizer="sgd")
    assert net.estimate(8, 20).predict_ns > 1e9


def test_without_a_loss():
    net = model("tutorial")
    net.compile()
    found = net.estimate(4, 5)
    assert found.training_ns is None
    assert found.predict_ns > 0
    assert found.measured[0] == "no training step: compile with a loss first"


def test_a_loop_in_python():
    net = Sequential([RNN(Own(), return_sequences=True), Dense(1)])
    net.build((None, None, 6))
    net.compile(loss="mse", optimizer="sgd")
    found = net.estimate(2, 400)
    assert found.training_ns > 0
    assert found.predict_ns > 0


def test_time_is_about_right():
    """Closer than a factor of 5, once in some tries: a busy machine may be slow at either. benchmarks/ looks closer."""
    net = model("stack")
    x = net.layers[0]._sample((32, 100, 8))
    y = np.zeros((32, 100, 1), np.float32)
    ratios = []
    with using(threads=1):
        for attempt in range(8):
            predicted = net.estimate(32, 100 + attempt).training_ns * 100 / (100 + attempt)
            took = sorted(estimate._nanoseconds(lambda: net.train_on_batch(x, y)) for _ in range(3))[1]
            ratios.append(predicted / took)
            if 0.2 < ratios[-1] < 5:
                return
    pytest.fail(f"predicted / measured: {ratios}")
