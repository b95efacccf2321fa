"""CSVLogger, LearningRateScheduler, ModelCheckpoint, ReduceLROnPlateau, TerminateOnNaN: Keras' rules."""

import csv

import numpy as np
import pytest

from latchwork.callbacks import (
    CSVLogger,
    LambdaCallback,
    LearningRateScheduler,
    ModelCheckpoint,
    ReduceLROnPlateau,
    TerminateOnNaN,
)  # fmt: skip
from latchwork.layers import Dense
from latchwork.models import Sequential, load_model

X = np.arange(12.0).reshape(6, 2) / 10
Y = X[:, :1] - X[:, 1:]


def model(rate=0.01, **compiled):
    net = Sequential([Dense(1, input_shape=(2,))])
    net.compile(**{"optimizer": "sgd", "loss": "mse", **compiled})
    net.optimizer.learning_rate = rate
    return net


def rows(path, separator=","):
    with path.open(newline="") as file:
        return list(csv.reader(file, delimiter=separator))


def test_csv_logger(tmp_path):
    path = tmp_path / "log.csv"
    net = model(metrics=["mae"])
    history = net.fit(X, Y, epochs=2, validation_split=0.4, callbacks=CSVLogger(path), verbose=0).history
    heading, *lines = rows(path)
    assert heading == ["epoch", "loss", "mae", "val_loss", "val_mae"]
    assert [[float(value) for value in line] for line in lines] == [
        [epoch, *(history[name][epoch] for name in heading[1:])] for epoch in range(2)
    ]
    net.fit(X, Y, epochs=1, validation_split=0.4, callbacks=CSVLogger(str(path), append=True), verbose=0)
    assert len(rows(path)) == 4
    net.fit(X, Y, epochs=1, callbacks=CSVLogger(path, ";"), verbose=0)
    assert rows(path, ";")[0] == ["epoch", "loss", "mae"]
    assert len(rows(path, ";")) == 2


def test_csv_logger_appends_with_a_heading_to_an_empty_file(tmp_path):
    path = tmp_path / "log.csv"
    model().fit(X, Y, epochs=1, callbacks=CSVLogger(path, append=True), verbose=0)
    assert rows(path)[0] == ["epoch", "loss"]


@pytest.mark.parametrize(
    "schedule", [lambda epoch, rate: rate / 2 if epoch else rate, lambda epoch: 0.25 / (1 + epoch)]
)
def test_learning_rate_scheduler(schedule, capsys):
    history = model(0.25).fit(X, Y, epochs=2, callbacks=LearningRateScheduler(schedule, verbose=1), verbose=0).history
    assert history["learning_rate"] == [0.25, 0.125]
    assert "Epoch 2: LearningRateScheduler setting learning rate to 0.125." in capsys.readouterr().err


def plateau(losses, **options):
    """The learning rates of epochs whose figures are `losses`."""
    script = LambdaCallback(on_epoch_end=lambda epoch, logs: logs.update(loss=losses[epoch]))
    callback = ReduceLROnPlateau("loss", **options)
    return model(1.0).fit(X, Y, epochs=len(losses), callbacks=[script, callback], verbose=0).history["learning_rate"]


def test_reduce_on_plateau():
    """The logs have the rate of the epoch; it falls behind it. Expected values follow Keras' loop by hand."""
    assert plateau([3, 3, 3, 3, 3], factor=0.5, patience=2) == [1, 1, 1, 0.5, 0.5]
    assert plateau([3, 3, 3, 3, 3, 3], factor=0.5, patience=1, cooldown=2) == [1, 1, 0.5, 0.5, 0.25, 0.25]
    assert plateau([3, 2, 1, 0], patience=1) == [1, 1, 1, 1]
    assert plateau([3, 3, 3, 3], factor=0.5, patience=1, min_lr=0.4) == [1, 1, 0.5, 0.4]
    assert plateau([1, 2, 3], patience=1, mode="max") == [1, 1, 1]
    assert plateau([3, 2.9, 2.8], patience=1, min_delta=0.5, factor=0.5) == [1, 1, 0.5]


def test_reduce_on_plateau_says_so(capsys):
    plateau([3, 3], patience=1, factor=0.5, verbose=1)
    assert "Epoch 2: ReduceLROnPlateau reducing learning rate to 0.5." in capsys.readouterr().err


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def checkpoints(folder, losses, **options):
    """The files of epochs whose figures are `losses`."""
    script = LambdaCallback(on_epoch_end=lambda epoch, logs: logs.update(loss=losses[epoch]))
    callback = ModelCheckpoint(folder / "{epoch:02d}-{loss:.1f}.safetensors", "loss", **options)
    model().fit(X, Y, batch_size=2, epochs=len(losses), callbacks=[script, callback], verbose=0)
    return [name.removesuffix(".safetensors") for name in names(folder)]


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        ({}, ["01-3.0", "02-4.0", "03-2.0", "04-2.0"]),
        ({"save_best_only": True}, ["01-3.0", "03-2.0"]),
        ({"save_best_only": True, "mode": "max"}, ["01-3.0", "02-4.0"]),
        ({"save_best_only": True, "initial_value_threshold": 2.5}, ["03-2.0"]),
        ({"save_weights_only": True}, ["01-3.0", "02-4.0", "03-2.0", "04-2.0"]),
    ],
)
def test_model_checkpoint(options, wanted, tmp_path):
    assert checkpoints(tmp_path, [3.0, 4.0, 2.0, 2.0], **options) == wanted


def test_model_checkpoint_holds_the_model_of_its_epoch(tmp_path, capsys):
    net = model()
    seen = []
    spy = LambdaCallback(on_epoch_end=lambda epoch, logs: seen.append(net.predict(X)))
    path = tmp_path / "{epoch}.safetensors"
    net.fit(X, Y, epochs=2, callbacks=[spy, ModelCheckpoint(path, verbose=1)], verbose=0)
    for epoch in range(2):
        found = load_model(tmp_path / f"{epoch + 1}.safetensors")
        assert np.array_equal(found.predict(X), seen[epoch])
        assert f"Epoch {epoch + 1}: saving model to " in capsys.readouterr().err or epoch


def test_model_checkpoint_by_batches(tmp_path):
    callback = ModelCheckpoint(tmp_path / "{epoch}.safetensors", save_freq=2)
    model().fit(X, Y, batch_size=2, epochs=3, callbacks=callback, verbose=0)  # batches 2, 4, 6, 8
    assert names(tmp_path) == ["1.safetensors", "2.safetensors", "3.safetensors"]


def test_terminate_on_nan():
    x = X.copy()
    x[3] = np.inf
    net = model()
    before = net.get_weights()
    history = net.fit(x, Y, batch_size=1, shuffle=False, epochs=3, callbacks=[TerminateOnNaN()], verbose=0)
    assert "epoch 1, batch 4" in history.stopped
    assert all(np.isfinite(w).all() for w in net.get_weights())
    net.set_weights(before)
    history = net.fit(
        x, Y, batch_size=1, shuffle=False, epochs=3, callbacks=[TerminateOnNaN()], verbose=0, on_nonfinite="ignore"
    )
    assert history.epoch == [0]
    assert not np.isfinite(net.get_weights()[0]).all()


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: CSVLogger("log.csv", "::"), "CSVLogger: separator must be one character, got '::'"),
        (lambda: LearningRateScheduler(0.1), "LearningRateScheduler: schedule must be a function, got 0.1"),
        (
            lambda: model().fit(X, Y, callbacks=LearningRateScheduler(lambda epoch: -1.0), verbose=0),
            "learning_rate must be",
        ),
        (lambda: ModelCheckpoint("m.keras"), r"ModelCheckpoint: filepath must end in .*got 'm.keras'"),
        (
            lambda: ModelCheckpoint("m.safetensors", save_freq=0),
            "save_freq must be 'epoch' or a number of batches",
        ),
        (
            lambda: model().fit(X, Y, callbacks=ModelCheckpoint("{acc}.safetensors"), verbose=0),
            "ModelCheckpoint: filepath may name epoch, loss, got 'acc' in",
        ),
        (
            lambda: model().fit(X, Y, callbacks=ModelCheckpoint("m.safetensors", save_best_only=True), verbose=0),
            "ModelCheckpoint: monitor must be a figure of this run, loss, got 'val_loss'",
        ),
        (lambda: ReduceLROnPlateau(factor=1.0), "ReduceLROnPlateau: factor must lie between 0 and 1, got 1.0"),
        (lambda: ReduceLROnPlateau(min_lr=-1), "ReduceLROnPlateau: min_lr must be 0 or more, got -1"),
        (lambda: ReduceLROnPlateau(mode="most"), "unknown mode 'most'"),
        (
            lambda: model().fit(X, Y, callbacks=ReduceLROnPlateau(), verbose=0),
            "ReduceLROnPlateau: monitor must be a figure of this run, loss, got 'val_loss'",
        ),
        (lambda: Sequential([Dense(1)]).optimizer, "there is no optimizer yet"),
    ],
)
def test_bad_input(call, text):
    with pytest.raises(ValueError, match=text):
        call()


def test_a_file_that_cannot_be_written_is_an_error_at_once(tmp_path):
    net = model()
    before = net.get_weights()
    with pytest.raises(OSError, match="missing"):
        net.fit(X, Y, callbacks=CSVLogger(tmp_path / "missing" / "log.csv"), verbose=0)
    assert np.array_equal(net.get_weights()[0], before[0])
