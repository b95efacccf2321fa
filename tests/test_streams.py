"""fit, evaluate and predict fed by generators, data sets and sequences with indices."""

import numpy as np
import pytest

import latchwork as lw
from latchwork.callbacks import BackupAndRestore, Callback
from latchwork.data import TimeseriesDataset
from latchwork.layers import GRU, LSTM, Concatenate, Dense, Input
from latchwork.models import Model, Sequential

RNG = np.random.default_rng(2)
N, T, F, B = 20, 5, 3, 4
X, Y, W = RNG.normal(size=(N, T, F)), RNG.normal(size=(N, 2)), RNG.uniform(size=N)
BATCHES = [slice(i, i + B) for i in range(0, N, B)]


def pairs():
    return ((X[rows], Y[rows]) for rows in BATCHES)


class Indexed:
    """As Keras' Sequence."""

    def __init__(self, weights=False):
        self.weights, self.ends = weights, 0

    def __len__(self):
        return len(BATCHES)

    def __getitem__(self, i):
        rows = BATCHES[i]
        return (X[rows], Y[rows], W[rows]) if self.weights else (X[rows], Y[rows])

    def on_epoch_end(self):
        self.ends += 1


class Loader:
    """As torch's DataLoader: a length, an iterator for each pass, lists."""

    def __len__(self):
        return len(BATCHES)

    def __iter__(self):
        return iter([list(pair) for pair in pairs()])


def built(shape=(None, F)):
    lw.set_seed(4)
    model = Sequential([Input(shape), LSTM(4), Dense(2)])
    model.compile("adam", loss="mse", metrics=["mae"])
    return model


def same(a, b):
    return len(a) == len(b) and all(np.array_equal(x, y) for x, y in zip(a, b, strict=True))


def forever():
    while True:
        yield from pairs()


SOURCES = {
    "function": (lambda: pairs, {}),
    "list": (lambda: list(pairs()), {}),
    "indexed": (Indexed, {}),
    "loader": (Loader, {}),
    "steps of a function": (lambda: pairs, {"steps_per_epoch": 5}),
    "generator": (forever, {"steps_per_epoch": 5}),
}


@pytest.mark.parametrize("name", SOURCES)
def test_fit_is_that_of_the_arrays(name):
    make, options = SOURCES[name]
    model, plain = built(), built()
    found = model.fit(make(), epochs=3, verbose=0, **options)
    wanted = plain.fit(X, Y, batch_size=B, epochs=3, shuffle=False, verbose=0)
    assert same(model.get_weights(), plain.get_weights())
    assert found.history == wanted.history


def test_weights_and_the_end_of_a_pass():
    model, plain, source = built(), built(), Indexed(weights=True)
    model.fit(source, epochs=3, verbose=0)
    plain.fit(X, Y, sample_weight=W, batch_size=B, epochs=3, shuffle=False, verbose=0)
    assert same(model.get_weights(), plain.get_weights())
    assert source.ends == 3


@pytest.mark.parametrize("feed", [lambda: Loader(), lambda: pairs, lambda: Indexed(), None])
@pytest.mark.parametrize("steps", [2, 3, 7])
def test_epochs_of_some_steps_go_through_pass_after_pass(feed, steps):
    model, by_hand = built(), built()
    args, given = ((feed(),), {}) if feed else ((X, Y), {"batch_size": B, "shuffle": False})
    model.fit(*args, epochs=4, steps_per_epoch=steps, verbose=0, **given)
    for i in range(4 * steps):
        by_hand.train_on_batch(X[BATCHES[i % 5]], Y[BATCHES[i % 5]])
    assert same(model.get_weights(), by_hand.get_weights())


def test_shuffled_arrays_go_on_too():
    model, plain = built(), built()
    model.fit(X, Y, batch_size=B, epochs=5, steps_per_epoch=2, verbose=0)
    plain.fit(X, Y, batch_size=B, epochs=2, verbose=0)
    assert same(model.get_weights(), plain.get_weights())
    assert model.epochs_trained == plain.epochs_trained == 2
    model.fit(X, Y, batch_size=B, verbose=0)
    plain.fit(X, Y, batch_size=B, verbose=0)
    assert same(model.get_weights(), plain.get_weights())


def test_dicts_ragged_and_several_outputs():
    ragged = [lw.Ragged.from_list([x[: 1 + i % T] for i, x in enumerate(X[rows])]) for rows in BATCHES]

    def made():
        lw.set_seed(4)
        a, b = Input((None, F), name="a"), Input((2,), name="b")
        h = Concatenate()([GRU(3)(a), b])
        model = Model([a, b], [Dense(2, name="u")(h), Dense(1, name="v")(h)])
        model.compile("adam", loss="mse")
        return model

    def feed():
        for part, rows in zip(ragged, BATCHES, strict=True):
            yield {"a": part, "b": Y[rows]}, {"u": Y[rows], "v": Y[rows, :1]}, W[rows]

    model, by_hand = made(), made()
    model.fit(feed, epochs=2, verbose=0)
    for _ in range(2):
        for x, y, w in feed():
            by_hand.train_on_batch(x, y, w)
    assert same(model.get_weights(), by_hand.get_weights())
    found = model.predict(x for x, _, _ in feed())
    wanted = [model.predict(x) for x, _, _ in feed()]
    assert same(found, [np.concatenate(each) for each in zip(*wanted, strict=True)])


def test_evaluate_and_predict():
    model = built()
    for source in (pairs, list(pairs()), Indexed(), Loader(), pairs()):
        np.testing.assert_allclose(model.evaluate(source, verbose=0), model.evaluate(X, Y, verbose=0), rtol=1e-6)
    assert np.array_equal(model.predict(lambda: (X[rows] for rows in BATCHES)), model.predict(X))
    assert np.array_equal(model.predict(pairs()), model.predict(X))  # y is left alone
    assert np.array_equal(model.predict(forever(), steps=2), model.predict(X[: 2 * B]))
    assert np.array_equal(model.predict(X, batch_size=B, steps=2), model.predict(X[: 2 * B]))
    wanted = model.evaluate(X[: 3 * B], Y[: 3 * B], verbose=0)
    assert model.evaluate(X, Y, batch_size=B, steps=3, verbose=0) == wanted
    np.testing.assert_allclose(model.evaluate(Indexed(), steps=3, verbose=0), wanted, rtol=1e-6)
    sequences = Sequential([LSTM(2, return_sequences=True, input_shape=(None, F))])
    parts = [lw.Ragged.from_list([X[0], X[1, :2]]), lw.Ragged.from_list([X[2, :1]])]
    assert sequences.predict(lambda: iter(parts)).lengths.tolist() == [5, 2, 1]
    with pytest.raises(ValueError, match="batches must give outputs of one shape"):
        sequences.predict(lambda: iter([X[:2], X[:2, :3]]))


def test_chunks_of_batches():
    """tbptt of batches of their own lengths; what is no sequence is told by its batch."""

    def feed(targets=slice(None)):
        for steps, rows in zip((5, 3, 4, 1, 2), BATCHES, strict=True):
            yield X[rows, :steps], (X[rows, :steps, :2] if targets == slice(None) else Y[rows])

    def made(stateful):
        lw.set_seed(4)
        model = Sequential([LSTM(2, return_sequences=True, stateful=stateful, input_shape=(None, F))])
        model.compile("adam", loss="mse")
        return model

    model, by_hand = made(False), made(True)
    model.fit(feed, tbptt=2, verbose=0)
    for x, y in feed():
        for t in range(0, x.shape[1], 2):
            by_hand.train_on_batch(x[:, t : t + 2], y[:, t : t + 2])
        by_hand.reset_states()
    assert same(model.get_weights(), by_hand.get_weights())
    last = built()
    with pytest.raises(ValueError, match="x: batch 1: tbptt: output 'dense' must be a sequence"):
        last.fit(lambda: feed(0), tbptt=2, verbose=0)


def test_lists_of_numbers_are_arrays():
    model = Sequential([Dense(1, input_shape=(3,))])
    model.compile(loss="mse")
    x = [(1.0, 2.0, 3.0), (4.0, 5.0, 6.0)]
    assert np.array_equal(model.predict(x), model.predict(np.array(x)))
    assert model.evaluate(x, [0.0, 1.0], verbose=0) == model.evaluate(np.array(x), np.array([0.0, 1.0]), verbose=0)
    many = Model([a := Input((3,)), b := Input((3,))], Dense(1)(Concatenate()([a, b])))
    many.compile(loss="mse")
    batch = [np.ones((2, 3)), np.ones((2, 3))]
    many.fit([(batch, np.ones(2)), (batch, np.ones(2))], verbose=0)
    assert many.optimizer.iterations == 2


def test_validation():
    model, plain = built(), built()
    options = {"epochs": 4, "verbose": 0}
    plain.fit(X, Y, validation_data=(X, Y), batch_size=B, shuffle=False, **options)
    for given in ({"validation_data": pairs}, {"validation_data": forever(), "validation_steps": 5}):
        model = built()
        found = model.fit(pairs, **given, **options)
        np.testing.assert_allclose(found.history["val_loss"], plain.history.history["val_loss"], rtol=1e-6)
        assert same(model.get_weights(), plain.get_weights())
    model = built()
    found = model.fit(X, Y, validation_data=Indexed(), validation_steps=2, **options)
    part = built()
    wanted = part.fit(X, Y, validation_data=(X[: 2 * B], Y[: 2 * B]), **options)
    np.testing.assert_allclose(found.history["val_mae"], wanted.history["val_mae"], rtol=1e-6)
    steps = built().fit(X, Y, validation_data=(X, Y), validation_batch_size=B, validation_steps=2, **options)
    assert steps.history == wanted.history


@pytest.mark.parametrize(("freq", "validated"), [(1, 6), (2, 3), (4, 1), ([1, 5, 9], 2), ((6,), 1)])
def test_validation_freq(freq, validated):
    seen = []

    class Watch(Callback):
        def on_epoch_end(self, epoch, logs=None):
            if "val_loss" in logs:
                seen.append(epoch + 1)

    history = built().fit(X, Y, epochs=6, validation_split=0.25, validation_freq=freq, verbose=0, callbacks=Watch())
    assert len(history.history["val_loss"]) == validated
    assert seen == [e for e in range(1, 7) if (e % freq == 0 if isinstance(freq, int) else e in freq)]


def windows():
    series = RNG.normal(size=(60, F))
    return TimeseriesDataset(series, series[:, :2], sequence_length=T, batch_size=8, shuffle=True, seed=3)


def test_a_data_set_of_windows_is_shuffled_anew_each_pass():
    data, model, by_hand = windows(), built(), built()
    model.fit(data, epochs=2, verbose=0)
    model.fit(data, verbose=0)  # goes on with the third order
    for n in range(3):
        data.set_epoch(n)
        for x, y in data:
            by_hand.train_on_batch(x, y)
    assert same(model.get_weights(), by_hand.get_weights())


class KilledError(Exception):
    pass


class Kill(Callback):
    def __init__(self, after):
        super().__init__()
        self.after = after

    def on_train_batch_end(self, batch, logs=None):
        self.after -= 1
        if self.after == 0:
            raise KilledError


@pytest.mark.parametrize("after", [2, 9, 11])
@pytest.mark.parametrize(
    ("kind", "steps"),
    [("function", None), *((kind, steps) for kind in ("windows", "indexed", "arrays") for steps in (None, 3))],
)
def test_a_killed_run_goes_on_in_the_midst_of_an_epoch(tmp_path, kind, after, steps):
    data = windows()

    def run(model, *callbacks):
        source = {"windows": data, "function": pairs, "indexed": Indexed(), "arrays": X}[kind]
        given = {"y": Y, "batch_size": B} if kind == "arrays" else {}
        return model.fit(source, epochs=4, verbose=0, steps_per_epoch=steps, callbacks=list(callbacks), **given)

    whole = built()
    wanted = run(whole).history
    data.set_epoch(0)
    with pytest.raises(KilledError):
        run(built(), Kill(after), BackupAndRestore(tmp_path / "b", save_freq=1))
    model = built()
    found = run(model, Kill(-1), BackupAndRestore(tmp_path / "b", save_freq=1)).history
    assert same(model.get_weights(), whole.get_weights())
    assert found == wanted


def few():
    yield from list(pairs())[:3]


def wrong_shape():
    yield from list(pairs())[:2]
    yield X[:2, :, :2], Y[:2]


REFUSED = {
    "early": (lambda m: m.fit(few(), epochs=2, steps_per_epoch=2), "x ended after 1 batch of epoch 2, but steps_per"),
    "once": (lambda m: m.fit(pairs(), epochs=2), "x is an iterator, which ends once: give steps_per_epoch"),
    "empty": (lambda m: m.fit(iter(())), "x must have at least one batch, got none"),
    "shape": (lambda m: m.fit(wrong_shape), "x: batch 3: "),
    "parts": (lambda m: m.fit(lambda: iter([X])), r"x: batch 1: must be \(x, y\) or \(x, y, sample_weight\), got nda"),
    "four": (lambda m: m.fit(lambda: iter([(X, Y, W, W)])), "x: batch 1: .* got tuple of 4"),
    "y": (lambda m: m.fit(pairs, Y), "fit: y must be left out where x makes the batches"),
    "size": (lambda m: m.fit(pairs, batch_size=3), "fit: batch_size must be left out"),
    "split": (lambda m: m.fit(pairs, validation_split=0.2), "fit: validation_split must be left out"),
    "memory": (lambda m: m.fit(pairs, memory="20MB"), "memory must be a mode, not a size"),
    "accumulate": (lambda m: m.fit(pairs, accumulate=2), "accumulate must be 1 where x makes batches"),
    "steps": (lambda m: m.fit(X, Y, steps_per_epoch=0), "steps_per_epoch must be a whole number of at least 1, got 0"),
    "backup": (
        lambda m: m.fit(forever(), steps_per_epoch=2, callbacks=BackupAndRestore("never")),
        "BackupAndRestore needs data whose place can be found again",
    ),
    "length": (
        lambda m: m.fit(pairs, steps_per_epoch=2, callbacks=BackupAndRestore("never")),
        "BackupAndRestore needs data whose place can be found again",
    ),
    "validation": (lambda m: m.fit(X, Y, validation_data=pairs()), "validation_data is an iterator, which ends once"),
    "freq": (lambda m: m.fit(X, Y, validation_split=0.5, validation_freq=0), "validation_freq must be a whole number"),
    "none": (lambda m: m.fit(X, Y, validation_freq=2), "validation_steps and validation_freq need validation_data"),
    "many": (lambda m: m.fit(X, Y, validation_split=0.5, validation_steps=2), "validation_steps must be at most 1"),
    "evaluate": (lambda m: m.evaluate(pairs, Y), "evaluate: y must be left out"),
    "predict": (lambda m: m.predict(few(), steps=4), "x ended after 3 batches of epoch 1, but steps is 4"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name, tmp_path, monkeypatch):
    call, text = REFUSED[name]
    monkeypatch.chdir(tmp_path)
    model = built()
    before = model.get_weights()
    with pytest.raises(ValueError, match=text):
        call(model)
    if name not in ("early", "shape"):  # found in the midst of a run
        assert same(before, model.get_weights())
    assert not list(tmp_path.iterdir())


def test_a_source_that_says_another_length_than_it_has():
    model = built()
    with pytest.raises(ValueError, match="x ended after 5 batches of epoch 1, but its length is 7"):
        model.fit(Short7(), verbose=0)
    with pytest.raises(ValueError, match="x has more batches than its length, 3"):
        model.fit(Long3(), verbose=0)


class Short7:
    def __len__(self):
        return 7

    def __iter__(self):
        return pairs()


class Long3(Short7):
    def __len__(self):
        return 3
