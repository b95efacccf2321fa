"""Calls that run at once give the bits of one call after the other: any cells, shapes, threads and plans."""

import os
import signal
import threading
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import latchwork as lw
from latchwork import _core
from latchwork import functional as F
from latchwork.functional import BackwardCall, Call
from problems import CELLS, DTYPES, answer, assert_bits, assert_same_bits, forced, problem, using

THREADS = (1, 2, 3, 4)


def call_of(p, **options):
    return Call(
        p.cell.core, p.x, p.parameters, p.state, lengths=p.lengths, reverse=p.reverse, **p.cell.activations, **options
    )


def answers(group, **options):
    """Like `answer`, of all at once."""
    results = F.forward([call_of(p, **options) for p in group])
    outputs = [np.array(y) for y, _, _ in results]
    backward = [BackwardCall(ctx, p.dy, p.d_state) for p, (_, _, ctx) in zip(group, results, strict=True)]
    found = []
    for p, y, (_, state, _), g in zip(group, outputs, results, F.backward(backward), strict=True):
        parameters = {"kernel": g.kernel, "recurrent_kernel": g.recurrent_kernel, "bias": g.bias}
        found.append(replace(answer(p), y=y, state=state, dx=g.x, d_initial=g.state, **parameters))
    return found


@st.composite
def groups(draw, fewest=1):
    """Independent problems of one dtype: other cells, batches, lengths (0 too) and sizes."""
    dtype = draw(st.sampled_from(DTYPES))
    group = []
    for seed in range(draw(st.integers(fewest, 3))):
        sizes = [draw(st.integers(1, n)) for n in (9, 9, 12, 40)]
        options = {"ragged": draw(st.booleans()), "reverse": draw(st.booleans()), "bias": draw(st.booleans())}
        group.append(problem(draw(st.sampled_from(sorted(CELLS))), *sizes, seed=seed, **options).astype(dtype))
    return group


def alone(group):
    with using(threads=1):
        return [answer(p) for p in group]


@given(groups(), st.sampled_from(THREADS))
def test_any_group(group, threads):
    wanted = alone(group)
    with using(threads=threads):
        for ours, theirs in zip(answers(group), wanted, strict=True):
            assert_same_bits(ours, theirs)


@given(groups(fewest=2), st.sampled_from(THREADS))
def test_every_legal_plan(group, threads):
    """On threads for all side by side, for one more than that, and for one alone, where they run in turn."""
    wanted, p = alone(group), group[0]
    plans = _core.legal_plans(p.cell.core, p.x.dtype == np.float64, *p.x.shape, p.state[0].shape[1], 2)
    most = min(len(g.x) for g in group), min(-(-g.state[0].shape[1] // 32) for g in group)
    for plan in plans[:: max(1, len(plans) // 8)]:
        if plan[0] > most[plan[1] == "units"]:
            continue  # not legal for all of them
        for limit in (threads, plan[0] * len(group)):
            with using(threads=limit), forced(plan):
                for ours, theirs in zip(answers(group), wanted, strict=True):
                    assert_same_bits(ours, theirs)


@pytest.mark.parametrize("dtype", DTYPES, ids=["float32", "float64"])
@pytest.mark.parametrize("cell", CELLS)
def test_both_directions_of_a_larger_shape(cell, dtype):
    there, back = problem(cell, 32, 30, 24, 70), problem(cell, 32, 30, 24, 70, reverse=True, seed=1)
    group = [there.astype(dtype), back.astype(dtype)]
    wanted = alone(group)
    for threads in THREADS:
        with using(threads=threads):
            for ours, theirs in zip(answers(group), wanted, strict=True):
                assert_same_bits(ours, theirs)


def test_inference():
    group = [problem("gru", 16, 20, 8, 64), problem("lstm", 16, 20, 8, 64, reverse=True)]
    wanted = alone(group)
    for threads in THREADS:
        with using(threads=threads):
            results = F.forward([call_of(p) for p in group], training=False)
            for (y, state, ctx), theirs in zip(results, wanted, strict=True):
                assert ctx is None
                assert_bits(y, theirs.y)
                for a, b in zip(state, theirs.state, strict=True):
                    assert_bits(a, b)


def test_masks_and_ragged():
    p = problem("lstm", 6, 9, 4, 33, ragged=False)
    mask = np.random.default_rng(0).random((6, 9)) < 0.6
    mask[2] = False
    ragged = lw.Ragged.from_list(list(p.x[:3, :5]))
    calls = [
        Call("lstm", p.x, p.parameters, p.state, mask=mask, hold=True, reverse=True, align=True),
        Call("lstm", ragged, p.parameters),
        Call("lstm", p.x, p.parameters, mask=mask, return_sequences=False),
    ]

    def run(groups):
        results = [result for group in groups for result in F.forward(group)]
        dys = [p.dy, lw.Ragged(p.dy[:3, :5].reshape(15, 33).copy(), ragged.offsets), p.dy[:, 0].copy()]
        ys = [np.array(y.values if isinstance(y, lw.Ragged) else y) for y, _, _ in results]
        backward = [BackwardCall(ctx, dy) for (_, _, ctx), dy in zip(results, dys, strict=True)]
        gradients = F.backward(backward) if len(groups) == 1 else [F.backward([b])[0] for b in backward]
        xs = [g.x.values if isinstance(g.x, lw.Ragged) else g.x for g in gradients]
        return [*ys, *xs, *(a for g in gradients for a in g[2:])]

    with using(threads=1):
        wanted = run([[call] for call in calls])
    for threads in THREADS:
        with using(threads=threads):
            for ours, theirs in zip(run([calls]), wanted, strict=True):
                assert_bits(ours, theirs)


def test_calls_that_add_to_one_array_run_in_turn():
    """Directions may share parameters: gradients are then added in the order of the calls."""
    p = problem("gru", 32, 20, 16, 64)
    group = [p, replace(p, reverse=True)]

    def total(at_once):
        out = [np.full_like(a, 0.1) for a in p.parameters]
        backward = [BackwardCall(ctx, p.dy, out=out) for _, _, ctx in F.forward([call_of(q) for q in group])]
        for calls in [backward] if at_once else [[b] for b in backward]:
            F.backward(calls)
        return out

    with using(threads=1):
        wanted = total(at_once=False)
    for threads in THREADS:
        with using(threads=threads), forced((1, "rows", 32, 0, 0, 0)):
            for _ in range(10):
                for ours, theirs in zip(total(at_once=True), wanted, strict=True):
                    assert_bits(ours, theirs)


def test_from_several_threads():
    """One caller holds the team, the others run their calls in turn."""
    group = [problem("lstm", 24, 20, 8, 48), problem("lstm", 24, 20, 8, 48, reverse=True, seed=1)]
    wanted = alone(group)
    failures = []

    def work():
        try:
            for _ in range(5):
                for ours, theirs in zip(answers(group), wanted, strict=True):
                    assert_same_bits(ours, theirs)
        except BaseException as error:
            failures.append(error)

    with using(threads=2):
        callers = [threading.Thread(target=work) for _ in range(4)]
        for caller in callers:
            caller.start()
        for caller in callers:
            caller.join()
    assert not failures, failures[0]


@pytest.mark.usefixtures("ctrl_c")
def test_ctrl_c():
    group = [problem("lstm", 32, 40, 16, 64), problem("lstm", 32, 40, 16, 64, reverse=True, seed=1)]
    wanted = alone(group)
    small = problem("lstm", 32, 1, 16, 64, ragged=False)
    x = np.zeros((32, 20000, 16), np.float32)
    calls = [
        Call("lstm", x, small.parameters, reverse=way, return_sequences=False) for way in (False, True)
    ]  # about a second
    with using(threads=2):
        timer = threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGINT))
        with pytest.raises(KeyboardInterrupt):  # noqa: PT012 (which of the calls it hits is open)
            timer.start()
            for _ in range(100):
                F.forward(calls, training=False)
        timer.join()
        for ours, theirs in zip(answers(group), wanted, strict=True):
            assert_same_bits(ours, theirs)


def test_bad_calls_change_nothing():
    p = problem("lstm", 3, 4, 2, 5)
    good, wide = call_of(p), call_of(p.astype(np.float64))
    out = np.full((3, 4, 5), 7, np.float32)
    written = call_of(p, out=out)
    for second, text in [
        (wide, "kernel must be float32 like the other arrays, got float64"),
        (Call("gru", p.x, p.parameters), "kernel must be"),
        (replace(good, x=p.x[:, :, :1]), r"x must be \[B, T, 2\]"),
        (replace(good, activation="sin"), "activation must be one of"),
    ]:
        with pytest.raises(ValueError, match=text):
            F.forward([written, second])
        assert (out == 7).all()
    assert F.forward([]) == []
    assert F.backward([]) == []
    (y, _, ctx), (_, _, other) = F.forward([good, good])
    double = F.forward([wide])[0][2]
    into = [np.zeros_like(a) for a in p.parameters]
    for second, text in [
        (BackwardCall(ctx, p.dy), "ctx has been used"),
        (BackwardCall(None, p.dy), "ctx must be the context of a training call"),
        (BackwardCall(double, p.dy.astype(np.float64)), "ctx must be float32 like the other arrays"),
        (BackwardCall(other, p.dy[:1]), r"dy must have shape \(3, 4, 5\)"),
    ]:
        with pytest.raises(ValueError, match=text):
            F.backward([BackwardCall(ctx, p.dy, out=into), second])
        assert not any(a.any() for a in into)
        assert not ctx.consumed
        assert not y.flags.writeable
    F.backward([BackwardCall(ctx, p.dy), BackwardCall(other, p.dy)])
    assert ctx.consumed
    assert other.consumed
