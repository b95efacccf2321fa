"""`explain` says what the core does: the plan that a call takes, the bytes it keeps, and why in agreeing words."""

import itertools
import re

import numpy as np
import pytest

import latchwork as lw
from latchwork import _core, functional
from latchwork.layers import (
    GRU,
    LSTM,
    RNN,
    Activation,
    Bidirectional,
    Cell,
    Dense,
    Dropout,
    Embedding,
    Flatten,
    GRUCell,
    LSTMCell,
    Masking,
    RepeatVector,
    SimpleRNN,
    TimeDistributed,
)
from latchwork.models import Sequential
from problems import forced, using

LAYERS = {
    "lstm": lambda: LSTM(40, return_sequences=True),
    "gru, last": lambda: GRU(70),
    "gru, reset before": lambda: GRU(33, reset_after=False, return_sequences=True),
    "rnn, backwards": lambda: SimpleRNN(64, go_backwards=True, return_sequences=True),
    "cells": lambda: RNN([LSTMCell(24), GRUCell(40)], return_sequences=True),
    "both directions": lambda: Bidirectional(LSTM(64, return_sequences=True)),
    "both directions of cells": lambda: Bidirectional(RNN([LSTMCell(24), GRUCell(40)])),
    "dense": lambda: Dense(300),
}
SIZES = [(1, 1), (1, 50), (2, 7), (5, 40), (64, 30), (256, 3)]


def built(layer, features=6):
    layer.build((None, None, features))
    return layer


@pytest.fixture
def watched(monkeypatch):
    """The contexts of every training call from now on: a list for each group of calls."""
    groups = []
    real = _core.recurrent_forward

    def forward(calls, training):
        results = real(calls, training)
        groups.append([ctx for _, _, ctx in results])
        return results

    monkeypatch.setattr(_core, "recurrent_forward", forward)
    return groups


def plan_of(call):
    return call.members, call.split, call.strip_rows, call.hoist_steps, call.few_rows


@pytest.mark.parametrize("isa", _core.supported_isas())
@pytest.mark.parametrize("threads", [1, 2, 5])
@pytest.mark.parametrize("layer", LAYERS)
def test_the_plan_is_the_one_that_runs(layer, threads, isa, watched):
    layer = built(LAYERS[layer]())
    with using(isa=isa, threads=threads):
        for batch, steps in SIZES:
            found = layer.explain(batch, steps, training=True, measure=False)
            watched.clear()
            layer.forward(np.ones((batch, steps, 6), np.float32))
            assert [[plan_of(call) for call in calls] for calls in found.levels] == [
                [ctx.plan[:5] for ctx in group] for group in watched
            ]
            assert (found.isa, found.threads <= threads) == (isa, True)


@pytest.mark.parametrize("memory", ["store", "recompute", "checkpoint"])
@pytest.mark.parametrize("layer", LAYERS)
def test_bytes_are_those_that_are_kept(layer, memory, watched):
    layer = built(LAYERS[layer]())
    layer._remember(memory)
    for batch, steps in ((3, 50), (64, 200)):
        found = layer.explain(batch, steps, training=True, memory=memory, measure=False)
        watched.clear()
        layer.forward(np.ones((batch, steps, 6), np.float32))
        kept = sum(ctx.kept_bytes for group in watched for ctx in group)
        orders = sum(map(len, watched)) * (20 * (batch + steps) + 256)  # of sequences by length, in every context
        assert kept <= found.kept_bytes <= 1.13 * kept + orders  # the pool rounds up by at most an eighth
        assert layer.explain(batch, steps, measure=False).kept_bytes == 0


def test_words_agree_with_numbers():
    seen = set()
    sizes = itertools.product((1, 3, 4, 64), (1, 2, 60), (4, 900), (16, 300), (1, 2))
    for batch, steps, features, units, threads in sizes:
        with using(threads=threads):
            [[call]] = built(LSTM(units), features).explain(batch, steps, measure=False).levels
        share = threads if call.split == "units" else min(threads, batch)
        assert call.why["threads"].startswith(f"{call.members}, split by {call.split}" if call.members > 1 else "1: ")
        assert call.members in (1, share)
        if "longer" in call.why["threads"]:
            assert all(float(part) >= 1 for part in re.findall(r"\d\.\d\d", call.why["threads"]))
        elif call.members > 1:
            parts = [float(part) for part in re.findall(r"\d\.\d\d", call.why["threads"])]
            assert parts[0] == min(parts) <= 1
        rows = -(-batch // call.members) if call.split == "rows" else batch
        assert call.why["input"].startswith("hoisted") == (call.hoist_steps > 0) == (rows < 4 and steps > 1)
        assert ("more than" in call.why["strip"]) == (call.strip_rows > 32)
        seen |= {(call.members, call.split), call.hoist_steps > 0, call.strip_rows}
    high = set() if _core.isa() == "portable" else {128}  # its panels are narrow
    assert {(1, "rows"), (2, "rows"), (2, "units"), True, False, 32} | high <= seen


def test_products():
    [[call]] = built(LSTM(128), 64).explain(32, 10, measure=False).levels
    assert call.products == (("x", 32, 64, 512), ("h", 32, 128, 512))
    assert call.flops == 2 * 32 * (64 + 128) * 512
    [[call]] = built(GRU(5, reset_after=False), 3).explain(2, 10, measure=False).levels
    assert sorted(call.products) == [("h", 2, 5, 10), ("intermediate", 2, 5, 5), ("x", 2, 3, 5), ("x", 2, 3, 10)]


def test_side_by_side():
    layer = built(Bidirectional(LSTM(64)), 64)
    with using(threads=2):
        at_once = layer.explain(32, 50, measure=False)
        large = built(Bidirectional(LSTM(1024)), 64).explain(64, 50, measure=False)
    with using(threads=1):
        alone = layer.explain(32, 50, measure=False)
    assert (at_once.side_by_side, at_once.threads) == ((True,), 2)
    assert (large.side_by_side, large.threads) == ((False,), 2)
    assert (alone.side_by_side, alone.threads) == ((False,), 1)
    assert at_once.together[0].startswith("side by side, each on threads of its own: ")
    assert large.together[0].startswith("in turn, each on all threads: side by side would take 1.")
    assert alone.together[0] == "in turn: more calls than threads"


def test_a_forced_plan_is_told():
    with forced((1, "rows", 5, 3, 0, 0)):
        [[call]] = built(LSTM(8)).explain(4, 10, measure=False).levels
    assert plan_of(call) == (1, "rows", 5, 3, 0)
    assert "forced" in call.why["threads"]


class Own(Cell):
    """My own cell."""

    state_size = 3

    def forward(self, x, states, training=False):
        return states[0] + 1, [states[0] + 1], None

    def backward(self, ctx, dy, dstates):
        return np.zeros((len(dy), 6), dy.dtype), [dy + dstates[0]]


def test_a_loop_in_python_says_so():
    found = built(RNN(Own())).explain(4, 10, training=True)
    assert found.kind == "RNN, a loop in Python"
    assert found.levels == ()
    assert found.forward_ns > 0
    assert "in Python" in str(found).splitlines()[1]


@pytest.mark.parametrize(
    "layer", [Activation("tanh"), Dropout(0.5), Masking(), Flatten(), Dense(2), TimeDistributed(Dense(2))],
    ids=lambda layer: layer.name,
)  # fmt: skip
def test_other_layers_take_a_line(layer):
    layer.build((None, 7, 6))
    lines = str(layer.explain(4, training=True, measure=False)).splitlines()
    assert len(lines) == (4 if isinstance(layer, TimeDistributed) else 2)


def model():
    lw.set_seed(3)
    layers = [
        Embedding(9, 6, mask_zero=True, input_shape=(None,)), LSTM(20, return_sequences=True, stateful=True),
        Dropout(0.3), Bidirectional(GRU(12)), RepeatVector(2), TimeDistributed(Dense(3)), Flatten(), Dense(1),
    ]  # fmt: skip
    return Sequential(layers)


def trained(net):
    x = np.arange(60).reshape(6, 10) % 9
    net.fit(x, np.ones((6, 1)), epochs=2, batch_size=3, verbose=0)
    return [*net.get_weights(), net.predict(x)]


def test_a_model_and_its_layers(capsys):
    net = model()
    before = net.explain(4, 10, measure=False)  # not compiled
    net.compile(loss="mse", optimizer="adam")
    found = net.explain(4, 10, training=True)
    assert [part.name for part in found.parts] == [layer.name for layer in net.layers]
    assert [part.levels for part in before.parts][1][0][0].products == found.parts[1].levels[0][0].products
    assert found.kept_bytes == sum(part.kept_bytes for part in found.parts) > 0
    for part in found.parts:
        assert part.forward_ns > 0
        assert part.backward_ns is not None
        assert part.name in str(found)
    assert 10 * found.forward_ns >= 10 * found.parts[1].forward_ns
    assert repr(found) == str(found)
    assert capsys.readouterr() == ("", "")


def test_looking_changes_nothing():
    expected, looked = model(), model()
    for net in (expected, looked):
        net.compile(loss="mse", optimizer="adam", metrics=["mae"])
        trained(net)
    looked.explain(4, 10, training=True)
    looked.estimate(4, 10)
    looked.estimate(5, 10, memory="checkpoint")
    looked.layers[1].variables[0].gradient[...] = 7
    looked.layers[1].explain(4, 10, training=True, memory="recompute")
    assert (looked.layers[1].variables[0].gradient == 7).all()
    for a, b in zip(trained(expected), trained(looked), strict=True):
        np.testing.assert_array_equal(a, b)


def test_what_it_refuses():
    with pytest.raises(ValueError, match=r"lstm: explain needs a built layer: call build\(\(None, T, F\)\)"):
        LSTM(3).explain(4, 10)
    layer = built(LSTM(3))
    for arguments, message in (
        ({"batch_size": 0}, "batch_size must be a whole number of at least 1, got 0"),
        ({}, r"steps must be given"),
        ({"steps": 0}, "steps must be a whole number of at least 1"),
        ({"steps": 5, "memory": "swap"}, "memory"),
        ({"steps": 5, "training": 1}, "training must be True or False"),
        ({"steps": 5, "measure": None}, "measure must be True or False"),
    ):
        with pytest.raises(ValueError, match=message):
            layer.explain(**arguments)
    dense = Dense(2)
    dense.build((None, 3))
    with pytest.raises(ValueError, match=r"steps must be None, as x \(B, 3\) has none"):
        dense.explain(4, 10)
    with pytest.raises(ValueError, match="say the input's shape"):
        Sequential([LSTM(3)]).explain(4, 10)
    with pytest.raises(ValueError, match="steps must be given"):
        Sequential([LSTM(3, input_shape=(None, 2))]).estimate(4)
    assert Sequential([LSTM(3, input_shape=(12, 2))]).explain(4, measure=False).steps == 12


def test_flows_ask_for_the_levels(monkeypatch):
    """The levels are what a layer's passes ask for together, call by call."""
    asked = []
    real = functional.forward

    def forward(calls, *, training=True):
        asked.append([(call.cell, call.reverse) for call in calls])
        return real(calls, training=training)

    monkeypatch.setattr(functional, "forward", forward)
    layer = built(Bidirectional(RNN([LSTMCell(4), GRUCell(5)])))
    found = layer.explain(2, 3, measure=False)
    layer(np.ones((2, 3, 6), np.float32))
    assert asked == [[("lstm", False), ("lstm", True)], [("gru", False), ("gru", True)]]
    assert [[call.name for call in calls] for calls in found.levels] == [
        ["lstm_cell", "lstm_cell, backwards"], ["gru_cell", "gru_cell, backwards"],
    ]  # fmt: skip
