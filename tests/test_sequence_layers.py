"""Embedding, Flatten, RepeatVector, TimeDistributed: formulas, gradients, masks, models."""

import numpy as np
import pytest

import latchwork as lw
from latchwork.layers import (
    GRU,
    LSTM,
    Bidirectional,
    Dense,
    Dropout,
    Embedding,
    Flatten,
    Input,
    RepeatVector,
    TimeDistributed,
)
from latchwork.models import Sequential
from layer_checks import assert_same, built, check_gradients
from problems import ISAS, THREADS, assert_bits, using

RNG = np.random.default_rng(4)
MODEL = Sequential([Dense(3)])


# ---- Embedding ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_embedding_is_rows_of_its_table(dtype):
    lw.set_seed(2)
    layer = Embedding(7, 3, dtype=dtype)
    x = RNG.integers(0, 7, (4, 5))
    y, ctx = layer.forward(x)
    (table,) = layer.get_weights()
    assert layer.variables[0].name == "embedding/embeddings"
    assert abs(table).max() <= 0.05
    assert_same(y, table[x])
    for other in (x.tolist(), x.astype(np.int32), x.astype(np.float32), x.astype(np.uint8)):
        assert_same(layer(other), y)
    dy = RNG.normal(size=y.shape).astype(dtype)
    assert layer.backward(ctx, dy) is None
    wanted = np.zeros((7, 3), dtype)
    for number, row in zip(x.ravel(), dy.reshape(-1, 3), strict=True):
        wanted[number] += row
    assert_same(layer.variables[0].gradient, wanted)
    assert layer.compute_mask(x, None) is None


def test_embedding_of_ragged_and_of_a_last_axis():
    layer = built(Embedding(7, 3, mask_zero=True), None)
    x = RNG.integers(0, 7, (4, 5))
    ragged = lw.Ragged(x.reshape(-1, 1), np.arange(0, 21, 5))
    assert_same(layer(ragged).values, layer(x).reshape(20, 3))
    assert_same(layer.compute_mask(ragged, None), (x != 0).ravel())
    assert_same(layer(x[:, :, None]), layer(x))
    assert_same(layer.compute_mask(x[:, :, None], None), x != 0)
    assert layer(x[:, 0]).shape == (4, 3)


def test_embedding_gradient_has_one_order():
    """Large enough to be shared by threads: the same bits for any number of them and on every ISA."""
    x = RNG.integers(0, 50, (40, 60))
    dy = RNG.normal(size=(40, 60, 200)).astype(np.float32)

    def gradient():
        layer = built(Embedding(50, 200), None)
        layer.backward(layer.forward(x)[1], dy)
        return layer.variables[0].gradient

    with using(threads=1):
        wanted = gradient()
    for place in [{"threads": t} for t in THREADS[1:]] + [{"isa": isa} for isa in ISAS]:
        with using(**place):
            assert_bits(gradient(), wanted)


def test_embedding_takes_weights():
    table = RNG.normal(size=(5, 2))
    for weights in ([table], table):
        layer = Embedding(5, 2, weights=weights, dtype="float64", trainable=False)
        assert_same(layer([[4, 0]]), table[[[4, 0]]])


def test_words_in_a_model():
    """Padded token numbers with mask_zero train as the ragged numbers do; T is a hint."""
    x = RNG.integers(1, 20, (30, 7))
    lengths = RNG.integers(1, 8, 30)
    x[np.arange(7) >= lengths[:, None]] = 0
    y = (x[:, 0] > 10).astype(float)
    ragged = lw.Ragged(x[x > 0][:, None], np.concatenate([[0], np.cumsum(lengths)]))

    def train(x, **first):
        lw.set_seed(6)
        model = Sequential([Embedding(20, 4, mask_zero=True, **first), GRU(5), Dense(1, activation="sigmoid")])
        model.compile("adam", "binary_crossentropy", metrics=["accuracy"])
        return model, model.fit(x, y, epochs=3, batch_size=8, verbose=0).history

    padded, history = train(x)
    other, ragged_history = train(ragged)
    assert history == ragged_history
    for ours, theirs in zip(padded.get_weights(), other.get_weights(), strict=True):
        assert_bits(ours, theirs)
    assert padded.get_weights()[0].dtype == np.float32
    assert_same(padded.predict(x), other.predict(ragged))
    assert padded.predict(x[:, :4]).shape == (30, 1)
    train(x, input_shape=(7,))


def test_a_tagger_counts_real_steps_only():
    """A label for every word: loss and accuracy of the padded batch are those of the ragged one."""
    lengths = RNG.integers(1, 8, 20)
    real = np.arange(7) < lengths[:, None]
    words = RNG.integers(1, 9, (20, 7)) * real
    tags = words % 3
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    ragged = lw.Ragged(words[real][:, None], offsets), lw.Ragged(tags[real][:, None], offsets)

    def train(x, y):
        lw.set_seed(6)
        tag = TimeDistributed(Dense(3, activation="softmax"))
        model = Sequential([Embedding(9, 4, mask_zero=True), Bidirectional(GRU(5, return_sequences=True)), tag])
        model.compile(lw.optimizers.Adam(0.02), "sparse_categorical_crossentropy", metrics=["accuracy"])
        history = model.fit(x, y, epochs=30, verbose=0).history
        return model, history

    padded, history = train(words, tags)
    other, ragged_history = train(*ragged)
    assert history["accuracy"][-1] > 0.9
    assert history["loss"] == pytest.approx(ragged_history["loss"], rel=1e-4)
    assert padded.evaluate(words, tags, verbose=0) == pytest.approx(other.evaluate(*ragged, verbose=0), rel=1e-4)
    assert padded.evaluate(words, np.where(real, tags, 2), verbose=0) == padded.evaluate(words, tags, verbose=0)
    assert padded.predict(words).shape == (20, 7, 3)


def test_numbers_beyond_float32_stay_exact():
    layer = Embedding(2**24 + 4, 1, embeddings_initializer="zeros")
    model = Sequential([layer, Flatten(), Dense(1)])
    model.predict(np.array([[2**24 + 1]]))
    layer.touch()
    layer.variables[0].value[2**24 + 1] = 1
    kernel = model.get_weights()[1]
    assert_same(model.predict(np.array([[2**24 + 1]])), kernel)
    assert not model.predict(np.array([[2**24]])).any()


# ---- Flatten, RepeatVector ---------------------------------------------------------------------------------


def test_flatten_fixes_the_steps():
    x = RNG.normal(size=(3, 4, 2)).astype(np.float32)
    assert_same(Flatten()(x), x.reshape(3, 8))
    assert Flatten()(np.ones(3)).shape == (3, 1)
    check_gradients(Flatten(dtype="float64"), RNG.normal(size=(2, 3, 2)))
    for model in (
        Sequential([Input((4, 2)), LSTM(3, return_sequences=True), Flatten(), Dense(1)]),
        Sequential([LSTM(3, return_sequences=True), Flatten(), Dense(1)]),
    ):
        assert model.predict(x).shape == (3, 1)
        with pytest.raises(ValueError, match=r"dense: x must have 12 features, got shape \(B, 15\)"):
            model.predict(np.ones((3, 5, 2)))


def test_repeat_vector_joins_encoder_and_decoder():
    x = RNG.normal(size=(3, 2)).astype(np.float32)
    assert_same(RepeatVector(4)(x), np.stack([x] * 4, axis=1))
    check_gradients(RepeatVector(3, dtype="float64"), RNG.normal(size=(2, 3)))
    model = Sequential([
        LSTM(5, input_shape=(6, 2)), RepeatVector(4), LSTM(5, return_sequences=True), TimeDistributed(Dense(1)),
    ])  # fmt: skip
    model.compile("adam", "mse")
    x = RNG.normal(size=(9, 6, 2))
    model.fit(x, x[:, :4, :1], verbose=0)
    assert model.predict(x).shape == (9, 4, 1)


# ---- TimeDistributed ---------------------------------------------------------------------------------------


def test_time_distributed_dense():
    layer = built(TimeDistributed(Dense(3, activation="tanh"), dtype="float64"), None, 2)
    assert [v.name for v in layer.variables] == ["time_distributed/dense/kernel", "time_distributed/dense/bias"]
    plain = built(Dense(3, activation="tanh", dtype="float64"), None, 2)
    plain.set_weights(layer.get_weights())
    x = RNG.normal(size=(4, 5, 2))
    assert_same(layer(x), plain(x))
    ragged = lw.Ragged.from_list([x[0], x[1, :2]])
    assert_same(layer(ragged).values, plain(ragged).values)
    check_gradients(layer, x)


@pytest.mark.parametrize("inner", [lambda: LSTM(3), lambda: GRU(2, return_sequences=True), lambda: Flatten()])
def test_time_distributed_sequences_of_sequences(inner):
    layer = TimeDistributed(inner(), dtype="float64")
    x = RNG.normal(size=(2, 3, 4, 2))
    y = layer(x)
    assert y.shape == (2, 3, *layer.y_shape((3, 4, 2))[1:])
    check_gradients(built(layer, None, 4, 2), x)


def test_time_distributed_masks():
    layer = built(TimeDistributed(LSTM(3), dtype="float64"), None, None, 2)
    x = RNG.normal(size=(2, 3, 4, 2))
    mask = RNG.uniform(size=(2, 3, 4)) < 0.6
    alone = layer.layer(x.reshape(6, 4, 2), mask=mask.reshape(6, 4))
    assert_same(layer(x, mask=mask), alone.reshape(2, 3, 3))
    assert_same(layer(x, mask=mask[:, :, 0]), layer(x))  # a mask of steps only passes through
    assert layer.compute_mask(x, mask) is mask


def test_time_distributed_dropout_and_embedding():
    model = Sequential([TimeDistributed(Embedding(9, 2)), TimeDistributed(Dropout(0.5)), TimeDistributed(Flatten())])
    x = RNG.integers(0, 9, (3, 4, 5))
    assert model.predict(x).shape == (3, 4, 10)
    assert model.layers[1].layer.number == 1
    y, _ = model.layers[1].forward(np.ones((2, 3, 100), np.float32), step=1)
    assert sorted(set(y.ravel().tolist())) == [0.0, 2.0]


def backward_of(layer, x_shape, dy_shape):
    _, ctx = layer.forward(np.ones(x_shape))
    assert layer.backward(ctx, None, need_dx=False) is None
    return layer.backward(ctx, np.ones(dy_shape))


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: Embedding(0, 3), "Embedding: input_dim must be a whole number of at least 1, got 0"),
        (lambda: Embedding(5, 3)(np.array([[5]])), r"embedding: x must hold whole numbers in \[0, 5\), got 5"),
        (lambda: Embedding(5, 3)(np.array([[-1]])), r"embedding: x must hold whole numbers in \[0, 5\), got -1"),
        (lambda: Embedding(5, 3)(np.array([[0.5]])), "embedding: x must hold whole numbers, got fractions"),
        (lambda: Embedding(5, 3)(np.array([[np.nan]])), "embedding: x must hold whole numbers, got fractions"),
        (lambda: Embedding(5, 3)(np.array([["a"]])), "x must hold numbers"),
        (lambda: Embedding(5, 3, weights=[np.ones((3, 5))]), r"weights must be one array of shape \(5, 3\)"),
        (
            lambda: Embedding(5, 3)(lw.Ragged(np.ones((4, 2)), [0, 4])),
            r"embedding: a Ragged x must have values \[N, 1\], got \(4, 2\)",
        ),
        (
            lambda: (e := Embedding(5, 3)).backward(e.forward([[1, 2]])[1], np.ones((1, 2))),
            r"embedding: dy must have the shape of y, \(1, 2, 3\), got \(1, 2\)",
        ),
        (lambda: Flatten()(lw.Ragged(np.ones((4, 2)), [0, 4])), "flatten: x must be an array, got a Ragged"),
        (lambda: Flatten(data_format="channels_first"), "Flatten: data_format must be None"),
        (lambda: RepeatVector(0), "RepeatVector: n must be a whole number of at least 1, got 0"),
        (lambda: backward_of(Flatten(), (2, 3, 4), (2, 11)), r"flatten: dy must be \(2, 12\), got \(2, 11\)"),
        (
            lambda: backward_of(RepeatVector(2), (3, 4), (3, 1, 4)),
            r"repeat_vector: dy must be \(3, 2, 4\), got \(3, 1, 4\)",
        ),
        (lambda: RepeatVector(2)(lw.Ragged(np.ones((4, 2)), [0, 4])), r"repeat_vector: x must be an array \(B, F\)"),
        (lambda: RepeatVector(2)(np.ones((2, 3, 4))), r"repeat_vector: x must be \(B, F\), got \(B, 3, 4\)"),
        (
            lambda: TimeDistributed(Dense(3, dtype="float64"), dtype="float32"),
            "TimeDistributed: dtype must be that of layer 'dense', float64",
        ),
        (lambda: TimeDistributed(3), "TimeDistributed: layer must be a layer, got 3"),
        (lambda: TimeDistributed(LSTM(3, return_state=True)), "TimeDistributed: layer must return one array"),
        (
            lambda: TimeDistributed(Dense(3))(np.ones((2, 3))),
            r"time_distributed: x must be \(B, T, ...\), got \(B, 3\)",
        ),
        (lambda: TimeDistributed(MODEL.layers[0]), "layer 'dense' is in use already"),
        (lambda: Sequential([TimeDistributed(d := Dense(3)), d]), "layer 'dense' already belongs to model"),
    ],
)
def test_bad_input(call, text):
    with pytest.raises(ValueError, match=text):
        call()
