"""Sequential: building, names, the arena, weights, predict, summary."""

import copy
import pickle

import numpy as np
import pytest

import latchwork as lw
from latchwork.layers import GRU, LSTM, Activation, Dense, Dropout, Input, SimpleRNN
from latchwork.models import Sequential

RNG = np.random.default_rng(0)
X = RNG.normal(size=(10, 6, 2)).astype(np.float32)


def network(**options):
    lw.set_seed(1)
    return Sequential([LSTM(5, return_sequences=True, input_shape=(6, 2)), GRU(4), Dense(3)], **options)


def assert_same(a, b):
    assert a.dtype == b.dtype
    assert np.array_equal(a, b)


def test_names_count_per_model():
    model = Sequential(
        [LSTM(3, return_sequences=True), LSTM(3, return_sequences=True), SimpleRNN(3), Dense(1), Dense(1)]
    )
    assert [layer.name for layer in model.layers] == ["lstm", "lstm_1", "simple_rnn", "dense", "dense_1"]
    assert Sequential([LSTM(3)]).layers[0].name == "lstm"
    named = Sequential([Dense(2, name="dense"), Dense(2), Dense(2, name="dense_2"), Dense(2)])
    assert [layer.name for layer in named.layers] == ["dense", "dense_1", "dense_2", "dense_3"]


def test_parameters_are_views_of_one_arena_in_file_order():
    model = network()
    variables = model.variables
    assert [v.name for v in variables] == [
        "lstm/kernel", "lstm/recurrent_kernel", "lstm/bias", "gru/kernel", "gru/recurrent_kernel", "gru/bias",
        "dense/kernel", "dense/bias",
    ]  # fmt: skip
    arena = model._arena
    assert_same(np.concatenate([v.value.ravel() for v in variables]), arena.params)
    assert all(v.value.base is arena.params and v.gradient.base is arena.grads for v in variables)
    assert model.count_params() == arena.params.size


@pytest.mark.parametrize(
    "build",
    [
        lambda: Sequential([Input((6, 2)), LSTM(5), Dense(3)]),
        lambda: Sequential([LSTM(5, input_shape=(6, 2)), Dense(3)]),
        lambda: Sequential([LSTM(5, input_shape=(None, 2)), Dense(3)]),
        lambda: Sequential([LSTM(5), Dense(3)]),
    ],
)
def test_ways_to_say_the_input(build):
    lw.set_seed(1)
    y = build().predict(X)
    lw.set_seed(1)
    assert_same(y, Sequential([LSTM(5), Dense(3)]).predict(X))


def test_weights_exist_once_the_input_is_known():
    assert [w.shape for w in network().get_weights()] == [
        (2, 20), (5, 20), (20,), (5, 12), (4, 12), (2, 12), (4, 3), (3,),
    ]  # fmt: skip
    with pytest.raises(ValueError, match="say the input's shape"):
        Sequential([LSTM(5)]).get_weights()


def test_predict_before_compile_is_the_layers_one_after_another():
    model = network()
    y = X
    for layer in model.layers:
        y = layer(y)
    assert_same(model.predict(X), y)


def test_predict_does_not_depend_on_batch_size():
    model = network()
    whole = model.predict(X, batch_size=10)
    for size in (1, 3, 7, 100):
        assert_same(model.predict(X, batch_size=size), whole)


def test_predict_no_rows():
    assert network().predict(X[:0]).shape == (0, 3)
    sequences = Sequential([LSTM(5, return_sequences=True)])
    assert sequences.predict(X[:0]).shape == (0, 6, 5)


def test_predict_does_not_hand_out_its_input():
    x = np.ones((3, 2), np.float32)
    y = Sequential([Dropout(0.5)]).predict(x)
    y[:] = 0
    assert x.all()


def test_predict_ragged():
    lengths = [6, 0, 3, 1]
    x = lw.Ragged.from_list([X[i, :n] for i, n in enumerate(lengths)])
    model = Sequential([LSTM(5, return_sequences=True), Dense(3)])
    y = model.predict(x, batch_size=3)
    assert isinstance(y, lw.Ragged)
    assert y.lengths.tolist() == lengths
    for i, n in enumerate(lengths):
        assert_same(y[i], model.predict(X[i : i + 1, :n])[0])
    last = Sequential([LSTM(5), Dense(3)])
    assert last.predict(x).shape == (4, 3)


def test_set_weights_gives_the_same_model():
    model, other = network(), network()
    other.set_weights([w * 0 for w in other.get_weights()])
    assert not other.predict(X).any()
    other.set_weights(model.get_weights())
    assert_same(other.predict(X), model.predict(X))


def test_dtype_is_agreed_between_model_and_layers():
    assert network(dtype="float64").predict(X).dtype == np.float64
    assert Sequential([LSTM(3), Dense(1, dtype="float64")]).predict(X).dtype == np.float64
    assert Sequential([Input((6, 2), dtype="float64"), LSTM(3)]).predict(X).dtype == np.float64
    assert network().dtype == np.float32
    with pytest.raises(ValueError, match="dense: dtype must be the model's, float64, got float32"):
        Sequential([LSTM(3, dtype="float64"), Dense(1, dtype="float32")])


def test_a_built_layer_keeps_its_weights():
    layer = LSTM(4)
    y = layer(X)
    model = Sequential([layer, Dense(1)])
    model.predict(X)
    assert_same(layer(X), y)
    assert model.get_weights()[0].shape == (2, 16)
    assert layer.variables[0].value.base is model._arena.params


def test_adding_a_layer_keeps_the_weights_before_it():
    model = Sequential([LSTM(4, input_shape=(6, 2))])
    y = model.predict(X)
    model.compile(loss="mse")
    model.add(Activation("relu"))
    assert_same(model.predict(X), np.maximum(y, 0))
    with pytest.raises(ValueError, match="call compile"):
        model.fit(X, y)


@pytest.mark.parametrize(
    ("build", "text"),
    [
        (lambda: Sequential([Dense(2), Input((3,))]), "an Input must come first"),
        (lambda: Sequential([3]), "add takes a layer, got 3"),
        (lambda: Sequential([Dense(2, name="a"), Dense(2, name="a")]), "layer names must differ, 'a' is taken"),
        (lambda: Sequential([LSTM(2, return_state=True), Dense(2)]), "lstm: return_state gives several outputs"),
        (lambda: Sequential([LSTM(2, input_shape=(3,))]), r"lstm: x must be \(B, T, F\), got \(B, 3\)"),
        (lambda: Sequential([LSTM(2, input_shape=(3, 1)), LSTM(2)]), r"lstm: x must be \(B, T, F\), got \(B, 2\)"),
        (lambda: Sequential([Input((3, 1)), LSTM(2, input_shape=(3, 4))]), r"lstm: x must be \(B, None, 4\)"),
        (lambda: Sequential().predict(X), "sequential has no layers"),
        (lambda: Sequential([Dense(2, name="a/b")]), "name must be a text without '/'"),
    ],
)
def test_building_errors(build, text):
    with pytest.raises(ValueError, match=text):
        build()


def test_a_layer_belongs_to_one_model():
    layer = LSTM(2)
    model = Sequential([layer])
    with pytest.raises(ValueError, match="layer 'lstm' already belongs to model 'sequential'"):
        Sequential([layer])
    del model
    Sequential([layer])  # it is free again


def test_a_refused_layer_leaves_the_model_as_it_was():
    model = network()
    y = model.predict(X)
    with pytest.raises(ValueError, match="x must be"):
        model.add(LSTM(2, dtype="float32"))
    assert len(model.layers) == 3
    assert_same(model.predict(X), y)


def test_models_are_not_copied_behind_the_arena():
    model = network()
    model.predict(X)
    for make in (copy.deepcopy, pickle.dumps):
        for what in (model, model.layers[0]):
            with pytest.raises(TypeError, match="neither pickled nor copied"):
                make(what)


def test_summary(capsys):
    model = network(name="mine")
    model.layers[1].trainable = False
    assert model.summary() is None
    text = capsys.readouterr().out
    assert text.splitlines() == [
        "Model 'mine', float32",
        "Layer          Output shape  Parameters  Bytes  FLOPs/step",
        "----------------------------------------------------------",
        "lstm (LSTM)    (B, 6, 5)            160    640         280",
        "gru (GRU)      (B, 4)               132    528         216",
        "dense (Dense)  (B, 3)                15     60          24",
        "----------------------------------------------------------",
        "Parameters: 307 (1.2 KiB)",
        "  trainable 175 (0.7 KiB), not trainable 132 (0.5 KiB)",
        "FLOPs of the kernels, forward, a step of one sample: 520",
    ]
    lines = []
    model.summary(print_fn=lines.append)
    assert "\n".join(lines) + "\n" == text


def test_summary_before_the_input_is_known():
    lines = []
    Sequential([LSTM(3), Dense(1)]).summary(print_fn=lines.append)
    assert lines[3].split() == ["lstm", "(LSTM)", "?", "?", "?", "?"]


def test_repr():
    assert repr(network()) == "<Sequential 'sequential': lstm, gru, dense>"
