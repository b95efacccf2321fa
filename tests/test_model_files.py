"""save, load_model, save_weights, load_weights: the same bits again, here and in C++, and training that goes on."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

import latchwork as lw
from latchwork import _core, layers, losses, metrics, optimizers
from latchwork.data import StandardScaler
from latchwork.layers import (
    GRU,
    LSTM,
    RNN,
    Activation,
    Bidirectional,
    Cell,
    Dense,
    Dropout,
    Embedding,
    Flatten,
    GRUCell,
    Input,
    LSTMCell,
    Masking,
    RepeatVector,
    SimpleRNN,
    SimpleRNNCell,
    StackedRNNCells,
    TimeDistributed,
)
from latchwork.layers.dense import values_of
from latchwork.models import Sequential, load_model
from latchwork.models.saving import CELLS, LAYERS

DATA = Path(__file__).parent / "cpp" / "data"
RNG = np.random.default_rng(0)
X = RNG.normal(size=(70, 6, 2)).astype(np.float32)
Y = RNG.random(size=(70, 3)).astype(np.float32)


def sometimes_masked(x):
    """Steps of zeros in the middle, in front, behind, everywhere."""
    real = RNG.random((len(x), x.shape[1], 1)) > 0.3
    real[0], real[1, :2], real[2, 4:] = False, False, False
    return x * real


STEPS = sometimes_masked(X)
TOKENS = RNG.integers(0, 9, (70, 6)) * (RNG.random((70, 6)) > 0.3)

STACKS = {
    "LSTM": lambda: [LSTM(5)],
    "LSTM, other activations": lambda: [LSTM(17, "relu", "hard_sigmoid", use_bias=False), Dense(3)],
    "GRU": lambda: [GRU(5, return_sequences=True), GRU(4, reset_after=False)],
    "SimpleRNN": lambda: [SimpleRNN(33, activation=None, go_backwards=True)],
    "Dense": lambda: [Dense(7, "softplus"), Dropout(0.25, seed=2**64 - 1), Dense(3, "softmax", use_bias=False)],
    "Activation": lambda: [LSTM(3, return_sequences=True, name="mine"), Activation("softmax"), Activation("elu")],
    "frozen": lambda: [LSTM(4, trainable=False), Dense(3)],
    "stateful": lambda: [LSTM(4, stateful=True, return_sequences=True), RNN(GRUCell(3), stateful=True)],
    "Masking": lambda: [Masking(), LSTM(5, return_sequences=True), GRU(20)],
    "Masking, zeros": lambda: [
        Masking(),
        GRU(5, return_sequences=True, zero_output_for_mask=True, go_backwards=True),
        LSTM(4, zero_output_for_mask=True),
    ],
    "Masking, zeros at each step": lambda: [
        Masking(),
        RNN([LSTMCell(3), GRUCell(4)], return_sequences=True, zero_output_for_mask=True),
        Dense(2),
        SimpleRNN(4, zero_output_for_mask=True),
    ],
    "Masking of NaN": lambda: [Masking(float("nan")), LSTM(3)],
    "Masking of infinity": lambda: [Masking(-float("inf")), Dense(3)],
    "Masking passes by": lambda: [
        Masking(0),
        TimeDistributed(Dense(4)),
        Dropout(0.5),
        Activation("tanh"),
        Bidirectional(GRU(3, return_sequences=True)),
        LSTM(3),
    ],
    "Embedding": lambda: [Embedding(9, 4), LSTM(5)],
    "Embedding masks": lambda: [Embedding(9, 4, mask_zero=True), LSTM(5, return_sequences=True), GRU(3), Dense(2)],
    "Embedding alone": lambda: [Embedding(9, 1, mask_zero=True)],
    "Embedding of steps": lambda: [TimeDistributed(Embedding(9, 2)), Dense(2)],
    "Flatten": lambda: [Dense(3), Flatten(), Dense(4)],
    "Flatten of one axis": lambda: [LSTM(3), Flatten(), Dense(4)],
    "RepeatVector": lambda: [LSTM(3), RepeatVector(4), GRU(2, return_sequences=True)],
    "TimeDistributed": lambda: [
        TimeDistributed(RepeatVector(3)),
        TimeDistributed(TimeDistributed(Dense(4, "softmax"))),
        TimeDistributed(LSTM(5, return_sequences=True)),
        TimeDistributed(Flatten()),
        TimeDistributed(Activation("softmax"), trainable=False),
    ],
    "TimeDistributed of Bidirectional": lambda: [
        TimeDistributed(RepeatVector(3)),
        TimeDistributed(Bidirectional(LSTM(4, activation="softsign"))),
        TimeDistributed(Dense(2), name="out"),
    ],
    "Bidirectional": lambda: [Bidirectional(LSTM(4, return_sequences=True)), Bidirectional(GRU(3, name="inner"))],
    "Bidirectional, sum": lambda: [Bidirectional(GRU(4, return_sequences=True), "sum", name="both")],
    "Bidirectional, mul": lambda: [Masking(), Bidirectional(LSTM(4), "mul")],
    "Bidirectional, ave": lambda: [Masking(), Bidirectional(SimpleRNN(4, return_sequences=True), "ave")],
    "Bidirectional of two": lambda: [
        Masking(),
        Bidirectional(
            GRU(4, return_sequences=True, zero_output_for_mask=True, trainable=False),
            backward_layer=LSTM(
                17, return_sequences=True, zero_output_for_mask=True, go_backwards=True, use_bias=False
            ),
        ),
    ],
    "Bidirectional, silent": lambda: [Masking(), Bidirectional(LSTM(4, zero_output_for_mask=True, stateful=True))],
    "RNN": lambda: [RNN(LSTMCell(5, use_bias=False), return_sequences=True), RNN(SimpleRNNCell(4, "relu"))],
    "RNN of a stack": lambda: [RNN([GRUCell(5), LSTMCell(3, name="top"), GRUCell(2, reset_after=False)])],
    "RNN backwards": lambda: [
        Masking(),
        RNN(StackedRNNCells([LSTMCell(3), LSTMCell(4)], name="s"), return_sequences=True, go_backwards=True),
    ],
    "RNN of stacks of stacks": lambda: [RNN(StackedRNNCells([StackedRNNCells([LSTMCell(3)]), GRUCell(4)]))],
}

# Which cannot go step by step, and why; test_sessions.py.
NO_STEPS = {
    "SimpleRNN": "simple_rnn: .*go_backwards",
    "Masking, zeros": "gru: .*go_backwards",
    "RNN backwards": "rnn: .*go_backwards",
    "Masking passes by": "bidirectional: cannot step",
    "Flatten": "flatten: cannot step",
    "RepeatVector": "repeat_vector: cannot step",
    "TimeDistributed": "time_distributed: cannot step",
    "TimeDistributed of Bidirectional": "time_distributed: cannot step",
    "Embedding of steps": "time_distributed: cannot step",
    **{name: "bidirectional: cannot step|both: cannot step" for name in STACKS if name.startswith("Bidirectional")},
}


# Which take no Ragged: a sample of each step would be a sequence, or all steps one sample.
NOT_RAGGED = {"Flatten", "TimeDistributed", "TimeDistributed of Bidirectional", "Embedding of steps"}


def example(name, dtype="float32"):
    """A model of that stack, and its input."""
    steps = {"Masking of NaN": np.nan, "Masking of infinity": -np.inf}
    x = STEPS.copy()
    x[x == 0] = steps.get(name, 0)
    if name.startswith("Embedding"):
        x = TOKENS[..., None] % 9 if name == "Embedding of steps" else TOKENS
    model = Sequential([Input(x.shape[1:]), *STACKS[name]()], dtype=dtype, name="N")
    return model, x.astype(dtype)


def whole(model, x):
    """predict from states of zero."""
    model.reset_states()
    return model.predict(x, batch_size=256)


def in_cpp(path, x):
    """What C++ makes of an array, or of a Ragged: its values."""
    native = _core.Model(os.fsencode(path))
    return native.predict(x.values, x.lengths.tolist()) if isinstance(x, lw.Ragged) else native.predict(x)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "m.safetensors"


def trained(optimizer="adam", loss="mse", epochs=2, dtype=None, **options):
    lw.set_seed(4)
    model = Sequential([LSTM(5, input_shape=(6, 2)), Dropout(0.3), Dense(3)], dtype=dtype)
    model.compile(optimizer, loss, **options)
    model.fit(X, Y, epochs=epochs, verbose=0)
    return model


def same(a, b):
    return len(a) == len(b) and all(
        (u.dtype, u.shape, u.tobytes()) == (v.dtype, v.shape, v.tobytes()) for u, v in zip(a, b, strict=True)
    )


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", STACKS)
def test_same_bits_here_and_in_cpp(name, dtype, path):
    model, x = example(name, dtype)
    y = whole(model, x)
    model.save(path)
    loaded = load_model(path)
    assert same([whole(loaded, x), in_cpp(path, x)], [y, y])
    assert same(loaded.get_weights(), model.get_weights())
    assert [v.name for v in loaded.variables] == [v.name for v in model.variables]
    assert (loaded.name, loaded.dtype) == (model.name, model.dtype)
    assert [layer.trainable for layer in loaded.layers] == [layer.trainable for layer in model.layers]
    before = path.read_bytes()
    loaded.save(path)
    assert path.read_bytes() == before
    assert in_cpp(path, x[:0]).shape == (0, *y.shape[1:])


@pytest.mark.parametrize("name", STACKS)
def test_ragged_sequences(name, path):
    """The same bits, or an error, in both languages."""
    model, x = example(name)
    if x.ndim == 2:
        x = x[..., None]
        model = Sequential([Input(x.shape[1:]), *STACKS[name]()])
    ragged = lw.Ragged.from_list([row[: n % 7] for n, row in enumerate(x)])
    model.save(path)
    try:
        y = whole(model, ragged)
    except ValueError:
        assert name in NOT_RAGGED
        with pytest.raises(ValueError, match=r"ragged|x must be"):
            in_cpp(path, ragged)
        return
    assert same([values_of(whole(load_model(path), ragged)), in_cpp(path, ragged)], [values_of(y)] * 2)
    assert name not in NOT_RAGGED


def random_layers(rng):
    """Layers that fit x [B, 6, 2], or tokens [B, 6]."""

    def pick(*choices):
        return choices[rng.integers(len(choices))]()

    def flag():
        return bool(rng.integers(2))

    def units():
        return int(rng.choice([1, 3, 8, 16, 17, 33]))

    def cell():
        return pick(
            lambda: LSTMCell(units(), pick(lambda: "tanh", lambda: "softsign")),
            lambda: GRUCell(units(), reset_after=flag()),
            lambda: SimpleRNNCell(units(), use_bias=flag()),
        )

    def plain(**options):
        return pick(
            lambda: LSTM(units(), **options),
            lambda: GRU(units(), reset_after=flag(), **options),
            lambda: SimpleRNN(units(), "relu", **options),
        )

    def recurrent(sequences):
        options = {"return_sequences": sequences, "zero_output_for_mask": flag()}
        return pick(
            lambda: plain(go_backwards=flag(), **options),
            lambda: RNN([cell() for _ in range(rng.integers(1, 4))], go_backwards=flag(), **options),
            lambda: Bidirectional(plain(**options), rng.choice(["concat", "sum", "mul", "ave"]).item()),
            lambda: Bidirectional(plain(**options), backward_layer=plain(go_backwards=True, **options)),
        )

    def row():
        return pick(
            lambda: Dense(units(), "softmax"),
            lambda: Activation("tanh"),
            lambda: Dropout(0.5),
            lambda: Activation("softmax"),
        )

    first = pick(lambda: [Embedding(9, units(), mask_zero=flag())], lambda: [Masking()], list)
    middle = [
        pick(lambda: recurrent(sequences=True), row, lambda: TimeDistributed(row()), Masking)
        for _ in range(rng.integers(0, 4))
    ]
    last = pick(
        list,
        lambda: [recurrent(sequences=False), row()],
        lambda: [recurrent(sequences=False), RepeatVector(3), recurrent(sequences=True)],
        lambda: [Flatten(), Dense(3)],
    )
    found = [*first, *middle, *last] or [row()]
    return found, bool(first) and isinstance(first[0], Embedding)


@pytest.mark.parametrize("seed", range(40))
def test_random_stacks(seed, path):
    rng = np.random.default_rng(seed)
    found, tokens = random_layers(rng)
    dtype = rng.choice(["float32", "float64"]).item()
    x = (TOKENS if tokens else STEPS).astype(dtype)
    model = Sequential([Input(x.shape[1:]), *found], dtype=dtype)
    y = whole(model, x)
    model.save(path)
    assert same([whole(load_model(path), x), in_cpp(path, x)], [y, y])


def nested(layer):
    """The layer and all within it."""
    yield layer
    for inner in getattr(layer, "inner", ()):
        yield from nested(inner)


def test_every_layer_is_tried():
    used = {type(part).__name__ for make in STACKS.values() for layer in make() for part in nested(layer)}
    assert used == {*LAYERS.classes, *CELLS.classes}
    abstract = {"Layer", "Recurrent", "Cell", "Input", "Variable"}
    assert used == {*layers.__all__} - abstract


def test_the_committed_model():
    """What tests/cpp/test_model.cpp reads; tests/cpp/make_model_data.py makes it."""
    data = load_file(DATA / "model_data.safetensors")
    assert same([load_model(DATA / "model.safetensors").predict(data["x"])], [data["y"]])


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


@pytest.mark.parametrize("loss", losses.CLASSES)
def test_losses_and_metrics_come_back(loss, path):
    model = Sequential([LSTM(3, input_shape=(6, 2))])
    measured = [kind(name=f"m{i}") for i, kind in enumerate(metrics.CLASSES.values())]
    model.compile(optimizers.SGD(), losses.CLASSES[loss](), [*measured, "acc", "rmse"])
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


@given(position=st.integers(0, 4200), change=st.binary(min_size=1, max_size=1), removed=st.integers(0, 1))
def test_changed_bytes_never_crash(position, change, removed, tmp_path_factory):
    content = bytearray((DATA / "model.safetensors").read_bytes())
    content[position : position + removed] = change
    path = tmp_path_factory.getbasetemp() / "changed.safetensors"
    path.write_bytes(content)
    try:
        y = load_model(path).predict(X)
    except ValueError as error:
        assert "changed.safetensors" in str(error)  # noqa: PT017
        return
    assert np.array_equal(_core.Model(os.fsencode(path)).predict(X), y, equal_nan=True)
