"""Bad graphs and bad data for them: one clear error each, and nothing is changed."""

import weakref

import numpy as np
import pytest

import latchwork as lw
from latchwork.layers import GRU, LSTM, Add, Concatenate, Dense, Dropout, Input, LSTMCell
from latchwork.layers.symbol import Call, Symbol
from latchwork.models import Model, Sequential


def built():
    a, b = Input((None, 2), name="a"), Input((3,), name="b")
    both = Concatenate()([LSTM(4)(a), b])
    return Model([a, b], [Dense(1, name="one")(both), Dense(3, name="two", activation="softmax")(both)])


def cyclic():
    x = Input((2,))
    y = Dense(2)(x)
    z = Add()([y, x])
    y.call.x[0] = z
    return Model(x, z)


def reused():
    x = Input((2,))
    layer = Dense(2)
    kept = Sequential([layer])
    return kept, layer(x)


def of_another_model():
    x = Input((2,))
    y = Dense(2)(x)
    kept = Model(x, y)
    return kept, Model(x, Dense(1)(y))


def without_an_input():
    a, b = Input((2,), name="left"), Input((2,), name="right")
    return Model(a, Add()([a, b]))


def with_a_useless_input():
    a, b = Input((2,), name="left"), Input((2,), name="right")
    return Model([a, b], Dense(1)(a))


X = Input((None, 2))
GRAPHS = {
    "an input is missing": (without_an_input, "not connected: an output needs 'right', which is not among inputs"),
    "an input is useless": (with_a_useless_input, "no output depends on input 'right': the graph is not connected"),
    "cycle": (cyclic, "the graph has a cycle: dense reads what is made of its own output"),
    "a symbol of nothing": (lambda: Model(X, Dense(1)(Symbol((2,)))), "an output needs a symbol that no layer makes"),
    "an output is an input": (lambda: Model(X, X), r"outputs must be made by layers, got an Input as outputs\[0\]"),
    "inputs": (lambda: Model(Dense(2)(X), Dense(1)(X)), "inputs must be one Input or a list of them, got Symbol"),
    "outputs": (lambda: Model(X, Dense(2)), "outputs must be one Symbol or a list of them, got Dense"),
    "no outputs": (lambda: Model(X, []), "outputs must be one Symbol or a list of them, got nothing"),
    "twice": (lambda: Model([X, X], Dense(1)(X)), "inputs must differ"),
    "names of inputs": (
        lambda: Model([a := Input((2,), name="a"), b := Input((2,), name="a")], Add()([a, b])),
        "inputs must have different names, got a, a",
    ),
    "names of layers": (
        lambda: Model(X, Dense(1, name="d")(Dense(1, name="d")(X))), "layer names must differ, 'd' is taken",
    ),
    "a layer of a row": (reused, "dense: it already belongs to 'sequential'"),
    "a layer of a graph": (of_another_model, "layer 'dense' already belongs to 'model'"),
    "dtypes": (
        lambda: Model(X, Dense(1, dtype="float64")(Dense(1, dtype="float32")(X))),
        "dense_1: dtype must be the model's, float32, got float64",
    ),
    "shape": (lambda: LSTM(3)(Input((2,))), r"lstm: x must be \(B, T, F\), got \(B, 2\)"),
    "input_shape": (lambda: LSTM(3, input_shape=(4, 5))(X), r"lstm: x must be \(B, None, 5\), got \(B, None, 2\)"),
    "a shared layer of other features": (
        lambda: (layer := Dense(3), layer(X), layer(Input((4,)))), r"dense: x must have 2 features, got shape \(B, 4\)",
    ),
    "state shapes": (
        lambda: LSTM(3)(X, initial_state=[Input((3,)), Input((4,))]),
        r"lstm: initial_state must be \(B, 3\), \(B, 3\), got \(B, 3\), \(B, 4\)",
    ),
    "state count": (lambda: GRU(3)(X, initial_state=[Input((3,))] * 2), "gru: initial_state must be"),
    "arrays as states": (lambda: GRU(3)(X, initial_state=np.ones((1, 3))), "initial_state must hold symbols"),
    "an array among symbols": (lambda: Add()([X, np.ones((1, 2, 2))]), "add: x must hold symbols .* got ndarray"),
    "symbols as states of arrays": (
        lambda: GRU(3)(np.ones((1, 4, 2)), initial_state=Input((3,))), "gru: x must hold symbols .* got ndarray",
    ),
    "a list for one": (lambda: LSTM(3)([X, Input((3,))]), "lstm: x must be one symbol, got a list of 2: states"),
    "one for several": (lambda: Add()(X), "add: x must be a list of two or more arrays"),
    "mask": (lambda: LSTM(3)(X, mask=np.ones((1, 4), bool)), "lstm: in a graph mask and training must be left out"),
    "training": (lambda: Dropout(0.5)(X, training=True), "dropout: in a graph mask and training must be left out"),
    "stateful twice": (
        lambda: (layer := GRU(2, stateful=True), layer(X), layer(X)), "gru: in a graph a stateful layer can be called",
    ),
    "stateful and states": (
        lambda: GRU(2, stateful=True)(X, initial_state=Input((2,))), "gru: .* stateful layer takes no initial_state",
    ),
    "a cell": (lambda: LSTMCell(3)(Input((2,))), "lstm_cell: a cell cannot be called on symbols"),
    "a model in a model": (lambda: built()(X), "model: a model cannot be a layer of another one yet"),
    "estimate": (lambda: built().estimate(), "model: estimate is for a Sequential"),
    "build": (lambda: built().build((None, 2)), "model: input_shape must be None"),
    "name of an input": (lambda: Input((2,), name="a/b"), "Input: name must be a text without '/'"),
    "argument": (lambda: Model(X, Dense(1)(X), trainable=False), "Model: trainable must be True"),
}  # fmt: skip


@pytest.mark.parametrize("name", GRAPHS)
def test_graphs(name):
    make, text = GRAPHS[name]
    with pytest.raises(ValueError, match=text):
        make()


def test_a_model_that_failed_owns_no_layer():
    a, b = Input((2,), name="a"), Input((2,), name="b")
    layer = Dense(1)
    y = layer(a)
    with pytest.raises(ValueError, match="no output depends on input 'b'"):
        Model([a, b], y)
    assert layer._model is None
    Model(a, y)


def test_layers_of_a_model_that_is_gone_are_free():
    x = Input((2,))
    y = Dense(1)(x)
    gone = weakref.ref(Model(x, y))
    assert gone() is None
    Model(x, y)


def test_symbols_hold_no_numbers():
    with pytest.raises(TypeError, match=r"<Symbol \(B, None, 1\) of dense> holds no numbers"):
        np.asarray(Dense(1)(X))
    with pytest.raises(TypeError, match="a model is run by predict"):
        built()(np.ones((1, 2)))
    assert isinstance(Dense(1)(X).call, Call)


A, B, ONE, TWO = np.ones((4, 5, 2)), np.ones((4, 3)), np.ones((4, 1)), np.eye(3)[[0, 1, 2, 0]]
DATA = {
    "one array": (lambda m: m.predict(A), "x must be a list or a dict of the inputs a, b, got ndarray"),
    "three arrays": (lambda m: m.predict([A, B, B]), "x must be a list or a dict of the inputs a, b, got 3 entries"),
    "a key too many": (lambda m: m.predict({"a": A, "b": B, "c": B}), "x must be a dict of a, b, got a, b, c"),
    "a key too few": (lambda m: m.predict({"a": A}), "x must be a dict of a, b, got a"),
    "features": (lambda m: m.predict([A, B[:, :2]]), r"input 'b': model: x must be \(B, 3\), got \(B, 2\)"),
    "rank": (lambda m: m.predict([B, B]), r"input 'a': model: x must be \(B, None, 2\), got \(B, 3\)"),
    "dtype": (lambda m: m.predict([A, B.astype(complex)]), "input 'b': x must hold numbers"),
    "samples": (lambda m: m.predict([A, B[:3]]), "same number of samples, got 4 in 'a', 3 in 'b'"),
    "number": (lambda m: m.predict([A, 1.0]), "input 'b': x must have a batch axis"),
    "no samples": (lambda m: m.fit([A[:0], B[:0]], [ONE[:0], TWO[:0]]), "fit: x must hold at least one sample"),
    "one target": (lambda m: m.fit([A, B], ONE), "y must be a list or a dict of the outputs one, two, got ndarray"),
    "three targets": (lambda m: m.fit([A, B], [ONE, TWO, TWO]), "y must be a list or a dict .* got 3 entries"),
    "unknown target": (lambda m: m.fit([A, B], {"one": ONE, "tow": TWO}), "y: no output is named 'tow'; .* one, two"),
    "missing target": (lambda m: m.fit([A, B], {"one": ONE}), "output 'two': y must be given, as"),
    "target shape": (lambda m: m.fit([A, B], [ONE, TWO[:, :2]]), r"output 'two': y must have shape \(4, 3\)"),
    "target range": (lambda m: m.fit([A, B], [ONE, TWO + 1]), r"output 'two': y must lie in \[0, 1\]"),
    "validation": (
        lambda m: m.fit([A, B], [ONE, TWO], validation_data=([A, B], ONE)), "y must be a list or a dict of the outputs",
    ),
    "validation of four": (lambda m: m.fit([A, B], [ONE, TWO], validation_data=(A, B, ONE, TWO)), r"\(x, y, sample_"),
    "weights": (
        lambda m: m.fit([A, B], [ONE, TWO], sample_weight=np.ones(3)),
        r"output 'one': sample_weight must have shape \(4,\), got \(3,\)",
    ),
    "weights of NaN": (lambda m: m.fit([A, B], [ONE, TWO], sample_weight=[None, [1, 1, np.nan, 1]]), "must be finite"),
    "weights by a wrong name": (
        lambda m: m.fit([A, B], [ONE, TWO], sample_weight={"three": np.ones(4)}), "sample_weight: no output is named",
    ),
    "class weights": (
        lambda m: m.fit([A, B], [ONE, TWO], class_weight={0: 2}), "class_weight is for a model of one output",
    ),
    "losses": (lambda m: m.compile(loss=["mse"]), "loss must have one entry for each of 2 outputs, got 1"),
    "a loss by a wrong name": (lambda m: m.compile(loss={"three": "mse"}), "loss: no output is named 'three'"),
    "loss_weights": (lambda m: m.compile(loss="mse", loss_weights=2.0), "loss_weights must be a list or a dict"),
    "loss_weights of no loss": (
        lambda m: m.compile(loss={"one": "mse"}, loss_weights={"two": 1}), "loss_weights: output 'two' has no loss",
    ),
    "negative": (lambda m: m.compile(loss="mse", loss_weights=[1, -1]), "loss_weights must hold numbers of at least 0"),
    "metrics": (lambda m: m.compile(loss="mse", metrics="mae"), "metrics must be a list or a dict of the outputs"),
    "metrics of no loss": (
        lambda m: m.compile(loss={"one": "mse"}, metrics={"two": "mae"}), "metrics: output 'two' needs a loss",
    ),
    "weighted_metrics": (lambda m: m.compile(loss="mse", weighted_metrics=["mae"]), "weighted_metrics must be"),
    "no loss at all": (lambda m: (m.compile(), m.fit([A, B], [ONE, TWO])), "fit needs a loss"),
}  # fmt: skip


@pytest.mark.parametrize("name", DATA)
def test_data(name):
    model = built()
    model.compile("sgd", {"one": "mse", "two": "categorical_crossentropy"})
    before = model.get_weights()
    call, text = DATA[name]
    with pytest.raises(ValueError, match=text):
        call(model)
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))
    if "compile" not in call.__code__.co_names:
        model.fit([A, B], [ONE, TWO], verbose=0)


def test_lengths_that_do_not_meet():
    a, b = Input((None, 2)), Input((None, 2))
    model = Model([a, b], Dense(1)(Add()([a, b])))
    first, second = (lw.Ragged.from_list([np.ones((n, 2)) for n in lengths]) for lengths in ((1, 3), (2, 2)))
    for x in ([first, second], [first, np.ones((2, 3, 2))], [first, np.ones((2, 3, 2))][::-1]):
        with pytest.raises(ValueError, match="add: x must be sequences of the same lengths, Ragged or arrays"):
            model.predict(x)
    with pytest.raises(ValueError, match=r"add: x must be arrays of one shape, got \(B, 3, 2\), \(B, 2, 2\)"):
        model.predict([np.ones((2, 3, 2)), np.ones((2, 2, 2))])
    model.predict([first, lw.Ragged(np.zeros((4, 2)), first.offsets)])


def test_ragged_weights():
    x = Input((None, 2))
    model = Model(x, Dense(1)(x))
    model.compile("sgd", "mse")
    rows = lw.Ragged.from_list([np.ones((n, 2)) for n in (1, 3)])
    y = lw.Ragged(np.ones((4, 1)), rows.offsets)
    for weights in (np.ones(3), np.ones((2, 3)), lw.Ragged(np.ones((4, 2)), rows.offsets)):
        with pytest.raises(ValueError, match=r"sample_weight must be \(2,\) or Ragged like y with 1 feature"):
            model.fit(rows, y, sample_weight=weights)
    with pytest.raises(ValueError, match="sample_weight must be an array, as the output is one"):
        model.fit(np.ones((2, 3, 2)), np.ones((2, 3, 1)), sample_weight=y)
    with pytest.raises(ValueError, match="class_weight must be None for an output of sequences"):
        model.fit(rows, y, class_weight={0: 1})


CLASS_WEIGHTS = [None, {}, [1, 2], {"a": 1.0}, {0: "heavy"}, {0: np.inf}, {True: 1.0}]


@pytest.mark.parametrize("given", CLASS_WEIGHTS[1:])
def test_class_weights(given):
    model = Sequential([Dense(1, input_shape=(2,))])
    model.compile("sgd", "mse")
    with pytest.raises(ValueError, match=r"class_weight must (be a dict|hold a finite number)"):
        model.fit(np.ones((3, 2)), np.ones(3), class_weight=given)
    with pytest.raises(ValueError, match="class_weight and sample_weight exclude each other"):
        model.train_on_batch(np.ones((3, 2)), np.ones(3), sample_weight=np.ones(3), class_weight={0: 1})


def test_a_loss_that_is_not_finite_names_the_batch():
    model = built()
    model.compile("sgd", "mse")
    bad = TWO.copy()
    bad[2, 1] = np.nan
    before = model.get_weights()
    with pytest.raises(FloatingPointError, match=r"the loss is nan \(y of this batch hold NaN or infinity\)"):
        model.train_on_batch([A, B], [ONE, bad])
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))
