"""What a file says about a model is checked field by field, by Python's reader and by C++'s."""

import json
import os

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from latchwork import _core
from latchwork.data import StandardScaler
from latchwork.layers import GRU, LSTM, Dense, Dropout
from latchwork.models import Sequential, load_model


@pytest.fixture
def path(tmp_path):
    model = Sequential([LSTM(3, input_shape=(4, 2), return_sequences=True), Dropout(0.5), GRU(2), Dense(1)])
    model.compile("adam", "mse", ["mae"])
    model.fit(np.ones((3, 4, 2)), np.ones((3, 1)), verbose=0)
    model.save(tmp_path / "m.safetensors", extras={"x": StandardScaler().fit(np.ones((3, 2)))})
    return tmp_path / "m.safetensors"


def rewritten(path, change):
    """The file again, after change(metadata with JSON parsed, tensors)."""
    with safe_open(path, "numpy") as file:
        texts = file.metadata()
    fields = {k: json.loads(v) if v.startswith("{") else v for k, v in texts.items()}
    tensors = load_file(path)
    change(fields, tensors)
    texts = {k: v if isinstance(v, str) else json.dumps(v) for k, v in fields.items()}
    save_file(tensors, path, texts)


def layer(index, **fields):
    return lambda m, t: m["model"]["layers"][index].update(fields)


def model(**fields):
    return lambda m, t: m["model"].update(fields)


def training(**fields):
    return lambda m, t: m["training"].update(fields)


def without(*keys):
    def change(m, t):
        for key in keys[:-1]:
            m = m[key]
        del m[keys[-1]]

    return change


# Refused by both: (change, part of Python's message)
BOTH = {
    "format": (lambda m, t: m.update(format="pt"), 'metadata "format" must be "latchwork", got "pt"'),
    "version": (lambda m, t: m.update(format_version="2"), 'metadata "format_version" must be "1", got "2"'),
    "no version": (without("format_version"), "got no such key"),
    "more metadata": (lambda m, t: m.update(more="1"), 'no metadata are named "more"'),
    "no model": (without("model"), 'metadata "model" must be there'),
    "no JSON": (lambda m, t: m.update(model="{"), 'metadata "model" must have a text in quotes before byte 1'),
    "two keys": (lambda m, t: m.update(model='{"name":"a","name":"b"}'), "each key once"),
    "deep": (lambda m, t: m.update(model="[" * 100_000), "at most 32 levels"),
    "long": (lambda m, t: m.update(model=" " * (1 << 20) + "{}"), "at most 1048576 bytes"),
    "a list": (lambda m, t: m.update(model="[]"), "model must be an object"),
    "class of model": (model(**{"class": "Functional"}), "class must be"),
    "field of model": (model(more=1), "no field is named"),
    "no layers": (model(layers=[]), "layers"),
    "layers a text": (model(layers="LSTM"), "layers"),
    "layer a text": (model(layers=["LSTM"]), "must be an object"),
    "dtype": (model(dtype="float16"), "dtype must be"),
    "dtype a list": (model(dtype=[]), "dtype must be"),
    "other dtype": (model(dtype="float64"), "F64"),
    "name": (model(name=None), "name must be a text"),
    "input_shape": (model(input_shape=[4, 0]), "input_shape"),
    "input_shape of texts": (model(input_shape=["4", 2]), "input_shape"),
    "input_shape a number": (model(input_shape=4), "input_shape must be a list"),
    "open input": (model(input_shape=[4, None]), "feature size|known last one"),
    "other features": (model(input_shape=[4, 3]), "lstm/kernel"),
    "other rank": (model(input_shape=[2]), r"x must be"),
    "class": (layer(0, **{"class": "os.system"}), "class must be one of"),
    "abstract class": (layer(0, **{"class": "Recurrent"}), "class must be one of"),
    "class of another module": (layer(0, **{"class": "Adam"}), "class must be one of"),
    "class a number": (layer(0, **{"class": 3}), "class must be"),
    "field": (layer(0, unroll=False), "no field is named"),
    "initializer": (layer(0, kernel_initializer="zeros"), "no field is named"),
    "missing field": (without("model", "layers", 0, "use_bias"), "use_bias must be there"),
    "missing class": (without("model", "layers", 0, "class"), "class must be"),
    "units 0": (layer(0, units=0), "units must be"),
    "units a text": (layer(0, units="3"), "units must be"),
    "units true": (layer(0, units=True), "units must be"),
    "units float": (layer(0, units=3.0), "units must be"),
    "units without weights": (layer(0, units=2**31), "lstm/kernel"),
    "units beyond 64 bits": (layer(0, units=2**64), "whole numbers of 64 bits"),
    "activation": (layer(0, activation="tahn"), "unknown activation 'tahn'; nearest known: 'tanh'"),
    "softmax inside": (layer(0, activation="softmax"), "activation"),
    "activation null": (layer(0, activation=None), "activation must be"),
    "activation a list": (layer(3, activation=["tanh"]), "activation"),
    "flag": (layer(0, use_bias=1), "use_bias must be"),
    "flag null": (layer(2, reset_after=None), "reset_after must be"),
    "other GRU": (layer(2, reset_after=False), "gru/bias"),
    "trainable": (layer(1, trainable="no"), "trainable must be"),
    "name of layer": (layer(0, name="a/b"), "without '/'"),
    "name null": (layer(0, name=None), "name must be"),
    "names twice": (layer(3, name="gru"), "layer names must differ"),
    "rate": (layer(1, rate=1.0), r"rate must be in \[0, 1\)"),
    "rate an integer": (layer(1, rate=0), "rate must be"),
    "seed": (layer(1, seed=-1), "seed must be"),
    "seed a text": (layer(1, seed="5"), "seed must be"),
    "states inside": (layer(0, return_state=True), "return_state"),
    "no sequence": (layer(0, return_sequences=False), r"x must be"),
    "a tensor less": (lambda m, t: t.pop("gru/kernel"), "gru/kernel"),
    "a tensor more": (lambda m, t: t.update({"gru/more": np.ones(1)}), "gru/more"),
    "a tensor of nobody": (lambda m, t: t.update(more=np.ones(1)), "'more'"),
    "another shape": (lambda m, t: t.update({"gru/kernel": t["gru/kernel"].T.copy()}), r"got F32 of shape \(6, 3\)"),
}

# What C++ does not read.
PYTHON = {
    "field of training": (training(more=1), "training: no field is named 'more'"),
    "missing of training": (without("training", "seed"), "training: seed must be there"),
    "optimizer": (training(optimizer={"class": "Adma"}), "optimizer: class must be one of SGD, RMSprop, Adam, AdamW"),
    "option": (lambda m, t: m["training"]["optimizer"].update(beta_1=1.0), r"optimizer: beta_1 must be in \[0, 1\)"),
    "option a text": (lambda m, t: m["training"]["optimizer"].update(learning_rate="1"), "learning_rate must be"),
    "option more": (lambda m, t: m["training"]["optimizer"].update(lr=1.0), "no field is named 'lr'"),
    "two clips": (lambda m, t: m["training"]["optimizer"].update(clipnorm=1.0, clipvalue=1.0), "at most one of"),
    "other moments": (lambda m, t: m["training"]["optimizer"].update(amsgrad=True), "optimizer.velocity_hat"),
    "loss": (training(loss="mse"), "loss must be an object"),
    "loss class": (training(loss={"class": "Loss"}), "loss: class must be one of MeanSquaredError"),
    "metrics": (training(metrics="mae"), "metrics must be a list"),
    "metric": (training(metrics=["mea"]), "unknown metric 'mea'"),
    "metrics twice": (training(metrics=["mae", "mae"]), "metrics must have different names"),
    "iterations": (training(iterations=-1), "training: iterations must be a whole number"),
    "iterations beyond": (training(iterations=2**63 - 1), r"iterations must be below 2\^48"),
    "epochs": (training(epochs_trained=1.5), "epochs_trained must be a whole number"),
    "moments of another size": (lambda m, t: t.update({"optimizer.momentum": np.ones(3, "f")}), "optimizer.momentum"),
    "a moment less": (lambda m, t: t.pop("optimizer.velocity"), "optimizer.velocity"),
    "a moment more": (lambda m, t: t.update({"optimizer.more": np.ones(3)}), "belongs to nothing"),
    "moments of nobody": (without("training"), "tensor 'optimizer.momentum' belongs to nothing"),
    "extra": (lambda m, t: m["extras"].update(x={"class": "OneHot"}), "'x': class must be one of StandardScaler"),
    "extra field": (lambda m, t: m["extras"]["x"].update(more=1), "no field is named 'more'"),
    "extra of nothing": (lambda m, t: t.pop("extras.x.mean_"), "got no such tensor"),
    "extra of float32": (lambda m, t: t.update({"extras.x.mean_": np.ones(2, "f")}), r"must be F64 of shape \(F,\)"),
    "scales and means": (lambda m, t: t.update({"extras.x.mean_": np.ones(3)}), "as many scales as means"),
    "extras of nobody": (without("extras"), "tensor 'extras.x.mean_' belongs to nothing"),
}


def test_unchanged(path):
    rewritten(path, lambda m, t: None)  # another order of tensors, the same model
    x = np.ones((2, 4, 2), np.float32)
    assert np.array_equal(load_model(path).predict(x), _core.Model(os.fsencode(path)).predict(x))


@pytest.mark.parametrize("name", [*BOTH, *PYTHON])
def test_refused(name, path):
    change, message = (BOTH | PYTHON)[name]
    rewritten(path, change)
    with pytest.raises(ValueError, match=message) as caught:
        load_model(path)
    assert "m.safetensors" in str(caught.value)
    if name in BOTH:
        with pytest.raises(ValueError, match=r"m\.safetensors") as caught:
            _core.Model(os.fsencode(path))
    else:
        _core.Model(os.fsencode(path))
