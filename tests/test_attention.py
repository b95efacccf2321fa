"""Attention layers: formulas, gradients, what masks leave out, one answer, dropout, models and files, messages."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import latchwork as lw
from latchwork.layers import AdditiveAttention, Attention, Dense, Input, Layer, MultiHeadAttention
from latchwork.models import Model, load_model
from latchwork.testing import check_gradients
from problems import DTYPES, ISAS, THREADS, assert_bits, using
from reference import attention as reference

RNG = np.random.default_rng(3)
KINDS = {
    "dot": lambda **o: Attention(**o),
    "scaled": lambda **o: Attention(use_scale=True, **o),
    "concat": lambda **o: Attention(score_mode="concat", **o),
    "scaled concat": lambda **o: Attention(True, "concat", **o),
    "additive": lambda **o: AdditiveAttention(**o),
    "plain additive": lambda **o: AdditiveAttention(use_scale=False, **o),
    "heads": lambda **o: MultiHeadAttention(2, 3, **o),
    "wide heads": lambda **o: MultiHeadAttention(3, 2, value_dim=5, use_bias=False, output_shape=4, **o),
}
OPTIONS = {"all": {}, "causal": {"use_causal_mask": True}, "dropout": {"dropout": 0.4}}
SHAPES = {"value": [(2, 4, 3), (2, 5, 3)], "key": [(2, 4, 3), (2, 5, 2), (2, 5, 3)]}
QUERY_MASK = np.array([[True, False, True, True], [True] * 4])
VALUE_MASK = np.array([[False, True, True, False, True], [False] * 5])


def made(kind, shapes, dtype="float64", **options):
    """The layer with random parameters."""
    lw.set_seed(4)
    layer = KINDS[kind](dtype=dtype, seed=7, **options)
    layer.build([(None, *shape[1:]) for shape in shapes])
    rng = np.random.default_rng(11)
    layer.set_weights([rng.normal(size=v.shape) * 0.7 for v in layer.variables])
    return layer


def drawn(shapes, seed=0):
    rng = np.random.default_rng(seed)
    return [rng.normal(size=shape) for shape in shapes]


def expected(kind, layer, query, value, key, reads):
    """y of one sample."""
    numbers = [variable.value for variable in layer.variables]
    if kind.endswith("heads"):
        kernels = numbers[::2] if layer.use_bias else numbers
        biases = numbers[1::2] if layer.use_bias else [np.zeros(k.shape[1:]) for k in kernels]
        if not layer.use_bias:
            biases[3] = np.zeros(kernels[3].shape[2])
        return reference.multi_head(query, key, value, list(zip(kernels, biases, strict=True)), reads)
    score = {
        "dot": reference.dot,
        "scaled": lambda q, k: numbers[0] * sum(q * k),
        "concat": lambda q, k: numbers[0] * sum(np.tanh(q + k)),
        "scaled concat": lambda q, k: numbers[1] * sum(np.tanh(numbers[0] * (q + k))),
        "additive": lambda q, k: sum(numbers[0] * np.tanh(q + k)),
        "plain additive": lambda q, k: sum(np.tanh(q + k)),
    }[kind]
    return reference.attend(query, key, value, score, reads)[0]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("inputs", SHAPES)
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("masked", [False, True])
def test_formula(kind, inputs, causal, masked):
    shapes = SHAPES[inputs]
    layer = made(kind, shapes, use_causal_mask=causal)
    x = drawn(shapes)
    y = layer(x, mask=[QUERY_MASK, VALUE_MASK] if masked else None)
    assert y.shape[1:] == layer.y_shape([shape[1:] for shape in shapes])
    for b in range(2):
        reads = np.tri(4, 5, dtype=bool) if causal else np.ones((4, 5), bool)
        if masked:
            reads = reads & VALUE_MASK[b]
        one = expected(kind, layer, x[0][b], x[1][b], x[-1][b], reads)
        if masked:
            one[~QUERY_MASK[b]] = 0
        np.testing.assert_allclose(y[b], one, rtol=1e-13, atol=1e-14)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("inputs", SHAPES)
@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("mask", [None, [QUERY_MASK, VALUE_MASK], [None, VALUE_MASK]])
def test_gradients(kind, inputs, options, mask):
    found = check_gradients(made(kind, SHAPES[inputs], **OPTIONS[options]), SHAPES[inputs], mask=mask)
    layer = made(kind, SHAPES[inputs])
    assert set(found) == {f"x[{i}]" for i in range(len(SHAPES[inputs]))} | {v.name for v in layer.variables}


def test_gradients_beyond_a_block_and_of_ragged():
    query, value = (lw.Ragged.from_list([RNG.normal(size=(n, 2)) for n in sizes]) for sizes in ((70, 0, 2), (3, 4, 66)))
    for kind in ("dot", "additive", "heads"):
        shapes = [(3, None, 2)] * 2
        check_gradients(made(kind, shapes), x=[query, value])


@pytest.mark.parametrize("kind", ["dot", "additive", "heads"])
def test_scores_and_their_gradient(kind):
    """The second output: weights of real values, rows that sum to 1; its gradient joins that of y."""

    class Both(Layer):
        """Both outputs as one array, for check_gradients."""

        many_inputs, takes_mask = True, True

        def __init__(self, inner):
            super().__init__(dtype="float64")
            self.inner = inner

        def y_shape(self, x_shape):
            return (sum(int(np.prod(shape)) for shape in self.inner.y_shapes(x_shape)),)

        def forward(self, x, *, mask=None, training=True, step=None):
            parts, ctx = self.inner.forward(x, mask=mask, training=training, step=step)
            return np.concatenate([part.reshape(len(part), -1) for part in parts], axis=1), (ctx, parts)

        def backward(self, ctx, dy, *, need_dx=True):
            ctx, parts = ctx
            split = parts[0][0].size
            grads = [dy[:, :split].reshape(parts[0].shape), dy[:, split:].reshape(parts[1].shape)]
            return self.inner.backward(ctx, grads, need_dx=need_dx)

    layer = made(kind, SHAPES["key"], return_attention_scores=True, use_causal_mask=True)
    x, mask = drawn(SHAPES["key"]), [QUERY_MASK, VALUE_MASK]
    check_gradients(Both(layer), x=x, mask=mask)
    y, weights = layer(x, mask=mask)
    assert [y.shape[1:], weights.shape[1:]] == layer.y_shapes([part.shape[1:] for part in x])
    weights = weights.reshape(2, -1, 4, 5)
    reads = np.tri(4, 5, dtype=bool) & VALUE_MASK[:, None] & QUERY_MASK[:, :, None]
    assert not weights[:, 0][~reads].any()
    np.testing.assert_allclose(weights.sum(-1), np.broadcast_to(reads.any(-1)[:, None], weights.shape[:3]), rtol=1e-14)
    ctx = layer.forward(x, mask=mask)[1]
    only = layer.backward(ctx, [None, np.ones_like(layer(x, mask=mask)[1])])
    assert only[1].shape == x[1].shape


def test_nothing_is_read_at_masked_steps():
    """NaN there reaches no output and no gradient."""
    for kind in KINDS:
        layer, x = made(kind, SHAPES["value"]), drawn(SHAPES["value"])
        answers = []
        for filler in (0.0, np.nan):
            query, value = x[0].copy(), x[1].copy()
            query[~QUERY_MASK] = value[~VALUE_MASK] = filler
            for variable in layer.variables:
                variable.gradient[...] = 0
            y, ctx = layer.forward([query, value], mask=[QUERY_MASK, VALUE_MASK])
            dx = layer.backward(ctx, np.ones_like(y))
            answers.append([y, *dx, *(variable.gradient.copy() for variable in layer.variables)])
        for a, b in zip(*answers, strict=True):
            assert_bits(a, b, kind)
        assert np.isfinite(answers[0][0]).all()


@given(
    st.sampled_from(sorted(KINDS)), st.sampled_from(DTYPES), st.booleans(), st.integers(0, 2**16),
    st.lists(st.tuples(st.integers(0, 80), st.integers(0, 80)), min_size=1, max_size=4),
)  # fmt: skip
def test_one_answer(kind, dtype, causal, seed, lengths):
    """A sample's bits: alone, in a batch, padded before or behind, with holes, Ragged; weights' for any threads."""
    rng = np.random.default_rng(seed)
    shapes = [(1, None, 3), (1, None, 3)]
    layer = made(kind, shapes, dtype, use_causal_mask=causal)
    pairs = [[rng.normal(size=(n, 3)).astype(dtype) for n in pair] for pair in lengths]
    seeds = [rng.normal(size=(len(q), layer.y_shape([(1, 3)] * 2)[-1])).astype(dtype) for q, _ in pairs]
    with using(threads=1):
        alone = []
        for (q, v), dy in zip(pairs, seeds, strict=True):
            y, ctx = layer.forward([q[None], v[None]])
            alone.append((y[0], *(d[0] for d in layer.backward(ctx, dy[None]))))
    ragged = [lw.Ragged.from_list([pair[i] for pair in pairs]) for i in range(2)]
    with using(threads=2):
        y, ctx = layer.forward(ragged)
        of_batch = (y, *layer.backward(ctx, lw.Ragged(np.concatenate(seeds), y.offsets)))
    for b, one in enumerate(alone):
        for part, whole in zip(one, of_batch, strict=True):
            assert_bits(whole[b], part, kind)
    padded, masks = [], []
    for i in range(2):  # behind queries and values alike; holes as well where no place is counted
        most = max(len(pair[i]) for pair in pairs) + int(rng.integers(0, 20))
        real = np.zeros((len(pairs), most), bool)
        x = rng.normal(size=(len(pairs), most, 3)).astype(dtype)
        for b, pair in enumerate(pairs):
            n = len(pair[i])
            real[b, np.arange(n) if causal else np.sort(rng.permutation(most)[:n])] = True
            x[b, real[b]] = pair[i]
        padded.append(x)
        masks.append(real)
    y = layer(padded, mask=masks)
    for b, one in enumerate(alone):
        assert_bits(y[b, masks[0][b]], one[0], kind)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_isas_and_threads(kind, dtype):
    shapes = [(3, 67, 9), (3, 70, 9)]
    x = [part.astype(dtype) for part in drawn(shapes)]
    mask = [None, RNG.random((3, 70)) < 0.7]
    answers = []
    for isa in ISAS:
        for threads in THREADS:
            with using(isa=isa, threads=threads):
                layer = made(kind, shapes, dtype, dropout=0.3, use_causal_mask=True)
                for variable in layer.variables:
                    variable.gradient[...] = 0
                y, ctx = layer.forward(x, mask=mask, step=5)
                dx = layer.backward(ctx, np.ones_like(y))
                answers.append([y, *dx, *(variable.gradient.copy() for variable in layer.variables)])
    for other in answers[1:]:
        for a, b in zip(answers[0], other, strict=True):
            assert_bits(b, a, kind)


def test_dropout_hangs_on_sample_query_head_and_value_alone():
    for kind in ("dot", "heads"):
        layer = made(kind, [(1, None, 3)] * 2, dropout=0.5)
        x = drawn([(3, 6, 3), (3, 20, 3)])
        whole = layer.forward(x, step=2)[0]
        short = layer.forward([x[0][:2, :4], x[1][:2]], step=2)[0]
        assert_bits(short, whole[:2, :4], kind)
        real = np.arange(20) < np.array([[20], [9], [13]])
        padded = layer.forward(x, mask=[None, real], step=2)[0]
        ragged = layer.forward(
            [lw.Ragged.from_list(list(x[0])), lw.Ragged.from_list([v[r] for v, r in zip(x[1], real, strict=True)])],
            step=2,
        )[0]
        assert_bits(ragged.values.reshape(padded.shape), padded, kind)
        assert not np.array_equal(layer.forward(x, step=3)[0], whole)
        np.testing.assert_array_equal(layer(x), made(kind, [(1, None, 3)] * 2)(x))


def test_dropout_of_parts_of_a_batch_and_of_still_passes():
    """A part of a batch draws what it does in the whole; backward through inference draws nothing."""
    layer, x = made("dot", [(1, None, 3)] * 2, dropout=0.5), drawn([(3, 6, 3), (3, 20, 3)])
    whole = layer.forward(x, step=2)[0]
    layer.passing = layer.passing._replace(first=1)
    assert_bits(layer.forward([part[1:] for part in x], step=2)[0], whole[1:], "part")
    layer.passing = layer.passing._replace(first=0, still=True)
    assert_bits(layer.forward(x, step=2)[0], layer(x), "still")
    assert not layer.by_step


def test_dropout_drops_its_share():
    layer = Attention(dropout=0.25, return_attention_scores=True, seed=1)
    x = [np.zeros((8, 40, 1)), np.ones((8, 50, 1))]
    (y, weights), _ = layer.forward(x, training=True, step=0)
    kept = y.mean()  # the mean of weights divided by 0.75, or 0
    assert abs(kept - 1) < 0.02
    assert y.std() > 0.05
    np.testing.assert_allclose(weights, 0.02, rtol=1e-6)  # before dropout


def graph(dtype="float32", **options):
    query, value = Input((None, 4), name="query"), Input((None, 3), name="value")
    key = Dense(4)(value)
    seen = Attention(use_scale=True, name="seen", **options)([query, value, key])
    both, weights = MultiHeadAttention(2, 3, return_attention_scores=True, name="heads")(seen, value)
    own = MultiHeadAttention(1, 2, use_causal_mask=True, name="own")(both, both)
    mixed = AdditiveAttention(name="mixed")([own, seen])
    model = Model([query, value], [Dense(1, name="out")(mixed), weights], dtype=dtype)
    model.compile("adam", {"out": "mse"})
    return model


def test_models_train_and_come_back_from_files(tmp_path, capsys):
    lw.set_seed(0)
    model = graph(dropout=0.2)
    x, y = [RNG.normal(size=(12, 5, 4)), RNG.normal(size=(12, 7, 3))], {"out": RNG.normal(size=(12, 5, 1))}
    first = model.fit(x, y, epochs=20, verbose=0).history["loss"]
    assert first[-1] < 0.9 * first[0]
    assert [v.name for v in model.layers[2].variables][:2] == ["heads/query/kernel", "heads/query/bias"]
    path = tmp_path / "m.safetensors"
    model.save(path)
    again = load_model(path)
    for a, b in zip(model.predict(x), again.predict(x), strict=True):
        np.testing.assert_array_equal(a, b)
    assert model.predict(x)[1].shape == (12, 2, 5, 7)
    histories = [each.fit(x, y, epochs=2, verbose=0).history for each in (model, again)]
    assert histories[0] == histories[1]
    model.summary()
    assert "heads (MultiHeadAttention)" in capsys.readouterr().out


def test_ragged_of_different_lengths_in_a_model():
    query, value = Input((None, 3)), Input((None, 3))
    model = Model([query, value], Attention()([query, value]))
    x = [lw.Ragged.from_list([RNG.normal(size=(n, 3)) for n in sizes]) for sizes in ((2, 5), (4, 1))]
    y = model.predict(x)
    assert y.lengths.tolist() == [2, 5]
    np.testing.assert_array_equal(y[1], Attention()([x[0][1][None], x[1][1][None]])[0])
    padded = model.predict([part.to_padded() for part in x])
    assert padded.shape == (2, 5, 3)


def test_masks_flow():
    tokens, words = Input((None,)), Input((None,))
    query = lw.layers.Embedding(9, 3, mask_zero=True)(tokens)
    value = lw.layers.Embedding(9, 3, mask_zero=True)(words)
    model = Model([tokens, words], lw.layers.GlobalAveragePooling1D()(Attention()([query, value])))
    a, b = np.array([[1, 2, 0, 0]]), np.array([[3, 4, 5, 0, 0, 0]])
    np.testing.assert_array_equal(model.predict([a, b]), model.predict([a[:, :2], b[:, :3]]))


def test_a_layer_of_your_own_with_several_inputs_and_weights():
    class Weighed(Layer):
        many_inputs = True

        def build(self, input_shape):
            self.factor = self.add_weight([len(input_shape), input_shape[0][-1]], "ones", name="factor")

        def y_shape(self, x_shape):
            return x_shape[0]

        def forward(self, x, *, training=True, step=None):
            return sum(part * factor for part, factor in zip(x, self.factor.value, strict=True)), x

        def backward(self, ctx, dy, *, need_dx=True):
            for i, part in enumerate(ctx):
                self.factor.gradient[i] += (part * dy).sum(axis=0)
            return [dy * factor for factor in self.factor.value]

    assert set(check_gradients(Weighed(), [(3, 2)] * 3)) == {"x[0]", "x[1]", "x[2]", "weighed/factor"}
    a, b = Input((2,)), Input((2,))
    model = Model([a, b], Weighed()([a, b]))
    assert model.predict([np.ones((1, 2)), np.ones((1, 2))]).tolist() == [[2, 2]]

    class Wrong(Weighed):
        def backward(self, ctx, dy, *, need_dx=True):
            return super().backward(ctx, dy, need_dx=need_dx)[::-1]

    layer = Wrong(dtype="float64")
    layer.build([(None, 2)] * 2)
    layer.set_weights([np.array([[1.0, 2.0], [3.0, 4.0]])])
    with pytest.raises(AssertionError, match=r"the gradient of x\[0\] is wrong"):
        check_gradients(layer, [(3, 2)] * 2)


X = [np.ones((2, 4, 3)), np.ones((2, 5, 3))]
RAGGED = lw.Ragged.from_list([np.ones((2, 3))] * 2)
WRONG = {
    "score_mode": (lambda: Attention(score_mode="sum"), "score_mode"),
    "dropout": (lambda: Attention(dropout=1.0), r"Attention: dropout must be in \[0, 1\), got 1.0"),
    "seed": (lambda: AdditiveAttention(seed=-1), "AdditiveAttention: seed must be"),
    "flag": (lambda: Attention(use_causal_mask=1), "Attention: use_causal_mask must be True or False"),
    "heads": (lambda: MultiHeadAttention(0, 2), "MultiHeadAttention: num_heads must be"),
    "gate": (lambda: MultiHeadAttention(1, 2, use_gate=True), "use_gate must be False"),
    "one": (lambda: Attention()(X[0]), r"attention: x must be a list \[query, value\]"),
    "four": (lambda: Attention()(X * 2), "attention: x must be a list .* got 4"),
    "rank": (lambda: Attention()([np.ones((2, 3)), X[1]]), r"x: query must be \(B, T, F\)"),
    "features": (lambda: Attention()([np.ones((2, 4, 2)), X[1]]), "query and key must have as many features"),
    "key": (lambda: Attention()([*X, np.ones((2, 4, 3))]), "value and key must have the same steps"),
    "samples": (lambda: Attention()([X[0], np.ones((3, 5, 3))]), "as many samples each, got 2, 3"),
    "mask": (lambda: Attention()(X, mask=np.ones((2, 5), bool)), "mask must be a list"),
    "mask shape": (lambda: Attention()(X, mask=[None, np.ones((2, 4), bool)]), r"mask must be bool of shape \(2, 5\)"),
    "built": (lambda: made("additive", [(2, 4, 2)] * 2)(X), "query must have 2 features, got 3"),
    "heads built": (lambda: made("heads", SHAPES["value"])([X[0], np.ones((2, 5, 2))]), "x: key must have 3 features"),
    "no value": (lambda: MultiHeadAttention(1, 2)(X[0], None, X[1]), "value must be given"),
    "scores": (lambda: Attention(return_attention_scores=True)([RAGGED, RAGGED]), "needs arrays, got a Ragged"),
    "dy": (lambda: backward(Attention(), np.ones((2, 5, 3))), r"dy must have the shape of y, \(2, 4, 3\)"),
    "dys": (lambda: backward(Attention(return_attention_scores=True), X[0]), "dy must be 2 arrays"),
    "dscores": (
        lambda: backward(Attention(return_attention_scores=True), [X[0], X[0]]), r"shape of the scores, \(2, 4, 5\)",
    ),
    "build": (lambda: Attention().build((None, 4, 3)), "input_shape must be a list of shapes"),
}  # fmt: skip


def backward(layer, dy):
    return layer.backward(layer.forward(X)[1], dy)


@pytest.mark.parametrize("case", WRONG)
def test_messages(case):
    call, message = WRONG[case]
    with pytest.raises(ValueError, match=message):
        call()
