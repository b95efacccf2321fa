"""Every layer where a batch has hardly anything: one step, one feature, one unit, one sample or none, no real step."""

import numpy as np
import pytest

import latchwork as lw
from latchwork import layers
from latchwork.testing import check_gradients

RNG = np.random.default_rng(0)
RECURRENT = {
    f"{kind.__name__}, {sequences=}, {backwards=}": (
        lambda kind=kind, sequences=sequences, backwards=backwards: kind(
            1, return_sequences=sequences, go_backwards=backwards
        )
    )
    for kind in (layers.LSTM, layers.GRU, layers.SimpleRNN)
    for sequences in (False, True)
    for backwards in (False, True)
}
ON_RAGGED = {
    **RECURRENT,
    "Bidirectional": lambda: layers.Bidirectional(layers.LSTM(1, return_sequences=True)),
    "RNN": lambda: layers.RNN([layers.LSTMCell(1), layers.GRUCell(2)]),
    "Dense": lambda: layers.Dense(1, "softmax"),
    "TimeDistributed": lambda: layers.TimeDistributed(layers.Dense(1)),
    "LayerNormalization": layers.LayerNormalization,
    "BatchNormalization": layers.BatchNormalization,
    "Normalization": lambda: layers.Normalization(mean=0.5, variance=2.0),
    "Conv1D, same": lambda: layers.Conv1D(1, 3, padding="same"),
    "Conv1D, causal": lambda: layers.Conv1D(1, 3, padding="causal"),
    "MaxPooling1D, same": lambda: layers.MaxPooling1D(3, strides=1, padding="same"),
    "AveragePooling1D, same": lambda: layers.AveragePooling1D(3, strides=1, padding="same"),
    "GlobalMaxPooling1D": layers.GlobalMaxPooling1D,
    "GlobalAveragePooling1D": lambda: layers.GlobalAveragePooling1D(keepdims=True),
    "Masking": layers.Masking,
    "Dropout": lambda: layers.Dropout(0.5),
    "SpatialDropout1D": lambda: layers.SpatialDropout1D(0.5),
    "GaussianNoise": lambda: layers.GaussianNoise(0.5),
    "Activation": lambda: layers.Activation("tanh"),
}
EVERY = {
    **ON_RAGGED,
    "Conv1D, valid": lambda: layers.Conv1D(1, 1),
    "Conv1D, strides": lambda: layers.Conv1D(1, 2, strides=2, padding="same"),
    "MaxPooling1D": lambda: layers.MaxPooling1D(1),
    "AveragePooling1D": lambda: layers.AveragePooling1D(1),
    "Flatten": layers.Flatten,
    "Reshape": lambda: layers.Reshape((-1,)),
    "Permute": lambda: layers.Permute((2, 1)),
}
MERGING = ["Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum", "Concatenate"]


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 1, 3), (2, 1, 1), (1, 5, 1), (3, 4, 2), (0, 3, 2)])
@pytest.mark.parametrize("name", EVERY)
def test_gradients_of_small_batches(name, shape):
    check_gradients(EVERY[name](), shape, seed=3)
    if EVERY[name]().takes_mask:
        for mask in (np.zeros(shape[:2], bool), RNG.random(shape[:2]) < 0.5):
            check_gradients(EVERY[name](), shape, mask=mask, seed=3)


@pytest.mark.parametrize("lengths", [[0], [0, 0], [2, 0, 1], [1], []])
@pytest.mark.parametrize("name", ON_RAGGED)
def test_gradients_of_short_sequences(name, lengths):
    values = RNG.normal(size=(sum(lengths), 2))
    check_gradients(ON_RAGGED[name](), x=lw.Ragged(values, np.cumsum([0, *lengths])), seed=3)


@pytest.mark.parametrize("shape", [(1, 1, 1), (0, 3, 2), (2, 1, 1)])
@pytest.mark.parametrize("name", MERGING)
def test_merging(name, shape):
    check_gradients(getattr(layers, name)(), [shape, shape], seed=3)


@pytest.mark.parametrize("shape", [(2, 0, 3), (0, 0, 3)])
@pytest.mark.parametrize("name", sorted({*EVERY} - {"Flatten", "Reshape", "Permute", "Conv1D, valid"}))
def test_sequences_without_steps(name, shape):
    """As in a Ragged: y has no steps, or is what no real step gives; gradients of what is not there are none."""
    layer = EVERY[name]()
    layer.build((None, None, 3))
    if name in ("MaxPooling1D", "AveragePooling1D"):
        with pytest.raises(ValueError, match=r"pooling1d: x must have at least 1 steps, got \(B, 0, 3\)$"):
            layer(np.ones(shape))
        return
    y, ctx = layer.forward(np.ones(shape))
    assert y.shape == (shape[0], *(n for n in layer.y_shape((0, 3))))
    assert np.isfinite(y).all()
    dx = layer.backward(ctx, np.ones_like(y))
    assert dx.shape == shape
    assert all(np.isfinite(variable.gradient).all() for variable in layer.variables)


@pytest.mark.parametrize("name", ["Conv1D, strides", "Conv1D, same", "MaxPooling1D", "AveragePooling1D"])
def test_a_model_predicts_nothing_for_no_samples(name):
    """An empty batch has the steps of any other: what stands behind reads its shape."""
    model = lw.models.Sequential([lw.layers.Input((6, 2)), EVERY[name](), layers.Flatten(), layers.Dense(3)])
    assert model.predict(np.ones((0, 6, 2))).shape == (0, 3)
