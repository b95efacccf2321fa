"""model.generate: tokens by the model's own outputs, held to predict and to a sampler written in numpy."""

import numpy as np
import pytest

import latchwork as lw
from latchwork import _core
from latchwork.layers import (
    GRU,
    LSTM,
    RNN,
    Activation,
    Bidirectional,
    Dense,
    Embedding,
    GRUCell,
    Input,
    LSTMCell,
    Masking,
    TimeDistributed,
)
from latchwork.models import Sequential

V = 7
PROMPTS = [[1, 2, 3, 4, 5], [6], [2, 0, 2]]

MODELS = {
    "embedding": lambda: [Input((None,)), Embedding(V, 4), LSTM(9), Dense(V, "softmax")],
    "sequences of logits": lambda: [
        Input((None,)),
        Embedding(V + 2, 4),
        GRU(17, return_sequences=True),
        RNN([LSTMCell(5), GRUCell(4)], return_sequences=True),
        TimeDistributed(Dense(V)),
    ],
    "a mask": lambda: [Input((None,)), Embedding(V, 4, mask_zero=True), LSTM(5), Dense(V), Activation("softmax")],
    "one-hot": lambda: [Input((None, V)), GRU(6, return_sequences=True), Dense(V, "softmax")],
    "one-hot, a mask": lambda: [Input((None, V)), Masking(), GRU(6), Dense(V)],
}


def made(name="embedding", dtype="float32", scale=3.0):
    """Weights large enough that tokens differ, and biases that move a state of zero when x is zero."""
    lw.set_seed(12)
    model = Sequential(MODELS[name](), dtype=dtype)
    model.build()
    *inside, last = (w * scale for w in model.get_weights())
    model.set_weights([*(w + 0.25 * np.cos(np.arange(w.size)).reshape(w.shape) for w in inside), last])
    return model


def scores(model, tokens):
    """What predict makes of tokens [T]: the scores of the next one."""
    x = np.array([tokens]) if model.layers[0].name == "embedding" else np.eye(V)[None, tokens]
    y = model.predict(x)
    return y.reshape(-1, y.shape[-1])[-1]


def uniform(seed, stream, step):
    """The number that a draw hangs on, by the paper's generator."""
    low, high, _, _ = _core.philox(seed, [4 << 21, step, 0, stream])
    return ((int(low) | int(high) << 32) >> 11) * 2.0**-53


def choose(y, u, logits, temperature=1.0, top_k=None, top_p=1.0):
    """The sampler once more: sorted lists, numpy's exp."""
    if temperature == 0:
        return int(np.argmax(y))
    y = y.astype(np.float64)
    with np.errstate(divide="ignore"):
        logit = y if logits else np.log(y)
    weights = np.exp((logit - logit.max()) / temperature)
    best_first = sorted(range(len(y)), key=lambda i: (-y[i], i))[:top_k]
    total, nucleus, together = sum(weights[i] for i in best_first), [], 0.0
    for i in best_first:
        nucleus.append(i)
        together += weights[i]
        if together >= top_p * total:
            break
    kept = sorted(nucleus)
    sums = np.cumsum(weights[kept])
    return kept[int(np.searchsorted(sums, u * sums[-1], side="right"))]


OPTIONS = [
    {},
    {"temperature": 0},
    {"temperature": 0.5, "top_k": 3},
    {"temperature": 2.5, "top_p": 0.7},
    {"top_k": 5, "top_p": 0.5},
]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", MODELS)
def test_tokens_are_those_of_predict_on_all_so_far(name, dtype, options):
    model = made(name, dtype)
    logits = name in ("sequences of logits", "one-hot, a mask")
    tokens = model.generate(PROMPTS, 12, seed=3, **options)
    assert tokens.dtype == np.int64
    assert tokens.shape == (3, 12)
    for stream, prompt in enumerate(PROMPTS):
        so_far = list(prompt)
        for step in range(12):
            so_far.append(choose(scores(model, so_far), uniform(3, stream, step), logits, **options))
        assert tokens[stream].tolist() == so_far[len(prompt) :], stream
    assert len(np.unique(tokens)) > (1 if options.get("temperature") == 0 else 3)  # there is something to tell apart


@pytest.mark.parametrize("name", MODELS)
def test_one_answer_on_every_isa_and_any_number_of_threads(name):
    model, before = made(name), lw.cpu.isa()
    expected = model.generate(PROMPTS, 40, seed=5)
    try:
        for isa in lw.cpu.supported():
            lw.cpu.use(isa)
            for threads in (1, 2):
                assert np.array_equal(model.generate(PROMPTS, 40, seed=5, threads=threads), expected), isa
    finally:
        lw.cpu.use(before)


def test_threads_that_share_a_step():
    lw.set_seed(2)
    model = Sequential([Input((None,)), Embedding(50, 300), LSTM(300), Dense(50)])
    one, two = (model.generate([[3, 4, 5], [6]], 30, seed=1, threads=threads) for threads in (1, 2))
    assert np.array_equal(one, two)


def test_a_prompt_does_not_hear_of_the_others():
    """Stream 0 is stream 0 beside any others, shorter or longer; a prefix of a longer result."""
    model = made()
    alone = model.generate(PROMPTS[1], 20, seed=9)
    assert alone.shape == (20,)
    for others in ([[1]], [[2] * 30, [3]], [[4, 5]] * 70):
        assert np.array_equal(model.generate([PROMPTS[1], *others], 20, seed=9)[0], alone)
    assert np.array_equal(model.generate(PROMPTS[1], 5, seed=9), alone[:5])


def test_forms_of_prompts():
    model = made()
    expected = model.generate([[1, 2], [3, 4]], 5, seed=1)
    ragged = lw.Ragged(np.array([[1.0], [2], [3], [4]]), [0, 2, 4])
    for form in (np.array([[1, 2], [3, 4]], np.int32), ((1, 2), (3, 4)), [np.array([1, 2]), [3, 4]], ragged):
        assert np.array_equal(model.generate(form, 5, seed=1), expected)
    for form in (np.array([1, 2], np.uint8), (1, 2), [1.0, 2.0]):
        assert np.array_equal(model.generate(form, 5, seed=1), expected[0])
    assert model.generate(np.zeros((0, 3), int), 5).shape == (0, 5)


def constant(bias, activation=None):
    """A model that gives the same scores whatever it reads."""
    model = Sequential([Input((None,)), Embedding(len(bias), 1), Dense(len(bias), activation)], dtype="float64")
    model.build()
    model.set_weights([np.zeros_like(w) for w in model.get_weights()[:-1]] + [np.asarray(bias, float)])
    return model


def chi_square(tokens, probabilities):
    """And the value beyond which one in a million good samples lies (Wilson and Hilferty, 1931)."""
    expected = np.asarray(probabilities) * tokens.size
    counts = np.bincount(tokens.ravel(), minlength=len(expected))
    assert not counts[expected == 0].any()
    real = expected > 0
    degrees = real.sum() - 1
    bound = degrees * (1 - 2 / (9 * degrees) + 4.75 * (2 / (9 * degrees)) ** 0.5) ** 3
    return ((counts - expected)[real] ** 2 / expected[real]).sum(), bound


LOGITS = np.array([0.0, 1.5, -1.0, 0.5, 2.0, -1.5])


@pytest.mark.parametrize(
    ("options", "kept"),
    [
        ({}, [0, 1, 2, 3, 4, 5]),
        ({"temperature": 0.5}, [0, 1, 2, 3, 4, 5]),
        ({"temperature": 3}, [0, 1, 2, 3, 4, 5]),
        ({"top_k": 2}, [1, 4]),
        ({"top_k": 5, "temperature": 2}, [0, 1, 2, 3, 4]),
        ({"top_p": 0.78}, [1, 4]),  # 0.489 + 0.297
        ({"top_p": 0.79}, [1, 3, 4]),
        ({"top_p": 0.79, "temperature": 0.9}, [1, 4]),  # 0.526 + 0.302
        ({"top_k": 3, "top_p": 0.5}, [4]),  # 0.547 of the three
    ],
)
@pytest.mark.parametrize("activation", [None, "softmax"])
def test_frequencies(options, kept, activation):
    tokens = constant(LOGITS, activation).generate([[0]] * 20, 1000, seed=11, **options)
    weights = np.where(np.isin(np.arange(6), kept), np.exp(LOGITS / options.get("temperature", 1)), 0)
    if len(kept) > 1:
        found, bound = chi_square(tokens, weights / weights.sum())
        assert found < bound
    assert set(np.unique(tokens)) == set(kept)


def test_draws_are_independent():
    """Of pairs of neighbours, in time and between streams, and between seeds."""
    model = constant([0.0, 0.0, 0.0])
    tokens, others = (model.generate([[0]] * 100, 300, seed=seed) for seed in (0, 1))
    for pairs in (3 * tokens[:, 1:] + tokens[:, :-1], 3 * tokens[1:] + tokens[:-1], 3 * tokens + others):
        found, bound = chi_square(pairs, np.full(9, 1 / 9))
        assert found < bound


def test_the_lower_of_equals():
    tied = constant([0.0, 2.0, 1.0, 2.0, 2.0])
    for options in ({"temperature": 0}, {"top_k": 1}, {"top_p": 1e-300}, {"top_p": 5e-324}, {"top_p": 0.01}):
        assert set(tied.generate([0], 50, seed=1, **options)) == {1}, options
    assert set(tied.generate([0], 200, seed=1, top_k=2)) == {1, 3}
    assert set(tied.generate([0], 200, seed=1, top_p=0.5)) == {1, 3}  # 0.29 each


def test_extremes():
    model = constant(LOGITS)
    free = model.generate([0], 500, seed=2)
    assert np.array_equal(model.generate([0], 500, seed=2, top_k=6, top_p=1.0), free)
    assert np.array_equal(model.generate([0], 500, seed=2, top_k=10**15), free)
    for temperature in (5e-324, 1e-300, 1e-3):
        assert set(model.generate([0], 50, seed=2, temperature=temperature)) == {4}
    even = model.generate([[0]] * 10, 1000, seed=2, temperature=1e300)
    found, bound = chi_square(even, np.full(6, 1 / 6))
    assert found < bound
    tied = constant([1.0, 3.0, 3.0])
    assert set(tied.generate([0], 200, seed=2, temperature=1e-300)) == {1, 2}  # equals stay equal above 0
    silent = constant([-np.inf, 0.0, -np.inf, 0.0])
    assert set(silent.generate([1], 200, seed=2, temperature=9)) == {1, 3}


def test_end():
    model = made()
    free = model.generate(PROMPTS, 40, seed=7)
    end = int(free[0, 6])
    ended = model.generate(PROMPTS, 40, seed=7, end=end)
    for row, whole in zip(ended, free, strict=True):
        first = int(np.argmax(whole == end)) if end in whole else 40
        assert np.array_equal(row[: first + 1], whole[: first + 1])
        assert (row[first:] == end).all()
    assert (ended != free).any()


def test_seeds():
    model = made()
    lw.set_seed(4)
    first, second = model.generate([1], 50), model.generate([1], 50)
    assert not np.array_equal(first, second)
    lw.set_seed(4)
    assert np.array_equal(model.generate([1], 50), first)
    assert not np.array_equal(model.generate([1], 50, seed=1), model.generate([1], 50, seed=2**64 - 1))


def test_said_or_found_whether_logits():
    for activation, logits in ((None, True), ("softmax", False)):
        model = constant(LOGITS, activation)
        found = model.generate([0], 100, seed=1)
        assert np.array_equal(model.generate([0], 100, seed=1, from_logits=logits), found)
    positive = constant([1.0, 2.0, 3.0])
    as_probabilities = positive.generate([[0]] * 10, 1000, seed=1, from_logits=False)
    found, bound = chi_square(as_probabilities, np.array([1, 2, 3]) / 6)
    assert found < bound


def test_what_is_no_score():
    message = "token 0 of prompt 0"
    for bias in ([0.0, np.nan], [0.0, np.inf], [-np.inf, -np.inf]):
        for temperature in (0, 1):
            with pytest.raises(ValueError, match=message):
                constant(bias).generate([0], 3, temperature=temperature)
    for bias in ([0.0, 0.0], [1.0, -1.0]):
        with pytest.raises(ValueError, match=message):
            constant(bias).generate([0], 3, from_logits=False)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"prompt": []}, "prompt must be at least one whole number"),
        ({"prompt": [[]]}, r"prompt\[0\] must be at least one whole number"),
        ({"prompt": np.zeros(0, int)}, "prompt must be at least one whole number"),
        ({"prompt": [[1], 2]}, r"prompt\[1\] must be at least one whole number, \[T\], got 2"),
        ({"prompt": [[0.5]]}, r"prompt\[0\] must be"),
        ({"prompt": [[np.nan]]}, r"prompt\[0\] must be"),
        ({"prompt": np.zeros((2, 3, 1), int)}, r"prompt\[0\] must be"),
        ({"prompt": [True]}, "prompt must be"),
        ({"prompt": "text"}, "prompt must be an array, a list"),
        ({"prompt": 3}, "prompt must be an array, a list"),
        ({"prompt": [[1], [V]]}, rf"prompt must hold tokens in \[0, {V}\), got {V}"),
        ({"prompt": [-1]}, "prompt must hold tokens in"),
        ({"prompt": [2**61]}, "prompt must hold tokens in"),
        ({"prompt": lw.Ragged(np.ones((2, 2)), [0, 2])}, "prompt must be Ragged of one feature"),
        ({"prompt": lw.Ragged(np.ones((2, 1)), [0, 2, 2])}, "prompt must have at least one step in each sequence"),
        ({"n": 0}, "generate: n must be a whole number of at least 1, got 0"),
        ({"n": 2.5}, "generate: n must be"),
        ({"temperature": -1}, "temperature must be finite and at least 0"),
        ({"temperature": np.nan}, "temperature must be finite"),
        ({"temperature": np.inf}, "temperature must be finite"),
        ({"temperature": "hot"}, "generate: temperature must be a number, got 'hot'"),
        ({"top_k": 0}, "generate: top_k must be a whole number of at least 1, got 0"),
        ({"top_p": 0}, r"top_p must be in \(0, 1\], got 0"),
        ({"top_p": 1.5}, "top_p must be in"),
        ({"top_p": np.nan}, "top_p must be in"),
        ({"top_p": True}, "generate: top_p must be a number"),
        ({"seed": -1}, r"seed must be in \[0, 2\^64\)"),
        ({"end": -1}, "generate: end must be a whole number of at least 0"),
        ({"end": V}, rf"end must be a token in \[0, {V}\), or -1, got {V}"),
        ({"from_logits": 1}, "generate: from_logits must be True or False"),
        ({"threads": 0}, "generate: threads must be"),
    ],
)
def test_wrong_arguments(arguments, message):
    model = made()
    call = {"prompt": [1, 2], "n": 3, **arguments}
    with pytest.raises(ValueError, match=message):
        model.generate(**call)


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ([Input((None,)), Embedding(V, 3), LSTM(4), Dense(V + 1)], f"a score for each token it reads, {V} at most"),
        ([Input((None, V)), LSTM(4), Dense(V - 1)], f"a score for each token it reads, {V}, got"),
        ([Input((None,)), Embedding(V, 3), LSTM(V)], "from_logits must be given: the last layer, lstm"),
        ([Input((None,)), Embedding(V, 3), LSTM(4), Dense(V, "sigmoid")], "from_logits must be given: the last layer"),
        ([Input((None,)), Embedding(V, 3), Bidirectional(LSTM(4)), Dense(V)], "bidirectional: cannot step"),
        ([Input((3,)), Dense(3)], "needs a model of sequences"),
        ([Input((None,)), Embedding(V, 3), LSTM(4, return_state=True)], "generate: lstm: several outputs"),
    ],
)
def test_models_that_cannot(layers, message):
    with pytest.raises(ValueError, match=message):
        Sequential(layers).generate([1, 2], 3)


def test_a_model_is_as_it_was():
    """States of stateful layers, and weights."""
    model = Sequential([Input((None,)), Embedding(V, 4), LSTM(5, stateful=True), Dense(V)])
    model.predict(np.ones((2, 3), int))
    expected = model.generate([[1], [2]], 9, seed=1)
    carried = [np.copy(s) for s in model.layers[1].advance(np.ones((1, 1, 4), "f"), training=False)[1]]
    assert np.array_equal(model.generate([[1], [2]], 9, seed=1), expected)
    assert all(
        np.array_equal(a, b)
        for a, b in zip(carried, model.layers[1].advance(np.ones((1, 1, 4), "f"), training=False)[1], strict=True)
    )


def test_many_steps_take_no_more_memory():
    """100,000 tokens: what the pool holds at most is what 1,000 take, but for the result itself."""
    model = made()

    def peak(n):
        _core.reset_pool_peak()
        before = _core.pool_bytes()
        model.generate([1], n, seed=1)
        return _core.pool_peak() - before - 8 * n

    peak(1000)
    assert peak(100_000) <= peak(1000) + 65536  # blocks are rounded up
