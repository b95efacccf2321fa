"""Bidirectional(RNN(cell)): the library's cells, stacks and a user's; and both directions at once, bit for bit."""

import numpy as np
import pytest

import latchwork as lw
from latchwork.layers import (
    GRU,
    LSTM,
    RNN,
    Bidirectional,
    Dense,
    GRUCell,
    LSTMCell,
    Masking,
    SimpleRNN,
    SimpleRNNCell,
    StackedRNNCells,
)
from latchwork.models import Sequential
from layer_checks import Forgetful, assert_same, built, check_gradients
from problems import assert_bits, using

RNG = np.random.default_rng(8)
MODES = ["concat", "sum", "mul", "ave", None]
MASK = np.array([[1, 0, 1, 1, 0], [0, 0, 1, 0, 1], [1, 1, 1, 1, 1], [0, 0, 0, 0, 0], [0, 1, 0, 0, 0]], bool)
CELLS = [(LSTMCell, LSTM), (GRUCell, GRU), (SimpleRNNCell, SimpleRNN)]


def a_list(y):
    return y if isinstance(y, list) else [y]


def everything(layer, x, **call):
    """All that a call and its backward give: outputs, dx and dstates, gradients of the parameters."""
    rng = np.random.default_rng(1)
    outputs = [np.array(y) for y in a_list(layer(x, **call))]
    found, ctx = layer.forward(x, **call)
    for trained, inferred in zip(a_list(found), outputs, strict=True):
        assert_same(np.array(trained), inferred)
    for variable in layer.variables:
        variable.gradient[...] = 0
    dy = [rng.normal(size=y.shape).astype(y.dtype) for y in outputs]
    back = layer.backward(ctx, dy if len(dy) > 1 else dy[0])
    return [*outputs, *a_list(back), *(v.gradient.copy() for v in layer.variables)]


def assert_all_same(ours, theirs):
    for a, b in zip(ours, theirs, strict=True):
        assert_bits(a, b)


@pytest.mark.parametrize("sequences", [False, True])
@pytest.mark.parametrize("zero", [False, True])
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("cell", "inner"), CELLS)
def test_a_cell_is_the_layer(cell, inner, mode, zero, sequences):
    options = {"return_sequences": sequences, "return_state": True, "zero_output_for_mask": zero}
    pattern = RNN(cell(4), **options)
    layer = built(Bidirectional(pattern, mode), None, 3)
    plain = built(Bidirectional(inner(4, **options), mode), None, 3)
    plain.set_weights(layer.get_weights())
    assert not layer.python_loop
    assert not pattern.built
    x = RNG.normal(size=(5, 5, 3)).astype(np.float32)
    states = [RNG.normal(size=(5, 4)).astype(np.float32) for _ in range(layer.state_count)]
    for call in ({}, {"mask": MASK}, {"mask": MASK, "initial_state": states}):
        assert_all_same(everything(layer, x, **call), everything(plain, x, **call))


def stack():
    return RNN([LSTMCell(4), GRUCell(2)], return_sequences=True, return_state=True)


def users():
    return RNN(Forgetful(2), return_sequences=True, return_state=True)


def mixed():
    return RNN(StackedRNNCells([GRUCell(3), Forgetful(2)]), return_sequences=True, return_state=True)


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("pattern", [stack, users, mixed])
def test_halves_are_plain_layers(pattern, masked):
    """The way back is a layer with go_backwards, its y turned round again; sequences are 0 at masked steps."""
    layer = built(Bidirectional(pattern(), None), None, 3)
    assert layer.python_loop == (pattern is not stack)
    x = RNG.normal(size=(5, 5, 3)).astype(np.float32) * 0.3
    y, y_back, *states = layer(x, mask=MASK if masked else None)
    weights, half = layer.get_weights(), len(layer.variables) // 2
    for backwards in (False, True):
        plain = pattern()
        options = {"return_sequences": True, "return_state": True, "zero_output_for_mask": True}
        alone = built(RNN(plain.cell.copied(), go_backwards=backwards, **options), None, 3)
        alone.set_weights(weights[half:] if backwards else weights[:half])
        wanted, *final = alone(x, mask=MASK if masked else None)
        assert_same(np.array(y_back) if backwards else np.array(y), wanted[:, ::-1].copy() if backwards else wanted)
        count = len(states) // 2
        for ours, theirs in zip(states[count:] if backwards else states[:count], final, strict=True):
            assert_same(ours, theirs)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("sequences", [False, True])
@pytest.mark.parametrize("cell", [lambda: Forgetful(2), lambda: [GRUCell(3), LSTMCell(2)]])
def test_gradients(cell, sequences, mode):
    layer = built(Bidirectional(RNN(cell(), sequences, return_state=True, dtype="float64"), mode), None, 2)
    states = [RNG.normal(size=(5, n)) * 0.3 for n in 2 * layer.forward_layer.cell.state_sizes]
    check_gradients(layer, RNG.normal(size=(5, 5, 2)) * 0.3, initial_state=states, mask=MASK)


@pytest.mark.parametrize("pattern", [stack, users, mixed])
def test_ragged_is_the_masked_batch(pattern):
    layer = built(Bidirectional(pattern(), dtype="float64"), None, 3)
    mask = np.arange(5) < np.array([[3], [5], [1]])
    x = RNG.normal(size=(3, 5, 3)) * 0.3
    ragged = lw.Ragged.from_list([row[real] for row, real in zip(x, mask, strict=True)])
    found, *states = layer(ragged)
    wanted, *final = layer(x, mask=mask)
    for ours, theirs in zip([found.values, *states], [wanted[mask], *final], strict=True):
        if layer.python_loop:
            assert abs(ours - theirs).max() < 1e-14  # numpy's product has other bits for other numbers of rows
        else:
            assert_same(ours, theirs)


def test_variables_and_another_way_back():
    back = RNN(Forgetful(2), go_backwards=True, name="back")
    layer = built(Bidirectional(LSTM(4), backward_layer=back, merge_mode="concat"), None, 3)
    assert layer.variables[3].name == "bidirectional/backward_back/forgetful/kernel"
    assert layer(np.ones((2, 5, 3))).shape == (2, 8)
    again = Bidirectional(layer.forward_layer, backward_layer=layer.backward_layer)
    assert [half.name for half in again.inner] == ["forward_lstm", "backward_back"]
    with pytest.raises(ValueError, match="units must be the same"):
        Bidirectional(LSTM(3), "sum", backward_layer=RNN(Forgetful(2), go_backwards=True))
    with pytest.raises(ValueError, match="Bidirectional: layer must be an LSTM, GRU, SimpleRNN or RNN, got <Bid"):
        Bidirectional(Bidirectional(LSTM(3)))


@pytest.mark.parametrize("cell", [lambda: [GRUCell(3), LSTMCell(2)], lambda: Forgetful(2)])
def test_stateful(cell):
    x = RNG.normal(size=(3, 6, 2)).astype(np.float32) * 0.3
    carrying = Sequential([Bidirectional(RNN(cell(), stateful=True))])
    carrying.build((None, None, 2))
    plain = built(Bidirectional(RNN(cell(), return_state=True)), None, 2)
    plain.set_weights(carrying.get_weights())
    _, *states = plain(x[:, :3])
    carrying.predict(x[:, :3])
    assert_same(carrying.predict(x[:, 3:]), plain(x[:, 3:], states)[0])
    carrying.reset_states()
    assert_same(carrying.predict(x), plain(x)[0])


def test_in_a_model(capsys):
    lw.set_seed(1)
    x = RNG.normal(size=(20, 5, 2)) * 0.3
    x[:, 3:] = 0
    model = Sequential([
        Masking(), Bidirectional(RNN([GRUCell(4), LSTMCell(3)], return_sequences=True)),
        Bidirectional(RNN(Forgetful(2))), Dense(1),
    ])  # fmt: skip
    model.compile("adam", "mse")
    history = model.fit(x, x[:, 0, 0], epochs=20, verbose=0).history["loss"]
    assert history[-1] < history[0]
    assert_same(model.predict(x), model.predict(lw.Ragged.from_list(list(x[:, :3]))))
    model.summary()
    text = capsys.readouterr().out
    assert "bidirectional_1 (Bidirectional, a loop in Python)" in text
    assert "bidirectional (Bidirectional)" in text


# ---- both directions at once --------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    "pattern",
    [
        lambda o: LSTM(40, **o),
        lambda o: GRU(40, reset_after=False, **o),
        lambda o: SimpleRNN(40, **o),
        lambda o: RNN([GRUCell(40), LSTMCell(33)], **o),
    ],
)
def test_threads(pattern, mode, dtype):
    """Large enough to run side by side; masked and not, sequences and the last step alone."""
    x = RNG.normal(size=(24, 20, 16)).astype(dtype)
    mask = RNG.random((24, 20)) < 0.7
    mask[3] = False
    for sequences in (False, True):
        options = {"return_sequences": sequences, "return_state": True, "dtype": dtype}
        layer = built(Bidirectional(pattern(options), mode), None, 16)
        for call in ({}, {"mask": mask}):
            with using(threads=1):
                wanted = everything(layer, x, **call)
            for threads in (2, 3, 4):
                with using(threads=threads):
                    assert_all_same(everything(layer, x, **call), wanted)


@pytest.mark.parametrize("threads", [1, 2, 4])
def test_each_pass_asks_the_core_once(threads, monkeypatch):
    """A stack asks level by level, both directions together."""
    asked = []
    core = lw.functional.forward
    monkeypatch.setattr(lw.functional, "forward", lambda calls, **o: asked.append(len(calls)) or core(calls, **o))
    x = np.ones((2, 3, 4), np.float32)
    with using(threads=threads):
        Bidirectional(LSTM(5))(x)
        Bidirectional(RNN([GRUCell(3), GRUCell(4), GRUCell(2)]))(x)
        Bidirectional(RNN([GRUCell(3), GRUCell(4)]), backward_layer=LSTM(3, go_backwards=True))(x)
    assert asked == [2, 2, 2, 2, 2, 1]
