"""Normalization, convolution and pools beside Keras on torch, in float64 at 1e-12: outputs and every gradient."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from peers.keras_adapter import IGNORED, here, in_keras, of, share_weights, tensor
from peers.test_keras_live import FLAGS, SEEDS, close

pytestmark = [pytest.mark.filterwarnings(warning) for warning in IGNORED]
EPSILON = st.sampled_from([1e-3, 1e-6, 0.3])


@st.composite
def normalizing(draw):
    kind = draw(st.sampled_from(["LayerNormalization", "BatchNormalization"]))
    more = {"momentum": draw(st.sampled_from([0.99, 0.5, 0.0]))} if kind == "BatchNormalization" else {}
    return of(kind, epsilon=draw(EPSILON), center=draw(FLAGS), scale=draw(FLAGS), **more)


@st.composite
def windowed(draw):
    """A layer of windows, and the fewest steps that it takes."""
    size = draw(st.integers(1, 4))
    kind = draw(st.sampled_from(["Conv1D", "MaxPooling1D", "AveragePooling1D", "Global"]))
    if kind == "Global":
        which = draw(st.sampled_from(["GlobalMaxPooling1D", "GlobalAveragePooling1D"]))
        return of(which, keepdims=draw(FLAGS)), 1
    if kind != "Conv1D":
        strides = draw(st.sampled_from([None, 1, 2, 3]))
        return of(kind, pool_size=size, strides=strides, padding=draw(st.sampled_from(["valid", "same"]))), size
    strides = draw(st.integers(1, 3))
    dilation = draw(st.integers(1, 3)) if strides == 1 else 1  # Keras has one or the other
    return of(
        "Conv1D",
        filters=draw(st.integers(1, 5)),
        kernel_size=size,
        strides=strides,
        dilation_rate=dilation,
        padding=draw(st.sampled_from(["valid", "same", "causal"])),
        activation=draw(st.sampled_from([None, "tanh", "relu", "softmax"])),
        use_bias=draw(FLAGS),
    ), (size - 1) * dilation + 1


def compare(description, x, rng, **call):
    """y, dx and the gradients of parameters in training; then y at inference and all weights."""
    theirs, ours = in_keras(description), here(description)
    leaf = tensor(x)
    theirs(leaf)
    ours(x)
    share_weights(ours, theirs, rng)
    if "BatchNormalization" in description.name:
        weights = ours.get_weights()
        weights[-1] = abs(weights[-1])  # a variance
        ours.set_weights(weights)
        theirs.set_weights(weights)
    training = {"training": True} if description.name == "BatchNormalization" else {}
    given_mask = {"mask": torch.tensor(call["mask"])} if "mask" in call else {}
    wanted = theirs(leaf, **training, **given_mask)
    y, ctx = ours.forward(x, training=True, **call)
    close("y", y, wanted)
    seeds = rng.normal(size=y.shape)
    gradients = torch.autograd.grad(wanted, [leaf, *(v.value for v in theirs.trainable_variables)], torch.tensor(seeds))
    close("dx", ours.backward(ctx, seeds), gradients[0])
    learnt = [variable for variable in ours.variables if variable.trainable]
    for variable, gradient in zip(learnt, gradients[1:], strict=True):
        close(variable.name, variable.gradient, gradient)
    close("y at inference", ours(x, **call), theirs(leaf, **given_mask))
    for variable, weight in zip(ours.variables, theirs.weights, strict=True):
        close(variable.name, variable.value, weight.value)


@given(normalizing(), SEEDS, st.integers(1, 3))
def test_normalization(description, seed, axes):
    rng = np.random.default_rng(seed)
    shape = (rng.integers(2, 5), *rng.integers(1, 6, axes))  # a variance of one row is rounding alone
    compare(description, rng.normal(size=shape) + rng.normal(), rng)


@given(windowed(), SEEDS)
def test_windows(drawn, seed):
    description, least = drawn
    rng = np.random.default_rng(seed)
    compare(description, rng.normal(size=(rng.integers(1, 4), least + rng.integers(0, 7), rng.integers(1, 5))), rng)


@given(SEEDS)
def test_masks(seed):
    """An average of real steps; moments of real steps, where Keras adds 1e-7 to their count."""
    rng = np.random.default_rng(seed)
    x, mask = rng.normal(size=(3, 6, 2)), rng.random((3, 6)) < 0.6
    mask[:, 0] = True  # Keras has NaN where nothing is real
    compare(of("GlobalAveragePooling1D"), x, rng, mask=mask)
    description = of("BatchNormalization", momentum=0.3)
    theirs, ours = in_keras(description), here(description)
    wanted = theirs(tensor(x), training=True, mask=torch.tensor(mask))
    y, _ = ours.forward(x, training=True, mask=mask)
    close("y", y, wanted, 1e-6)
    for variable, weight in zip(ours.variables, theirs.weights, strict=True):
        close(variable.name, variable.value, weight.value, 1e-6)


@given(SEEDS, FLAGS)
def test_adapt(seed, invert):
    rng = np.random.default_rng(seed)
    x = 3 * rng.normal(size=(8, 4, 3)) + 1
    description = of("Normalization", invert=invert)
    theirs, ours = in_keras(description), here(description)
    theirs.adapt(x)
    ours.adapt(x)
    close("y", ours(x), theirs(tensor(x)), 1e-6)  # Keras takes mean and variance in float32


@given(SEEDS)
def test_axes(seed):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(2, 3, 4, 2))
    dims = tuple(int(i) + 1 for i in rng.permutation(3))
    for layer in (of("Permute", dims=dims), of("Reshape", target_shape=(4, -1)), of("Reshape", target_shape=(24,))):
        compare(layer, x, rng)
