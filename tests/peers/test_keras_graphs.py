"""Functional models beside Keras on torch, in float64: ten steps of training, figures, masks through merging layers."""

import numpy as np
import pytest
import torch

from latchwork import layers, optimizers
from latchwork.models import Model
from peers.keras_adapter import IGNORED, keras, numbers

pytestmark = [pytest.mark.filterwarnings(warning) for warning in IGNORED]
B, T = 6, 5


def multi_task(L):
    """Three branches, three tasks, skip connections."""
    series, table, tokens = (
        L.Input((T, 2), name="series"), L.Input((3,), name="table"), L.Input((T,), name="tokens"),
    )  # fmt: skip
    words = L.GRU(3, name="gru")(L.Embedding(6, 3, name="embedding")(tokens))
    values = L.LSTM(3, name="lstm")(series)
    merged = L.Concatenate(name="join")([values, words, L.Dense(3, name="side")(table)])
    peak = L.Maximum(name="peak")([values, words])
    return [series, table, tokens], [
        L.Dense(1, name="price")(merged),
        L.Dense(2, activation="sigmoid", name="up")(L.Multiply(name="product")([peak, values])),
        L.Dense(3, activation="softmax", name="kind")(L.Average(name="mean")([merged, merged])),
    ]


def encoder_decoder(L):
    source, target = L.Input((T, 2), name="source"), L.Input((T, 3), name="target")
    encoded, h, c = L.LSTM(4, return_state=True, name="encoder")(source)
    decoder = L.LSTM(4, return_sequences=True, name="decoder")
    y = decoder(target, initial_state=[h, c])
    return [source, target], [L.Dense(2, name="out")(y), L.Dense(1, name="code")(encoded)]


def shared(L):
    """Both questions through one embedding and one recurrent layer: a siamese network with a dot product."""
    a, b = L.Input((T,), name="a"), L.Input((T,), name="b")
    embedding, lstm = L.Embedding(6, 3, mask_zero=True, name="embedding"), L.LSTM(4, name="lstm")
    left, right = lstm(embedding(a)), lstm(embedding(b))
    near = L.Dot(1, name="near")([left, right])
    apart = L.Subtract(name="apart")([left, right])
    return [a, b], [L.Dense(1, activation="sigmoid", name="same")(near), L.Dense(2, name="how")(apart)]


def masked(L):
    """Masks through Add and Concatenate, to losses of sequences; one branch of the second has no mask."""
    tokens, series = L.Input((T,), name="tokens"), L.Input((T, 3), name="series")
    words = L.Embedding(6, 3, mask_zero=True, name="embedding")(tokens)
    real = L.Masking(name="masking")(series)
    both = L.Add(name="add")([words, real])
    mixed = L.Concatenate(name="mixed")([words, series])
    ahead = L.Bidirectional(L.GRU(2, return_sequences=True), name="bidirectional")(both)
    return [tokens, series], [
        L.Dense(2, name="tags")(ahead),
        L.Dense(1, name="last")(L.SimpleRNN(3, name="simple_rnn")(mixed)),
        L.Dense(1, name="steps")(L.LSTM(2, return_sequences=True, name="lstm")(mixed)),
    ]


def attention(L):
    """Scores of Dot, weights of softmax, a weighted sum of Dot."""
    x = L.Input((T, 3), name="x")
    states = L.GRU(4, return_sequences=True, name="gru")(x)
    last = L.LSTM(4, name="lstm")(x)
    scores = L.Dot((2, 1), name="scores")([states, last])
    weights = L.Activation("softmax", name="weights")(scores)
    context = L.Dot((1, 1), name="context")([states, weights])
    return [x], [L.Dense(1, name="out")(L.Concatenate(name="both")([context, last])), L.Dense(1, name="more")(context)]


SPARSE = "sparse_categorical_crossentropy"
TASKS = {
    multi_task: ({"price": "mean_squared_error", "up": "binary_crossentropy", "kind": SPARSE},
                 {"price": 1.0, "up": 0.3, "kind": 2.0}),
    encoder_decoder: ({"out": "mean_squared_error", "code": "huber"}, None),
    shared: ({"same": "binary_crossentropy", "how": "mean_absolute_error"}, {"same": 2.0, "how": 0.5}),
    masked: ({"tags": "mean_squared_error", "last": "mean_squared_error", "steps": "mean_absolute_error"}, None),
    attention: ({"out": "mean_squared_error", "more": "mean_squared_error"}, None),
}  # fmt: skip


def pair(make, rng):
    """The graph in both libraries, with the same random weights, layer by layer."""
    inputs, outputs = make(keras.layers)
    theirs = keras.Model(inputs, outputs) if len(outputs) > 1 else keras.Model(inputs[0], outputs[0])
    inputs, outputs = make(layers)
    ours = Model(inputs, outputs, dtype="float64")
    ours.build()
    for layer in ours.layers:
        if layer.variables:
            weights = [rng.normal(size=variable.shape) * 0.5 for variable in layer.variables]
            layer.set_weights(weights)
            theirs.get_layer(layer.name).set_weights(weights)
    return ours, theirs


def batch(ours, theirs, losses, rng):
    x = []
    for symbol in theirs.inputs:
        tokens = len(symbol.shape) == 2 and symbol.shape[1] == T
        part = rng.integers(0, 6, (B, T)) if tokens else rng.normal(size=(B, *symbol.shape[1:]))
        if not tokens and part.ndim == 3:
            part[rng.random((B, T)) < 0.2] = 0
        part[:, 0] = 1  # a row without a real step has no output to learn from
        x.append(part)
    y = []
    for name, symbol in zip(ours.output_names, theirs.outputs, strict=True):
        shape = (B, *symbol.shape[1:])
        y.append(
            rng.integers(0, shape[-1], shape[:-1]) if losses[name].startswith("sparse")
            else rng.integers(0, 2, shape) if losses[name] == "binary_crossentropy" else rng.normal(size=shape)
        )  # fmt: skip
    return x, y


@pytest.mark.parametrize("make", TASKS)
def test_ten_steps_of_training(make):
    losses, weights = TASKS[make]
    rng = np.random.default_rng(8)
    ours, theirs = pair(make, rng)
    theirs.compile(keras.optimizers.Adam(0.05), losses, loss_weights=weights, jit_compile=False)
    ours.compile(optimizers.Adam(0.05), losses, loss_weights=weights)
    for step in range(10):
        x, y = batch(ours, theirs, losses, rng)
        with torch.no_grad():
            expected = theirs([torch.tensor(part) for part in x], training=False)
        for mine, wanted in zip(ours.predict(x), expected, strict=True):
            np.testing.assert_allclose(mine, numbers(wanted), rtol=1e-8, atol=1e-9, err_msg=f"step {step}")
        wanted = theirs.train_on_batch(x, y, return_dict=True)
        theirs.reset_metrics()
        found = ours.train_on_batch(x, y, return_dict=True)
        assert sorted(found) == sorted(wanted)
        for name, value in wanted.items():
            np.testing.assert_allclose(found[name], float(value), rtol=1e-8, err_msg=f"step {step}: {name}")
    for layer in ours.layers:
        if layer.variables:
            their_weights = theirs.get_layer(layer.name).weights
            for mine, wanted in zip(layer.get_weights(), their_weights, strict=True):
                np.testing.assert_allclose(mine, numbers(wanted.value), rtol=1e-7, atol=1e-8)


def test_sample_weights():
    """A weight a sample for each output; losses, figures and trained weights."""
    losses, weights = TASKS[multi_task]
    rng = np.random.default_rng(4)
    ours, theirs = pair(multi_task, rng)
    theirs.compile(keras.optimizers.SGD(0.1), losses, loss_weights=weights, jit_compile=False)
    ours.compile(optimizers.SGD(0.1), losses, loss_weights=weights)
    for step in range(5):
        x, y = batch(ours, theirs, losses, rng)
        given = [rng.random(B) * 2 for _ in y]
        wanted = theirs.train_on_batch(x, y, sample_weight=given, return_dict=True)
        theirs.reset_metrics()
        found = ours.train_on_batch(x, y, sample_weight=given, return_dict=True)
        for name, value in wanted.items():
            np.testing.assert_allclose(found[name], float(value), rtol=1e-9, err_msg=f"step {step}: {name}")


@pytest.mark.parametrize("kind", ["labels", "one hot"])
def test_class_weights(kind):
    rng = np.random.default_rng(6)

    def graph(L):
        x = L.Input((3,), name="x")
        return [x], [L.Dense(4, activation="softmax", name="out")(x)]

    ours, theirs = pair(graph, rng)
    loss = SPARSE if kind == "labels" else "categorical_crossentropy"
    theirs.compile(keras.optimizers.SGD(0.5), loss, jit_compile=False)
    ours.compile(optimizers.SGD(0.5), loss)
    x, labels = rng.normal(size=(20, 3)), rng.integers(0, 4, 20)
    y = labels if kind == "labels" else np.eye(4)[labels]
    given = {0: 0.5, 2: 3.0}
    for _ in range(3):
        wanted = theirs.train_on_batch(x, y, class_weight=given)
        theirs.reset_metrics()
        np.testing.assert_allclose(ours.train_on_batch(x, y, class_weight=given), float(wanted), rtol=1e-7)


def test_names_of_figures():
    losses, weights = TASKS[multi_task]
    rng = np.random.default_rng(1)
    ours, theirs = pair(multi_task, rng)
    metrics = {"price": ["mae", "mse"], "kind": ["accuracy"]}
    for model, kind in ((ours, optimizers), (theirs, keras.optimizers)):
        model.compile(kind.SGD(0.0), losses, metrics=metrics, loss_weights=weights)
    x, y = batch(ours, theirs, losses, rng)
    found = ours.fit(x, y, batch_size=B, verbose=0, validation_data=(x, y)).history
    wanted = theirs.fit(x, y, batch_size=B, verbose=0, validation_data=(x, y)).history
    assert sorted(found) == sorted(wanted)
    for name, [value] in wanted.items():
        np.testing.assert_allclose(found[name], [value], rtol=1e-8, err_msg=name)


@pytest.mark.parametrize("name", ["Add", "Multiply", "Average", "Maximum", "Minimum", "Concatenate", "Subtract"])
@pytest.mark.parametrize("known", [(True, True), (True, False), (False, False)])
def test_masks_of_merging_layers(name, known):
    rng = np.random.default_rng(2)
    x = [rng.normal(size=(2, 3, 2)) for _ in known]
    masks = [rng.random((2, 3)) < 0.5 if has else None for has in known]
    wanted = getattr(keras.layers, name)().compute_mask(
        [torch.tensor(part) for part in x], [None if mask is None else torch.tensor(mask) for mask in masks]
    )
    found = getattr(layers, name)().compute_mask(x, masks)
    assert (wanted is None) == (found is None)
    if wanted is not None:
        np.testing.assert_array_equal(found, wanted.numpy())
