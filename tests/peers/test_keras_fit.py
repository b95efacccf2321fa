"""`fit` beside Keras' own on torch, in float64: what History says, epoch by epoch, and the weights in the end."""

import csv

import numpy as np
import pytest

import latchwork as lw
from peers.keras_adapter import IGNORED, here, in_keras, keras, numbers, of, share_weights

OWN = (  # Keras' own on torch
    "ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning",
    "ignore:`shuffle=True` was passed, but will be ignored:UserWarning",
)
pytestmark = [pytest.mark.filterwarnings(warning) for warning in (*IGNORED, *OWN)]

N, T, F = 22, 4, 2  # with batches of 4 the last one has 2 rows
RNG = np.random.default_rng(3)
X, Y = RNG.normal(size=(N, T, F)), RNG.normal(size=(N, 1))
CLASSES = RNG.integers(0, 3, N)
WEIGHTS = RNG.random(N) + 0.2
HELD = (RNG.normal(size=(9, T, F)), RNG.normal(size=(9, 1)))


class Pair:
    """The same model here and in Keras: fit, History and weights of both."""

    def __init__(self, ours, theirs):
        self.ours, self.theirs = ours, theirs
        share_weights(ours, theirs, np.random.default_rng(1))

    def compile(self, optimizer=lambda module: module.SGD(0.1), **options):
        self.ours.compile(optimizer(lw.optimizers), **options)
        self.theirs.compile(optimizer(keras.optimizers), jit_compile=False, **options)
        return self

    def fit(self, x, y, callbacks=None, more=None, **options):
        """`callbacks` are made of either library's; `more` is what fit is called with here, then there."""
        options = {"epochs": 3, "batch_size": 4, "shuffle": False, "verbose": 0, **options}
        mine, other = more or ({}, {})
        made = [None if callbacks is None else callbacks(module) for module in (lw.callbacks, keras.callbacks)]
        history = self.ours.fit(x, y, callbacks=made[0], **options, **mine)
        wanted = self.theirs.fit(x, y, callbacks=made[1], **options, **other)
        self.same_history(history, wanted)
        self.same_weights()
        return history, made

    def same_history(self, history, wanted):
        assert history.epoch == wanted.epoch
        assert sorted(history.history) == sorted(wanted.history)  # Keras' order is that of the alphabet
        for name, values in wanted.history.items():
            np.testing.assert_allclose(history.history[name], values, rtol=1e-9, atol=1e-12, err_msg=name)

    def same_weights(self):
        for ours, theirs in zip(self.ours.get_weights(), self.theirs.weights, strict=True):
            np.testing.assert_allclose(ours, numbers(theirs.value), rtol=1e-9, atol=1e-12)


def row(*layers):
    theirs = keras.Sequential([keras.Input((T, F)), *(in_keras(layer) for layer in layers)])
    ours = lw.models.Sequential([here(layer) for layer in layers])
    ours.build((None, T, F))
    return Pair(ours, theirs)


def forecaster(**options):
    return row(of("LSTM", units=3), of("Dense", units=1)).compile(**{"loss": "mse", "metrics": ["mae"], **options})


def classifier():
    pair = row(of("GRU", units=3), of("Dense", units=3, activation="softmax"))
    return pair.compile(loss="sparse_categorical_crossentropy", metrics=["accuracy"])


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"sample_weight": WEIGHTS},
        {"validation_data": HELD},
        {"validation_data": (*HELD, WEIGHTS[:9])},
        {"validation_split": 0.3},
        {"validation_split": 0.3, "sample_weight": WEIGHTS},
        {"validation_data": HELD, "validation_freq": 2, "epochs": 5},
        {"validation_data": HELD, "validation_freq": [1, 4], "epochs": 5},
        {"validation_data": HELD, "validation_steps": 2, "validation_batch_size": 3},
        {"initial_epoch": 2, "epochs": 4},
        {"initial_epoch": 1, "epochs": 4, "validation_data": HELD, "validation_freq": 2},
        {"steps_per_epoch": 2, "epochs": 2},
        {"epochs": 0},
    ],
    ids=lambda options: ", ".join(options) or "plain",
)
def test_arguments(options):
    forecaster().fit(X, Y, **options)


@pytest.mark.parametrize("weights", [{0: 0.5, 1: 2.0, 2: 1.5}, {0: 0.5, 2: 1.5}])
def test_class_weight(weights):
    classifier().fit(X, CLASSES, class_weight=weights, validation_data=(HELD[0], CLASSES[:9]))


def test_evaluate():
    pair = forecaster()
    ours = pair.ours.evaluate(*HELD, batch_size=4, sample_weight=WEIGHTS[:9], return_dict=True, verbose=0)
    theirs = pair.theirs.evaluate(*HELD, batch_size=4, sample_weight=WEIGHTS[:9], return_dict=True, verbose=0)
    assert sorted(ours) == sorted(theirs)
    for name, value in theirs.items():
        assert ours[name] == pytest.approx(value, rel=1e-9)


@pytest.mark.parametrize("batches", [2, 5])
def test_generators(batches):
    """Batches of their own size from a function (Keras: the generator it makes)."""

    def endless():
        while True:
            for start in range(0, 20, 5):
                yield X[start : start + 5], Y[start : start + 5], WEIGHTS[start : start + 5]

    pair = forecaster()
    history = pair.ours.fit(endless(), steps_per_epoch=batches, epochs=3, verbose=0)
    wanted = pair.theirs.fit(endless(), steps_per_epoch=batches, epochs=3, verbose=0)
    pair.same_history(history, wanted)
    pair.same_weights()


@pytest.mark.parametrize("count", [2, 4])
def test_accumulate(count):
    """Steps of whole batches: Keras takes the mean of the gradients of so many."""
    pair = forecaster()
    pair.theirs.compile(
        keras.optimizers.SGD(0.1, gradient_accumulation_steps=count), "mse", metrics=["mae"], jit_compile=False
    )
    pair.fit(X[:16], Y[:16], more=({"accumulate": count}, {}))


@pytest.mark.parametrize("every", [None, 2])
def test_an_average_of_the_weights(every):
    def optimizer(module):
        return module.Adam(0.05, use_ema=True, ema_momentum=0.8, ema_overwrite_frequency=every)

    forecaster(optimizer=optimizer).fit(X, Y, validation_data=HELD)


def graph(module, float64):
    """Two inputs, two outputs, one named by its layer."""
    layers, more = (keras.layers, {}) if module is keras else (lw.layers, {"dtype": "float64"} if float64 else {})
    series, table = layers.Input((T, F), name="series"), layers.Input((3,), name="table")
    both = layers.Concatenate(**more)([layers.LSTM(3, **more)(series), table])
    outputs = [
        layers.Dense(1, name="price", **more)(both),
        layers.Dense(3, activation="softmax", name="kind", **more)(both),
    ]
    return (keras if module is keras else lw.models).Model([series, table], outputs)


def several(**options):
    pair = Pair(graph(lw, float64=True), graph(keras, float64=True))
    losses = {"price": "mse", "kind": "sparse_categorical_crossentropy"}
    return pair.compile(**{"loss": losses, "metrics": {"price": ["mae"], "kind": ["accuracy"]}, **options})


TABLE = RNG.normal(size=(N, 3))
INPUTS, TARGETS = {"series": X, "table": TABLE}, {"price": Y, "kind": CLASSES}


@pytest.mark.parametrize(
    ("compiled", "options"),
    [
        ({}, {}),
        ({"loss_weights": {"price": 0.3, "kind": 2.0}}, {}),
        ({"loss": ["mse", "sparse_categorical_crossentropy"], "metrics": None, "loss_weights": [0.3, 2.0]}, {}),
        ({"metrics": [["mae", "mse"], ["accuracy"]]}, {}),
        ({"metrics": {"kind": ["accuracy"]}}, {"validation_split": 0.3}),
        ({"loss_weights": {"price": 0.3, "kind": 2.0}}, {"validation_split": 0.3}),
    ],
)
def test_several_outputs(compiled, options):
    """The sum, each loss, each metric, val_ before."""
    as_lists = isinstance(compiled.get("loss"), list) or isinstance(compiled.get("metrics"), list)
    if as_lists:
        compiled = {"loss": ["mse", "sparse_categorical_crossentropy"], "metrics": None, **compiled}
    x, y = ([X, TABLE], [Y, CLASSES]) if as_lists else (INPUTS, TARGETS)
    several(**compiled).fit(x, y, **options)


def test_weights_of_each_output():
    pair = several(loss=["mse", "sparse_categorical_crossentropy"], metrics=None)
    pair.fit([X, TABLE], [Y, CLASSES], sample_weight=[WEIGHTS, WEIGHTS[::-1].copy()])


def test_callbacks(tmp_path):
    """EarlyStopping with the best weights, ReduceLROnPlateau, LearningRateScheduler, ModelCheckpoint, CSVLogger."""

    def stop(module):
        return [module.EarlyStopping("val_loss", patience=2, restore_best_weights=True)]

    history, made = forecaster(optimizer=lambda module: module.SGD(0.05)).fit(
        X, Y, stop, epochs=30, validation_data=HELD
    )
    assert 3 < len(history.epoch) < 30
    assert made[0][0].stopped_epoch == made[1][0].stopped_epoch

    def plateau(module):
        return [module.ReduceLROnPlateau("loss", factor=0.3, patience=1, min_delta=0.02, cooldown=1, min_lr=0.002)]

    pair = forecaster(optimizer=lambda module: module.SGD(0.1))
    history, _ = pair.fit(X, Y, plateau, epochs=12)
    assert len(set(history.history["learning_rate"])) > 2

    def schedule(module):
        return [module.LearningRateScheduler(lambda epoch, rate: rate * 0.7)]

    forecaster().fit(X, Y, schedule, epochs=4)

    def log(module):
        return [module.CSVLogger(tmp_path / f"{module.__name__}.csv"), module.LearningRateScheduler(lambda epoch: 0.05)]

    forecaster().fit(X, Y, log, validation_data=HELD)
    ours, theirs = (
        [*csv.DictReader((tmp_path / f"{module.__name__}.csv").read_text().splitlines())]
        for module in (lw.callbacks, keras.callbacks)
    )
    assert [list(line) for line in ours] == [list(line) for line in theirs]
    for one, other in zip(ours, theirs, strict=True):
        assert {name: float(value) for name, value in one.items()} == pytest.approx(
            {name: float(value) for name, value in other.items()}, rel=1e-9
        )


@pytest.mark.parametrize("mode", ["auto", "max"])
def test_model_checkpoint(tmp_path, mode):
    """The files of the epochs that were best so far: the same ones."""

    def keep(module):
        ending = "weights.h5" if module is keras.callbacks else "safetensors"
        path = str(tmp_path / module.__name__ / ("{epoch:02d}-{val_loss:.6f}." + ending))
        (tmp_path / module.__name__).mkdir()
        return [module.ModelCheckpoint(path, "val_loss", save_best_only=True, save_weights_only=True, mode=mode)]

    pair = forecaster(optimizer=lambda module: module.SGD(0.9))
    pair.fit(X, Y, keep, epochs=6, validation_data=HELD)
    names = [
        sorted(file.name.split(".safe")[0].split(".weights")[0] for file in (tmp_path / module.__name__).iterdir())
        for module in (lw.callbacks, keras.callbacks)
    ]
    assert names[0] == names[1]
    assert 1 <= len(names[0]) <= 6
