"""save, load_model, save_weights, load_weights: the same bits again, here and in C++, and training that goes on."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

import latchwork as lw
from latchwork import losses, metrics, optimizers
from latchwork.data import StandardScaler
from latchwork.layers import (
    LSTM,
    RNN,
    Bidirectional,
    Cell,
    Dense,
    Dropout,
    GRUCell,
    Input,
    LSTMCell,
    Masking,
    TimeDistributed,
)
from latchwork.models import Sequential, load_model
from model_stacks import STEPS, TOKENS, X, Y, in_cpp, same, whole

DATA = Path(__file__).parent / "cpp" / "data"


@pytest.fixture
def path(tmp_path):
    return tmp_path / "m.safetensors"


def trained(optimizer="adam", loss="mse", epochs=2, dtype=None, **options):
    lw.set_seed(4)
    model = Sequential([LSTM(5, input_shape=(6, 2)), Dropout(0.3), Dense(3)], dtype=dtype)
    model.compile(optimizer, loss, **options)
    model.fit(X, Y, epochs=epochs, verbose=0)
    return model


@pytest.mark.parametrize("name", ["model", "nested", "tokens"])
def test_the_committed_models(name):
    """What tests/cpp/test_model.cpp reads; tests/cpp/make_model_data.py makes it."""
    saved = load_file(DATA / f"{name}_data.safetensors")
    model = load_model(DATA / f"{name}.safetensors")
    ragged = lw.Ragged(saved["ragged_x"], [0, *np.cumsum(saved["lengths"].astype(int))])
    assert same([whole(model, saved["x"]), whole(model, ragged)], [saved["y"], saved["ragged_y"]])


def test_tensors_and_metadata_by_name(path):
    model = trained()
    model.save(path)
    found = load_file(path)
    assert {name for name in found if "/" in name} == {v.name for v in model.variables}
    assert same([found[v.name] for v in model.variables], model.get_weights())
    slots = model._compiled.optimizer.slots
    assert same([found["optimizer.momentum"], found["optimizer.velocity"]], list(slots.values()))
    metadata = safe_open(path, "numpy").metadata()
    assert (metadata["format"], metadata["format_version"]) == ("latchwork", "1")
    assert [layer["class"] for layer in json.loads(metadata["model"])["layers"]] == ["LSTM", "Dropout", "Dense"]
    assert json.loads(metadata["training"])["iterations"] == 6


OPTIMIZERS = {
    "SGD": lambda: optimizers.SGD(0.1, clipnorm=1.0),
    "SGD, momentum": lambda: optimizers.SGD(np.float32(0.1), momentum=0.9, nesterov=True),
    "RMSprop": lambda: optimizers.RMSprop(momentum=0.5, centered=True, global_clipnorm=2.0),
    "Adam": lambda: "adam",
    "AdamW": lambda: optimizers.AdamW(amsgrad=True, clipvalue=0.5, name="mine"),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_training_goes_on_with_the_same_bits(name, path):
    model = trained(OPTIMIZERS[name](), "mae", metrics=["mse", metrics.BinaryAccuracy(threshold=0.3)])
    model._compiled.optimizer.learning_rate /= 2
    model.save(path)
    straight = model.fit(X, Y, epochs=3, verbose=0)
    lw.set_seed(99)  # another program, another seed
    again = load_model(path)
    assert again.epochs_trained == 2
    resumed = again.fit(X, Y, epochs=3, verbose=0)
    assert resumed.history == straight.history
    assert list(resumed.history) == ["loss", "mse", "binary_accuracy"]
    assert same(again.get_weights(), model.get_weights())
    assert again.evaluate(X, Y, verbose=0) == model.evaluate(X, Y, verbose=0)


def test_training_of_nested_layers_goes_on(path):
    model = Sequential([
        Input((6, 2)),
        Masking(),
        Bidirectional(LSTM(4, return_sequences=True)),
        TimeDistributed(Dense(5)),
        RNN([GRUCell(4), LSTMCell(3)], trainable=False),
        Dense(3),
    ])  # fmt: skip
    model.compile("adam", "mse", metrics=["mae"])
    model.fit(STEPS, Y, epochs=2, verbose=0)
    model.save(path, extras={"x": StandardScaler().fit(X)})
    names = [v.name for v in model.variables]
    assert names[0] == "bidirectional/forward_lstm/kernel"
    assert {"time_distributed/dense/bias", "rnn/stacked_rnn_cells/lstm_cell/kernel"} < set(names)
    flat = load_file(path)["optimizer.momentum"]
    assert same([flat], [model._compiled.optimizer.slots["momentum"]])
    again = load_model(path)
    assert again.fit(STEPS, Y, epochs=2, verbose=0).history == model.fit(STEPS, Y, epochs=2, verbose=0).history
    assert same(again.get_weights(), model.get_weights())
    model.save_weights(path)
    again.fit(STEPS, Y, verbose=0)
    again.load_weights(path)
    assert same([again.predict(STEPS)], [model.predict(STEPS)])


def test_a_seed_set_after_loading_counts(path):
    trained(epochs=1).save(path)

    def onward(seed):
        model = load_model(path)
        if seed is not None:
            lw.set_seed(seed)
        model.fit(X, Y, epochs=1, verbose=0)
        return model.get_weights()

    assert same(onward(4), onward(None))
    assert not same(onward(5), onward(None))


# What some cannot be made without.
GIVEN = {
    "Masked": {"loss": losses.Quantile([0.1, 0.5])},
    "LossMetric": {"loss": losses.Masked(losses.Huber(0.5))},
    "MeanAbsoluteScaledError": {"scale": 2.0},
    "F1Score": {"average": "macro"},
    "FBetaScore": {"average": "micro", "threshold": 0.25},
}


@pytest.mark.parametrize("loss", losses.CLASSES)
def test_losses_and_metrics_come_back(loss, path):
    model = Sequential([LSTM(3, input_shape=(6, 2))])
    kinds = enumerate(metrics.CLASSES.items())
    measured = [kind(name=f"m{i}", **GIVEN.get(name, {})) for i, (name, kind) in kinds]
    model.compile(optimizers.SGD(), losses.CLASSES[loss](**GIVEN.get(loss, {})), [*measured, "acc", "rmse", "mape"])
    model.save(path)
    again = load_model(path)._compiled
    assert again.loss == model._compiled.loss
    assert list(again.metrics) == list(model._compiled.metrics)
    assert [type(m) for m in again.metrics.values()] == [type(m) for m in model._compiled.metrics.values()]


def test_options_come_back(path):
    model = Sequential([LSTM(3, input_shape=(6, 2))])
    measured = metrics.CategoricalCrossentropy(from_logits=True, label_smoothing=0.1)
    model.compile("sgd", losses.Huber(0.25), [measured])
    model.save(path)
    again = load_model(path)._compiled
    assert (again.loss, again.optimizer.iterations) == (losses.Huber(0.25), 0)
    assert again.metrics["categorical_crossentropy"].loss == measured.loss


def test_without_the_optimizer(path):
    model = trained()
    model.save(path, include_optimizer=False)
    again = load_model(path)
    assert same([again.predict(X)], [model.predict(X)])
    with pytest.raises(ValueError, match="fit needs a loss"):
        again.fit(X, Y)
    with pytest.raises(ValueError, match="include_optimizer must be True or False"):
        model.save(path, include_optimizer=1)


def test_extras_travel(path):
    model, scaler = trained(), StandardScaler().fit(X)
    model.save(path, extras={"x": scaler, "y.mean_": StandardScaler().fit(Y)})
    again = load_model(path)
    assert list(again.extras) == ["x", "y.mean_"]
    assert same([again.extras["x"].transform(X)], [scaler.transform(X)])
    again.save(path)  # they stay with the model
    assert list(load_model(path).extras) == ["x", "y.mean_"]
    again.save(path, extras={})
    assert load_model(path).extras == {}


@pytest.mark.parametrize(
    ("extras", "message"),
    [
        ({"x": StandardScaler()}, "not fitted"),
        ({"x": 3}, "3 cannot be saved: a file holds StandardScaler"),
        ({"a/b": StandardScaler()}, "named by texts without '/'"),
        ({3: StandardScaler()}, "named by texts"),
        ([StandardScaler()], "must be a dict"),
        ({"\ud800": StandardScaler().fit(X)}, "Unicode|surrogate"),
    ],
)
def test_bad_extras(extras, message, path):
    with pytest.raises(ValueError, match=message):
        trained(epochs=0).save(path, extras=extras)
    assert not path.exists()


def test_weights_alone(path):
    model = trained()
    model.save_weights(path)
    assert safe_open(path, "numpy").metadata() == {"format": "latchwork", "format_version": "1"}
    for written in (path, path.with_name("whole.safetensors"), path.with_name("theirs.safetensors")):
        if written.name == "whole.safetensors":
            model.save(written, extras={"x": StandardScaler().fit(X)})
        if written.name == "theirs.safetensors":
            save_file(load_file(path), written)
        other = trained(epochs=0)
        other.load_weights(str(written))
        assert same([other.predict(X)], [model.predict(X)])
    with pytest.raises(ValueError, match='metadata "model" must be there'):
        load_model(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.pop("lstm/bias"), r"tensor 'lstm/bias' must be F32 of shape \(20,\), got no such tensor"),
        (lambda t: t.update({"more/kernel": np.ones(1)}), "no layer has a tensor 'more/kernel'"),
        (lambda t: t.update({"more": np.ones(1)}), "no layer has a tensor 'more'"),
        (lambda t: t.update({"lstm/bias": np.ones(20)}), r"F32 of shape \(20,\), got F64 of shape \(20,\)"),
        (lambda t: t.update({"lstm/bias": np.ones((1, 20), "f")}), r"got F32 of shape \(1, 20\)"),
        (lambda t: t.update({"lstm/bias": np.ones(20, "i4")}), r"got I32 of shape \(20,\)"),
    ],
)
def test_weights_must_fit(change, message, path):
    model = trained()
    tensors = dict(zip((v.name for v in model.variables), model.get_weights(), strict=True))
    change(tensors)
    save_file(tensors, path)
    before = model.get_weights()
    with pytest.raises(ValueError, match=message) as caught:
        model.load_weights(path)
    assert "m.safetensors" in str(caught.value)
    assert same(model.get_weights(), before)


@pytest.mark.parametrize("verb", ["save", "save_weights", "load_weights"])
def test_paths(verb, tmp_path):
    for bad in ("m.h5", "m.keras", "m", tmp_path):
        with pytest.raises(ValueError, match=r"path must end in \"\.safetensors\", got"):
            getattr(trained(epochs=0), verb)(bad)
    with pytest.raises(ValueError, match="path must be a path, got 3"):
        getattr(trained(epochs=0), verb)(3)
    with pytest.raises(FileNotFoundError):
        getattr(trained(epochs=0), verb)(tmp_path / "no" / "m.safetensors")


class OwnLSTM(LSTM):
    pass


class OwnCell(Cell):
    state_size = 3


class OwnLoss(losses.MeanSquaredError):
    pass


def test_what_no_file_can_hold(path):
    with pytest.raises(ValueError, match=r"OwnLSTM 'own_lstm'.* cannot be saved: a file holds .*LSTM"):
        Sequential([OwnLSTM(3, input_shape=(6, 2))]).save(path)
    for around in (RNN(OwnCell()), RNN([LSTMCell(3), OwnCell()])):
        with pytest.raises(ValueError, match=r"OwnCell 'own_cell'.*: a file holds LSTMCell, .* and no classes"):
            Sequential([Input((6, 2)), around]).save(path)
    with pytest.raises(ValueError, match=r"OwnLSTM 'own_lstm'.* cannot be saved"):
        Sequential([Input((6, 4, 2)), TimeDistributed(OwnLSTM(3))]).save(path)
    for several in (LSTM(3, return_state=True), Bidirectional(LSTM(3), None)):
        with pytest.raises(ValueError, match="several outputs cannot be saved"):
            Sequential([Input((6, 2)), several]).save(path)
    deep = Dense(3)
    for _ in range(40):
        deep = TimeDistributed(deep)
    with pytest.raises(ValueError, match="too many levels"):
        Sequential([Input((*[2] * 40, 3)), deep]).save(path)
    with pytest.raises(ValueError, match="say the input's shape"):
        Sequential([LSTM(3)]).save(path)
    model = Sequential([LSTM(3, input_shape=(6, 2))])
    model.compile("sgd", OwnLoss())
    with pytest.raises(ValueError, match=r"OwnLoss.* cannot be saved"):
        model.save(path)
    model.compile("sgd", losses.Huber(float("inf")))
    with pytest.raises(ValueError, match="must be finite"):
        model.save(path)
    assert not path.exists()


@given(
    name=st.sampled_from(["model", "nested", "tokens"]),
    position=st.integers(0, 6000),
    change=st.binary(min_size=1, max_size=1),
    removed=st.integers(0, 1),
)
def test_changed_bytes_never_crash(name, position, change, removed, tmp_path_factory):
    content = bytearray((DATA / f"{name}.safetensors").read_bytes())
    content[position : position + removed] = change
    path = tmp_path_factory.getbasetemp() / "changed.safetensors"
    path.write_bytes(content)
    x = TOKENS[..., None] % 7 if name == "tokens" else STEPS
    try:
        model = load_model(path)
    except ValueError as error:
        assert "changed.safetensors" in str(error)  # noqa: PT017
        return
    assert np.array_equal(in_cpp(path, x.astype(model.dtype)), whole(model, x), equal_nan=True)
