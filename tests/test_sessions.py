"""model.session: single steps with the bits of predict, over every layer that can step."""

import gc
import threading

import numpy as np
import pytest

import latchwork as lw
from latchwork.layers import GRU, LSTM, RNN, Cell, Dense, Embedding, Input, LSTMCell, Masking
from latchwork.models import Sequential
from model_stacks import NO_STEPS, STACKS, example, same, whole


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", STACKS)
def test_steps_are_predict(name, dtype):
    """After t steps y is predict's output on those t steps: its last row, if it has one a step."""
    model, x = example(name, dtype)
    if name in NO_STEPS:
        with pytest.raises(ValueError, match=NO_STEPS[name]):
            model.session(3)
        return
    session = model.session(len(x))
    for start in range(2):  # a second time after a reset
        for t in range(x.shape[1]):
            y = session.step(x[:, t])
            expected = whole(model, x[:, : t + 1])
            expected = expected[:, t] if expected.ndim == 3 else expected
            assert same([y.reshape(expected.shape)], [expected]), (start, t)
        session.reset()


@pytest.mark.parametrize("name", sorted({*STACKS} - {*NO_STEPS}))
def test_one_stream_is_a_row_of_many(name):
    model, x = example(name)
    many, one = model.session(5), model.session()
    for t in range(x.shape[1]):
        assert same([many.step(x[:5, t])[1:2].copy()], [one.step(x[1:2, t])])


@pytest.mark.parametrize("isa", lw.cpu.supported())
def test_steps_on_every_isa(isa):
    """A session goes on as it began when another ISA is chosen: with the same bits, whichever runs."""
    model, x = example("Masking, zeros at each step")
    before = lw.cpu.isa()
    old = model.session(len(x))
    try:
        lw.cpu.use(isa)
        new = model.session(len(x))
        for t in range(x.shape[1]):
            assert same([old.step(x[:, t]).copy()], [new.step(x[:, t])])
    finally:
        lw.cpu.use(before)


@pytest.mark.parametrize("threads", [1, 2, None])
def test_steps_that_threads_share(threads):
    """Of layers wide enough, some streams masked: the bits of predict, whoever computes."""
    layers = [GRU(300, reset_after=False, return_sequences=True), LSTM(300, return_sequences=True), Dense(3)]
    model = Sequential([Input((None, 290)), Masking(), *layers])
    x = np.random.default_rng(0).normal(size=(3, 8, 290)).astype("f")
    x[1, 2:4] = x[2, 5] = 0
    session = model.session(3, threads=threads)
    y = model.predict(x)
    real = (x != 0).any(axis=-1)
    for t in range(8):
        step = session.step(x[:, t])
        assert same([step[real[:, t]]], [y[real[:, t], t]])


def test_threads_must_be_some():
    with pytest.raises(ValueError, match="session: threads must be"):
        stepped()[0].session(threads=0)


def test_a_stateful_model_in_chunks_is_its_session():
    model = Sequential([Input((None, 2)), LSTM(17, return_sequences=True, stateful=True), GRU(3, stateful=True)])
    x = np.random.default_rng(1).normal(size=(4, 12, 2)).astype("f")
    session = model.session(4)
    for start in range(0, 12, 4):
        chunk = model.predict(x[:, start : start + 4])
        for t in range(start, start + 4):
            y = session.step(x[:, t])
        assert same([y], [chunk])


def stepped(n=1, units=3):
    model = Sequential([Input((None, 2)), LSTM(units, return_sequences=True), RNN([LSTMCell(2)]), Dense(4)])
    return model, model.session(n)


def test_state_by_name_kept_and_put_back():
    model, session = stepped(n=3)
    x = np.random.default_rng(2).normal(size=(6, 3, 2)).astype("f")
    for row in x[:3]:
        session.step(row)
    kept = session.state
    assert {name: values.shape for name, values in kept.items()} == {
        "lstm/h": (3, 3),
        "lstm/c": (3, 3),
        "rnn/stacked_rnn_cells/lstm_cell/h": (3, 2),
        "rnn/stacked_rnn_cells/lstm_cell/c": (3, 2),
    }
    later = [session.step(row, copy=True) for row in x[3:]]
    other = model.session(3)
    other.state = kept
    assert same([other.step(row, copy=True) for row in x[3:]], later)
    _, states, _ = model.layers[0].advance(np.ascontiguousarray(x[:3].transpose(1, 0, 2)), training=False)
    assert same([kept["lstm/h"], kept["lstm/c"]], states)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.pop("lstm/h"), "state must be a dict of lstm/h, lstm/c"),
        (lambda s: s.update(more=1), "state must be a dict"),
        (lambda s: s.update({"lstm/c": np.ones((3, 1))}), r"lstm/c must be \[3, 3\], got \(3, 1\)"),
        (lambda s: s.update({"lstm/c": "no"}), "lstm/c must hold numbers"),
    ],
)
def test_states_that_do_not_fit(change, message):
    _, session = stepped(n=3)
    session.step(np.ones((3, 2)))
    before = session.state
    state = {name: values * 2 for name, values in before.items()}
    change(state)
    with pytest.raises(ValueError, match=message):
        session.state = state
    assert same(list(session.state.values()), list(before.values()))
    with pytest.raises(ValueError, match="state must be a dict"):
        session.state = [1]


def test_one_stream_begins_anew():
    model, session = stepped(n=3)
    fresh = model.session()
    x = np.ones((3, 2), "f")
    session.step(x)
    session.reset(1)
    y = session.step(x)
    assert same([y[1:2].copy()], [fresh.step(x[:1])])
    assert same([y[::2].copy()], [model.predict(np.ones((2, 2, 2), "f"))])
    for bad in (-1, 3):
        with pytest.raises(ValueError, match=r"stream must be within \[0, 3\)"):
            session.reset(bad)


def test_the_result_is_reused_and_copied_on_request():
    _, session = stepped()
    first = session.step(np.ones((1, 2), "f"))
    copied = session.step(np.ones((1, 2), "f"), copy=True)
    assert session.step(np.zeros((1, 2), "f")) is first
    assert not np.shares_memory(copied, first)
    assert not np.array_equal(first, copied)
    del session
    gc.collect()
    first += 1  # still there


def test_what_x_may_be():
    model, session = stepped()
    x = np.ones((1, 2), "f")
    y = session.step(x, copy=True)
    for same_x in ([[1, 1]], [1, 1], (1.0, 1.0), np.ones(2), np.ones((2, 2), "f")[:1, ::-1], np.ones((1, 2), bool)):
        assert same([model.session().step(same_x)], [y])
    for bad in (np.ones((2, 1)), np.ones(3), np.ones((1, 1, 2)), 1.0, np.ones((0, 2))):
        with pytest.raises(ValueError, match=r"x must be float32 \[1, 2\], got"):
            session.step(bad)
    with pytest.raises(ValueError, match="x must hold numbers"):
        session.step("ab")
    assert same([session.step(x)], [model.predict(np.ones((1, 2, 2)))])  # nothing above was a step


def test_numbers_outside_the_table():
    model = Sequential([Input((None,)), Embedding(5, 3), LSTM(4)])
    session = model.session(2)
    y = session.step([1, 4], copy=True)
    state = session.state
    for bad in ([1, 5], [-1, 1], [0.5, 1], [np.nan, 1], [1, np.inf], [1e30, 1]):
        with pytest.raises(ValueError, match="x must hold whole numbers within the Embedding's table"):
            session.step(bad)
    assert same(list(session.state.values()), list(state.values()))
    assert same([y], [model.predict([[1], [4]])])


class OwnCell(Cell):
    state_size = 2


@pytest.mark.parametrize(
    ("model", "n", "message"),
    [
        (lambda: stepped()[0], 0, "session: n must be"),
        (lambda: stepped()[0], 1.5, "session: n must be"),
        (lambda: Sequential([LSTM(3)]), 1, "say the input's shape"),
        (
            lambda: Sequential([Input((3,)), Dense(2)]),
            1,
            r"a session needs a model of sequences, \[T, F\], got",
        ),
        (lambda: Sequential([Input((3, 4, 2)), Dense(2)]), 1, "a session needs a model of sequences"),
        (lambda: Sequential([Input((None, 2)), Masking(), RNN(OwnCell())]), 1, "session: .*OwnCell"),
        (lambda: Sequential([Input((None, 2)), LSTM(2, return_state=True)]), 1, "session: lstm: several outputs"),
    ],
)
def test_what_has_no_session(model, n, message):
    with pytest.raises(ValueError, match=message):
        model().session(n)


def test_a_session_keeps_its_weights():
    model, session = stepped()
    x = np.ones((1, 2), "f")
    other = model.session()
    model.set_weights([w * 0 for w in model.get_weights()])
    del model
    gc.collect()
    y = other.step(x, copy=True)
    assert y.any()
    assert same([session.step(x)], [y])


def test_one_thread_at_a_time():
    """A long step releases the GIL; another thread's step meanwhile is an error, or comes before or after."""
    model = Sequential([Input((None, 512)), LSTM(1024)])
    session, errors = model.session(4), []
    x = np.ones((4, 512), "f")

    def work():
        for _ in range(30):
            try:
                session.step(x)
            except ValueError as error:
                errors.append(str(error))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(errors) <= {"a session serves one thread at a time"}
    expected = model.predict(np.ones((4, 120 - len(errors), 512), "f"))
    assert same([session.state["lstm/h"]], [expected])
