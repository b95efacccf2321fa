"""Cells and RNN(cell): fused where they are the library's, a loop in Python where they are the user's."""

from itertools import product

import numpy as np
import pytest

import latchwork as lw
from latchwork.layers import (
    GRU,
    LSTM,
    RNN,
    Cell,
    Dense,
    GRUCell,
    LSTMCell,
    Masking,
    SimpleRNN,
    SimpleRNNCell,
    StackedRNNCells,
)  # fmt: skip
from latchwork.models import Sequential
from layer_checks import Forgetful, assert_same, built, check_gradients

RNG = np.random.default_rng(6)
MASK = np.array([[1, 0, 1, 1, 0], [0, 0, 1, 0, 1], [1, 1, 1, 1, 1], [0, 0, 0, 0, 0], [0, 1, 0, 0, 0]], bool)
CELLS = [(LSTMCell, LSTM), (GRUCell, GRU), (SimpleRNNCell, SimpleRNN)]


# ---- the library's cells -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("cell", "layer"), CELLS)
def test_rnn_of_a_cell_is_the_layer(cell, layer):
    options = {"return_sequences": True, "return_state": True, "go_backwards": True}
    rnn = built(RNN(cell(4), **options), None, 3)
    plain = built(layer(4, **options), None, 3)
    plain.set_weights(rnn.get_weights())
    assert not rnn.python_loop
    name = plain.name
    assert [v.name for v in rnn.variables] == [v.name.replace(name, f"rnn/{name}_cell") for v in plain.variables]
    x = RNG.normal(size=(5, 5, 3)).astype(np.float32)
    dy = [RNG.normal(size=a.shape).astype(np.float32) for a in plain(x)]
    (found, ctx), (wanted, plain_ctx) = rnn.forward(x, mask=MASK), plain.forward(x, mask=MASK)
    for ours, theirs in zip(found, wanted, strict=True):
        assert_same(ours, theirs)
    assert_same(rnn.backward(ctx, dy), plain.backward(plain_ctx, dy))
    for ours, theirs in zip(rnn.variables, plain.variables, strict=True):
        assert_same(ours.gradient, theirs.gradient)


@pytest.mark.parametrize(("cell", "layer"), CELLS)
def test_a_cell_is_one_step(cell, layer):
    """The cell of an RNN shares its parameters: stepping by hand gives the bits of the layer."""
    one = cell(4)
    rnn = built(RNN(one, return_sequences=True, return_state=True), None, 3)
    x = RNG.normal(size=(2, 6, 3)).astype(np.float32)
    y, *final = rnn(x)
    states = one.get_initial_state(2)
    for t in range(6):
        out, states = one(x[:, t], states)
        assert_same(out, y[:, t].copy())
    for ours, theirs in zip(states, final, strict=True):
        assert_same(ours, theirs)
    rnn.set_weights([w * 0.5 for w in rnn.get_weights()])
    assert_same(one(x[:, 0])[0], rnn(x)[0][:, 0].copy())


def test_a_cell_alone():
    lw.set_seed(1)
    cell = LSTMCell(3, dtype="float64")
    cell.build((None, 2))
    assert [v.name for v in cell.variables] == ["lstm_cell/kernel", "lstm_cell/recurrent_kernel", "lstm_cell/bias"]
    assert (cell.state_size, cell.output_size, cell.units, cell.activation) == ([3, 3], 3, 3, "tanh")
    assert (GRUCell(3).state_size, SimpleRNNCell(3).output_size) == (3, 3)
    x, states = RNG.normal(size=(2, 2)), [RNG.normal(size=(2, 3)) for _ in range(2)]
    y, final, ctx = cell.forward(x, states, True)
    dx, back = cell.backward(ctx, np.ones_like(y), [np.zeros_like(s) for s in final])
    assert dx.shape == (2, 2)
    assert [b.shape for b in back] == [(2, 3), (2, 3)]


@pytest.mark.parametrize("backwards", [False, True])
def test_stacked_cells_are_stacked_layers(backwards):
    rnn = built(RNN([LSTMCell(4), LSTMCell(3), GRUCell(2)], return_sequences=True, go_backwards=backwards), None, 2)
    assert not rnn.python_loop
    assert rnn.variables[3].name == "rnn/stacked_rnn_cells/lstm_cell_1/kernel"
    layers = [
        built(LSTM(4, return_sequences=True, go_backwards=backwards), None, 2),
        built(LSTM(3, return_sequences=True), None, 4),
        built(GRU(2, return_sequences=True), None, 3),
    ]
    weights = rnn.get_weights()
    for i, layer in enumerate(layers):
        layer.set_weights(weights[3 * i : 3 * i + 3])
    x = RNG.normal(size=(3, 5, 2)).astype(np.float32)
    y = x
    for layer in layers:
        y = layer(y)
    assert_same(rnn(x), y)


@pytest.mark.parametrize(("sequences", "backwards"), list(product([False, True], repeat=2)))
def test_gradients_of_stacked_cells(sequences, backwards):
    cells = StackedRNNCells([GRUCell(3), LSTMCell(2)])
    rnn = RNN(cells, sequences, return_state=True, go_backwards=backwards, dtype="float64")
    states = [RNG.normal(size=(5, n)) for n in (3, 2, 2)]
    check_gradients(built(rnn, None, 2), RNG.normal(size=(5, 5, 2)), initial_state=states, mask=MASK)


# ---- a cell in Python --------------------------------------------------------------------------------------


class Copy(Cell):
    """A cell of the library, called step by step from Python."""

    def __init__(self, cell):
        super().__init__()
        self.cell = cell

    @property
    def state_size(self):
        return self.cell.state_size

    def create(self, features):
        self.cell.build((None, features))

    def forward(self, x, states, training=False):
        return self.cell.forward(x, states, training)

    def backward(self, ctx, dy, dstates):
        return self.cell.backward(ctx, dy, dstates)


@pytest.mark.parametrize(("sequences", "backwards", "zero"), list(product([False, True], repeat=3)))
@pytest.mark.parametrize("ragged", [False, True])
def test_the_loop_gives_the_bits_of_the_kernels(sequences, backwards, zero, ragged):
    """Forward and dx; gradients of parameters are summed step by step there, in groups here."""
    options = {
        "return_sequences": sequences, "return_state": True, "go_backwards": backwards, "zero_output_for_mask": zero,
    }  # fmt: skip
    cell = LSTMCell(4)
    loop, fused = RNN(Copy(cell), **options), built(LSTM(4, **options), None, 3)
    assert loop.python_loop
    loop.build((None, None, 3))
    cell.set_weights(fused.get_weights())
    x = RNG.normal(size=(5, 5, 3)).astype(np.float32)
    mask, given = MASK, x
    if ragged:
        mask, given = MASK.ravel()[:20], lw.Ragged(x.reshape(25, 3)[:20], [0, 5, 5, 9, 16, 20])
    states = [RNG.normal(size=(5, 4)).astype(np.float32) for _ in range(2)]
    (found, ctx), (wanted, fused_ctx) = (layer.forward(given, states, mask) for layer in (loop, fused))

    def values(a):
        return np.array(a.values if isinstance(a, lw.Ragged) else a)

    for ours, theirs in zip(found, wanted, strict=True):
        assert_same(values(ours), values(theirs))
    dy = [RNG.normal(size=values(a).shape).astype(np.float32) for a in wanted]
    dy[0] = lw.Ragged(dy[0], given.offsets) if ragged and sequences else dy[0]
    for ours, theirs in zip(loop.backward(ctx, dy), fused.backward(fused_ctx, dy), strict=True):
        assert abs(values(ours) - values(theirs)).max() < 1e-6


@pytest.mark.parametrize(("sequences", "backwards", "zero"), list(product([False, True], repeat=3)))
def test_gradients_of_a_users_cell(sequences, backwards, zero):
    rnn = RNN(
        Forgetful(2), sequences, return_state=True, go_backwards=backwards, zero_output_for_mask=zero, dtype="float64"
    )
    states = [RNG.normal(size=(5, 2)) * 0.3 for _ in range(2)]
    check_gradients(built(rnn, None, 2), RNG.normal(size=(5, 5, 2)) * 0.3, initial_state=states, mask=MASK)


def test_gradients_of_a_mixed_stack():
    rnn = RNN([GRUCell(3), Forgetful(2)], dtype="float64")
    assert rnn.python_loop
    check_gradients(built(rnn, None, 2), RNG.normal(size=(3, 4, 2)) * 0.3)


def test_a_users_cell_learns_in_a_model(capsys):
    lw.set_seed(2)
    x = RNG.normal(size=(40, 6, 2)) * 0.3
    x[:, 4:] = 0
    model = Sequential([Masking(), RNN(Forgetful(3), input_shape=(None, 2)), Dense(1)])
    model.compile(lw.optimizers.Adam(0.02), "mse")
    history = model.fit(x, x[:, :4, 0].sum(axis=1), epochs=30, verbose=0).history["loss"]
    assert history[-1] < history[0] / 2
    assert_same(model.predict(x), model.predict(lw.Ragged.from_list(list(x[:, :4]))))
    model.summary()
    assert "rnn (RNN, a loop in Python)" in capsys.readouterr().out
    assert [v.name for v in model.variables[:2]] == ["rnn/forgetful/kernel", "rnn/forgetful/bias"]


@pytest.mark.parametrize("cell", [lambda: [GRUCell(3), LSTMCell(2)], lambda: Forgetful(2)])
def test_stateful(cell):
    x = RNG.normal(size=(3, 6, 2)).astype(np.float32) * 0.3
    carrying = Sequential([RNN(cell(), stateful=True)])
    carrying.build((None, None, 2))
    plain = RNN(cell())
    plain.build((None, None, 2))
    plain.set_weights(carrying.get_weights())
    carrying.predict(x[:, :2])
    assert_same(carrying.predict(x[:, 2:]), plain(x))
    carrying.layers[0].reset_states()
    assert_same(carrying.predict(x), plain(x))


class Wrong(Forgetful):
    def forward(self, x, states, training=False):
        y, states, ctx = super().forward(x, states, training)
        return y[:, :1], states, ctx


class WrongStates(Forgetful):
    def forward(self, x, states, training=False):
        y, states, ctx = super().forward(x, states, training)
        return y, states[:1], ctx


X = np.ones((2, 3, 4))


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: RNN(LSTM(3)), r"RNN: cell must be a cell \(lw.layers.Cell\) or a list of cells, got <LSTM"),
        (lambda: RNN([LSTMCell(3), Dense(3)]), "StackedRNNCells: cells must be a list of cells"),
        (lambda: RNN(LSTMCell(3), return_sequences=1), "RNN: return_sequences must be True or False, got 1"),
        (lambda: LSTMCell(0), "units must be a whole number of at least 1, got 0"),
        (lambda: LSTMCell(3, dropout=0.1), "LSTMCell: dropout must be 0.0"),
        (lambda: RNN(LSTMCell(3))(X[0]), r"rnn: x must be \(B, T, F\), got \(B, 4\)"),
        (lambda: LSTMCell(3)(X), r"lstm_cell: x must be \(B, F\), got \(B, 3, 4\)"),
        (
            lambda: RNN(LSTMCell(3))(X, [np.ones((2, 3))]),
            r"rnn: initial_state must be a list of arrays of shapes \[\(2, 3\), \(2, 3\)\], got \[\(2, 3\)\]",
        ),
        (lambda: RNN(Wrong(2))(X), r"wrong: y must be \(2, 4\) \(output_size\), got \(2, 1\)"),
        (lambda: RNN(WrongStates(2))(X), r"wrong_states: states must have the sizes \[2, 2\] \(state_size\), got"),
        (lambda: RNN(Cell()), "cell: state_size must be a number or a list of numbers, got None"),
        (lambda: RNN(Forgetful(2), stateful=True)(X), "rnn: stateful=True carries states in a model"),
        (lambda: RNN(Forgetful(2))(X, mask=np.ones((2, 4), bool)), r"rnn: mask must be bool of shape \(2, 3\)"),
        (
            lambda: (r := RNN(LSTMCell(3), return_state=True)).backward(r.forward(X)[1], np.ones((2, 3))),
            "rnn: dy must be 3 arrays, as forward returned, got 1",
        ),
    ],
)
def test_bad_input(call, text):
    with pytest.raises(ValueError, match=text):
        call()


def test_a_cell_must_define_its_steps():
    class Nothing(Cell):
        state_size = 2

    with pytest.raises(TypeError, match=r"Nothing must define forward\(x, states, training\)"):
        RNN(Nothing())(X)
