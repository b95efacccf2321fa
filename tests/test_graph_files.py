"""Graph models in files: the same bits back, and a reader that takes nothing else than what save writes."""

import copy
import json

import numpy as np
import pytest

import latchwork as lw
from latchwork import _core
from latchwork.layers import LSTM, Bidirectional, Concatenate, Dense, Dropout, Embedding, Input, Subtract
from latchwork.models import Model, Sequential, load_model
from latchwork.models.saving import LAYERS


def model_of(dtype="float32"):
    """Two inputs, a shared layer, states, three outputs of which one has no loss."""
    text, series = Input((None,), name="text"), Input((None, 2), name="series", dtype=dtype)
    words = Embedding(9, 4, mask_zero=True)(text)
    _, h, c = LSTM(3, return_state=True)(words)
    y = LSTM(3, return_sequences=True, name="decoder")(series, initial_state=[h, c])
    shared = Dense(2, activation="tanh")
    end = Bidirectional(LSTM(2))(Dropout(0.3)(y))
    left, right = shared(h), shared(c)
    both = Concatenate()([Subtract()([left, right]), end])
    model = Model([text, series], [Dense(1, name="score")(both), Dense(2, name="tags")(y), left], name="graph")
    model.compile(
        "adam", {"score": "mse", "tags": lw.losses.Huber(0.5)}, loss_weights={"tags": 0.25},
        metrics={"tags": ["mae", lw.metrics.RootMeanSquaredError()]},
    )  # fmt: skip
    return model


RNG = np.random.default_rng(0)
X = [RNG.integers(0, 9, (8, 4)), RNG.normal(size=(8, 5, 2))]
Y = {"score": RNG.normal(size=8), "tags": RNG.normal(size=(8, 5, 2))}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_same_bits_come_back_and_training_goes_on(tmp_path, dtype):
    path = tmp_path / "m.safetensors"
    model = model_of(dtype)
    model.fit(X, Y, epochs=2, batch_size=3, verbose=0)
    model.save(path)
    again = load_model(path)
    assert isinstance(again, Model)
    assert again.input_names == model.input_names
    assert again.output_names == model.output_names == ["score", "tags", "dense"]
    for a, b in zip(model.predict(X), again.predict(X), strict=True):
        np.testing.assert_array_equal(a, b)
    histories = [each.fit(X, Y, epochs=2, batch_size=3, verbose=0).history for each in (model, again)]
    assert histories[0] == histories[1]
    assert list(histories[0])[:3] == ["loss", "score_loss", "tags_loss"]
    assert all(np.array_equal(a, b) for a, b in zip(model.get_weights(), again.get_weights(), strict=True))
    again.save(tmp_path / "n.safetensors")
    model.save(path)
    assert path.read_bytes() == (tmp_path / "n.safetensors").read_bytes()


@pytest.mark.parametrize("name", [name for name, kind in LAYERS.classes.items() if kind.many_inputs])
def test_every_merging_layer(tmp_path, name):
    options = {
        "Dot": {"axes": (2, -1)}, "Concatenate": {"axis": 1}, "MultiHeadAttention": {"num_heads": 2, "key_dim": 3},
    }.get(name, {})  # fmt: skip
    a, b = Input((3, 2)), Input((3, 2))
    model = Model([a, b], LAYERS.classes[name](**options)([a, Dense(2)(b)]))
    model.save(tmp_path / "m.safetensors")
    x = [RNG.normal(size=(4, 3, 2)) for _ in range(2)]
    np.testing.assert_array_equal(load_model(tmp_path / "m.safetensors").predict(x), model.predict(x))


def test_weights_alone(tmp_path):
    model, other = model_of(), model_of()
    model.save_weights(tmp_path / "w.safetensors")
    other.load_weights(tmp_path / "w.safetensors")
    assert all(np.array_equal(a, b) for a, b in zip(model.get_weights(), other.get_weights(), strict=True))


def test_one_output_with_a_weight(tmp_path):
    x = Input((2,))
    model = Model(x, Dense(1)(x))
    model.compile("sgd", "mse", metrics=["mae"], loss_weights=[0.5])
    model.save(tmp_path / "m.safetensors")
    again = load_model(tmp_path / "m.safetensors")
    data = np.ones((3, 2)), np.zeros(3)
    assert again.evaluate(*data, verbose=0) == model.evaluate(*data, verbose=0)
    assert again.evaluate(*data, verbose=0, return_dict=True)["loss"] > 0


@pytest.mark.parametrize("weight", [0.5, [0.5], {"dense": 0.5}])
def test_the_weight_of_a_rows_loss(tmp_path, weight):
    model = Sequential([Dense(1, input_shape=(2,))])
    model.compile("sgd", "mse", metrics=["mae"], loss_weights=weight)
    model.save(tmp_path / "m.safetensors")
    again = load_model(tmp_path / "m.safetensors")
    data = np.ones((3, 2)), np.zeros(3)
    whole = model.evaluate(*data, verbose=0)
    assert again.evaluate(*data, verbose=0) == whole
    model.compile("sgd", "mse", metrics=["mae"])
    assert model.evaluate(*data, verbose=0)[0] == pytest.approx(2 * whole[0])


# ---- what is no model ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    path = tmp_path_factory.mktemp("graph") / "m.safetensors"
    model_of().save(path)
    return path


def changed(saved, tmp_path, key, change):
    """The file with its description changed."""
    file = _core.SafetensorsFile(bytes(saved))
    metadata = dict(file.metadata)
    fields = json.loads(metadata[key])
    change(fields)
    metadata[key] = json.dumps(fields)
    path = tmp_path / "changed.safetensors"
    _core.write_safetensors(bytes(path), [(name, file.read(name)) for name in file.tensors], metadata)
    return path


def put(*path):
    """Set the last but one of `path`, from the description down, to the last."""

    def change(fields):
        at = fields
        for step in path[:-2]:
            at = at[step]
        at[path[-2]] = path[-1]

    return change


def swapped(fields):
    nodes = fields["nodes"]
    nodes[0], nodes[1] = nodes[1], nodes[0]


def without_last_output(fields):
    del fields["outputs"][1]


DAMAGED = {
    "class": ("model", put("class", "Graph"), "class must be 'Sequential' or 'Model', got 'Graph'"),
    "a field more": ("model", put("input_shape", []), "model: no field is named 'input_shape'"),
    "a field less": ("model", lambda f: f.pop("nodes"), "model: nodes must be there"),
    "inputs": ("model", put("inputs", {}), "model: inputs must be a list"),
    "an input's field": ("model", put("inputs", 0, "dtype", "F32"), r"inputs\[0\]: no field is named 'dtype'"),
    "an input's shape": ("model", put("inputs", 0, "shape", [0]), r"inputs\[0\]: Input: shape must hold whole numbers"),
    "an input's name": ("model", put("inputs", 0, "name", 3), r"inputs\[0\]: name must be a text"),
    "the same name": ("model", put("inputs", 0, "name", "series"), "inputs must have different names"),
    "nodes": ("model", put("nodes", 3), "model: nodes must be a list"),
    "a node's field": ("model", put("nodes", 0, "y", []), r"nodes\[0\]: no field is named 'y'"),
    "a cycle": (
        "model",
        put("nodes", 0, "x", [3]),
        r"nodes\[0\]: x must be a number from 0 to 1, of what",
    ),
    "a reference below": ("model", put("nodes", 0, "x", [-1]), r"nodes\[0\]: x must be a number from 0 to 1"),
    "a reference that is no number": ("model", put("nodes", 0, "x", [True]), r"nodes\[0\]: x must be a number"),
    "a node that reads nothing": ("model", put("nodes", 0, "x", []), r"nodes\[0\]: x must be one slot, got 0"),
    "two for one": ("model", put("nodes", 0, "x", [0, 0]), r"nodes\[0\]: x must be one slot, got 2"),
    "states of no state": ("model", put("nodes", 0, "initial_state", [0]), "must be empty for a layer without states"),
    "a state too few": ("model", put("nodes", 2, "initial_state", [4]), r"nodes\[2\]: decoder: initial_state must be"),
    "an unknown layer": ("model", put("nodes", 0, "layer", 99), r"nodes\[0\]: layer must be a number from 0 to"),
    "another order": ("model", swapped, r"nodes\[0\]: layer must be the first one that no node has called yet, got 1"),
    "a shape": ("model", put("nodes", 1, "x", [0]), r"nodes\[1\]: lstm: x must be \(B, T, F\)"),
    "an output of nothing": ("model", put("outputs", [99]), "outputs must be a number from 0 to"),
    "no outputs": ("model", put("outputs", []), "outputs must be one Symbol"),
    "an output less": ("model", without_last_output, "every node must reach an output"),
    "an input as output": ("model", put("outputs", [0]), "outputs must be made by layers"),
    "a layer that nobody calls": (
        "model",
        lambda f: f["layers"].append({**f["layers"][-1], "name": "more"}),
        "no node",
    ),
    "the same layer name": ("model", put("layers", 0, "name", "lstm"), "layer names must differ, 'lstm' is taken"),
    "a layer's field": ("model", put("layers", 1, "units", 3.0), r"layers\[1\]: "),
    "a class of one's own": ("model", put("layers", 0, "class", "Mine"), r"layers\[0\]: class must be one of"),
    "losses": ("training", put("loss", []), "training: loss must have 3 entries, one an output, got 0"),
    "one loss": ("training", put("loss", {"class": "Huber"}), "training: loss must be a list"),
    "a loss's field": ("training", put("loss", 1, "delta", "half"), r"training: loss\[1\]: "),
    "weights": ("training", put("loss_weights", 0, -1.0), "loss_weights must hold numbers of at least 0"),
    "a whole weight": ("training", put("loss_weights", 0, 1), r"loss_weights\[0\] must be a number with a point"),
    "a weight of no loss": (
        "training",
        put("loss_weights", 2, 0.5),
        r"loss_weights\[2\] must be .* point, 1.0, got 0.5",
    ),
    "metrics": ("training", put("metrics", 1, "mae"), r"training: metrics\[1\] must be a list"),
    "a metric of no loss": ("training", put("metrics", 2, ["mae"]), "metrics: output 'dense' needs a loss"),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_damaged(saved, tmp_path, name):
    key, change, text = DAMAGED[name]
    with pytest.raises(ValueError, match=text) as found:
        load_model(changed(saved, tmp_path, key, change))
    assert str(found.value).startswith('"')  # the file's name comes first


def test_the_change_alone_is_what_is_refused(saved, tmp_path):
    kept = {}
    load_model(changed(saved, tmp_path, "model", lambda fields: kept.update(copy.deepcopy(fields))))
    assert list(kept) == ["class", "name", "dtype", "inputs", "nodes", "outputs", "layers"]
