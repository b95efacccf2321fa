"""compile, fit, evaluate, train_on_batch: what training does, and the conventions it keeps."""

import io
import math
import sys

import numpy as np
import pytest

import latchwork as lw
from latchwork.callbacks import LambdaCallback
from latchwork.data import permutation
from latchwork.layers import GRU, LSTM, Dense, Dropout, SimpleRNN
from latchwork.models import Sequential

RNG = np.random.default_rng(0)
X = RNG.normal(size=(50, 6, 2))
Y = X[:, :, 0].sum(axis=1)


def network(layer=LSTM, loss="mse", optimizer="adam", metrics=None, **options):
    lw.set_seed(1)
    model = Sequential([layer(8, input_shape=(6, 2)), Dense(1)], **options)
    model.compile(optimizer=optimizer, loss=loss, metrics=metrics)
    return model


def assert_same_weights(a, b):
    for one, other in zip(a.get_weights(), b.get_weights(), strict=True):
        assert np.array_equal(one, other)


# ---- the tutorial program ----------------------------------------------------------------------------------


@pytest.mark.parametrize("layer", ["LSTM", "GRU", "SimpleRNN"])
def test_the_tutorial_program(layer, capsys):
    program = f"""
from latchwork.models import Sequential
from latchwork.layers import {layer}, Dense

model = Sequential()
model.add({layer}(50, input_shape=(X.shape[1], X.shape[2])))
model.add(Dense(1))
model.compile(loss='mse', optimizer='adam')
model.fit(X, Y, epochs=3, batch_size=32, verbose=1)
loss = model.evaluate(X, Y, verbose=1)
"""
    names = {"X": X, "Y": Y}
    exec(compile(program, "tutorial", "exec"), names)
    assert isinstance(names["loss"], float)
    out, err = capsys.readouterr()
    assert out == ""
    assert [line.split()[0] for line in err.splitlines()] == ["Epoch", "Epoch", "Epoch", "Evaluate"]
    assert "ms/step" in err or "us/step" in err
    assert err.isascii()
    assert "\r" not in err
    assert "\x1b" not in err


@pytest.mark.parametrize("layer", [LSTM, GRU, SimpleRNN])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_it_learns(layer, dtype):
    model = network(layer, optimizer=lw.optimizers.Adam(0.02), dtype=dtype)
    history = model.fit(X, Y, epochs=40, batch_size=10, verbose=0)
    assert history.history["loss"][-1] < 0.05 * history.history["loss"][0]


def test_it_learns_classes():
    x = RNG.normal(size=(120, 5, 3))
    labels = x.sum(axis=1).argmax(axis=1)
    for loss, y in (("sparse_categorical_crossentropy", labels), ("categorical_crossentropy", np.eye(3)[labels])):
        lw.set_seed(0)
        model = Sequential([GRU(16), Dense(3, activation="softmax")])
        model.compile(lw.optimizers.Adam(0.02), loss, metrics=["accuracy"])
        history = model.fit(x, y, epochs=30, verbose=0)
        assert history.history["accuracy"][-1] > 0.9
        assert model.evaluate(x, y)[1] > 0.9
    model = Sequential([GRU(8), Dense(1, activation="sigmoid")])
    model.compile(lw.optimizers.Adam(0.02), "binary_crossentropy", metrics=["accuracy"])
    model.fit(x, labels == 0, epochs=30, verbose=0)
    assert model.evaluate(x, labels == 0)[1] > 0.9


# ---- one step ----------------------------------------------------------------------------------------------


def test_an_epoch_is_its_steps_in_the_order_of_the_permutation():
    by_fit, by_hand = network(), network()
    by_fit.fit(X, Y, batch_size=16, epochs=2, verbose=0)
    for epoch in range(2):
        order = permutation(50, seed=1, epoch=epoch)
        for start in range(0, 50, 16):
            rows = order[start : start + 16]
            by_hand.train_on_batch(X[rows], Y[rows])
    assert_same_weights(by_fit, by_hand)


def test_a_step_is_forward_backward_and_one_update():
    model = network(optimizer=lw.optimizers.SGD(0.1))
    lstm, dense = model.layers
    before = [v.value.copy() for v in model.variables]
    x, y = X.astype(np.float32), Y.astype(np.float32)[:, None]
    h, lstm_ctx = lstm.forward(x)
    output, dense_ctx = dense.forward(h)
    dy = (2 / 50 * (output - y)).astype(np.float32)
    for v in model.variables:
        v.gradient[...] = 0
    lstm.backward(lstm_ctx, dense.backward(dense_ctx, dy))
    expected = [w - 0.1 * v.gradient for w, v in zip(before, model.variables, strict=True)]
    loss = model.train_on_batch(X, Y)
    assert math.isclose(loss, float(((output - y).astype(float) ** 2).mean()), rel_tol=1e-6)
    for v, other in zip(model.variables, expected, strict=True):
        assert np.allclose(v.value, other, rtol=1e-6, atol=1e-7)


def test_train_on_batch_reports_like_evaluate():
    model = network(metrics=["mae"])
    before = model.evaluate(X, Y)
    assert np.allclose(model.train_on_batch(X, Y), before, rtol=1e-6)
    assert set(model.train_on_batch(X, Y, return_dict=True)) == {"loss", "mae"}
    assert isinstance(network().train_on_batch(X, Y), float)


def test_frozen_layers_stay():
    model = network()
    model.layers[0].trainable = False
    before = model.get_weights()
    model.fit(X, Y, verbose=0)
    after = model.get_weights()
    assert all(np.array_equal(a, b) for a, b in zip(before[:3], after[:3], strict=True))
    assert not np.array_equal(before[3], after[3])
    model.layers[1].trainable = False
    model.fit(X, Y, verbose=0)
    assert all(np.array_equal(a, b) for a, b in zip(after, model.get_weights(), strict=True))


# ---- the same again ----------------------------------------------------------------------------------------


def test_the_same_program_gives_the_same_weights():
    def run(seed):
        lw.set_seed(seed)
        model = Sequential([LSTM(8), Dropout(0.3), Dense(1)])
        model.compile("adam", "mse")
        history = model.fit(X, Y, epochs=3, verbose=0, validation_split=0.2)
        return model.get_weights(), history.history

    first, second, other = run(3), run(3), run(4)
    assert all(np.array_equal(a, b) for a, b in zip(first[0], second[0], strict=True))
    assert first[1] == second[1]
    assert first[1] != other[1]


def test_training_in_two_calls_is_training_in_one():
    once, twice, resumed = network(), network(), network()
    once.fit(X, Y, epochs=4, verbose=0)
    for _ in range(4):
        twice.fit(X, Y, epochs=1, verbose=0)
    resumed.fit(X, Y, epochs=2, verbose=0)
    history = resumed.fit(X, Y, initial_epoch=2, epochs=4, verbose=0)
    assert history.epoch == [2, 3]
    assert_same_weights(once, twice)
    assert_same_weights(once, resumed)


def test_shuffle_changes_the_order_only():
    plain, shuffled = network(), network()
    plain.fit(X, Y, shuffle=False, batch_size=50, verbose=0)
    shuffled.fit(X, Y, shuffle=True, batch_size=50, verbose=0)
    for a, b in zip(plain.get_weights(), shuffled.get_weights(), strict=True):
        assert np.allclose(a, b, atol=1e-5)  # one batch: the same samples, summed in another order
    by_hand = network()
    by_hand.train_on_batch(X, Y)
    assert_same_weights(plain, by_hand)


def test_the_data_are_not_written():
    x, y = X.copy(), Y.copy()
    network().fit(x, y, verbose=0)
    assert np.array_equal(x, X)
    assert np.array_equal(y, Y)


# ---- figures -----------------------------------------------------------------------------------------------


def test_epoch_loss_is_the_mean_over_samples():
    """With a learning rate of 0 the figures of an epoch are those of evaluate, short last batch and all."""
    model = network(optimizer=lw.optimizers.SGD(0.0), metrics=["mae", "rmse"])
    history = model.fit(X, Y, batch_size=16, verbose=0)
    expected = model.evaluate(X, Y)
    for values, figure in zip(history.history.values(), expected, strict=True):
        assert math.isclose(values[0], figure, rel_tol=1e-6)


def test_figures_do_not_depend_on_batch_size():
    model = network(metrics=["mae", "rmse"])
    expected = model.evaluate(X, Y, batch_size=50)
    for size in (1, 7, 16, 1000):
        assert model.evaluate(X, Y, batch_size=size) == expected
    validated = [
        network(optimizer=lw.optimizers.SGD(0.0)).fit(
            X, Y, validation_data=(X, Y), validation_batch_size=size, verbose=0
        )
        for size in (7, 50)
    ]
    assert validated[0].history["val_loss"] == validated[1].history["val_loss"] == [expected[0]]


def test_what_evaluate_returns():
    assert type(network().evaluate(X, Y)) is float
    figures = network(metrics=["mae"]).evaluate(X, Y)
    assert [type(f) for f in figures] == [float, float]
    assert network(metrics=["mae"]).evaluate(X, Y, return_dict=True) == {"loss": figures[0], "mae": figures[1]}


def test_history_has_the_names_as_written():
    model = network(metrics=["mae", "root_mean_squared_error", lw.metrics.MeanSquaredError(name="mine")])
    history = model.fit(X, Y, epochs=2, validation_split=0.2, verbose=0)
    names = ["loss", "mae", "root_mean_squared_error", "mine"]
    assert list(history.history) == [*names, *(f"val_{name}" for name in names)]
    assert all(type(v) is float for values in history.history.values() for v in values)
    assert all(len(values) == 2 for values in history.history.values())
    assert history.epoch == [0, 1]


def test_validation_split_takes_the_last_samples_before_shuffling():
    split, given = network(), network()
    a = split.fit(X, Y, epochs=2, validation_split=0.3, verbose=0)
    b = given.fit(X[:35], Y[:35], epochs=2, validation_data=(X[35:], Y[35:]), verbose=0)
    assert a.history == b.history
    assert_same_weights(split, given)


def test_targets_of_shape_n_and_n_1_are_the_same():
    one, other = network(), network()
    one.fit(X, Y, verbose=0)
    other.fit(X, Y[:, None], verbose=0)
    assert_same_weights(one, other)


def test_numbers_of_other_types_are_cast():
    one, other = network(), network()
    whole = np.round(X)
    one.fit(whole, np.round(Y), verbose=0)
    other.fit(whole.astype(np.int16), np.round(Y).astype(np.int64).tolist(), verbose=0)
    assert_same_weights(one, other)


def test_ragged_batches():
    lengths = RNG.integers(0, 7, size=50)
    x = lw.Ragged.from_list([row[:n] for row, n in zip(X, lengths, strict=True)])
    model = network(optimizer=lw.optimizers.Adam(0.01))
    history = model.fit(x, Y, epochs=3, batch_size=16, validation_split=0.2, verbose=0)
    assert history.history["loss"][-1] < history.history["loss"][0]
    by_hand = network()
    order = permutation(50, seed=1, epoch=0)
    by_hand.train_on_batch(lw.Ragged.from_list([x[i] for i in order]), Y[order])
    by_fit = network()
    by_fit.fit(x, Y, batch_size=50, verbose=0)
    assert_same_weights(by_fit, by_hand)


def test_ragged_sequences_out():
    x = lw.Ragged.from_list([row[:n] for row, n in zip(X, RNG.integers(0, 7, size=50), strict=True)])
    y = lw.Ragged(x.values[:, :1] * 2, x.offsets)
    classes = lw.Ragged((x.values[:, :1] > 0).astype(int), x.offsets)
    lw.set_seed(0)
    model = Sequential([GRU(8, return_sequences=True), Dense(1)])
    model.compile(lw.optimizers.Adam(0.02), "mse")
    history = model.fit(x, y, epochs=20, verbose=0)
    assert history.history["loss"][-1] < 0.2 * history.history["loss"][0]
    expected = float(((model.predict(x).values.astype(float) - y.values) ** 2).mean())
    assert math.isclose(model.evaluate(x, y), expected, rel_tol=1e-6)
    model = Sequential([GRU(8, return_sequences=True), Dense(2, activation="softmax")])
    model.compile(lw.optimizers.Adam(0.02), "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(x, classes, epochs=20, verbose=0)
    assert model.evaluate(x, classes)[1] > 0.9


# ---- optimizers, progress, interruption --------------------------------------------------------------------


def test_compile_again_keeps_the_weights_and_an_optimizer_object_its_moments():
    model = network(optimizer=(adam := lw.optimizers.Adam()))
    model.fit(X, Y, verbose=0)
    weights, steps = model.get_weights(), adam.iterations
    model.compile(optimizer=adam, loss="mae")
    assert all(np.array_equal(a, b) for a, b in zip(weights, model.get_weights(), strict=True))
    model.fit(X, Y, verbose=0)
    assert adam.iterations == 2 * steps


def test_an_optimizer_serves_one_model():
    adam = lw.optimizers.Adam()
    network(optimizer=adam).fit(X, Y, verbose=0)
    other = network(optimizer=adam)
    with pytest.raises(ValueError, match="optimizer 'adam' has taken steps with other parameters"):
        other.fit(X, Y, verbose=0)


def test_defaults_are_keras():
    model = network()
    model.compile(loss="mse")
    assert isinstance(model._compiled.optimizer, lw.optimizers.RMSprop)
    seen = {}
    model.fit(X, Y, callbacks=LambdaCallback(on_train_batch_end=lambda batch, logs: seen.update(batch=batch)))
    assert seen["batch"] == 1  # 50 samples in batches of 32


class Terminal(io.StringIO):
    encoding = "utf-8"

    def isatty(self):
        return True


def test_verbose(monkeypatch, capsys):
    model = network(metrics=["mae"])
    model.fit(X, Y)
    model.evaluate(X, Y)
    model.predict(X)
    model.fit(X, Y, verbose=0)
    assert capsys.readouterr() == ("", "")  # auto is silent without a terminal
    model.fit(X, Y, epochs=2, verbose=2, validation_split=0.2)
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2
    assert all(name in lines[0] for name in ("Epoch 1/2", "2/2", "loss", "mae", "val_loss", "val_mae", "/step"))
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    model.fit(X, Y)
    assert "━" in terminal.getvalue()


def test_an_interrupted_fit_leaves_a_usable_model():
    def interrupt(batch, logs):
        if batch == 1:
            raise KeyboardInterrupt

    model, by_hand = network(), network()
    with pytest.raises(KeyboardInterrupt):
        model.fit(X, Y, batch_size=10, callbacks=[LambdaCallback(on_train_batch_end=interrupt)], verbose=0)
    order = permutation(50, seed=1, epoch=0)
    for rows in (order[:10], order[10:20]):
        by_hand.train_on_batch(X[rows], Y[rows])
    assert_same_weights(model, by_hand)
    model.fit(X, Y, verbose=0)


# ---- NaN and infinity --------------------------------------------------------------------------------------


def poisoned():
    x = X.copy()
    x[17, 2, 0] = np.nan
    return x


def test_nonfinite_raise_is_the_default_and_names_the_place():
    model = network()
    before = model.get_weights()
    text = r"epoch 1, batch 2 of 5: the loss is nan \(x of this batch hold NaN or infinity\); the first output .*; "
    text += "the weights are those before"
    with pytest.raises(FloatingPointError, match=text):
        model.fit(poisoned(), Y, batch_size=10, shuffle=False, verbose=0)
    by_hand = network()
    by_hand.train_on_batch(X[:10], Y[:10])
    assert_same_weights(model, by_hand)
    with pytest.raises(FloatingPointError, match=r"the loss is nan .*; the weights are unchanged"):
        network().train_on_batch(poisoned(), Y)
    assert not np.array_equal(before[0], model.get_weights()[0])


def test_nonfinite_stop_skip_and_ignore():
    stopped, skipped, ignored = network(), network(), network()
    run = {"batch_size": 10, "shuffle": False, "verbose": 0, "epochs": 2}
    history = stopped.fit(poisoned(), Y, on_nonfinite="stop", **run)
    assert history.stopped.startswith("epoch 1, batch 2 of 5: the loss is nan")
    assert history.epoch == [0]
    by_hand = network()
    by_hand.train_on_batch(X[:10], Y[:10])
    assert_same_weights(stopped, by_hand)

    history = skipped.fit(poisoned(), Y, on_nonfinite="skip", **run)
    assert np.isfinite(history.history["loss"]).all()
    by_hand = network()
    for _ in range(2):
        for start in (0, 20, 30, 40):
            by_hand.train_on_batch(X[start : start + 10], Y[start : start + 10])
    assert_same_weights(skipped, by_hand)
    assert history.stopped is None

    history = ignored.fit(poisoned(), Y, on_nonfinite="ignore", **run)
    assert np.isnan(history.history["loss"]).all()
    assert np.isnan(ignored.get_weights()[0]).any()


def test_a_gradient_that_overflows_is_found_though_the_loss_is_finite():
    lw.set_seed(0)
    model = Sequential([Dense(1, use_bias=False, input_shape=(2,))])
    model.compile("sgd", "mse")
    before = model.get_weights()
    x = np.full((1, 2), 1e30)
    y = np.full((1, 1), 1e18)
    model.set_weights([np.zeros((2, 1))])
    with pytest.raises(FloatingPointError, match="the gradient of dense/kernel is not finite"):
        model.fit(x, y, verbose=0)
    assert not model.get_weights()[0].any()
    assert before[0].shape == (2, 1)
