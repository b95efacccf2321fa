"""value_and_grad, optimizer.apply, per_sample_gradients: against train_on_batch, fit and finite differences."""

import threading

import numpy as np
import pytest

import latchwork as lw
from latchwork.layers import (
    GRU,
    LSTM,
    RNN,
    BatchNormalization,
    Bidirectional,
    Concatenate,
    Dense,
    Dropout,
    Embedding,
    GaussianNoise,
    Input,
    LayerNormalization,
    LSTMCell,
    Masking,
    SimpleRNN,
    SpatialDropout1D,
    TimeDistributed,
)
from latchwork.models import Model, Sequential
from latchwork.optimizers import SGD, Adam

RNG = np.random.default_rng(11)
B, T, F = 4, 5, 3
X, Y = RNG.normal(size=(B, T, F)), RNG.normal(size=(B, 2))


def row(*layers, dtype="float64", optimizer="adam", loss="mse", shape=(None, F)):
    lw.set_seed(3)
    model = Sequential([Input(shape), *layers], dtype=dtype)
    model.compile(optimizer, loss=loss)
    return model


def graph(dtype="float64", loss="mse"):
    """Two inputs, a shared layer, a state handed over, two outputs."""
    lw.set_seed(3)
    series, table = Input((None, F), name="series"), Input((4,), name="table")
    shared = Dense(4, activation="tanh")
    y, h = GRU(4, return_sequences=True, return_state=True)(series)
    state = shared(table)
    z = SimpleRNN(4)(y, initial_state=[state])
    both = Concatenate()([shared(h), z])
    model = Model([series, table], [Dense(2, name="a")(both), Dense(1, name="b")(z)], dtype=dtype)
    model.compile("adam", loss=loss, loss_weights=[1.0, 0.5])
    return model, [X, RNG.normal(size=(B, 4))], [Y, RNG.normal(size=(B, 1))]


def same(a, b):
    return len(a) == len(b) and all(np.array_equal(x, y) for x, y in zip(a, b, strict=True))


def loss_of(model, x, y):
    return model.value_and_grad(x, y, training=False)[0]


def differences(loss, array, step=1e-5):
    """d loss() / d array by central differences."""
    out = np.empty(array.shape)
    for at in np.ndindex(array.shape):
        kept = array[at]
        array[at] = kept + step
        above = loss()
        array[at] = kept - step
        out[at] = (above - loss()) / (2 * step)
        array[at] = kept
    return out


STACKS = {
    "tutorial": lambda: [LSTM(6), Dense(2)],
    "noise": lambda: [Dropout(0.3), GRU(6, return_sequences=True), GaussianNoise(0.1), BatchNormalization(), LSTM(2)],
}


@pytest.mark.parametrize("stack", STACKS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_loop_of_ones_own_is_train_on_batch(stack, dtype):
    by_hand, whole = (row(*STACKS[stack](), dtype=dtype) for _ in range(2))
    weights = np.array([1.0, 0.5, 2.0, 0.0])
    for _ in range(4):
        loss, grads = by_hand.value_and_grad(X, Y, sample_weight=weights)
        by_hand.optimizer.apply(grads)
        assert loss == whole.train_on_batch(X, Y, weights)
    assert same(by_hand.get_weights(), whole.get_weights())
    assert np.array_equal(by_hand.predict(X), whole.predict(X))  # packed copies too


def test_a_graph():
    (by_hand, x, y), (whole, _, _) = graph(), graph()
    for _ in range(3):
        loss, grads = by_hand.value_and_grad(x, y)
        by_hand.optimizer.apply(grads)
        assert loss == whole.train_on_batch(x, y, return_dict=True)["loss"]
    assert same(by_hand.get_weights(), whole.get_weights())


def test_names_and_places():
    model = row(LSTM(4), Dense(2), dtype="float32")
    model.layers[0].trainable = False
    _, grads = model.value_and_grad(X, Y)
    assert list(grads) == ["dense/kernel", "dense/bias"]
    assert len(grads) == 2
    assert grads.flat.shape == (model.count_params(),)
    assert grads.flat.dtype == np.float32
    assert all(np.shares_memory(grads[name], grads.flat) for name in grads)
    kept = grads["dense/kernel"].copy()
    model.value_and_grad(2 * X, Y)
    assert np.array_equal(grads["dense/kernel"], kept)
    assert grads.inputs is None
    assert grads.states == {}


def test_changed_gradients_are_applied():
    model = row(Dense(2), optimizer=SGD(1.0), shape=(F,))
    before = model.get_weights()
    _, grads = model.value_and_grad(X[:, 0], Y)
    grads["dense/kernel"][...] = 0
    grads["dense/bias"][...] = [1, 2]
    model.optimizer.apply(grads)
    assert same(model.get_weights(), [before[0], before[1] - [1, 2]])


def test_another_optimizer_becomes_the_models():
    model, whole = row(Dropout(0.4), LSTM(4), Dense(2)), row(Dropout(0.4), LSTM(4), Dense(2), optimizer=Adam(0.1))
    mine = Adam(0.1)
    for _ in range(3):  # masks go on with its steps
        mine.apply(model.value_and_grad(X, Y)[1])
        whole.train_on_batch(X, Y)
    assert model.optimizer is mine
    assert same(model.get_weights(), whole.get_weights())


def kinds(x, h=4):
    return {
        "lstm": [LSTM(h, return_sequences=True), GRU(h), Dense(2)],
        "masked": [Masking(), LSTM(h, return_sequences=True), SimpleRNN(h, go_backwards=True), Dense(2)],
        "both": [Bidirectional(GRU(h)), Dense(2)],
        "cells": [RNN([LSTMCell(h), LSTMCell(2)])],
        "frozen": [Dense(4, activation="tanh", trainable=False), LSTM(2, trainable=False)],
        "normal": [LayerNormalization(), BatchNormalization(), LSTM(h), Dense(2)],
    }[x]


@pytest.mark.parametrize("kind", ["lstm", "masked", "both", "cells", "frozen", "normal"])
def test_every_gradient_is_that_of_the_loss_in_inference(kind):
    model = row(*kinds(kind))
    x = X.copy()
    if kind == "masked":
        x[1, 3:] = x[2, 0] = 0
    _, grads = model.value_and_grad(x, Y, training=False, with_inputs=True, with_states=True)
    moving = x.copy()
    expected = differences(lambda: loss_of(model, moving, Y), moving)
    real = (x != 0).any(axis=-1)
    np.testing.assert_allclose(grads.inputs[real], expected[real], rtol=1e-6, atol=1e-9)
    assert not grads.inputs[~real].any()

    def loss():
        for layer in model.layers:
            layer.touch()
        return loss_of(model, x, Y)

    for variable in model.variables:
        if variable.name in grads:
            expected = differences(loss, variable.value)
            np.testing.assert_allclose(grads[variable.name], expected, rtol=1e-6, atol=1e-9, err_msg=variable.name)


def test_inputs_of_a_graph():
    model, x, y = graph()
    x = [part.copy() for part in x]
    _, grads = model.value_and_grad(x, y, with_inputs=True, with_states=True)
    for part, found in zip(x, grads.inputs, strict=True):
        np.testing.assert_allclose(found, differences(lambda: loss_of(model, x, y), part), rtol=1e-6, atol=1e-9)
    assert list(grads.states) == ["gru"]  # the other one was given its state


def test_states_are_those_of_the_states_a_batch_begins_with():
    model = row(LSTM(4, stateful=True, return_sequences=True), GRU(2, stateful=True))
    model.predict(X)
    held = {n: [s.copy() for s in states] for n, states in model._carried.held().items()}

    def loss():
        model._carried.put_back(dict(held))
        return loss_of(model, X, Y)

    model._carried.put_back(dict(held))
    _, grads = model.value_and_grad(X, Y, training=False, with_states=True)
    for number, name in enumerate(["lstm", "gru"]):
        assert len(grads.states[name]) == len(held[number])
        for found, state in zip(grads.states[name], held[number], strict=True):
            np.testing.assert_allclose(found, differences(loss, state), rtol=1e-6, atol=1e-9)
    assert grads.inputs is None


def test_states_without_carried_ones_and_shared_layers():
    x, cell = Input((None, F)), GRU(3, return_sequences=True)
    model = Model(x, Dense(2)(LSTM(3)(cell(Dense(F)(cell(x))))), dtype="float64")
    model.compile(loss="mse")
    _, grads = model.value_and_grad(X, Y, with_states=True)
    assert {name: len(found) for name, found in grads.states.items()} == {"gru/0": 1, "gru/1": 1, "lstm": 2}


def test_ragged_inputs():
    ragged = lw.Ragged.from_list([X[0, :2], X[1], X[2, :1]])
    model = row(LSTM(4), Dense(2))
    _, grads = model.value_and_grad(ragged, Y[:3], with_inputs=True)
    assert np.array_equal(grads.inputs.offsets, ragged.offsets)
    moving = ragged.values.copy()
    expected = differences(lambda: loss_of(model, lw.Ragged(moving, ragged.offsets), Y[:3]), moving)
    np.testing.assert_allclose(grads.inputs.values, expected, rtol=1e-6, atol=1e-9)


def test_whole_numbers_have_no_gradient():
    model = row(Embedding(7, 3), LSTM(2), shape=(None,))
    _, grads = model.value_and_grad(RNG.integers(0, 7, (B, T)), Y, with_inputs=True)
    assert grads.inputs is None
    assert grads["embedding/embeddings"].any()


def test_inference_draws_nothing_and_moves_nothing():
    noisy = row(
        TimeDistributed(Dropout(0.5)), SpatialDropout1D(0.5), GaussianNoise(1.0), BatchNormalization(), LSTM(2),
    )  # fmt: skip
    noisy.fit(X, Y, epochs=3, verbose=0)
    before = noisy.get_weights()
    loss, grads = noisy.value_and_grad(X, Y, training=False)
    assert loss == noisy.evaluate(X, Y, verbose=0)
    assert same(before, noisy.get_weights())
    assert np.array_equal(grads.flat, noisy.value_and_grad(X, Y, training=False)[1].flat)
    trained = noisy.value_and_grad(X, Y)[0]
    assert trained != loss
    assert not same(before, noisy.get_weights())
    assert noisy.value_and_grad(X, Y, step=1)[0] != noisy.value_and_grad(X, Y, step=2)[0]


def test_it_does_not_stay_in_inference_after_an_error():
    model = row(Dropout(0.5), LSTM(2))
    with pytest.raises(ValueError, match="y must have shape"):
        model.value_and_grad(X, Y[:, :1], training=False)

    class Broken(lw.losses.Loss):
        def value_and_grad(self, y_true, y_pred, sample_weight=None):
            raise KeyError("mine")

    model.compile(loss=Broken())
    with pytest.raises(KeyError):
        model.value_and_grad(X, Y, training=False)
    model.compile(loss="mse")
    assert model.value_and_grad(X, Y)[0] != model.value_and_grad(X, Y, training=False)[0]


def test_per_sample():
    model = row(Masking(), BatchNormalization(), LSTM(4), Dropout(0.5), Dense(2))
    found = model.per_sample_gradients(X, Y)
    whole = model.value_and_grad(X, Y, training=False)[1]
    assert list(found) == list(whole)
    for name, each in found.items():
        assert each.shape == (B, *whole[name].shape)
        np.testing.assert_allclose(each.mean(axis=0), whole[name], rtol=1e-12, atol=1e-15)
        alone = [model.value_and_grad(X[i : i + 1], Y[i : i + 1], training=False)[1][name] for i in range(B)]
        assert same(each, alone)


def test_per_sample_weights_and_several_outputs():
    model, x, y = graph()
    weights = np.array([0.0, 1.0, 2.0, 3.0])
    plain, weighted = model.per_sample_gradients(x, y), model.per_sample_gradients(x, y, sample_weight=weights)
    for name in plain:
        scaled = plain[name] * weights.reshape(-1, *[1] * (plain[name].ndim - 1))
        np.testing.assert_allclose(weighted[name], scaled, rtol=1e-12, atol=1e-15)


def test_errors():
    model = Sequential([LSTM(2, input_shape=(None, F))])
    with pytest.raises(ValueError, match="value_and_grad needs a loss"):
        model.value_and_grad(X, Y)
    model.compile(loss="mse")
    with pytest.raises(ValueError, match="y must have shape"):
        model.value_and_grad(X, Y[:2])
    with pytest.raises(ValueError, match="step must be None or a whole number of at least 0, got -1"):
        model.value_and_grad(X, Y, step=-1)
    with pytest.raises(ValueError, match="training must be True or False"):
        model.value_and_grad(X, Y, training="no")
    with pytest.raises(TypeError, match=r"grads must be what model\.value_and_grad returned"):
        Adam().apply(np.ones(3))
    _, grads = model.value_and_grad(X, Y)
    taken = Adam()
    taken.update(np.ones(3), np.ones(3))
    before = model.get_weights()
    with pytest.raises(ValueError, match="has taken steps with other parameters"):
        taken.apply(grads)
    assert model.optimizer is not taken
    assert same(before, model.get_weights())
    model.add(Dense(2))
    with pytest.raises(ValueError, match="other layers by now"):
        Adam().apply(grads)
    stateful = row(LSTM(2, stateful=True))
    with pytest.raises(ValueError, match="it is stateful"):
        stateful.per_sample_gradients(X, Y)


def test_it_needs_the_model_alone():
    model = row(LSTM(2))
    _, grads = model.value_and_grad(X, Y)
    found = []

    class Elsewhere(lw.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            def attempt():
                try:
                    Adam().apply(grads)
                except RuntimeError as error:
                    found.append(str(error))

            thread = threading.Thread(target=attempt)
            thread.start()
            thread.join()

    model.fit(X, Y, verbose=0, callbacks=Elsewhere())
    assert found == ["apply: the model is in use by another thread, and apply needs it alone"]
