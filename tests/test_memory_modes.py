"""What training keeps until backward: less of it, the same bits."""

import numpy as np
import pytest

from latchwork import Ragged, functional
from latchwork import set_seed as seed
from latchwork.layers import GRU, LSTM, RNN, Bidirectional, Dense, GRUCell, LSTMCell, SimpleRNN, TimeDistributed
from latchwork.models import Sequential

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
    with pytest.raises(ValueError, match=r"memory must be one of store, recompute, checkpoint, got 'swap'"):
        functional.lstm(np.ones((1, 3, 1)), (one, one, None), memory="swap")
    net = Sequential([LSTM(2, input_shape=(3, 1)), Dense(1)])
    net.compile(loss="mse", optimizer="adam")
    before = net.get_weights()
    with pytest.raises(ValueError, match="memory"):
        net.fit(np.ones((4, 3, 1)), np.ones(4), memory="200MB", verbose=0)
    for a, b in zip(before, net.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
