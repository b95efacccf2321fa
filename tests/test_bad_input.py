"""Bad input to layers and models: one clear error that names the argument, and nothing changed. Read the messages."""

import numpy as np
import pytest

import latchwork as lw
from latchwork.callbacks import EarlyStopping
from latchwork.layers import GRU, LSTM, Activation, Dense, Dropout, Input, Layer, Reshape, SimpleRNN
from latchwork.models import Model, Sequential

X = np.ones((8, 5, 2))
Y = np.ones((8, 1))
RAGGED = lw.Ragged.from_list([np.ones((n, 2)) for n in (1, 2, 3, 0, 1, 2, 3, 4)])
TABLE = lw.Ragged(np.ones((16, 1)), RAGGED.offsets)


def network(loss="mse", units=1, sequences=False):
    lw.set_seed(0)
    model = Sequential([LSTM(3, return_sequences=sequences, input_shape=(5, 2)), Dense(units)])
    model.compile("adam", loss)
    return model


def lstm():
    layer = LSTM(3)
    layer.build((None, None, 2))
    return layer


LAYERS = {
    "rank": (lambda: lstm()(X[0]), r"lstm: x must be \(B, T, F\), got \(B, 2\)"),
    "rank 4": (lambda: lstm()(X[None]), r"lstm: x must be \(B, T, F\), got \(B, 8, 5, 2\)"),
    "features": (lambda: lstm()(X[:, :, :1]), r"lstm: x must be \(B, T, 2\), got \(B, 5, 1\)"),
    "number": (lambda: lstm()(3.0), "lstm: x must have a batch axis, got a single number"),
    "strings": (lambda: lstm()(X.astype(str)), r"x must hold numbers \(bool, int or float\), got dtype <U"),
    "objects": (lambda: lstm()(X.astype(object)), "x must hold numbers .* got dtype object"),
    "complex": (lambda: lstm()(X.astype(complex)), "x must hold numbers .* got dtype complex128"),
    "list of arrays": (lambda: lstm()([X, X]), "x is a list of 2 arrays, which means several inputs"),
    "uneven list": (lambda: lstm()([[[1.0, 2.0]], [[1.0]]]), "x must be one rectangular array of numbers"),
    "no features": (lambda: LSTM(3, input_shape=(5, 0)), "input_shape must hold whole numbers of at least 1"),
    "state count": (
        lambda: lstm()(X, [np.zeros((8, 3))]),
        r"lstm: initial_state must be a list of 2 arrays \(8, 3\), got 1",
    ),
    "state batch": (
        lambda: lstm()(X, [np.zeros((7, 3))] * 2),
        r"lstm: initial_state must hold arrays of shape \(8, 3\), got \(7, 3\)",
    ),
    "state units": (lambda: GRU(3)(X, np.zeros((8, 4))), r"gru: initial_state must hold arrays of shape \(8, 3\)"),
    "state dtype": (lambda: GRU(3)(X, np.full((8, 3), "a")), "initial_state must hold numbers"),
    "mask shape": (
        lambda: lstm()(X, mask=np.ones((8, 4), bool)),
        r"lstm: mask must be bool of shape \(8, 5\), got bool",
    ),
    "mask dtype": (lambda: lstm()(X, mask=np.ones((8, 5))), r"mask must be bool of shape \(8, 5\), got float64"),
    "mask of ragged": (
        lambda: lstm()(RAGGED, mask=np.ones((8, 5), bool)),
        r"lstm: mask must be bool of shape \(16,\), got bool of shape \(8, 5\)",
    ),
    "graph": (lambda: lstm()(Input((5, 3))), r"lstm: x must be \(B, T, 2\), got \(B, 5, 3\)"),
    "build": (lambda: LSTM(3).build((5, 2)), r"lstm: x must be \(B, T, F\), got \(B, 2\)"),
    "build with a number": (lambda: Dense(3).build(4), "dense: input_shape must be a tuple that begins with the batch"),
    "units": (lambda: LSTM(0), "LSTM: units must be a whole number of at least 1, got 0"),
    "units type": (lambda: Dense(1.5), "Dense: units must be a whole number of at least 1, got 1.5"),
    "activation": (lambda: LSTM(3, activation="tahn"), "unknown activation 'tahn'; nearest known: 'tanh'"),
    "softmax gate": (lambda: LSTM(3, recurrent_activation="softmax"), "unknown activation 'softmax'"),
    "initializer": (lambda: Dense(3, kernel_initializer="glorot"), "unknown initializer 'glorot'; nearest known"),
    "flag": (lambda: LSTM(3, return_sequences="yes"), "LSTM: return_sequences must be True or False, got 'yes'"),
    "dtype": (lambda: LSTM(3, dtype="float16"), "LSTM: dtype must be 'float32' or 'float64', got 'float16'"),
    "rate": (lambda: Dropout(1.0), r"Dropout: rate must be in \[0, 1\), got 1.0"),
    "seed": (lambda: Dropout(0.5, seed=-1), "Dropout: seed must be None or a whole number"),
    "input": (lambda: Input(), "Input: shape must be given"),
    "weights count": (lambda: lstm().set_weights([np.zeros((2, 12))]), "weights must be a list of 3 arrays, got 1"),
    "weights array": (lambda: lstm().set_weights(np.zeros(3)), "weights must be a list of 3 arrays, got ndarray"),
    "weights shape": (
        lambda: lstm().set_weights([np.zeros((2, 12)), np.zeros((3, 12)), np.zeros(11)]),
        r"lstm/bias must have shape \(12,\), got \(11,\)",
    ),
    "weights early": (lambda: LSTM(3).set_weights([]), "weights cannot be set yet"),
    "dense rank": (
        lambda: Dense(3)(np.ones(4)),
        r"dense: x must have a known feature size on its last axis, got \(B,\)",
    ),
    "dy count": (
        lambda: (layer := LSTM(3, return_state=True)).backward(layer.forward(X)[1], np.zeros((8, 3))),
        "lstm: dy must be 3 arrays, as forward returned, got 1",
    ),
    "dy shape": (lambda: (layer := lstm()).backward(layer.forward(X)[1], np.zeros((8, 4))), "dy"),
    "dy of activation": (
        lambda: (layer := Activation("tanh")).backward(layer.forward(X)[1], X[:1]),
        r"activation: dy must have the shape of y, \(8, 5, 2\), got \(1, 5, 2\)",
    ),
}


@pytest.mark.parametrize("name", LAYERS)
def test_layers(name):
    call, text = LAYERS[name]
    with pytest.raises(ValueError, match=text):
        call()


MODELS = {
    "not compiled": (lambda m: Sequential([Dense(1)]).fit(X, Y), "fit needs a loss: call compile"),
    "no x": (lambda m: m.fit(), "fit: x must be given"),
    "no y": (lambda m: m.fit(X), "fit: y must be given"),
    "rank": (lambda m: m.fit(X[:, :, 0], Y), r"sequential: x must be \(B, None, 2\), got \(B, 5\)"),
    "features": (lambda m: m.fit(X[:, :, :1], Y), r"sequential: x must be \(B, None, 2\), got \(B, 5, 1\)"),
    "features in predict": (lambda m: m.predict(X[:, :, :1]), r"x must be \(B, None, 2\), got \(B, 5, 1\)"),
    "dtype": (lambda m: m.fit(X.astype(complex), Y), "x must hold numbers .* got dtype complex128"),
    "dtype of y": (lambda m: m.fit(X, Y.astype(str)), "y must hold numbers .* got dtype <U"),
    "list of arrays": (lambda m: m.predict([X, X]), "x is a list of 2 arrays, which means several inputs"),
    "y rows": (lambda m: m.fit(X, Y[:7]), r"y must have shape \(8, 1\) to match the model's output, got \(7, 1\)"),
    "y columns": (lambda m: m.fit(X, np.ones((8, 2))), r"y must have shape \(8, 1\) .* got \(8, 2\)"),
    "y would broadcast": (lambda m: m.fit(X, np.ones((1, 1))), r"y must have shape \(8, 1\) .* got \(1, 1\)"),
    "y transposed": (lambda m: m.fit(X, np.ones((1, 8))), r"y must have shape \(8, 1\) .* got \(1, 8\)"),
    "y rank": (
        lambda m: network(sequences=True).fit(X, np.ones((8, 5))),
        r"y must have shape \(8, 5, 1\) .* got \(8, 5\)",
    ),
    "y in evaluate": (lambda m: m.evaluate(X, Y[:7]), r"y must have shape \(8, 1\)"),
    "y in train_on_batch": (lambda m: m.train_on_batch(X, Y[:7]), r"y must have shape \(8, 1\)"),
    "labels": (
        lambda m: network("sparse_categorical_crossentropy", 3).fit(X, np.eye(3)[[0] * 8]),
        r"y must have shape \(8,\) \(class numbers\) to match the model's output, got \(8, 3\)",
    ),
    "label fractions": (
        lambda m: network("sparse_categorical_crossentropy", 3).fit(X, Y / 2),
        "y must hold whole class numbers, got fractions or NaN",
    ),
    "label range": (
        lambda m: network("sparse_categorical_crossentropy", 3).fit(X, Y * 3),
        "y must hold class numbers from 0 to 2, got 3",
    ),
    "negative label": (lambda m: network("sparse_categorical_crossentropy", 3).fit(X, -Y), "from 0 to 2, got -1 to -1"),
    "shares": (
        lambda m: network("binary_crossentropy").fit(X, np.arange(8.0) / 7 * 1.5),
        r"y must lie in \[0, 1\] for binary_crossentropy, got 0.0 to 1.5",
    ),
    "empty fit": (lambda m: m.fit(X[:0], Y[:0]), "fit: x must hold at least one sample, got none"),
    "empty evaluate": (lambda m: m.evaluate(X[:0], Y[:0]), "evaluate: x must hold at least one sample, got none"),
    "empty train_on_batch": (lambda m: m.train_on_batch(X[:0], Y[:0]), "train_on_batch: x must hold at least one"),
    "batch_size": (lambda m: m.fit(X, Y, batch_size=0), "batch_size must be a whole number of at least 1, got 0"),
    "batch_size of predict": (lambda m: m.predict(X, batch_size=-1), "batch_size must be a whole number"),
    "epochs": (lambda m: m.fit(X, Y, epochs=1.5), "epochs must be a whole number of at least 0, got 1.5"),
    "initial_epoch": (lambda m: m.fit(X, Y, initial_epoch=-1), "initial_epoch must be a whole number"),
    "verbose": (lambda m: m.fit(X, Y, verbose=3), "verbose must be 'auto', 0, 1 or 2, got 3"),
    "shuffle": (lambda m: m.fit(X, Y, shuffle="batch"), "shuffle must be True or False, got 'batch'"),
    "validation_split": (lambda m: m.fit(X, Y, validation_split=1.5), r"validation_split must be in \[0, 1\), got 1.5"),
    "two validations": (lambda m: m.fit(X, Y, validation_split=0.5, validation_data=(X, Y)), "exclude each other"),
    "small validation_split": (lambda m: m.fit(X, Y, validation_split=0.999), "leaves no sample on one side"),
    "validation pair": (
        lambda m: m.fit(X, Y, validation_data=X),
        r"validation_data must be \(x, y\) or \(x, y, sample_weight\), .* got ndarray",
    ),
    "validation x": (
        lambda m: m.fit(X, Y, validation_data=(X[:, :, :1], Y)),
        r"^validation_data: sequential: x must be \(B, None, 2\), got \(B, 5, 1\)",
    ),
    "validation y": (
        lambda m: m.fit(X, Y, validation_data=(X, Y[:3])),
        r"^validation_data: y must have shape \(8, 1\) .* got \(3, 1\)",
    ),
    "validation tuple": (lambda m: m.fit(X, Y, validation_data=(X, Y, Y, Y)), "iterable of such, got tuple of 4"),
    "validation batches": (
        lambda m: m.fit(X, Y, validation_data=lambda: iter([(X[:, :, :1], Y)])),
        r"^validation_data: batch 1: sequential: x must be \(B, None, 2\)",
    ),
    "no validation batches": (
        lambda m: m.fit(X, Y, validation_data=lambda: iter([])),
        "^validation_data must have at least one batch, got none",
    ),
    "no batches": (lambda m: m.fit(iter([]), steps_per_epoch=1), "^x must have at least one batch, got none"),
    "a batch of four": (lambda m: m.fit(lambda: iter([(X, Y, Y, Y)])), "x: batch 1: must be .* got tuple of 4"),
    "a batch without y": (lambda m: m.fit(lambda: iter([X])), r"x: batch 1: must be \(x, y\) .* got ndarray"),
    "an empty batch": (lambda m: m.fit(lambda: iter([(X[:0], Y[:0])])), "^x: batch 1: x must hold at least one sample"),
    "negative sample_weight": (
        lambda m: m.fit(X, Y, sample_weight=np.linspace(1, -0.5, 8)),
        "sample_weight must be at least 0, got -0.5",
    ),
    "negative weights of steps": (
        lambda m: m.fit(X, Y, validation_data=(X, Y, -np.ones(8))),
        "validation_data: sample_weight must be at least 0, got -1",
    ),
    "negative class_weight": (lambda m: m.fit(X, Y, class_weight={0: -1.0}), "number of at least 0 for each class"),
    "class_weight of another class": (
        lambda m: network("sparse_categorical_crossentropy", 3).fit(X, Y, class_weight={0: 1.0, 3: 2.0}),
        "class_weight: classes must be numbers from 0 to 2, got 3$",
    ),
    "class_weight of numbers": (
        lambda m: m.fit(X, np.linspace(0, 9, 8), class_weight={0: 2.0}),
        "class_weight: classes must be numbers from 0 to 1, got 9 in y",
    ),
    "empty validation": (
        lambda m: m.fit(X, Y, validation_data=(X[:0], Y[:0])),
        "validation_data: x must hold at least",
    ),
    "callbacks": (lambda m: m.fit(X, Y, callbacks=[print]), "callbacks must hold lw.callbacks.Callback objects, got <"),
    "monitor": (lambda m: m.fit(X, Y, callbacks=[EarlyStopping()]), "monitor must be a figure of this run, loss, got"),
    "on_nonfinite": (
        lambda m: m.fit(X, Y, on_nonfinite="raises"),
        "unknown on_nonfinite 'raises'; nearest known: 'raise'",
    ),
    "class_weight": (lambda m: m.fit(X, Y, class_weight={0: "1"}), "class_weight must hold a finite number"),
    "steps": (
        lambda m: m.evaluate(X, Y, steps=3),
        "evaluate: steps must be at most 1, the batches of 32 there are, got 3",
    ),
    "loss": (lambda m: m.compile(loss="msee"), "unknown loss 'msee'; nearest known: .*'mse'"),
    "optimizer": (lambda m: m.compile("adamm", "mse"), "unknown optimizer 'adamm'; nearest known: .*'adam'"),
    "metric": (lambda m: m.compile("adam", "mse", ["maee"]), "unknown metric 'maee'; nearest known: .*'mae'"),
    "metrics twice": (lambda m: m.compile("adam", "mse", ["mae", "mae"]), "metrics must have different names, 'mae'"),
    "jit_compile": (lambda m: m.compile("adam", "mse", jit_compile=True), "compile: jit_compile must be 'auto'"),
    "ragged y for an array": (lambda m: m.fit(X, TABLE), "y must be an array: only a sequence"),
    "padded y for ragged": (
        lambda m: network(sequences=True).fit(RAGGED, np.ones((8, 5, 1))),
        "y must be Ragged with the lengths of x",
    ),
    "other lengths": (
        lambda m: network(sequences=True).fit(RAGGED, lw.Ragged(np.ones((16, 1)), RAGGED.offsets[::-1] * -1 + 16)),
        "y must be Ragged with the lengths of x",
    ),
    "weights": (lambda m: m.set_weights(m.get_weights()[:-1]), "weights must be a list of 5 arrays, got 4"),
}


@pytest.mark.parametrize("name", MODELS)
def test_models(name):
    """The error says what is wrong, and the model goes on as if the call had not been."""
    call, text = MODELS[name]
    model, other = network(), network()
    with pytest.raises(ValueError, match=text):
        call(model)
    history = model.fit(X, Y, epochs=2, verbose=0)
    assert history.history == other.fit(X, Y, epochs=2, verbose=0).history
    for a, b in zip(model.get_weights(), other.get_weights(), strict=True):
        assert np.array_equal(a, b)


def test_an_error_before_the_first_batch_builds_nothing():
    model = Sequential([SimpleRNN(3), Dense(1)])
    model.compile("adam", "mse")
    for bad in (lambda: model.fit(X, Y[:3]), lambda: model.fit(X[:, :, 0], Y), lambda: model.fit(X[:0], Y[:0])):
        with pytest.raises(ValueError, match="must"):
            bad()
        assert model._arena is None
    model.fit(X[:, :, :1], Y, verbose=0)  # the feature size is still open


def test_unknown_arguments_name_the_nearest():
    with pytest.raises(TypeError, match=r"fit has no argument 'epoch'; nearest: .*epochs"):
        network().fit(X, Y, epoch=3)
    with pytest.raises(TypeError, match=r"compile has no argument 'metric'; nearest: .*metrics"):
        network().compile("adam", "mse", metric=["mae"])


def test_set_weights_writes_all_or_nothing():
    model = network()
    before = model.get_weights()
    bad = [w + 1 for w in before]
    bad[-1] = np.zeros(7)
    with pytest.raises(ValueError, match=r"dense/bias must have shape \(1,\), got \(7,\)"):
        model.set_weights(bad)
    for a, b in zip(before, model.get_weights(), strict=True):
        assert np.array_equal(a, b)


def test_a_used_context_is_refused_and_gradients_stay():
    layer = lstm()
    _, ctx = layer.forward(X)
    layer.backward(ctx, np.ones((8, 3)))
    before = [v.gradient.copy() for v in layer.variables]
    with pytest.raises(ValueError, match="ctx has been used"):
        layer.backward(ctx, np.ones((8, 3)))
    for v, gradient in zip(layer.variables, before, strict=True):
        assert np.array_equal(v.gradient, gradient)


class Twice(Layer):
    def build(self, input_shape):
        self.add_weight((2,), name="scale")
        self.add_weight((2,), name="scale")


def two_outputs():
    x = Input((2,))
    return Model(x, [Dense(1, name="a")(x), Dense(1, name="b")(x)])


SETTINGS = {
    "nothing to build": (lambda: Sequential(name="bare").build((None, 2)), "^bare has no layers: add some first$"),
    "nothing to run": (lambda: Sequential(name="bare").predict(X), "^bare has no layers: add some first$"),
    "two sizes left open": (lambda: Reshape((-1, -1)), r"^Reshape: target_shape must hold .*, got \(-1, -1\)$"),
    "no elements": (lambda: Reshape((2, 0)), r"^Reshape: target_shape must hold .*, got \(2, 0\)$"),
    "too many elements": (
        lambda: Reshape((3,), name="r")(np.ones((1, 4))),
        r"^r: x must fill \(3,\), got \(B, 4\)$",
    ),
    "weights of one name": (lambda: Twice(name="t")(np.ones((1, 2))), "^t: add_weight: name 'scale' is taken$"),
    "metrics without a loss": (
        lambda: two_outputs().compile("sgd", {"a": "mse"}, metrics={"b": ["mae"]}),
        "^metrics: output 'b' needs a loss to have metrics$",
    ),
    "extras' names": (
        lambda: network().save("m.safetensors", extras={"a/b": lw.data.StandardScaler()}),
        "^extras must be named by texts without '/', got 'a/b'$",
    ),
    "extras not fitted": (
        lambda: network().save("m.safetensors", extras={"a": lw.data.StandardScaler()}),
        r"^extras\['a'\] is not fitted yet: call its fit\(x\) first$",
    ),
    "too few targets": (
        lambda: lw.data.TimeseriesDataset(np.ones((8, 1)), np.ones(4), sequence_length=3),
        r"^targets must have at least 6 rows, one where each window starts, got shape \(4,\)$",
    ),
}


@pytest.mark.parametrize("name", SETTINGS)
def test_settings(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run, message = SETTINGS[name]
    with pytest.raises(ValueError, match=message):
        run()
    assert not list(tmp_path.iterdir())


def test_layers_that_only_run_forward_say_so():
    class Forward(Layer):
        def forward(self, x, *, training=True, step=None):
            return np.asarray(x, np.float32), None

    model = Sequential([Forward(name="f"), Dense(1)])
    model.compile("sgd", "mse")
    assert model.predict(np.ones((2, 2))).shape == (2, 1)
    with pytest.raises(TypeError, match=r"^Forward must define backward$"):
        Forward().backward(None, np.ones((2, 2)))
