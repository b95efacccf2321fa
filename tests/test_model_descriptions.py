"""What a file says about a model is checked field by field, by Python's reader and by C++'s."""

import json
import os

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

import latchwork as lw
from latchwork import _core
from latchwork.data import StandardScaler
from latchwork.layers import (
    GRU,
    LSTM,
    RNN,
    Bidirectional,
    Dense,
    Dropout,
    Embedding,
    Flatten,
    GRUCell,
    Input,
    LSTMCell,
    Masking,
    RepeatVector,
    TimeDistributed,
)
from latchwork.models import Sequential, load_model


@pytest.fixture
def path(tmp_path):
    model = Sequential([LSTM(3, input_shape=(4, 2), return_sequences=True), Dropout(0.5), GRU(2), Dense(1)])
    model.compile("adam", "mse", ["mae"])
    model.fit(np.ones((3, 4, 2)), np.ones((3, 1)), verbose=0)
    model.save(tmp_path / "m.safetensors", extras={"x": StandardScaler().fit(np.ones((3, 2)))})
    return tmp_path / "m.safetensors"


@pytest.fixture
def nested(tmp_path):
    model = Sequential([
        Input((4, 2)),
        Masking(-1.0),
        Bidirectional(LSTM(3, return_sequences=True)),
        TimeDistributed(Dense(4)),
        RNN([LSTMCell(3), GRUCell(3)], return_sequences=True),
        Flatten(),
        RepeatVector(2),
    ])  # fmt: skip
    model.save(tmp_path / "m.safetensors")
    return tmp_path / "m.safetensors"


@pytest.fixture
def tokens(tmp_path):
    Sequential([Input((None,)), Embedding(5, 3, mask_zero=True), GRU(2)]).save(tmp_path / "m.safetensors")
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


def inside(index, *keys, **fields):
    """Changes of a description within layer `index`."""

    def change(m, t):
        at = m["model"]["layers"][index]
        for key in keys:
            at = at[key]
        at.update(fields)

    return change


def removed(index, *keys):
    return without("model", "layers", index, *keys)


def deep(levels):
    """A file whose TimeDistributed hold each other `levels` deep."""

    def change(m, t):
        for _ in range(levels):
            m["model"]["layers"][2] = {**m["model"]["layers"][2], "layer": m["model"]["layers"][2]}

    return change


MASK = {"class": "Masking", "name": "m", "trainable": True, "mask_value": 0.0}
WAYS = ("layer", "backward_layer")
MASKING, BOTH_WAYS, STEPS, STACK, FLATTEN, REPEAT = range(6)

# Nested descriptions, refused by both; each message names the place.
NESTED = {
    "mask_value a text": (inside(MASKING, mask_value="no"), "mask_value must be"),
    "mask_value whole": (inside(MASKING, mask_value=1), "mask_value must be"),
    "mask_value null": (inside(MASKING, mask_value=None), "mask_value must be"),
    "no layer": (removed(BOTH_WAYS, "layer"), "layer must be there"),
    "no backward_layer": (removed(BOTH_WAYS, "backward_layer"), "backward_layer must be there"),
    "backward_layer null": (inside(BOTH_WAYS, backward_layer=None), "backward_layer must be an object"),
    "layer a text": (inside(BOTH_WAYS, layer="LSTM"), "layer must be an object"),
    "layer a list": (inside(STEPS, layer=[]), "layer"),
    "merge_mode": (inside(BOTH_WAYS, merge_mode="max"), "merge_mode"),
    "two outputs": (inside(BOTH_WAYS, merge_mode=None), "merge_mode|outputs"),
    "merge_mode a number": (inside(BOTH_WAYS, merge_mode=1), "merge_mode"),
    "weights": (inside(BOTH_WAYS, weights=None), "no field is named"),
    "a field inside": (inside(BOTH_WAYS, "layer", unroll=False), "layer.*no field is named 'unroll'"),
    "a field missing inside": (removed(BOTH_WAYS, "backward_layer", "units"), "backward_layer.*units must be there"),
    "units inside": (inside(BOTH_WAYS, "layer", units=3.0), "units must be"),
    "a class inside": (inside(BOTH_WAYS, "layer", **{"class": "Dense"}), "layer"),
    "an unknown class inside": (inside(STEPS, "layer", **{"class": "os"}), "layer: class must be one of"),
    "a cell for a layer": (inside(STEPS, "layer", **{"class": "LSTMCell"}), "layer: class must be one of"),
    "forwards backwards": (inside(BOTH_WAYS, "layer", go_backwards=True), "go_backwards|forwards"),
    "backwards forwards": (inside(BOTH_WAYS, "backward_layer", go_backwards=False), "go_backwards"),
    "sequences one way": (inside(BOTH_WAYS, "layer", return_sequences=False), "return_sequences|backward_layer"),
    "sequences the other way": (inside(BOTH_WAYS, "backward_layer", return_sequences=False), "return_sequences"),
    "states inside": (inside(BOTH_WAYS, "layer", return_state=True), "return_state"),
    "stateful one way": (inside(BOTH_WAYS, "layer", stateful=True), "stateful|backward_layer"),
    "held sequences": (inside(BOTH_WAYS, "layer", zero_output_for_mask=False), "zero_output_for_mask"),
    "held one way back": (inside(BOTH_WAYS, "backward_layer", zero_output_for_mask=False), "zero_output_for_mask"),
    "zeros at the end": (lambda m, t: [inside(BOTH_WAYS, way, return_sequences=False)(m, t) for way in WAYS],
        "zero_output_for_mask': False"),
    "a class of cells inside": (inside(BOTH_WAYS, "layer", **{"class": "RNN"}), "layer"),
    "one name for both": (inside(BOTH_WAYS, "backward_layer", name="forward_lstm"), "forward_lstm|name"),
    "another name": (inside(BOTH_WAYS, "layer", name="lstm"), "layer|no such tensor"),
    "a name with a slash": (inside(STEPS, "layer", name="a/b"), "without '/'"),
    "no name inside": (inside(STEPS, "layer", name=""), "name"),
    "trainable inside": (inside(STEPS, "layer", trainable=None), "trainable must be"),
    "outputs of a step": (inside(STEPS, layer=MASK), "x must be"),
    "a layer for a cell": (inside(STACK, "cell", **{"class": "LSTM"}), "cell: class must be one of LSTMCell"),
    "cell null": (inside(STACK, cell=None), "cell"),
    "no cell": (removed(STACK, "cell"), "cell must be there"),
    "no cells": (inside(STACK, "cell", cells=[]), "cells"),
    "cells an object": (inside(STACK, "cell", cells={}), "cells"),
    "a cell a text": (inside(STACK, "cell", cells=["LSTMCell"]), "cells.*must be an object"),
    "a cell's field": (inside(STACK, "cell", "cells", 0, go_backwards=True), "cells.*no field is named 'go_backwards'"),
    "a cell's units": (inside(STACK, "cell", "cells", 0, units=4), "lstm_cell/kernel"),
    "cells of one name": (inside(STACK, "cell", "cells", 1, name="lstm_cell"), "cell"),
    "a cell of another kind": (inside(STACK, "cell", "cells", 1, reset_after=False), "gru_cell/bias"),
    "a field of Flatten": (inside(FLATTEN, data_format=None), "no field is named"),
    "n": (inside(REPEAT, n=0), "n must be"),
    "n whole": (inside(REPEAT, n=2.0), "n must be"),
    "order": (lambda m, t: m["model"]["layers"].reverse(), "x must be"),
    "steps unknown": (lambda m, t: [m["model"].update(input_shape=[None, 2]), m["model"]["layers"].append(
        {"class": "Dense", "name": "d", "trainable": True, "units": 1, "activation": "linear", "use_bias": True})],
        "feature size"),
    "deep": (deep(40), "at most 32 levels"),
    "deeper than its axes": (deep(10), "x must be"),
    "a tensor more": (lambda m, t: t.update({"bidirectional/kernel": np.ones(1, "f")}), "bidirectional/kernel"),
    "a tensor less": (lambda m, t: t.pop("rnn/stacked_rnn_cells/gru_cell/bias"), "gru_cell/bias"),
}  # fmt: skip

EMBEDDING = {
    "input_dim": (inside(0, input_dim=6), "embedding/embeddings"),
    "input_dim 0": (inside(0, input_dim=0), "input_dim must be"),
    "output_dim": (inside(0, output_dim=4), "embedding/embeddings"),
    "output_dim a text": (inside(0, output_dim="3"), "output_dim must be"),
    "mask_zero": (inside(0, mask_zero=1), "mask_zero must be"),
    "weights": (inside(0, weights=None), "no field is named"),
    "large": (inside(0, input_dim=2**40, output_dim=2**40), "embedding"),
}


def both_refuse(path, message):
    for read in (load_model, lambda p: _core.Model(os.fsencode(p))):
        with pytest.raises(ValueError, match=message if read is load_model else r"m\.safetensors") as caught:
            read(path)
        assert "m.safetensors" in str(caught.value)


@pytest.mark.parametrize("name", NESTED)
def test_nested_refused(name, nested):
    change, message = NESTED[name]
    rewritten(nested, change)
    both_refuse(nested, message)


@pytest.mark.parametrize("name", EMBEDDING)
def test_embedding_refused(name, tokens):
    change, message = EMBEDDING[name]
    rewritten(tokens, change)
    both_refuse(tokens, message)


MORE = [  # class, fields that no layer takes, part of Python's message
    ("LayerNormalization", {"axis": 1}, "axis must be -1"),
    ("LayerNormalization", {"epsilon": -0.5}, "epsilon must be a number at least 0"),
    ("LayerNormalization", {"center": False}, "layer_normalization/beta"),
    ("BatchNormalization", {"momentum": 1.5}, "momentum must be a number in"),
    ("BatchNormalization", {"scale": 1}, "scale must be True or False"),
    ("Normalization", {"invert": None}, "invert must be True or False"),
    ("Normalization", {"mean": 0.5}, "no field is named 'mean'"),
    ("Conv1D", {"filters": 4}, "conv1d/kernel"),
    ("Conv1D", {"kernel_size": 2**40}, "kernel_size must be below"),
    ("Conv1D", {"strides": 0}, "strides must be a whole number"),
    ("Conv1D", {"dilation_rate": [1]}, "dilation_rate"),
    ("Conv1D", {"padding": "full"}, "unknown padding"),
    ("Conv1D", {"kernel_size": 9}, "at least 9 steps|conv1d/kernel"),
    ("MaxPooling1D", {"padding": "causal"}, "unknown padding"),
    ("MaxPooling1D", {"pool_size": 7, "strides": 1}, "at least 7 steps"),
    ("MaxPooling1D", {"strides": None}, "strides"),
    ("GlobalMaxPooling1D", {"keepdims": 0}, "keepdims must be True or False"),
    ("SpatialDropout1D", {"rate": 1.0}, "rate must be in"),
    ("GaussianNoise", {"stddev": -1.0}, "stddev must be a number at least 0"),
    ("GaussianNoise", {"seed": -1}, "seed must be None"),
    ("Reshape", {"target_shape": [5, -1]}, "x must fill"),
    ("Reshape", {"target_shape": [-1, -1]}, "one of them -1 at most"),
    ("Reshape", {"target_shape": [0]}, "sizes of at least 1"),
    ("Reshape", {"target_shape": [1] * 9}, "1 to 7 sizes"),
    ("Permute", {"dims": [2, 3]}, "in any order"),
    ("Permute", {"dims": [1]}, "x must have 1 axes"),
]


@pytest.mark.parametrize(("kind", "fields", "message"), MORE)
def test_other_layers_refused(kind, fields, message, tmp_path):
    arguments = {
        "Conv1D": (3, 2),
        "SpatialDropout1D": (0.5,),
        "GaussianNoise": (0.5,),
        "Reshape": ((2, -1),),
        "Permute": ((2, 1),),
    }
    path = tmp_path / "m.safetensors"
    Sequential([Input((6, 2)), getattr(lw.layers, kind)(*arguments.get(kind, ()))]).save(path)
    rewritten(path, layer(0, **fields))
    both_refuse(path, message)


@pytest.mark.parametrize(
    ("layer", "keys", "name"),
    [
        (lambda: RNN([LSTMCell(2), LSTMCell(2)]), ("cell", "cells", 1), "stacked_rnn_cells/lstm_cell_1"),
        (lambda: Bidirectional(LSTM(2)), ("backward_layer",), "backward_lstm"),
    ],
)
def test_two_of_one_name_share_no_weights(layer, keys, name, tmp_path):
    """Even where the tensors of the other are gone."""
    made, path = layer(), tmp_path / "m.safetensors"
    Sequential([Input((None, 2)), made]).save(path)
    first = made.variables[0].key.split("/")[-2]

    def change(m, t):
        inside(0, *keys, name=first)(m, t)
        for key in [key for key in t if f"/{name}/" in key]:
            del t[key]

    rewritten(path, change)
    both_refuse(path, "cell|layer")


def test_cpp_names_the_place(nested):
    rewritten(nested, inside(STACK, "cell", "cells", 1, activation="tahn"))
    place = 'layer "rnn": cell "stacked_rnn_cells": cells "gru_cell": activation must be one of'
    with pytest.raises(ValueError, match=place):
        _core.Model(os.fsencode(nested))
    with pytest.raises(ValueError, match=r"layers\[3\]: cell: cells\[1\]: unknown activation 'tahn'"):
        load_model(nested)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("sequences", [False, True])
def test_halves_that_python_never_writes(sequences, way, nested):
    fields = {"return_sequences": sequences, "zero_output_for_mask": not sequences}
    rewritten(nested, inside(BOTH_WAYS, way, **fields))
    place = f'layer "bidirectional": {way} ".*_lstm": zero_output_for_mask must be what return_sequences is'
    with pytest.raises(ValueError, match=place):
        _core.Model(os.fsencode(nested))


def test_nested_unchanged(nested):
    rewritten(nested, lambda m, t: None)
    x = np.ones((2, 4, 2), np.float32)
    assert np.array_equal(load_model(nested).predict(x), _core.Model(os.fsencode(nested)).predict(x))


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
