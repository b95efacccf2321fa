"""LayerNormalization, BatchNormalization, Normalization: formulas, gradients, masks, bits, moving averages."""

import numpy as np
import pytest

import latchwork as lw
from latchwork.layers import LSTM, BatchNormalization, Dense, LayerNormalization, Masking, Normalization
from latchwork.models import Sequential
from latchwork.testing import check_gradients
from layer_checks import assert_same, built
from problems import ISAS, using

RNG = np.random.default_rng(3)


def reference(x, mean, variance, epsilon, weights):
    """By the paper, in float64."""
    y = (x - mean) / np.sqrt(variance + epsilon)
    return y * weights.get("gamma", 1) + weights.get("beta", 0)


def weights_of(layer):
    return {variable.key: variable.value for variable in layer.variables}


@pytest.mark.parametrize(
    "options", [{}, {"center": False}, {"scale": False}, {"center": False, "scale": False, "epsilon": 0.2}]
)
@pytest.mark.parametrize("shape", [(7, 5), (3, 4, 5), (2, 5000)])
def test_layer_normalization(shape, options):
    layer = built(LayerNormalization(dtype="float64", **options), *shape[1:])
    x = RNG.normal(size=shape) + 3
    mean, variance = x.mean(axis=-1, keepdims=True), x.var(axis=-1, keepdims=True)
    wanted = reference(x, mean, variance, options.get("epsilon", 1e-3), weights_of(layer))
    np.testing.assert_allclose(layer(x), wanted, rtol=1e-12, atol=1e-12)
    if x.size < 1000:
        check_gradients(layer, x=x)


@pytest.mark.parametrize(
    "options", [{}, {"center": False}, {"scale": False}, {"center": False, "scale": False, "epsilon": 0.2}]
)
@pytest.mark.parametrize("masked", [False, True])
def test_batch_normalization(options, masked):
    layer = built(BatchNormalization(dtype="float64", momentum=0.7, **options), 6, 3)
    before = layer.get_weights()[-2:]
    layer.set_weights([*layer.get_weights()[:-1], abs(before[1])])
    x, mask = RNG.normal(size=(4, 6, 3)) + 2, RNG.random((4, 6)) > 0.4
    rows = x[mask] if masked else x.reshape(-1, 3)
    given = {"mask": mask} if masked else {}
    mean, variance = rows.mean(axis=0), rows.var(axis=0)
    epsilon = options.get("epsilon", 1e-3)
    y, _ = layer.forward(x, training=True, **given)
    np.testing.assert_allclose(y, reference(x, mean, variance, epsilon, weights_of(layer)), rtol=1e-12, atol=1e-12)
    moving = layer.get_weights()[-2:]
    np.testing.assert_allclose(moving[0], 0.7 * before[0] + 0.3 * mean, rtol=1e-12)
    np.testing.assert_allclose(moving[1], 0.7 * abs(before[1]) + 0.3 * variance, rtol=1e-12)
    np.testing.assert_allclose(
        layer(x, **given), reference(x, *moving, epsilon, weights_of(layer)), rtol=1e-12, atol=1e-12
    )
    found = check_gradients(layer, x=x, **given)
    assert set(found) == {"x", *(f"batch_normalization/{key}" for key in ("gamma", "beta") if key in weights_of(layer))}
    assert_same(layer.get_weights()[-1], moving[1])  # the check left no trace


def test_batch_normalization_ragged_is_masked():
    mask = np.arange(6) < np.array([[6], [2], [4]])
    x = np.where(mask[..., None], RNG.normal(size=(3, 6, 4)), 0).astype(np.float32)
    ragged = lw.Ragged.from_list([x[b, m] for b, m in enumerate(mask)])
    dy = np.where(mask[..., None], RNG.normal(size=x.shape), 0).astype(np.float32)
    for kind in (BatchNormalization, LayerNormalization, Normalization):
        one, two = kind(), kind()
        given = {"mask": mask} if kind is BatchNormalization else {}
        y, ctx = one.forward(x, **given)
        z, ctx_z = two.forward(ragged)
        assert_same(y[mask], z.values)
        dx, dz = one.backward(ctx, dy), two.backward(ctx_z, lw.Ragged(dy[mask], ragged.offsets))
        assert_same(dx[mask], dz.values)
        for a, b in zip(one.variables, two.variables, strict=True):
            assert_same(a.value, b.value)
            assert_same(a.gradient, b.gradient)


def test_nothing_real_in_a_batch():
    """The moving averages stay, and serve."""
    layer = BatchNormalization()
    x = np.ones((2, 3, 2), np.float32)
    layer.build((None, 3, 2))
    y, ctx = layer.forward(x, mask=np.zeros((2, 3), bool), training=True)
    assert_same(y, layer(x))
    assert layer.backward(ctx, y).shape == x.shape
    assert [w.tolist() for w in layer.get_weights()] == [[1, 1], [0, 0], [0, 0], [1, 1]]


def test_frozen_batch_normalization_is_inference():
    layer = built(BatchNormalization(dtype="float64", trainable=False, moving_variance_initializer="ones"), 3)
    layer.set_weights([abs(w) for w in layer.get_weights()])
    before = layer.get_weights()
    x = RNG.normal(size=(5, 3))
    assert_same(layer.forward(x, training=True)[0], layer.forward(x, training=True)[0])
    np.testing.assert_allclose(layer.forward(x, training=True)[0], layer(x), rtol=1e-12, atol=1e-12)
    assert list(check_gradients(layer, x=x)) == ["x"]
    for a, b in zip(layer.get_weights(), before, strict=True):
        assert_same(a, b)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_same_bits(dtype):
    """On every ISA, for any number of threads; a row of LayerNormalization wherever it stands."""
    x = RNG.normal(size=(700, 53)).astype(dtype)
    dy = RNG.normal(size=x.shape).astype(dtype)

    def answers():
        found = []
        for layer in (LayerNormalization(dtype=dtype), BatchNormalization(dtype=dtype), Normalization(dtype=dtype)):
            y, ctx = layer.forward(x)
            found += [y, layer.backward(ctx, dy), layer(x), *(v.value.copy() for v in layer.variables)]
            found += [v.gradient for v in layer.variables]
        return found

    wanted = answers()
    for isa in ISAS:
        for threads in (1, 2, 3):
            with using(isa=isa, threads=threads):
                for a, b in zip(answers(), wanted, strict=True):
                    assert_same(a, b)
    layer = LayerNormalization(dtype=dtype)
    assert_same(layer(x[13:14])[0], layer(x)[13])


def test_moving_averages_are_no_parameters():
    model = Sequential([Dense(4, input_shape=(3,)), BatchNormalization(), Dense(1)])
    model.compile("adam", "mse")
    model.build()
    x = RNG.normal(size=(40, 3)) + 5
    before = model.layers[1].get_weights()[2:]
    model.fit(x, x[:, :1], epochs=1, batch_size=8, verbose=0, shuffle=False)
    lines = []
    model.summary(lines.append)
    assert lines[-2].startswith("  trainable 29 (0.1 KiB), not trainable 8 ")
    names = [name for _, _, name in model._arena.trainable_ranges()]
    assert "batch_normalization/gamma" in names
    assert "batch_normalization/moving_mean" not in names
    after = model.layers[1].get_weights()[2:]
    assert not np.allclose(before[0], after[0])
    assert model.layers[1].variables[2].gradient.tolist() == [0, 0, 0, 0]


@pytest.mark.parametrize("bad", ["loss", "gradient"])
def test_a_step_that_fails_leaves_moving_averages(bad):
    model = Sequential([BatchNormalization(input_shape=(3,)), Dense(1)])
    model.compile("sgd", "mse")
    x, y = RNG.normal(size=(8, 3)), np.zeros((8, 1))
    model.train_on_batch(x, y)
    before = model.get_weights()
    if bad == "loss":
        x[0] = np.nan
    else:
        y[0] = 3e38
        x = x.astype(np.float32) * np.float32(1)
    with pytest.raises(FloatingPointError):
        model.train_on_batch(x, y)
    for a, b in zip(model.get_weights(), before, strict=True):
        assert_same(a, b)


def test_normalization():
    data = RNG.normal(size=(20, 6, 3)) * [1, 5, 0] + [0, 7, 2]
    layer = Normalization(dtype="float64")
    layer.adapt(data)
    rows = data.reshape(-1, 3)
    wanted = (data - rows.mean(axis=0)) / np.maximum(rows.std(axis=0), 1e-7)
    np.testing.assert_allclose(layer(data), wanted, rtol=1e-9, atol=1e-8)
    assert layer.variables[0].name == "normalization/mean"
    back = Normalization(mean=layer.get_weights()[0], variance=layer.get_weights()[1], invert=True, dtype="float64")
    np.testing.assert_allclose(back(layer(data)), data, atol=1e-8)
    check_gradients(layer, x=np.array(data[:2, :2]))
    again = Normalization(input_shape=(None, 3))
    model = Sequential([again, LSTM(2)])
    model.build()
    again.adapt(lw.Ragged.from_list([data[0], data[1, :3]]))
    np.testing.assert_allclose(again.get_weights()[0], np.concatenate([data[0], data[1, :3]]).mean(axis=0), rtol=1e-6)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: LayerNormalization(axis=1), "LayerNormalization: axis must be -1"),
        (lambda: LayerNormalization(epsilon=-1), "epsilon must be a number at least 0, got -1"),
        (lambda: LayerNormalization(rms_scaling=True), "rms_scaling must be False"),
        (lambda: BatchNormalization(momentum=1.5), r"momentum must be a number in \[0, 1\], got 1.5"),
        (lambda: BatchNormalization(synchronized=True), "synchronized must be False"),
        (lambda: BatchNormalization(renorm=True), "renorm must be False"),
        (lambda: Normalization(mean=1.0), "mean and variance must be given both or neither"),
        (lambda: Normalization(mean=1.0, variance=-1.0), "variance must be at least 0"),
        (lambda: Normalization(mean=[1.0, 2], variance=[1.0, 2])(np.ones((2, 3))), "mean must have 3 numbers"),
        (lambda: Normalization().adapt(np.ones((0, 3))), "data must be .* at least one row"),
        (lambda: BatchNormalization()(np.ones((2, 3, 1)), mask=np.ones((2, 2), bool)), "mask must be bool of shape"),
        (lambda: Sequential([LayerNormalization(input_shape=(3, None))]), "known feature size"),
    ],
)
def test_bad_arguments(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_masks_pass():
    mask = np.ones((2, 3), bool)
    for layer in (LayerNormalization(), BatchNormalization(), Normalization()):
        assert layer.compute_mask(None, mask) is mask
    model = Sequential([Masking(input_shape=(3, 2)), BatchNormalization(), LSTM(2)])
    x = np.zeros((1, 3, 2))
    x[0, 0] = 1
    assert np.array_equal(model.predict(x), model.predict(lw.Ragged.from_list([x[0, :1]])))
