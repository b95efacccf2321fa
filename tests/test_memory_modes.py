"""What training keeps until backward: less of it, the same bits."""

import os
import re
import subprocess
import sys

import numpy as np
import pytest

from latchwork import Ragged, _core, functional
from latchwork import set_seed as seed
from latchwork.layers import GRU, LSTM, RNN, Bidirectional, Dense, GRUCell, LSTMCell, SimpleRNN, TimeDistributed
from latchwork.memory import MODES
from latchwork.models import Sequential
from latchwork.models.memory import memory_plan

CELLS = {"lstm": 4, "gru": 3, "rnn": 1}


def answers(cell, memory, batch, steps, **options):
    """y, gradients and bytes kept."""
    rng = np.random.default_rng(0)
    gates, features, units = CELLS[cell], 5, 40
    shapes = ((features, gates * units), (units, gates * units), (2, 3 * units) if cell == "gru" else (gates * units,))
    params = tuple(rng.uniform(-0.2, 0.2, shape).astype(np.float32) for shape in shapes)
    x = rng.uniform(-1, 1, (batch, steps, features)).astype(np.float32)
    call, back = getattr(functional, cell), getattr(functional, f"{cell}_backward")
    y, state, ctx = call(x, params, memory=memory, **options)
    kept = ctx.kept_bytes
    found = back(ctx, np.ones_like(y), state)
    assert ctx.kept_bytes == 0
    return [y, *state, found.x, *found.state, found.kernel, found.recurrent_kernel, found.bias], kept


@pytest.mark.parametrize("memory", ["recompute", "checkpoint"])
@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize(
    "options",
    [{}, {"reverse": True}, {"return_sequences": False}, {"lengths": np.arange(64) * 3}],
    ids=["plain", "reverse", "last", "lengths"],
)
def test_same_bits_for_less_memory(cell, memory, options):
    (stored, all_of_it), (made_again, kept) = (answers(cell, m, 64, 192, **options) for m in ("store", memory))
    for expected, got in zip(stored, made_again, strict=True):
        np.testing.assert_array_equal(expected, got)
    outputs = 64 * 192 * 40 * 4 if options.get("return_sequences") is False else 0  # backward reads y
    # An LSTM keeps 5 values a unit and step, then 1 every 4 steps; with these lengths half the steps are real. The
    # simple network's gate is y: it keeps nothing in any case.
    assert kept - outputs <= (all_of_it - outputs) / 8
    assert (all_of_it == outputs) == (cell == "rnn")


def test_checkpoint_keeps_least():
    kept = [answers("lstm", memory, 256, 200)[1] for memory in ("store", "recompute", "checkpoint")]
    # LSTM keeps 4 gates and c of 48 padded units; recompute c before every step (256 rows are a group of one step),
    # checkpoint c before every 6th: sqrt(200 / 5).
    record = 256 * 48 * 4
    assert kept == [200 * 5 * record, 200 * record, -(-200 // 6) * record]


def test_a_short_batch_is_stored():
    """One group of steps: making it again would save nothing."""
    assert answers("lstm", "recompute", 4, 64)[1] == answers("lstm", "store", 4, 64)[1]


def model(layers, x, y, memory):
    seed(3)
    net = Sequential(layers())
    net.compile(loss="mse", optimizer="adam")
    net.fit(x, y, epochs=2, batch_size=64, verbose=0, memory=memory)
    return net


STACKS = {
    "stack": lambda: [LSTM(20, return_sequences=True), GRU(12, return_sequences=True), SimpleRNN(8), Dense(1)],
    "both directions": lambda: [Bidirectional(LSTM(16)), Dense(1)],
    "cells": lambda: [RNN([LSTMCell(16), GRUCell(12)]), Dense(1)],
    "steps": lambda: [Bidirectional(GRU(10, return_sequences=True)), TimeDistributed(Dense(3)), LSTM(8), Dense(1)],
}


@pytest.mark.parametrize("memory", ["recompute", "checkpoint"])
@pytest.mark.parametrize("stack", STACKS)
def test_fit_gives_the_same_weights(stack, memory):
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(70, 30, 3)), rng.normal(size=(70, 1))
    expected, got = (model(STACKS[stack], x, y, m).get_weights() for m in ("store", memory))
    for a, b in zip(expected, got, strict=True):
        np.testing.assert_array_equal(a, b)


def test_fit_keeps_less(monkeypatch):
    """Every context of a fit, and none after it, is as `memory` says."""
    kept = []
    real = functional.forward

    def watched(calls, *, training=True):
        results = real(calls, training=training)
        kept.extend(ctx.kept_bytes for _, _, ctx in results if ctx is not None)
        return results

    monkeypatch.setattr(functional, "forward", watched)
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(64, 60, 3)), rng.normal(size=(64, 1))
    net = model(STACKS["both directions"], x, y, "checkpoint")
    while_training = kept.copy()
    kept.clear()
    net.train_on_batch(x, y)
    assert len(kept) == 2
    assert len(while_training) == 4
    assert max(while_training) < min(kept) / 2


def test_ragged_training():
    rng = np.random.default_rng(2)
    x = Ragged.from_list([rng.normal(size=(length, 3)) for length in (0, 1, 40, 7, 39, 200)])
    y = rng.normal(size=(6, 1))
    expected, got = (model(STACKS["stack"], x, y, m).get_weights() for m in ("store", "checkpoint"))
    for a, b in zip(expected, got, strict=True):
        np.testing.assert_array_equal(a, b)


def test_unknown_names():
    one = np.ones((1, 4))
    with pytest.raises(ValueError, match=r"memory must be one of store, recompute, checkpoint, or .*, got 'swap'"):
        functional.lstm(np.ones((1, 3, 1)), (one, one, None), memory="swap")
    net = Sequential([LSTM(2, input_shape=(3, 1)), Dense(1)])
    net.compile(loss="mse", optimizer="adam")
    before = net.get_weights()
    with pytest.raises(ValueError, match="memory"):
        net.fit(np.ones((4, 3, 1)), np.ones(4), memory="swap", verbose=0)
    for a, b in zip(before, net.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


# ---- bytes ------------------------------------------------------------------------------------------------------

# One step at the size that docs/performance.md has, each mode in a pool that no other call has filled: what the pool
# handed out at once beyond its results, and what was foreseen.
STEP = """
import sys
import numpy as np
from latchwork import _core, functional as F
cell, steps, batch, features, units, memory = sys.argv[1], *map(int, sys.argv[2:6]), sys.argv[6]
gates = {"lstm": 4, "gru": 3, "rnn": 1}[cell]
bias = (2, 3 * units) if cell == "gru" else (gates * units,)
shapes = (features, gates * units), (units, gates * units), bias
params = [np.full(shape, 0.01, np.float32) for shape in shapes]
name = {"rnn": "elman"}.get(cell, cell)
weights = _core.RecurrentWeights(name, *params)
x, y = np.ones((batch, steps, features), np.float32), np.empty((batch, steps, units), np.float32)
gradients = [np.zeros_like(p) for p in params]
forward, backward = getattr(F, cell), getattr(F, cell + "_backward")
backward(forward(x[:1, :1], weights)[2], y[:1, :1], out=gradients)  # packs and threads are there
foreseen = _core.recurrent_bytes(name, False, np.full(batch, steps), features, units, True)[memory]
before = _core.pool_bytes()
_core.reset_pool_peak()
_, state, ctx = forward(x, weights, out=y, memory=memory)
kept = ctx.kept_bytes
found = backward(ctx, y, out=gradients)
results = sum(array.nbytes for array in (found.x, *state, *found.state))
print(_core.pool_peak() - before - results, kept, *foreseen)
"""


def step_bytes(*arguments):
    command = [sys.executable, "-c", STEP, *map(str, arguments)]
    path = os.pathsep.join(map(os.path.abspath, sys.path))
    done = subprocess.run(command, env=os.environ | {"PYTHONPATH": path}, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    return map(int, done.stdout.split())


@pytest.mark.parametrize(("memory", "most"), [("store", 340e6), ("recompute", 90e6), ("checkpoint", 40e6)])
def test_bytes_of_a_long_step(memory, most):
    peak, kept, keeps, forward, backward = step_bytes("lstm", 1000, 64, 128, 256, memory)
    assert kept <= peak <= most
    assert peak == pytest.approx(keeps + max(forward, backward), rel=0.03)


@pytest.mark.parametrize("memory", ["store", "recompute", "checkpoint"])
@pytest.mark.parametrize("shape", [(200, 16, 5, 40), (30, 600, 64, 33), (2000, 1, 3, 16)])
@pytest.mark.parametrize("cell", CELLS)
def test_bytes_are_foreseen(cell, shape, memory):
    peak, kept, keeps, forward, backward = step_bytes(cell, *shape, memory)
    assert kept <= keeps
    foreseen = keeps + max(forward, backward)
    assert foreseen == pytest.approx(peak, rel=0.1, abs=65536)  # arguments of a few bytes a sequence


# ---- budgets ----------------------------------------------------------------------------------------------------


def foreseen(cell="lstm", batch=64, steps=192):
    each = _core.recurrent_bytes(cell, False, np.full(batch, steps), 5, 40, True)
    return {memory: kept + max(forward, backward) for memory, (kept, forward, backward) in each.items()}


@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_a_budget_takes_the_fastest_that_fits(cell):
    """The bits of "store", whichever it is."""
    needed = foreseen(cell)
    assert needed["store"] > needed["recompute"] > needed["checkpoint"] or cell == "gru"
    stored, _ = answers(cell, "store", 64, 192)
    x, shapes = np.ones((64, 192, 5), np.float32), ((5, CELLS[cell] * 40), (40, CELLS[cell] * 40))
    params = (*(np.ones(shape, np.float32) for shape in shapes), None)
    for memory, size in needed.items():
        budget = f"{size / 1000:.3f}KB"
        got, _ = answers(cell, budget, 64, 192)
        for a, b in zip(stored, got, strict=True):
            np.testing.assert_array_equal(a, b)
        fastest = next(name for name, bytes_of in needed.items() if bytes_of <= size)
        assert getattr(functional, cell)(x, params, memory=budget)[2].memory == fastest, memory
    least = min(needed.values())
    with pytest.raises(ValueError, match=rf"memory of {least - 1} bytes is too little .* at least {least}$"):
        getattr(functional, cell)(x, params, memory=f"{(least - 1) / 1000:.3f}KB")


@pytest.mark.parametrize("text", ["200", "200 MB", "200mb", "-1MB", "0MB", "1e3MB", "MB", "1TB", "", "9e9GB", "٣MB"])
def test_sizes_that_are_none(text):
    one = np.ones((1, 4))
    with pytest.raises(ValueError, match=rf"^memory must be one of .* such as '200MB'.*, got {re.escape(repr(text))}$"):
        functional.lstm(np.ones((1, 3, 1)), (one, one, None), memory=text)


def chosen(monkeypatch, net, x, y, memory):
    """Weights after a fit, and how each call of its first step kept what it did."""
    modes = []
    real = functional.forward

    def watched(calls, *, training=True):
        results = real(calls, training=training)
        modes.extend(ctx.memory for _, _, ctx in results if ctx is not None)
        return results

    monkeypatch.setattr(functional, "forward", watched)
    net.fit(x, y, epochs=1, batch_size=64, shuffle=False, verbose=0, memory=memory)
    monkeypatch.setattr(functional, "forward", real)
    return net.get_weights(), modes


def compiled(layers):
    seed(3)
    net = Sequential(layers())
    net.compile(loss="mse", optimizer="adam")
    return net


BUDGETED = STACKS | {"steps in steps": lambda: [TimeDistributed(LSTM(6)), GRU(5), Dense(1)]}


@pytest.mark.parametrize("stack", BUDGETED)
def test_a_budget_is_shared(stack, monkeypatch):
    """From all "store" to all "checkpoint" as it shrinks, the same weights, and never more than was foreseen."""
    rng = np.random.default_rng(1)
    inner = (40, 5) if stack == "steps in steps" else (3,)
    x, y = rng.normal(size=(64, 120, *inner)), rng.normal(size=(64, 1))
    expected, modes = chosen(monkeypatch, compiled(BUDGETED[stack]), x, y, "10GB")
    assert set(modes) == {"store"}
    with pytest.raises(
        ValueError, match=r"memory: 1KB is too little for a batch of 64: .* at least [\d.]+MB$"
    ) as raised:
        compiled(BUDGETED[stack]).fit(x, y, batch_size=64, verbose=0, memory="1KB")
    least = float(re.search(r"([\d.]+)MB$", str(raised.value))[1])
    seen = set()
    for size in np.geomspace(least, 20 * least, 25):
        weights, modes = chosen(monkeypatch, compiled(BUDGETED[stack]), x, y, f"{size:.3f}MB")
        seen.add(tuple(modes))
        for a, b in zip(expected, weights, strict=True):
            np.testing.assert_array_equal(a, b)
    assert len(seen) > 2 or stack == "steps in steps"
    with pytest.raises(ValueError, match="too little"):
        compiled(BUDGETED[stack]).fit(x, y, batch_size=64, verbose=0, memory=f"{least - 0.2:.3f}MB")


def test_a_budget_for_ragged_batches(monkeypatch):
    """The longest sequences may come together: what is chosen does for them."""
    rng = np.random.default_rng(2)
    x = Ragged.from_list([rng.normal(size=(length, 3)) for length in rng.integers(0, 300, 200)])
    y = rng.normal(size=(200, 1))
    layers = lambda: [LSTM(20, return_sequences=True), GRU(12), Dense(1)]  # noqa: E731
    expected, _ = chosen(monkeypatch, compiled(layers), x, y, "store")
    weights, modes = chosen(monkeypatch, compiled(layers), x, y, "4MB")
    assert set(modes[:2]) != {"store"}
    for a, b in zip(expected, weights, strict=True):
        np.testing.assert_array_equal(a, b)


class Costly:
    """A recurrent layer as a budget sees it: a call keeps `keeps`, or a tenth of it."""

    def __init__(self, keeps):
        self.keeps = keeps

    def _call_bytes(self, lengths):
        return {mode: (self.keeps // n, 0, 0) for mode, n in zip(MODES, (1, 10, 10), strict=True)}


def test_a_layer_that_is_called_twice_gives_back_twice():
    once, twice = Costly(1_500_000), Costly(1_000_000)
    stages = [[(once, None)], [(twice, None)], [(twice, None)]]
    assert memory_plan("3500KB", lambda: stages, 1).of == [(once, "store"), (twice, "store")]
    assert memory_plan("1700KB", lambda: stages, 1).of == [(once, "store"), (twice, "recompute")]
    assert memory_plan("400KB", lambda: stages, 1).of == [(once, "recompute"), (twice, "recompute")]
