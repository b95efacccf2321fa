"""Attention layers beside Keras on torch, in float64: outputs, scores, every gradient, masks, graphs that train."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from latchwork import layers
from latchwork.models import Model
from peers.keras_adapter import IGNORED, keras, share_weights, tensor
from peers.test_keras_live import FLAGS, SEEDS, close

pytestmark = [pytest.mark.filterwarnings(warning) for warning in IGNORED]
B, TQ, TV = 3, 4, 6


@st.composite
def attending(draw):
    """(class, its arguments in both libraries)."""
    kind = draw(st.sampled_from(["Attention", "AdditiveAttention", "MultiHeadAttention"]))
    if kind == "Attention":
        return kind, {"use_scale": draw(FLAGS), "score_mode": draw(st.sampled_from(["dot", "concat"]))}
    if kind == "AdditiveAttention":
        return kind, {"use_scale": draw(FLAGS)}
    return kind, {
        "num_heads": draw(st.integers(1, 3)), "key_dim": draw(st.integers(1, 4)),
        "value_dim": draw(st.sampled_from([None, 3])), "use_bias": draw(FLAGS),
        "output_shape": draw(st.sampled_from([None, 5])),
    }  # fmt: skip


def masks(rng):
    """Of queries and values; each query may read the first value."""
    query, value = rng.random((B, TQ)) < 0.7, rng.random((B, TV)) < 0.6
    value[:, 0] = True
    return query, value


def call_keras(theirs, kind, leaves, mask, causal):
    """(y, scores)."""
    options = {"return_attention_scores": True, "use_causal_mask": causal}
    if kind != "MultiHeadAttention":
        given = None if mask is None else [tensor(mask[0]).bool(), tensor(mask[1]).bool()]
        return theirs(leaves, mask=given, **options)
    if mask is not None:  # what the masks of its inputs would make of it, but for masked queries
        options["attention_mask"] = tensor(np.broadcast_to(mask[1][:, None, :], (B, TQ, TV))).bool()
    query, value, *key = leaves
    return theirs(query, value, *key, **options)


@given(attending(), st.integers(1, 4), FLAGS, FLAGS, FLAGS, SEEDS)
def test_layers(described, features, with_key, causal, masked, seed):
    kind, options = described
    rng = np.random.default_rng(seed)
    shapes = [(B, TQ, features), (B, TV, 3 if with_key else features), (B, TV, features)][: 3 if with_key else 2]
    x = [rng.normal(size=shape) for shape in shapes]
    mask = masks(rng) if masked else None
    theirs = getattr(keras.layers, kind)(dtype="float64", **options)
    leaves = [tensor(part) for part in x]
    for leaf in leaves:
        leaf.requires_grad_(True)
    call_keras(theirs, kind, leaves, mask, causal)
    ours = getattr(layers, kind)(dtype="float64", use_causal_mask=causal, return_attention_scores=True, **options)
    ours.build([(None, *shape[1:]) for shape in shapes])
    assert [v.shape for v in ours.variables] == [tuple(w.shape) for w in theirs.weights]
    assert [v.key.split("/")[-1] for v in ours.variables] == [w.name for w in theirs.weights]
    if ours.variables:
        share_weights(ours, theirs, rng)
    y, scores = call_keras(theirs, kind, leaves, mask, causal)
    (our_y, our_scores), ctx = ours.forward(x, mask=None if mask is None else [*mask, *[None] * with_key])
    # Keras has scores of masked queries too, and of heads a y that is not 0.
    rows = np.ones((B, TQ), bool) if mask is None else mask[0]
    weight = rng.normal(size=our_y.shape) * rows[..., None]
    of_scores = rng.normal(size=our_scores.shape) * rows.reshape(B, *[1] * (our_scores.ndim - 3), TQ, 1)
    close("y", our_y * rows[..., None], y * tensor(rows[..., None]))
    close("scores", our_scores * (of_scores != 0), scores * tensor(of_scores != 0))
    ((y * tensor(weight)).sum() + (scores * tensor(of_scores)).sum()).backward()
    for variable in ours.variables:
        variable.gradient[...] = 0
    dx = ours.backward(ctx, [weight, of_scores])
    for gradient, leaf in zip(dx, leaves, strict=True):
        close("dx", gradient, leaf.grad)
    for variable, parameter in zip(ours.variables, theirs.weights, strict=True):
        close(variable.name, variable.gradient, parameter.value.grad)


def transformer(L):
    """A block of self-attention with a skip connection, then attention from a decoder's steps to an encoder's."""
    source, target = L.Input((TV, 4), name="source"), L.Input((TQ, 4), name="target")
    real = L.Masking(name="masking")(source)
    read = L.Add(name="add")([real, L.MultiHeadAttention(2, 3, name="own")(real, real)])
    steps = L.LSTM(4, return_sequences=True, name="encoder")(read)
    queries = L.LSTM(4, return_sequences=True, name="decoder")(target)
    context = L.Attention(use_scale=True, name="attention")([queries, steps])
    other = L.AdditiveAttention(name="additive")([queries, steps, steps])
    both = L.Concatenate(name="both")([queries, context, other])
    return [source, target], L.Dense(2, name="out")(both)


@given(SEEDS)
def test_graphs_train_alike(seed):
    rng = np.random.default_rng(seed)
    inputs, outputs = transformer(keras.layers)
    theirs = keras.Model(inputs, outputs)
    inputs, outputs = transformer(layers)
    ours = Model(inputs, outputs, dtype="float64")
    ours.build()
    for layer in ours.layers:
        if layer.variables:
            share_weights(layer, theirs.get_layer(layer.name), rng)
    x = [rng.normal(size=(B, TV, 4)), rng.normal(size=(B, TQ, 4))]
    x[0][:, 1:][rng.random((B, TV - 1)) < 0.3] = 0
    y = rng.normal(size=(B, TQ, 2))
    theirs.compile(keras.optimizers.SGD(0.05), "mse")
    ours.compile("sgd", "mse")
    ours.optimizer.learning_rate = 0.05
    for _ in range(5):
        np.testing.assert_allclose(ours.train_on_batch(x, y), float(theirs.train_on_batch(x, y)), rtol=1e-9)
    close("y", ours.predict(x), theirs([tensor(part) for part in x]), 1e-10)
