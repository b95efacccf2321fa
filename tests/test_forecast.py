"""model.forecast: values fed back, held to predict on the grown history and to a roll-out written in numpy."""

import numpy as np
import pytest

import latchwork as lw
from latchwork import _core
from latchwork.layers import GRU, LSTM, RNN, Bidirectional, Dense, Embedding, GRUCell, Input, LSTMCell, Masking
from latchwork.models import Sequential
from model_stacks import same

LENGTHS = [5, 2, 8, 1]
RNG = np.random.default_rng(0)

MODELS = {
    "last": lambda o: [LSTM(7), Dense(o)],
    "sequences": lambda o: [
        GRU(17, return_sequences=True),
        RNN([LSTMCell(5), GRUCell(3)], return_sequences=True),
        Dense(o),
    ],
    "a mask": lambda o: [Masking(), LSTM(6, return_sequences=True), GRU(4), Dense(o)],
    "a mask of ones": lambda o: [Masking(1.0), GRU(6), Dense(o)],  # who has not begun is no masked step
    "dense": lambda o: [Dense(5, "tanh"), Dense(o)],
    "stateful": lambda o: [LSTM(4, stateful=True), Dense(o)],
}  # fmt: skip


def made(name="last", features=2, outputs=None, known=0, dtype="float32"):
    """With biases that move a state of zero when x is zero."""
    lw.set_seed(sorted(MODELS).index(name) + 1)
    model = Sequential([Input((None, features + known)), *MODELS[name](outputs or features)], dtype=dtype)
    model.build()
    model.set_weights([w + 0.125 * np.cos(np.arange(w.size)).reshape(w.shape) for w in model.get_weights()])
    return model


def histories(features=2, dtype="float32"):
    values = RNG.normal(size=(sum(LENGTHS), features)).astype(dtype)
    values[6] = values[9] = 0  # masked steps
    return lw.Ragged(values, np.concatenate([[0], np.cumsum(LENGTHS)]))


def predicted(model, steps):
    """predict's answer to a history [T, F]: the last row."""
    model.reset_states()
    y = model.predict(steps[None])
    model.reset_states()
    return y.reshape(-1, y.shape[-1])[-1]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("known", [0, 3])
@pytest.mark.parametrize("name", MODELS)
def test_bits_of_predict_on_the_grown_history(name, known, dtype):
    model, x = made(name, known=known, dtype=dtype), histories(2 + known, dtype)
    beside = RNG.normal(size=(len(x), 6, known)).astype(dtype) if known else None
    y = model.forecast(x, 6, known=beside)
    assert y.shape == (len(x), 6, 2)
    assert y.dtype == dtype
    for b, history in enumerate(x):
        grown = history
        for h in range(6):
            now = predicted(model, grown)
            assert same([y[b, h]], [now]), (b, h)
            step = now if beside is None else np.concatenate([now, beside[b, h]])
            grown = np.concatenate([grown, step[None]])


def test_a_roll_out_in_float64_numpy():
    """Ten steps of an LSTM by the paper's equations, one sample at a time."""
    model, x = made("last", dtype="float64"), histories(2, "float64")
    kernel, recurrent, bias, out, out_bias = model.get_weights()
    y = model.forecast(x, 10)
    for b, history in enumerate(x):
        h, c = np.zeros(7), np.zeros(7)
        steps, found = list(history), []
        for t in range(len(history) + 9):
            i, f, g, o = np.split(steps[t] @ kernel + h @ recurrent + bias, 4)
            i, f, o = (1 / (1 + np.exp(-v)) for v in (i, f, o))
            c = f * c + i * np.tanh(g)
            h = o * np.tanh(c)
            if t >= len(history) - 1:
                found.append(h @ out + out_bias)
                steps.append(found[-1])
        assert np.abs(np.array(found) - y[b]).max() < 4 * 10 * np.finfo(float).eps * 20


@pytest.mark.parametrize("name", MODELS)
def test_one_answer_on_every_isa_and_any_number_of_threads(name):
    model, x, before = made(name, outputs=4), histories(), lw.cpu.isa()
    call = {"outputs": "gaussian", "paths": 9, "seed": 3}
    expected = model.forecast(x, 12, **call)
    try:
        for isa in lw.cpu.supported():
            lw.cpu.use(isa)
            for threads in (1, 2):
                assert same([model.forecast(x, 12, threads=threads, **call)], [expected]), isa
    finally:
        lw.cpu.use(before)


@pytest.mark.parametrize("call", [{}, {"outputs": "gaussian", "paths": 5, "seed": 1}])
def test_a_history_does_not_hear_of_the_others(call):
    model, x = made(outputs=4 if call else 2), histories()
    alone = model.forecast(x[0][None], 7, **call)
    assert same([model.forecast(x, 7, **call)[:1].copy()], [alone])
    many = model.forecast(np.concatenate([x[0][None], RNG.normal(size=(70, 5, 2)).astype("f")]), 7, **call)
    assert same([many[:1].copy()], [alone])
    assert same([model.forecast(x[0][None], 3, **call)], [alone[:, :3].copy()])


def test_padded_is_ragged():
    model = made()
    x = RNG.normal(size=(3, 4, 2))
    assert same([model.forecast(x, 5)], [model.forecast(lw.Ragged.from_list(list(x)), 5)])
    assert model.forecast(np.zeros((0, 4, 2)), 5).shape == (0, 5, 2)


QUANTILES = [0.1, 0.25, 0.5, 0.9]


@pytest.mark.parametrize("name", ["last", "sequences"])
def test_quantiles_of_the_model_feed_back_the_median(name):
    model, x = made(name, outputs=8), histories()
    y = model.forecast(x, 5, outputs="quantiles", quantiles=QUANTILES)
    assert y.shape == (4, 5, 2, 4)
    for b, history in enumerate(x):
        grown = history
        for h in range(5):
            now = predicted(model, grown).reshape(2, 4)
            assert same([y[b, h]], [now])
            grown = np.concatenate([grown, now[None, :, 2]])


def test_gaussian_without_paths_feeds_back_the_mean():
    model, x = made(outputs=4), histories()
    y = model.forecast(x, 5, outputs="gaussian")
    grown = x[2]
    for h in range(5):
        mean = predicted(model, grown)[:2]
        assert same([y[2, h].copy()], [mean.copy()])
        grown = np.concatenate([grown, mean[None]])


def normal(seed, step, path, stream, feature):
    """The standard normal draw of a uniform one: math.erf inverted by bisection."""
    from math import erf, sqrt

    block = _core.philox(seed, [4 << 21 | feature // 2, step, path, stream])
    low, high = (int(block[0]), int(block[1])) if feature % 2 == 0 else (int(block[2]), int(block[3]))
    u = (((low | high << 32) >> 12) + 0.5) * 2.0**-52
    a, b = -9.0, 9.0
    for _ in range(80):
        middle = (a + b) / 2
        a, b = (middle, b) if (1 + erf(middle / sqrt(2))) / 2 < u else (a, middle)
    return a


@pytest.mark.parametrize("known", [0, 1])
@pytest.mark.parametrize("name", ["last", "sequences", "a mask", "dense"])
def test_paths_against_numpy(name, known):
    """Every path by predict on its own grown history, with draws made anew."""
    model, x = made(name, outputs=4, known=known, dtype="float64"), histories(2 + known, "float64")
    beside = RNG.normal(size=(4, 4, known)) if known else None
    y = model.forecast(x, 4, outputs="gaussian", paths=3, seed=6, known=beside, min_scale=0.25)
    assert y.shape == (4, 4, 2, 3)
    for b in range(4):
        for p in range(3):
            grown = x[b]
            for h in range(4):
                now = predicted(model, grown).reshape(2, 2)
                draws = [normal(6, h, p, b, f) for f in range(2)]
                value = now[0] + (np.log1p(np.exp(now[1])) + 0.25) * draws
                assert np.abs(y[b, h, :, p] - value).max() < 1e-12
                step = y[b, h, :, p] if beside is None else np.concatenate([y[b, h, :, p], beside[b, h]])
                grown = np.concatenate([grown, step[None]])


@pytest.mark.parametrize("paths", [1, 2, 7, 100])
def test_quantiles_of_paths_are_numpys(paths):
    model, x = made(outputs=4, dtype="float64"), histories(2, "float64")
    call = {"outputs": "gaussian", "paths": paths, "seed": 2}
    drawn = model.forecast(x, 6, **call)
    found = model.forecast(x, 6, quantiles=QUANTILES, **call)
    assert found.shape == (4, 6, 2, 4)
    expected = np.moveaxis(np.quantile(drawn, QUANTILES, axis=-1), 0, -1)
    assert np.abs(found - expected).max() < 1e-13


def walk(scale):
    """A model that says: the value stays, the scale is `scale`, for two features."""
    model = Sequential([Input((None, 2)), Dense(4)], dtype="float64")
    model.build()
    kernel = np.zeros((2, 4))
    kernel[0, 0] = kernel[1, 1] = 1
    model.set_weights([kernel, np.array([0, 0] + [np.log(np.expm1(scale))] * 2)])
    return model


def test_paths_are_a_random_walk():
    """Means, variances and correlations of what is known: over time, between features, paths and sequences."""
    drawn = walk(0.5).forecast(np.ones((2, 1, 2)), 20, outputs="gaussian", paths=4000, seed=8)
    steps = np.diff(drawn, axis=1, prepend=1.0) / 0.5  # [B, horizon, F, paths], standard normal
    n = steps.size
    assert abs(steps.mean()) < 5 / n**0.5
    assert abs((steps**2).mean() - 1) < 5 * (2 / n) ** 0.5
    assert abs((steps**4).mean() - 3) < 5 * (96 / n) ** 0.5
    flat = steps.reshape(80, 4000)
    correlation = np.corrcoef(flat) - np.eye(80)
    assert np.abs(correlation).max() < 5.5 / 4000**0.5
    assert abs((flat[:, 1:] * flat[:, :-1]).mean()) < 5 / n**0.5
    low, high = walk(0.5).forecast(np.ones((1, 1, 2)), 16, outputs="gaussian", paths=4000, quantiles=[0.1, 0.9])[
        0, -1, 0
    ]
    assert abs(high - low - 2 * 1.2815515655 * 2) < 0.25  # a deviation of 0.5 * sqrt(16), +- 1.28 of them


def test_more_paths_leave_the_first_as_they_are():
    call = {"outputs": "gaussian", "seed": 8}
    few, many = (walk(1).forecast(np.ones((2, 3, 2)), 5, paths=paths, **call) for paths in (3, 50))
    assert same([many[..., :3].copy()], [few])


def test_seeds():
    call = {"outputs": "gaussian", "paths": 3}
    lw.set_seed(1)
    first, second = (walk(1).forecast(np.ones((1, 1, 2)), 3, **call) for _ in range(2))
    assert not np.array_equal(first, second)


def test_what_is_not_a_number_stays_in_its_path():
    """NaN where a history has it, infinity too: no error, as in predict."""
    x = np.ones((3, 1, 2))
    x[1, 0, 0] = np.nan
    x[2, 0, 0] = np.inf
    call = {"outputs": "gaussian", "paths": 5, "seed": 1}
    y = walk(1).forecast(x, 3, quantiles=[0.2, 0.55], **call)
    assert np.isfinite(y[0]).all()
    assert np.isnan(y[1, 1:, 0]).all()
    assert not np.isfinite(y[2, :, 0]).any()


def test_many_steps_take_no_more_memory():
    model = made()

    def peak(horizon):
        _core.reset_pool_peak()
        before = _core.pool_bytes()
        model.forecast(np.ones((1, 2, 2)), horizon)
        return _core.pool_peak() - before - 8 * horizon

    peak(1000)
    assert peak(100_000) <= peak(1000) + 65536  # blocks are rounded up


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"x": np.ones((2, 3))}, r"x must be \[B, T, F\] or Ragged"),
        ({"x": np.ones((2, 3, 3))}, r"x must be \[N, F\] with the model's features"),
        ({"x": np.ones((2, 0, 2))}, "x must have at least one step in each sequence, got 0"),
        ({"x": lw.Ragged(np.ones((2, 2)), [0, 2, 2])}, "x must have at least one step in each sequence"),
        ({"x": "no"}, "x must hold numbers"),
        ({"horizon": 0}, "forecast: horizon must be a whole number of at least 1, got 0"),
        ({"horizon": 2**32}, r"horizon must be in \[1, 2\^32\)"),
        ({"known": np.ones((2, 3, 2))}, "known must have fewer features than x, 2, got 2"),
        ({"known": np.ones((2, 2, 1))}, r"known must be \[2, 3, K\], got \(2, 2, 1\)"),
        ({"known": np.ones((1, 3, 1))}, r"known must be \[2, 3, K\]"),
        ({"known": np.ones((2, 3, 1))}, "the model must give 1 outputs, 1 for each of 1 features fed back, got N of 2"),
        ({"outputs": "mean"}, "outputs must be values, quantiles or gaussian, got mean"),
        ({"outputs": "gaussian"}, "the model must give 4 outputs, 2 for each of 2 features"),
        ({"outputs": "quantiles"}, "quantiles must hold 0.5"),
        ({"outputs": "quantiles", "quantiles": [0.1, 0.4]}, "quantiles must hold 0.5, the median"),
        ({"outputs": "quantiles", "quantiles": [0.1, 0.5]}, "the model must give 4 outputs, 2 for each of 2 features"),
        ({"outputs": "quantiles", "quantiles": [0.5], "paths": 3}, "paths must be 0 where"),
        ({"quantiles": [0.5]}, "quantiles must be none unless"),
        ({"outputs": "gaussian", "quantiles": [0.5]}, "quantiles must be none unless"),
        ({"quantiles": [0.5, 0.1]}, r"quantiles must rise within \(0, 1\): behind 0.5\d*, got 0.1"),
        ({"quantiles": [0.5, 0.5]}, "quantiles must rise"),
        ({"quantiles": [0, 0.5]}, "quantiles must rise"),
        ({"quantiles": [0.5, 1]}, "quantiles must rise"),
        ({"quantiles": [np.nan]}, "quantiles must rise"),
        ({"quantiles": []}, "quantiles must be a list of levels"),
        ({"quantiles": 0.5}, "quantiles must be a list of levels"),
        ({"paths": 3}, "paths must be 0 where the outputs are no distribution to draw from, got 3"),
        ({"paths": 0}, "forecast: paths must be a whole number of at least 1"),
        ({"outputs": "gaussian", "paths": 2**33}, r"paths must be in \[0, 2\^32\)"),
        ({"min_scale": 0.1}, "min_scale must be 0 without paths"),
        ({"outputs": "gaussian", "paths": 2, "min_scale": -0.1}, "min_scale must be finite and at least 0"),
        ({"min_scale": "no"}, "forecast: min_scale must be a number"),
        ({"seed": 2**64}, r"seed must be in \[0, 2\^64\)"),
        ({"threads": -1}, "forecast: threads must be"),
    ],
)
def test_wrong_arguments(arguments, message):
    model = Sequential([Input((None, 2)), LSTM(3), Dense(2)], name="N")
    with pytest.raises(ValueError, match=message):
        model.forecast(**{"x": np.ones((2, 4, 2)), "horizon": 3, **arguments})


@pytest.mark.parametrize(
    ("layers", "x", "message"),
    [
        ([Input((None, 2)), Bidirectional(LSTM(1)), Dense(2)], np.ones((1, 3, 2)), "bidirectional: cannot step"),
        ([Input((None, 2)), LSTM(2, go_backwards=True)], np.ones((1, 3, 2)), "lstm: cannot step"),
        ([Input((None, 1)), Embedding(5, 3), LSTM(1)], np.ones((1, 3, 1)), "which reads tokens: see generate"),
        ([Input((3,)), Dense(3)], np.ones((1, 3, 3)), "needs a model of sequences"),
    ],
)
def test_models_that_cannot(layers, x, message):
    with pytest.raises(ValueError, match=message):
        Sequential(layers).forecast(x, 3)


# ---- what the loss says ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("around", [lambda loss: loss, lw.losses.Masked], ids=["plain", "masked"])
def test_the_loss_says_what_outputs_are(around, tmp_path):
    model, x = made(features=1, outputs=4), histories(1)
    told = {"outputs": "quantiles", "quantiles": QUANTILES}
    expected = model.forecast(x, 4, **told)
    model.compile(loss=around(lw.losses.Quantile(QUANTILES)))
    assert same([model.forecast(x, 4)], [expected])
    model.save(tmp_path / "m.safetensors")
    assert same([lw.models.load_model(tmp_path / "m.safetensors").forecast(x, 4)], [expected])
    others = [0.2, 0.4, 0.5, 0.6]
    assert same([model.forecast(x, 4, quantiles=others)], [model.forecast(x, 4, **told | {"quantiles": others})])


@pytest.mark.parametrize("around", [lambda loss: loss, lw.losses.Masked], ids=["plain", "masked"])
def test_the_loss_says_the_least_scale(around):
    model, x = made(outputs=4), histories()
    told = {"outputs": "gaussian", "paths": 3, "seed": 5}
    mean = model.forecast(x, 4, outputs="gaussian")
    least, none = (model.forecast(x, 4, min_scale=scale, **told) for scale in (0.5, 0))
    assert not same([least], [none])
    model.compile(loss=around(lw.losses.GaussianNegativeLogLikelihood(0.5)))
    assert same([model.forecast(x, 4)], [mean])
    assert same([model.forecast(x, 4, paths=3, seed=5)], [least])
    assert same([model.forecast(x, 4, **told)], [least])
    assert same([model.forecast(x, 4, paths=3, seed=5, min_scale=0)], [none])


def test_what_is_said_wins_over_the_loss():
    model, x = made(), histories()
    expected = model.forecast(x, 4)
    for loss in (lw.losses.Quantile([0.1, 0.5]), lw.losses.GaussianNegativeLogLikelihood()):
        model.compile(loss=loss)
        assert same([model.forecast(x, 4, outputs="values")], [expected])
    model.compile(loss=lw.losses.StudentTNegativeLogLikelihood())
    assert same([model.forecast(x, 4)], [expected])


def test_quantiles_of_the_loss_without_a_median():
    model = made(features=1, outputs=2)
    model.compile(loss=lw.losses.Quantile([0.1, 0.9]))
    with pytest.raises(ValueError, match=r"quantiles must hold 0\.5, the median"):
        model.forecast(histories(1), 3)
