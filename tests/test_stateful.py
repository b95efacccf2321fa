"""stateful=True: the last state of a row is the first of the same row in the next batch; the model carries it."""

import os

import numpy as np
import pytest

import latchwork as lw
from latchwork import _core
from latchwork.layers import GRU, LSTM, RNN, Bidirectional, Dense, GRUCell, SimpleRNN, TimeDistributed
from latchwork.models import Sequential, load_model
from layer_checks import assert_same

RNG = np.random.default_rng(2)


def model_of(*layers, features=2):
    lw.set_seed(4)
    model = Sequential(list(layers))
    model.build((None, None, features))
    return model


def batch(rows, steps=3, features=2):
    return RNG.normal(size=(rows, steps, features)).astype(np.float32)


@pytest.mark.parametrize("layer_type", [LSTM, GRU, SimpleRNN])
def test_chunks_are_the_whole_sequence(layer_type):
    x = batch(5, 9)
    whole = model_of(layer_type(4, return_sequences=True), layer_type(3)).predict(x)
    carrying = model_of(layer_type(4, return_sequences=True, stateful=True), layer_type(3, stateful=True))
    for start in range(0, 9, 3):
        y = carrying.predict(x[:, start : start + 3])
    assert_same(y, whole)
    carrying.reset_states()
    assert_same(carrying.predict(x), whole)


def test_ragged_chunks():
    x = batch(3, 6)
    whole = model_of(GRU(4)).predict(lw.Ragged.from_list([x[0, :5], x[1, :2], x[2]]))
    carrying = model_of(GRU(4, stateful=True))
    carrying.predict(lw.Ragged.from_list([x[0, :2], x[1, :2], x[2, :4]]))
    assert_same(carrying.predict(lw.Ragged.from_list([x[0, 2:5], x[1, :0], x[2, 4:]])), whole)


def test_any_batch_size():
    """A smaller batch goes on with the first rows, new rows of a larger one start at zero."""
    model = model_of(LSTM(4, stateful=True))
    plain = model_of(LSTM(4))
    x, more, last = batch(3), batch(2), batch(5)
    assert_same(model.predict(x), plain.predict(x))
    assert_same(model.predict(more), plain.predict(np.concatenate([x[:2], more], axis=1)))
    y = model.predict(last)
    assert_same(y[:2], plain.predict(np.concatenate([x[:2], more, last[:2]], axis=1)))
    assert_same(y[2:3], plain.predict(np.concatenate([x[2:], last[2:3]], axis=1)))
    assert_same(y[3:], plain.predict(last[3:]))


def test_predict_goes_batch_by_batch():
    """As in Keras, 32 rows at once unless told: the second batch goes on where the first ended."""
    model, plain = model_of(GRU(3, stateful=True)), model_of(GRU(3))
    x = batch(64)
    assert_same(model.predict(x)[32:], plain.predict(np.concatenate([x[:32], x[32:]], axis=1)))
    model.reset_states()
    assert_same(model.predict(x, batch_size=64), plain.predict(x))


def test_reset_states_with_a_mask():
    model, plain = model_of(LSTM(4, stateful=True)), model_of(LSTM(4))
    x, after = batch(3), batch(3)
    model.predict(x)
    model.reset_states([True, False, True])
    y = model.predict(after)
    assert_same(y[[0, 2]], plain.predict(after[[0, 2]]))
    assert_same(y[1:2], plain.predict(np.concatenate([x, after], axis=1)[1:2]))


def test_reset_of_one_layer():
    model = model_of(GRU(4, return_sequences=True, stateful=True), GRU(3, stateful=True))
    x = batch(2)
    first = model.predict(x)
    model.layers[0].reset_states()
    assert not np.array_equal(model.predict(x), first)
    for layer in model.layers:
        layer.reset_states()
    assert_same(model.predict(x), first)
    GRU(3).reset_states()  # nothing to reset


def test_training_carries_states_but_no_gradient():
    model = model_of(LSTM(4, stateful=True), Dense(1))
    plain = model_of(LSTM(4), Dense(1))
    state = model_of(LSTM(4, return_state=True)).layers[0]
    x, then, y = batch(4), batch(4), RNG.normal(size=(4, 1))
    state.set_weights(model.get_weights()[:3])
    carried = state(x)[1:]
    model.predict(x)
    model.compile("sgd", "mse")
    model.train_on_batch(then, y)

    lstm, dense = plain.layers
    h, ctx = lstm.forward(then, initial_state=carried)
    out, dense_ctx = dense.forward(h)
    _, _, gradient = lw.losses.get("mse").value_and_grad(y.astype(np.float32), out)
    lstm.backward(ctx, dense.backward(dense_ctx, gradient))
    for ours, variable in zip(model.get_weights(), plain.variables, strict=True):
        assert_same(ours, variable.value - np.float32(0.01) * variable.gradient)


def test_a_failed_step_carries_nothing():
    model = model_of(GRU(3, stateful=True), Dense(1))
    model.compile("sgd", "mse")
    x = batch(2)
    model.predict(x)
    bad = x.copy()
    bad[0, 0, 0] = np.nan
    with pytest.raises(FloatingPointError):
        model.train_on_batch(bad, np.zeros((2, 1)))
    plain = model_of(GRU(3), Dense(1))
    assert_same(model.predict(x), plain.predict(np.concatenate([x, x], axis=1)))


def test_masked_steps_pass_the_state_on():
    x = batch(2, 6)
    model = model_of(lw.layers.Masking(9.0), LSTM(4, stateful=True))
    whole = model_of(LSTM(4)).predict(x)
    padded = np.concatenate([np.full((2, 2, 2), 9, np.float32), x[:, :4]], axis=1)
    model.predict(padded)
    model.predict(np.full((2, 3, 2), 9, np.float32))
    assert_same(model.predict(x[:, 4:]), whole)


def test_in_files(tmp_path):
    """The configuration is saved, what is carried is not; C++ carries states in sessions alone."""
    path = tmp_path / "m.safetensors"
    model = used()
    model.save(path)
    loaded, x = load_model(path), batch(2)
    assert loaded.layers[0].stateful
    model.reset_states()
    native, y = _core.Model(os.fsencode(path)), model.predict(x)
    assert_same(loaded.predict(x), y)
    for _ in range(2):
        assert_same(native.predict(x), y)


@pytest.mark.parametrize(
    "layer", [lambda: Bidirectional(GRU(3)), lambda: RNN(GRUCell(3)), lambda: TimeDistributed(Dense(2))]
)
def test_weights_of_layers_within_layers(layer, tmp_path):
    model = model_of(layer())
    model.save_weights(tmp_path / "w.safetensors")
    other = model_of(layer())
    other.load_weights(tmp_path / "w.safetensors")
    assert_same(other.predict(X := batch(2)), model.predict(X))


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: LSTM(3, stateful=True)(batch(2)), "lstm: stateful=True carries states in a model"),
        (lambda: LSTM(3, stateful=1), "LSTM: stateful must be True or False, got 1"),
        (lambda: used().reset_states([True]), "mask must have an entry for each of 2 carried rows, got 1"),
        (
            lambda: used().reset_states(np.ones((2, 1), bool)),
            r"mask must be bool of shape \(rows,\), got bool of shape",
        ),
        (lambda: used().reset_states([0, 1]), r"mask must be bool of shape \(rows,\), got int64"),
    ],
)
def test_bad_input(call, text):
    with pytest.raises(ValueError, match=text):
        call()


def used():
    model = model_of(GRU(3, stateful=True))
    model.predict(batch(2))
    return model
