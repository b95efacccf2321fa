"""Hooks run when Keras runs them; EarlyStopping stops and restores as Keras does."""

import numpy as np
import pytest

from latchwork.callbacks import Callback, EarlyStopping, History, LambdaCallback
from latchwork.layers import Dense
from latchwork.models import Sequential

X = np.arange(12.0).reshape(6, 2) / 10
Y = X[:, :1] - X[:, 1:]


def model(**compiled):
    net = Sequential([Dense(1, input_shape=(2,))])
    net.compile(**{"optimizer": "sgd", "loss": "mse", **compiled})
    return net


class Recorder(Callback):
    def __init__(self):
        super().__init__()
        self.calls = []

    def __getattribute__(self, name):
        if name.startswith("on_"):
            return lambda *arguments: self.calls.append((name, *arguments))
        return super().__getattribute__(name)


def test_order_of_hooks():
    recorder = Recorder()
    model().fit(X[:4], Y[:4], batch_size=2, epochs=1, validation_data=(X[4:], Y[4:]), callbacks=recorder, verbose=0)
    assert [call[0] for call in recorder.calls] == [
        "on_train_begin",
        "on_epoch_begin",
        "on_train_batch_begin",
        "on_train_batch_end",
        "on_train_batch_begin",
        "on_train_batch_end",
        "on_test_begin",
        "on_test_batch_begin",
        "on_test_batch_end",
        "on_test_end",
        "on_epoch_end",
        "on_train_end",
    ]
    assert [call[1] for call in recorder.calls if "batch" in call[0]] == [0, 0, 1, 1, 0, 0]


def test_logs_are_means_so_far():
    seen = []
    net = model(optimizer="sgd", metrics=["mae"])
    spy = LambdaCallback(
        on_train_batch_end=lambda batch, logs: seen.append(logs), on_epoch_end=lambda epoch, logs: seen.append(logs)
    )
    history = net.fit(X, Y, batch_size=4, callbacks=[spy], verbose=0, validation_split=0.3)
    batch_1, epoch = seen
    assert set(batch_1) == {"loss", "mae"}
    assert set(epoch) == {"loss", "mae", "val_loss", "val_mae"}
    assert {name: values[-1] for name, values in history.history.items()} == epoch
    assert all(type(value) is float for value in epoch.values())


def test_parameters_and_model_are_known():
    seen = {}

    class Spy(Callback):
        def on_train_begin(self, logs=None):
            seen.update(self.params, model=self.model)

    net = model(metrics=["mae"])
    net.fit(X, Y, batch_size=4, epochs=3, callbacks=[Spy()], verbose=0, validation_split=0.3)
    assert seen == {
        "verbose": 0, "epochs": 3, "steps": 1, "metrics": ["loss", "mae", "val_loss", "val_mae"], "model": net,
    }  # fmt: skip


def test_batch_aliases():
    seen = []

    class Old(Callback):
        def on_batch_begin(self, batch, logs=None):
            seen.append(("begin", batch))

        def on_batch_end(self, batch, logs=None):
            seen.append(("end", batch, logs["loss"] > 0))

    model().fit(X, Y, batch_size=3, callbacks=[Old()], verbose=0)
    assert seen == [("begin", 0), ("end", 0, True), ("begin", 1), ("end", 1, True)]


def test_stop_training_takes_effect_at_once():
    def stop(batch, logs):
        net.stop_training = batch == 1

    net = model()
    history = net.fit(X, Y, batch_size=1, epochs=5, callbacks=[LambdaCallback(on_train_batch_end=stop)], verbose=0)
    assert history.epoch == [0]
    assert net.fit(X, Y, batch_size=1, epochs=2, verbose=0).epoch == [0, 1]  # and is forgotten


def test_evaluate_and_predict_hooks():
    recorder = Recorder()
    net = model()
    net.evaluate(X, Y, batch_size=4, callbacks=[recorder], verbose=0)
    net.predict(X, batch_size=6, callbacks=[recorder])
    assert [call[0] for call in recorder.calls] == [
        "on_test_begin", "on_test_batch_begin", "on_test_batch_end", "on_test_batch_begin", "on_test_batch_end",
        "on_test_end", "on_predict_begin", "on_predict_batch_begin", "on_predict_batch_end", "on_predict_end",
    ]  # fmt: skip


class Scripted(Callback):
    """Puts figures of our choice into the logs, and numbers the weights by epoch."""

    def __init__(self, values):
        super().__init__()
        self.values = values

    def on_epoch_end(self, epoch, logs=None):
        self.model.set_weights([np.full((2, 1), epoch), np.zeros(1)])
        logs["val_loss"] = self.values[epoch]


def early(values, **arguments):
    """(epochs run, epoch of the weights at the end, the callback)."""
    net = model()
    stop = EarlyStopping(**{"monitor": "val_loss", **arguments})
    history = net.fit(X, Y, epochs=len(values), callbacks=[Scripted(values), stop], verbose=0, validation_data=(X, Y))
    return len(history.epoch), int(net.get_weights()[0][0, 0]), stop


@pytest.mark.parametrize(
    ("values", "arguments", "epochs", "kept"),
    [
        ([3, 2, 1, 2, 1.5], {}, 4, 3),  # patience 0: the first epoch without improvement
        ([3, 2, 1, 2, 1.5, 0.5, 1], {"patience": 2}, 5, 4),
        ([3, 2, 1, 2, 1.5, 0.5, 1], {"patience": 2, "restore_best_weights": True}, 5, 2),
        ([3, 2, 1, 2, 1.5, 0.5, 1], {"patience": 3, "restore_best_weights": True}, 7, 5),
        ([1, 2, 3], {"patience": 5, "restore_best_weights": True}, 3, 0),  # restored though never stopped
        ([1, 0.95, 0.9, 0.85], {"min_delta": 0.1, "patience": 1}, 2, 1),
        ([1, 2, 3, 2], {"mode": "max"}, 4, 3),
        ([3, 2, 1, 2], {"mode": "max"}, 2, 1),
        ([9, 5, 9, 9, 3, 4], {"start_from_epoch": 3, "restore_best_weights": True}, 6, 4),
        ([3, 2.9, 3, 2.8], {"baseline": 1.0, "patience": 2}, 3, 2),  # no improvement on the baseline resets the wait
        ([3, 2.9, 3, 2.8], {"patience": 2}, 4, 3),
        ([0.9, 0.8, 0.7, 0.6], {"baseline": 1.0, "patience": 2}, 4, 3),
        ([float("nan"), 2, 1, 2], {"restore_best_weights": True}, 4, 2),
    ],
)
def test_early_stopping(values, arguments, epochs, kept):
    assert early(values, **arguments)[:2] == (epochs, kept)


def test_early_stopping_tells_its_story(capsys):
    *_, stop = early([2, 1, 3], restore_best_weights=True, verbose=1)
    assert (stop.stopped_epoch, stop.best_epoch, stop.best) == (2, 1, 1)
    assert capsys.readouterr() == ("", "Epoch 3: early stopping\nRestoring the weights of the best epoch: 2\n")


def test_early_stopping_goes_up_for_accuracy():
    stop = EarlyStopping("val_accuracy")
    assert stop._better(0.9, 0.8)
    assert not stop._better(0.7, 0.8)
    assert EarlyStopping("val_mae")._better(0.7, 0.8)


def test_early_stopping_serves_twice():
    net, stop = model(), EarlyStopping("loss", patience=1)
    first = net.fit(X, Y, epochs=3, callbacks=[stop], verbose=0)
    best = stop.best
    net.fit(X, Y, epochs=3, callbacks=[stop], verbose=0)
    assert len(first.epoch) == 3
    assert stop.best != best


def test_unknown_monitor_is_an_error_before_training():
    net = model(metrics=["mae"])
    before = net.get_weights()
    with pytest.raises(ValueError, match="monitor must be a figure of this run, loss, mae, got 'val_loss'"):
        net.fit(X, Y, callbacks=[EarlyStopping()], verbose=0)
    assert all(np.array_equal(a, b) for a, b in zip(before, net.get_weights(), strict=True))


def test_errors_of_callbacks():
    with pytest.raises(ValueError, match="unknown mode 'maxi'; nearest known: 'max'"):
        EarlyStopping(mode="maxi")
    with pytest.raises(ValueError, match="unknown hook 'on_epoch_ends'; nearest known: 'on_epoch_end'"):
        LambdaCallback(on_epoch_ends=print)
    with pytest.raises(ValueError, match="on_epoch_end must be a function, got 3"):
        LambdaCallback(on_epoch_end=3)
    with pytest.raises(ValueError, match=r"callbacks must hold lw.callbacks.Callback objects, got <class"):
        model().fit(X, Y, callbacks=[EarlyStopping], verbose=0)


def test_history_repr():
    assert repr(History()) == "<History of 0 epochs: nothing>"
