"""Conv1D and the pools: a naive float64 reference, gradients, masks, Ragged, bits, bad input."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import latchwork as lw
from latchwork.layers import (
    AveragePooling1D,
    Conv1D,
    Dense,
    Embedding,
    GlobalAveragePooling1D,
    GlobalMaxPooling1D,
    Masking,
    MaxPooling1D,
)
from latchwork.models import Sequential
from latchwork.testing import check_gradients
from layer_checks import assert_same, built
from problems import ISAS, using

RNG = np.random.default_rng(5)
SAME_BITS = [(isa, threads) for isa in ISAS for threads in (1, 3)]


def frame(padding, steps, size, stride, dilation):
    """(windows, steps before the first): the formulas of TensorFlow's documentation of padding."""
    reach = (size - 1) * dilation + 1
    if padding == "valid":
        return (steps - reach) // stride + 1, 0
    outputs = -(-steps // stride)
    return outputs, reach - 1 if padding == "causal" else max((outputs - 1) * stride + reach - steps, 0) // 2


def windows(x, padding, size, stride=1, dilation=1):
    """For each window of one sequence [T, F] the steps that it reads, None for what is not there."""
    outputs, before = frame(padding, len(x), size, stride, dilation)
    for t in range(outputs):
        at = [t * stride - before + k * dilation for k in range(size)]
        yield [x[i] if 0 <= i < len(x) else None for i in at]


def convolved(x, kernel, bias, **how):
    """One sequence [T, F] in float64."""
    rows = [
        bias + sum(s @ kernel[k] for k, s in enumerate(w) if s is not None) for w in windows(x, size=len(kernel), **how)
    ]
    return np.array(rows)


def pooled(x, f, **how):
    return np.array([f([s for s in w if s is not None], axis=0) for w in windows(x, **how)])


HOW = st.fixed_dictionaries(
    {
        "padding": st.sampled_from(["valid", "same", "causal"]),
        "stride": st.integers(1, 3),
        "dilation": st.integers(1, 3),
    }
)


@given(HOW, st.integers(1, 4), st.integers(1, 9), st.sampled_from([1, 3, 17]), st.integers(0, 99))
def test_conv1d(how, size, more, features, seed):
    rng = np.random.default_rng(seed)
    steps = (size - 1) * how["dilation"] + more
    layer = Conv1D(
        4, size, strides=how["stride"], padding=how["padding"], dilation_rate=how["dilation"], dtype="float64"
    )
    layer.build((None, steps, features))
    layer.set_weights([rng.normal(size=v.shape) for v in layer.variables])
    x = rng.normal(size=(3, steps, features))
    wanted = np.array([convolved(row, *layer.get_weights(), **how) for row in x])
    y = layer(x)
    assert y.shape[1:] == layer.y_shape((steps, features))
    np.testing.assert_allclose(y, wanted, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    "options",
    [
        {"padding": "valid"},
        {"padding": "same", "activation": "tanh"},
        {"padding": "causal", "dilation_rate": 2, "use_bias": False},
        {"padding": "same", "strides": 2, "activation": "softmax"},
        {"padding": "valid", "strides": 3, "dilation_rate": 2},
        {"padding": "causal", "strides": 2},
    ],
)
@pytest.mark.parametrize("masked", [False, True])
def test_gradients_of_conv1d(options, masked):
    layer = built(Conv1D(3, 3, dtype="float64", **options), 8, 2)
    mask = RNG.random((3, 8)) > 0.3 if masked else None
    check_gradients(layer, (3, 8, 2), mask=mask)
    if not options.get("strides") and options["padding"] != "valid":
        check_gradients(layer, x=lw.Ragged(RNG.normal(size=(9, 2)), np.array([0, 4, 4, 9])))


@given(
    st.sampled_from(["valid", "same"]),
    st.integers(1, 4),
    st.sampled_from([None, 1, 2, 3]),
    st.integers(0, 6),
    st.integers(0, 99),
)
def test_pooling(padding, size, strides, more, seed):
    x = np.random.default_rng(seed).normal(size=(3, size + more, 5))
    how = {"padding": padding, "size": size, "stride": strides or size}
    for kind, f in ((MaxPooling1D, np.max), (AveragePooling1D, np.mean)):
        layer = kind(size, strides, padding, dtype="float64")
        wanted = np.array([pooled(row, f, **how) for row in x])
        np.testing.assert_allclose(layer(x), wanted, rtol=1e-14)


@pytest.mark.parametrize("kind", [MaxPooling1D, AveragePooling1D])
@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize("strides", [1, 2, 3])
def test_gradients_of_pools(kind, padding, strides):
    mask = RNG.random((3, 7)) > 0.4
    for given_mask in (None, mask):
        check_gradients(kind(3, strides, padding), (3, 7, 4), mask=given_mask)
    if strides == 1 and padding == "same":
        check_gradients(kind(3, strides, padding), x=lw.Ragged(RNG.normal(size=(9, 2)), np.array([0, 4, 4, 9])))


@pytest.mark.parametrize(("kind", "f"), [(GlobalMaxPooling1D, np.max), (GlobalAveragePooling1D, np.mean)])
@pytest.mark.parametrize("keepdims", [False, True])
def test_global_pools(kind, f, keepdims):
    x = RNG.normal(size=(4, 9, 70))
    layer = kind(keepdims=keepdims, dtype="float64")
    np.testing.assert_allclose(layer(x), f(x, axis=1, keepdims=keepdims), rtol=1e-14)
    mask = RNG.random((4, 9)) > 0.5
    mask[1] = False
    wanted = np.array([f(row[real], axis=0) if real.any() else np.zeros(70) for row, real in zip(x, mask, strict=True)])
    y = layer(x, mask=mask)
    np.testing.assert_allclose(y.reshape(4, 70), wanted, rtol=1e-14)
    ragged = lw.Ragged(x[mask], np.concatenate([[0], np.cumsum(mask.sum(axis=1))]))
    assert_same(layer(ragged), y)
    assert layer.compute_mask(x, mask) is None
    for given_mask in (None, mask):
        check_gradients(kind(keepdims=keepdims), x=x[..., :3], mask=given_mask)
    check_gradients(kind(keepdims=keepdims), x=lw.Ragged(ragged.values[:, :3], ragged.offsets))


def test_equal_numbers_and_nan():
    """The first of equal numbers has the gradient; NaN is the largest."""
    layer = MaxPooling1D(3)
    x = np.array([[[2.0, 1.0], [2.0, np.nan], [1.0, 5.0]]], np.float32)
    y, ctx = layer.forward(x)
    assert np.array_equal(y, [[[2.0, np.nan]]], equal_nan=True)
    assert layer.backward(ctx, np.ones_like(y)).tolist() == [[[1, 0], [0, 1], [0, 0]]]


LAYERS = {
    "conv1d": lambda: Conv1D(21, 3, padding="same", activation="tanh"),
    "causal": lambda: Conv1D(4, 3, padding="causal", dilation_rate=3),
    "max": lambda: MaxPooling1D(3, 1, "same"),
    "average": lambda: AveragePooling1D(4, 1, "same"),
    "global max": GlobalMaxPooling1D,
    "global average": GlobalAveragePooling1D,
}


@pytest.mark.parametrize("name", LAYERS)
def test_a_ragged_is_its_padded_form(name):
    """And rows do not depend on each other."""
    lw.set_seed(1)
    layer = LAYERS[name]()
    lengths = [5, 9, 1, 0, 7]
    mask = np.arange(9) < np.array(lengths)[:, None]
    x = RNG.normal(size=(5, 9, 6)).astype(np.float32)  # what is masked is not zero
    ragged = lw.Ragged(x[mask], np.concatenate([[0], np.cumsum(lengths)]))
    y, ctx = layer.forward(x, mask=mask)
    z, ctx_z = layer.forward(ragged)
    sequences = isinstance(z, lw.Ragged)
    assert_same(y[mask] if sequences else y, z.values if sequences else z)
    dy = RNG.normal(size=y.shape).astype(np.float32)
    if sequences:
        dy[~mask] = 0
    dx, dz = layer.backward(ctx, dy), layer.backward(ctx_z, lw.Ragged(dy[mask], z.offsets) if sequences else dy)
    assert_same(dx[mask], dz.values)
    assert not dx[~mask].any()
    assert_same(layer(x[1:2], mask=mask[1:2])[0], y[1])


@pytest.mark.parametrize("name", [*LAYERS, "strides"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_same_bits(name, dtype):
    x = RNG.normal(size=(30, 40, 37)).astype(dtype)

    def answers():
        lw.set_seed(1)
        layer = {**LAYERS, "strides": lambda: Conv1D(5, 4, strides=2)}[name]()
        layer.given_dtype = np.dtype(dtype)
        y, ctx = layer.forward(x)
        dx = layer.backward(ctx, np.cos(np.arange(y.size)).reshape(y.shape).astype(dtype))
        return [y, dx, *(v.gradient for v in layer.variables)]

    wanted = answers()
    for isa, threads in SAME_BITS:
        with using(isa=isa, threads=threads):
            for a, b in zip(answers(), wanted, strict=True):
                assert_same(a, b)


def test_models_with_masks_and_ragged():
    """An Embedding's mask reaches convolution and pool: the padded batch gives what the ragged one gives."""
    model = Sequential(
        [Embedding(7, 4, mask_zero=True), Conv1D(5, 3, padding="same"), GlobalAveragePooling1D(), Dense(2)]
    )
    rows = [[3, 1, 2, 6], [5], [2, 2]]
    padded = np.zeros((3, 6), int)
    for b, row in enumerate(rows):
        padded[b, : len(row)] = row
    y = model.predict(lw.Ragged.from_list([np.array(row)[:, None] for row in rows]))
    assert_same(model.predict(padded[..., None]), y)
    model.compile("adam", "mse")
    model.fit(padded[..., None], np.ones((3, 2)), epochs=1, verbose=0)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Conv1D(0, 3), "Conv1D: filters must be a whole number of at least 1"),
        (lambda: Conv1D(2, (3, 3)), "Conv1D: kernel_size must be a whole number"),
        (lambda: Conv1D(2, 3, padding="full"), "padding"),
        (lambda: Conv1D(2, 3, groups=2), "groups must be 1"),
        (lambda: Conv1D(2, 3, data_format="channels_first"), "data_format must be 'channels_last'"),
        (lambda: Conv1D(2, 3)(np.ones((1, 2, 1))), r"at least 3 steps, got \(B, 2, 1\)"),
        (lambda: Conv1D(2, 3, input_shape=(5,)).build((None, 5)), r"x must be \(B, T, F\)"),
        (lambda: MaxPooling1D(2)(np.ones((1, 2))), r"x must be \(B, T, F\)"),
        (lambda: MaxPooling1D(padding="causal"), "padding"),
        (lambda: AveragePooling1D(2)(lw.Ragged.from_list([np.ones((4, 1))])), "a Ragged x needs padding='same'"),
        (lambda: GlobalMaxPooling1D(keepdims=1), "keepdims must be True or False"),
        (lambda: GlobalMaxPooling1D()(np.ones((1, 2))), r"x must be \(B, T, F\)"),
        (lambda: MaxPooling1D(2)(np.ones((1, 2, 1)), mask=np.ones((1, 3), bool)), "mask must be bool of shape"),
    ],
)
def test_bad_arguments(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize("layer", [Conv1D(2, 2), MaxPooling1D(2), GlobalAveragePooling1D()])
def test_dy_of_another_shape(layer):
    _, ctx = layer.forward(np.ones((2, 6, 2), np.float32))
    with pytest.raises(ValueError, match="dy must have the shape of y"):
        layer.backward(ctx, np.ones((2, 4, 2), np.float32))


def test_a_mask_ends_where_steps_change():
    mask = np.ones((2, 4), bool)
    assert Conv1D(2, 2, padding="causal").compute_mask(None, mask) is mask
    assert Conv1D(2, 2).compute_mask(None, mask) is None
    assert MaxPooling1D(2, padding="same").compute_mask(None, mask) is None
    assert Masking().compute_mask(np.ones((1, 2, 1)), None).all()
