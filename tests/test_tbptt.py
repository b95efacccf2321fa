"""fit(tbptt=k) and fit(accumulate=k): against loops written by hand."""

import numpy as np
import pytest

import latchwork as lw
from latchwork.layers import (
    GRU,
    LSTM,
    RNN,
    BatchNormalization,
    Bidirectional,
    Concatenate,
    Conv1D,
    Dense,
    Dropout,
    Embedding,
    Flatten,
    GaussianNoise,
    Input,
    LSTMCell,
    Masking,
    SimpleRNN,
    TimeDistributed,
)
from latchwork.models import Model, Sequential

RNG = np.random.default_rng(5)
N, T, F = 10, 7, 3
X, Y = RNG.normal(size=(N, T, F)), RNG.normal(size=(N, T, 2))
LENGTHS = np.array([7, 1, 4, 3, 6, 2, 5, 7, 3, 1])
RAGGED_X = lw.Ragged.from_list([x[:n] for x, n in zip(X, LENGTHS, strict=True)])
RAGGED_Y = lw.Ragged(np.concatenate([y[:n] for y, n in zip(Y, LENGTHS, strict=True)]), RAGGED_X.offsets)


def same(a, b):
    return len(a) == len(b) and all(np.array_equal(x, y) for x, y in zip(a, b, strict=True))


def built(stack, shape=(None, F), loss="mse", dtype="float32", **compiled):
    lw.set_seed(9)
    model = Sequential([Input(shape), *stack], dtype=dtype)
    model.compile(loss=loss, **({"optimizer": "adam"} | compiled))
    return model


STACKS = {
    "lstm": lambda s: [LSTM(5, return_sequences=True, stateful=s), Dense(2)],
    "deep": lambda s: [
        Dropout(0.2), GRU(4, return_sequences=True, stateful=s), BatchNormalization(),
        RNN([LSTMCell(3), LSTMCell(4)], return_sequences=True, stateful=s), TimeDistributed(Dense(2)),
    ],
    "masked": lambda s: [Masking(), SimpleRNN(4, return_sequences=True, stateful=s), Dense(2)],
}  # fmt: skip


@pytest.mark.parametrize("stack", STACKS)
@pytest.mark.parametrize("k", [1, 3, 7, 20])
def test_it_is_the_loop_by_hand(stack, k):
    """A stateful model, trained chunk by chunk, which forgets behind each batch."""
    x = X.copy()
    x[2, 4:] = x[5] = x[7, :3] = 0
    weights = RNG.uniform(size=N)
    model, by_hand = built(STACKS[stack](False)), built(STACKS[stack](True))
    history = model.fit(x, Y, epochs=2, batch_size=4, shuffle=False, tbptt=k, sample_weight=weights, verbose=0)
    for _epoch in range(2):
        for start in range(0, N, 4):
            rows = slice(start, start + 4)
            for t in range(0, T, k):
                by_hand.train_on_batch(x[rows, t : t + k], Y[rows, t : t + k], weights[rows])
            by_hand.reset_states()
    assert same(model.get_weights(), by_hand.get_weights())
    assert model.optimizer.iterations == by_hand.optimizer.iterations
    assert len(history.history["loss"]) == 2
    assert not any(layer.stateful for layer in model.layers)
    assert np.array_equal(model.predict(x), model.predict(x))  # nothing is carried any more


def test_stateful_layers_go_on_from_batch_to_batch():
    model, by_hand = (built(STACKS["lstm"](True)) for _ in range(2))
    model.fit(X, Y, batch_size=5, shuffle=False, tbptt=4, verbose=0)
    for rows in (slice(0, 5), slice(5, 10)):
        for t in (slice(0, 4), slice(4, 7)):
            by_hand.train_on_batch(X[rows, t], Y[rows, t])
    assert same(model.get_weights(), by_hand.get_weights())
    assert np.array_equal(model.predict(X[:5]), by_hand.predict(X[:5]))


def test_ragged_sequences_end_where_they_end():
    model, by_hand = built(STACKS["lstm"](False)), built(STACKS["lstm"](True))
    model.fit(RAGGED_X, RAGGED_Y, batch_size=N, shuffle=False, tbptt=3, verbose=0)
    for t in (0, 3, 6):
        counts = np.clip(LENGTHS - t, 0, 3)
        offsets = np.concatenate([[0], np.cumsum(counts)])
        x, y = (
            lw.Ragged(np.concatenate([row[t : t + n] for row, n in zip(rows, counts, strict=True)]), offsets)
            for rows in (X, Y)
        )
        by_hand.train_on_batch(x, y)
    assert same(model.get_weights(), by_hand.get_weights())


def test_a_graph_with_labels_and_weights_a_step():
    tokens = RNG.integers(0, 6, (N, T))
    labels, weights = RNG.integers(0, 4, (N, T)), RNG.uniform(size=(N, T))

    def made(stateful):
        lw.set_seed(9)
        words, series = Input((None,), name="words"), Input((None, F), name="series")
        both = Concatenate()([Embedding(6, 3)(words), series])
        y = LSTM(5, return_sequences=True, stateful=stateful)(both)
        model = Model([words, series], [Dense(4, activation="softmax", name="tag")(y), Dense(2, name="value")(y)])
        model.compile("adam", loss=["sparse_categorical_crossentropy", "mse"])
        return model

    model, by_hand = made(False), made(True)
    model.fit([tokens, X], [labels, Y], sample_weight=weights, batch_size=N, shuffle=False, tbptt=4, verbose=0)
    for t in (slice(0, 4), slice(4, 7)):
        by_hand.train_on_batch([tokens[:, t], X[:, t]], [labels[:, t], Y[:, t]], weights[:, t])
    assert same(model.get_weights(), by_hand.get_weights())


def test_one_chunk_is_no_truncation():
    model, plain = built(STACKS["lstm"](False)), built(STACKS["lstm"](False))
    assert model.fit(X, Y, epochs=2, tbptt=T, verbose=0).history == plain.fit(X, Y, epochs=2, verbose=0).history
    assert same(model.get_weights(), plain.get_weights())


def test_a_chunk_that_is_not_finite_ends_its_batch():
    y = Y.copy()
    y[1, 4] = np.nan
    model, by_hand = built(STACKS["lstm"](False)), built(STACKS["lstm"](True))
    with pytest.raises(FloatingPointError, match=r"batch 1 of 1, chunk 3: the loss is nan.*before this chunk"):
        model.fit(X, y, tbptt=2, shuffle=False, verbose=0)
    for t in (0, 2):
        by_hand.train_on_batch(X[:, t : t + 2], Y[:, t : t + 2])
    assert same(model.get_weights(), by_hand.get_weights())
    assert not model.layers[0].stateful
    model.fit(X, y, tbptt=2, shuffle=False, verbose=0, on_nonfinite="skip")
    assert model.optimizer.iterations == 4


@pytest.mark.parametrize("weights", [np.arange(N) / N, RNG.random((N, T))], ids=["samples", "steps"])
def test_with_weights_validation_and_callbacks(weights):
    """Validation runs whole sequences from zero states; hooks count batches, not chunks."""
    model, by_hand = (built(STACKS["lstm"](s), metrics=["mae"]) for s in (False, True))
    seen = []
    callbacks = [
        lw.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: seen.append((batch, sorted(logs)))),
        lw.callbacks.EarlyStopping("val_loss", patience=5),
    ]
    held = X[:3], Y[:3], weights[:3]
    history = model.fit(
        X, Y, 5, 2, 0, callbacks, shuffle=False, sample_weight=weights, validation_data=held, tbptt=3
    ).history
    for epoch in range(2):
        for i in range(0, N, 5):
            for t in range(0, T, 3):
                part = weights[i : i + 5] if weights.ndim == 1 else weights[i : i + 5, t : t + 3]
                by_hand.train_on_batch(X[i : i + 5, t : t + 3], Y[i : i + 5, t : t + 3], part)
            by_hand.reset_states()
        found = by_hand.evaluate(*held[:2], sample_weight=held[2], verbose=0, return_dict=True)
        by_hand.reset_states()
        assert {name: history[f"val_{name}"][epoch] for name in found} == found
    assert same(model.get_weights(), by_hand.get_weights())
    assert seen == [(batch, ["loss", "mae"]) for batch in (0, 1)] * 2


def last(layer):
    return [layer, Dense(2)]


GRAPH_STATE = Input((None, F))
REFUSED = {
    "k": (lambda: built(STACKS["lstm"](False)), {"tbptt": 0}, "tbptt must be a whole number of at least 1, got 0"),
    "backwards": (lambda: built(last(GRU(3, return_sequences=True, go_backwards=True))), {}, "'gru'.*step by step"),
    "both": (lambda: built(last(Bidirectional(GRU(3, return_sequences=True)))), {}, "'bidirectional'.*step by step"),
    "conv": (lambda: built([Conv1D(3, 2, padding="causal"), LSTM(2, return_sequences=True)]), {}, "'conv1d'"),
    "flat": (lambda: built([LSTM(3, return_sequences=True), Flatten(), Dense(2)], (T, F)), {}, "'flatten'"),
    "last": (lambda: built(last(LSTM(3))), {}, "output 'dense' must be a sequence"),
    "none": (lambda: built([Dense(2)]), {}, "there must be a recurrent layer"),
    "classes": (
        lambda: built(STACKS["lstm"](False)), {"class_weight": {0: 1.0}},
        "class_weight must be None for an output of sequences",
    ),
    "and": (lambda: built(STACKS["lstm"](False)), {"accumulate": 2}, "accumulate and tbptt exclude each other"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name):
    make, options, text = REFUSED[name]
    model = make()
    before = model.get_weights()
    with pytest.raises(ValueError, match=text):
        model.fit(X, Y if name != "last" else Y[:, 0], verbose=0, **({"tbptt": 2} | options))
    assert same(before, model.get_weights())
    assert model.optimizer.iterations == 0


def test_refused_graphs():
    series, table = Input((None, F)), Input((4,))
    given = Model([series, table], Dense(2)(GRU(4, return_sequences=True)(series, initial_state=[table])))
    given.compile(loss="mse")
    with pytest.raises(ValueError, match="'gru' must carry its states"):
        given.fit([X, np.ones((N, 4))], Y, tbptt=2, verbose=0)
    wide = Model([series, table], [Dense(2)(GRU(4, return_sequences=True)(series)), Dense(1, name="flat")(table)])
    wide.compile(loss=["mse", None])
    with pytest.raises(ValueError, match=r"all inputs must have the same number of steps, got \[4, 7\]"):
        wide.fit([X, np.ones((N, 4))], [Y, None], tbptt=2, verbose=0)


# ---- accumulation ---------------------------------------------------------------------------------------------------

WHOLE = {
    "lstm": lambda: [LSTM(5), Dense(2)],
    "noise": lambda: [Dropout(0.4), GRU(5, return_sequences=True), GaussianNoise(0.2), LSTM(4), Dropout(0.4), Dense(2)],
    "steps": lambda: [TimeDistributed(Dropout(0.4)), LSTM(5, return_sequences=True), Dense(2)],
    "masked": lambda: [Masking(), LSTM(5, return_sequences=True), Dense(2)],
    "ragged": lambda: [Dropout(0.4), LSTM(5, return_sequences=True), TimeDistributed(Dropout(0.4)), Dense(2)],
}


@pytest.mark.parametrize("stack", WHOLE)
@pytest.mark.parametrize(("size", "k"), [(2, 4), (4, 2), (3, 2), (1, 10)])
def test_accumulated_gradients_are_those_of_the_whole_batch(stack, size, k):
    """But for rounding: masks, means and noise are those of the whole batch."""
    x, y = X.copy(), Y
    x[2, 4:] = x[5] = x[7, :3] = 0
    sgd = lw.optimizers.SGD
    parts, whole = (built(WHOLE[stack](), dtype="float64", optimizer=sgd(0.1), metrics=["mae"]) for _ in range(2))
    if stack == "ragged":
        x, y = RAGGED_X, RAGGED_Y
    elif stack in ("lstm", "noise"):
        y = Y[:, 0]
    found = parts.fit(x, y, epochs=3, batch_size=size, accumulate=k, shuffle=False, verbose=0)
    wanted = whole.fit(x, y, epochs=3, batch_size=size * k, shuffle=False, verbose=0)
    for a, b in zip(parts.get_weights(), whole.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-14)
    for name in ("loss", "mae"):
        np.testing.assert_allclose(found.history[name], wanted.history[name], rtol=1e-12)
    assert parts.optimizer.iterations == whole.optimizer.iterations


def test_chains_of_additions_keep_their_bits():
    """The gradient of an embedding is one chain in the order of x; means over 2, 4, 8 equal parts are exact."""
    tokens, y = RNG.integers(0, 5, (8, T)), RNG.normal(size=(8, T, 4))
    parts, whole = (built([Embedding(5, 4)], (None,)) for _ in range(2))
    parts.fit(tokens, y, epochs=4, batch_size=2, accumulate=4, verbose=0)
    whole.fit(tokens, y, epochs=4, batch_size=8, verbose=0)
    assert same(parts.get_weights(), whole.get_weights())


def test_several_outputs():
    def made():
        lw.set_seed(9)
        x = Input((None, F))
        h = Masking()(x)
        y = LSTM(4, return_sequences=True)(h)
        model = Model(x, [Dense(2, name="steps")(y), Dense(1, name="last")(GRU(3)(y))], dtype="float64")
        model.compile(lw.optimizers.SGD(0.1), loss="mse", loss_weights=[1, 0.3])
        return model

    y = [Y, Y[:, 0, :1]]
    parts, whole = made(), made()
    found = parts.fit(X, y, batch_size=2, accumulate=3, epochs=2, verbose=0, shuffle=False).history
    wanted = whole.fit(X, y, batch_size=6, epochs=2, verbose=0, shuffle=False).history
    for a, b in zip(parts.get_weights(), whole.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-14)
    assert list(found) == list(wanted)
    np.testing.assert_allclose(list(found.values()), list(wanted.values()), rtol=1e-12)
    masked = X.copy()
    masked[3, 2:] = 0
    before = parts.get_weights()
    with pytest.raises(ValueError, match="accumulate: outputs must count elements in the same proportion"):
        parts.fit(masked, y, batch_size=2, accumulate=3, verbose=0, shuffle=False)
    assert same(before, parts.get_weights())


def test_it_takes_part_of_the_memory_to_run():
    """The rows at once are those of a part: what a layer sees says so."""
    seen = []

    class Look(lw.layers.Layer):
        def forward(self, x, *, training=True, step=None):
            seen.append((len(x), self.passing.first))
            return x, None

        def backward(self, ctx, dy, *, need_dx=True):
            return dy

    model = built([Look(), LSTM(3), Dense(2)])
    model.fit(X, Y[:, 0], batch_size=3, accumulate=2, verbose=0)
    assert seen == [(3, 0), (3, 3), (3, 0), (1, 3)]
    assert model.optimizer.iterations == 2
    seen.clear()
    model.train_on_batch(X, Y[:, 0])
    assert seen == [(N, 0)]


def test_refused_accumulation():
    model = built([LSTM(3, stateful=True), Dense(2)])
    with pytest.raises(ValueError, match="accumulate must be 1 for a stateful model"):
        model.fit(X, Y[:, 0], accumulate=2, verbose=0)
    with pytest.raises(ValueError, match="accumulate must be a whole number of at least 1, got 0"):
        model.fit(X, Y[:, 0], accumulate=0, verbose=0)
    plain, y = built([LSTM(3), Dense(2)]), Y[:, 0].copy()
    before = plain.get_weights()
    y[4] = np.inf
    with pytest.raises(FloatingPointError, match="samples 3 to 5: the loss is inf"):
        plain.fit(X, y, batch_size=3, accumulate=4, shuffle=False, verbose=0)
    assert same(before, plain.get_weights())
