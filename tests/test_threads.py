"""Python threads: several models at once, one model in several threads, and who may not."""

import sys
import threading

import numpy as np
import pytest

import latchwork as lw
from latchwork import _core
from latchwork import functional as F
from problems import answer, assert_bits, assert_same_bits, problem, using

RNG = np.random.default_rng(0)
X = RNG.uniform(-1, 1, (48, 12, 3)).astype("f4")
Y = RNG.uniform(-1, 1, (48, 1)).astype("f4")


def in_threads(*calls):
    """Runs calls at once; their results in order. An exception of one is raised here."""
    results, errors = [None] * len(calls), []
    start = threading.Barrier(len(calls))

    def work(number, call):
        try:
            start.wait()
            results[number] = call()
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=each) for each in enumerate(calls)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
        assert not thread.is_alive()
    if errors:
        raise errors[0]
    return results


def model_of(layer, seed=0, stateful=False):
    init = lw.initializers.GlorotUniform(seed=seed)
    model = lw.models.Sequential(
        [
            lw.layers.Input((12, 3)),
            layer(20, kernel_initializer=init, recurrent_initializer=init, stateful=stateful),
            lw.layers.Dense(1, kernel_initializer=init),
        ]
    )
    model.compile(optimizer="adam", loss="mse")
    return model


def train(seed):
    model = model_of((lw.layers.LSTM, lw.layers.GRU, lw.layers.SimpleRNN)[seed % 3], seed)
    model.fit(X, Y, epochs=4, batch_size=16, shuffle=False)
    return [*model.get_weights(), model.predict(X)]


def assert_all_bits(found, wanted):
    for ours, theirs in zip(found, wanted, strict=True):
        assert_bits(ours, theirs)


def test_eight_threads_train_eight_models():
    wanted = [train(seed) for seed in range(8)]
    with using(threads=2):
        found = in_threads(*(lambda seed=seed: train(seed) for seed in range(8)))
    for ours, theirs in zip(found, wanted, strict=True):
        assert_all_bits(ours, theirs)


@pytest.mark.parametrize("built", [True, False])
def test_threads_predict_with_one_model(built):
    """Safe: the packs are made once, under a lock, by whoever comes first; also where the model is not built yet."""
    wanted = model_of(lw.layers.LSTM).predict(X)
    for _ in range(10):
        model = model_of(lw.layers.LSTM)
        if built:
            model.build()
        for found in in_threads(*[lambda model=model: [model.predict(X, batch_size=n) for n in (48, 7)]] * 6):
            assert_all_bits(found, [wanted, wanted])


def test_training_needs_the_model_alone():
    """Weights that are read while they change would be neither the old nor the new ones."""
    model = model_of(lw.layers.LSTM)
    inside, leave = threading.Event(), threading.Event()

    class Wait(lw.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            inside.set()
            assert leave.wait(60)

    thread = threading.Thread(target=lambda: model.fit(X, Y, epochs=1, callbacks=[Wait()]))
    thread.start()
    assert inside.wait(60)
    before = model.get_weights()
    try:
        for call in (
            lambda: model.predict(X),
            lambda: model.evaluate(X, Y),
            lambda: model.fit(X, Y),
            lambda: model.train_on_batch(X, Y),
        ):
            with pytest.raises(RuntimeError, match="another thread"):
                call()
        assert_all_bits(model.get_weights(), before)
    finally:
        leave.set()
        thread.join()
    model.predict(X)
    model.fit(X, Y)


def test_a_model_in_use_is_free_after_an_error():
    model = model_of(lw.layers.LSTM)

    class Fail(lw.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            raise KeyError("ours")

    with pytest.raises(KeyError):
        model.fit(X, Y, callbacks=[Fail()])
    in_threads(lambda: model.fit(X, Y))


def test_a_callback_may_use_the_model_it_trains():
    model = model_of(lw.layers.LSTM)
    seen = []

    class Predict(lw.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            seen.append(self.model.predict(X))

    model.fit(X, Y, epochs=2, callbacks=[Predict()])
    assert len(seen) == 2


def test_the_states_of_a_stateful_model_belong_to_one_thread():
    """What a batch leaves is where the next begins: two threads at once would mix their sequences."""
    model = model_of(lw.layers.LSTM, stateful=True)
    inside, leave = threading.Event(), threading.Event()

    class Wait(lw.callbacks.Callback):
        def on_predict_batch_end(self, batch, logs=None):
            inside.set()
            assert leave.wait(60)

    thread = threading.Thread(target=lambda: model.predict(X, callbacks=[Wait()]))
    thread.start()
    assert inside.wait(60)
    try:
        with pytest.raises(RuntimeError, match="another thread"):
            model.predict(X)
        with pytest.raises(RuntimeError, match="another thread"):
            model.reset_states()
    finally:
        leave.set()
        thread.join()
    model.predict(X)


def test_callers_that_find_the_team_busy():
    """They run alone; the bits do not depend on it."""
    p = problem("lstm", 64, 30, 16, 64)
    wanted = answer(p)
    with using(threads=4):
        for found in in_threads(*[lambda: [answer(p) for _ in range(10)]] * 3):
            for each in found:
                assert_same_bits(each, wanted)


def test_threads_share_weights_for_inference():
    rng = np.random.default_rng(1)
    arrays = [rng.uniform(-0.3, 0.3, shape).astype("f4") for shape in ((3, 256), (64, 256), (256,))]
    x = rng.uniform(-1, 1, (8, 20, 3)).astype("f4")
    wanted, _, _ = F.lstm(x, tuple(arrays), training=False)
    for _ in range(20):
        weights = _core.RecurrentWeights("lstm", *arrays)
        for y in in_threads(*[lambda weights=weights: F.lstm(x, weights, training=False)[0]] * 4):
            assert_bits(y, wanted)


def test_a_context_serves_one_backward_at_a_time():
    """Of several threads one gets the gradients, the others an error."""
    x, ones = np.ones((32, 40, 8), np.float32), np.ones((8, 512), np.float32) / 64
    params = (ones, np.ones((128, 512), np.float32) / 256, None)
    for _ in range(5):
        y, _, ctx = F.lstm(x, params)

        def backward(ctx=ctx, y=y):
            try:
                return F.lstm_backward(ctx, y)
            except ValueError as error:
                return None if "ctx" in str(error) else error

        gradients = [g for g in in_threads(*[backward] * 4) if g is not None]
        assert len(gradients) == 1
    y, _, ctx = F.lstm(x, params)
    assert_bits(F.lstm_backward(ctx, y).kernel, gradients[0].kernel)


def test_the_core_does_not_claim_to_run_without_the_gil():
    """Its checks of arrays rely on the lock (docs/decisions.md): an interpreter without one takes it up on import."""
    enabled = getattr(sys, "_is_gil_enabled", lambda: True)
    assert enabled()
