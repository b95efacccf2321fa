"""SpatialDropout1D, GaussianNoise, Reshape, Permute."""

import numpy as np
import pytest

import latchwork as lw
from latchwork import _core
from latchwork.layers import LSTM, Dense, Dropout, GaussianNoise, Permute, Reshape, SpatialDropout1D
from latchwork.models import Sequential
from latchwork.testing import check_gradients
from layer_checks import assert_same
from problems import ISAS, using

RNG = np.random.default_rng(9)


def noise(shape, dtype="float64", step=3, **options):
    return _core.gaussian_noise(np.zeros(shape, dtype), 1.0, 7, step, 2, **options)


def test_noise_is_normal():
    """Moments, quantiles, and no two neighbours alike: 5 standard errors of 400,000 draws."""
    z = noise((100, 20, 200)).ravel()
    error = 1 / np.sqrt(z.size)
    assert abs(z.mean()) < 5 * error
    assert abs(z.var() - 1) < 5 * np.sqrt(2) * error
    assert abs((z**4).mean() - 3) < 5 * np.sqrt(96) * error
    assert abs((z > 1.959963984540054).mean() - 0.025) < 5 * np.sqrt(0.025) * error
    for lag in (1, 4, 200, 4000):
        assert abs((z[lag:] * z[:-lag]).mean()) < 5 * error


def test_noise_is_of_its_place():
    """The same for a part of the batch, fewer steps or features, any ISA and threads; others for another step."""
    z = noise((9, 7, 300))
    assert_same(noise((5, 7, 300), sample_offset=4), z[4:])
    assert_same(noise((9, 3, 300)), z[:, :3])
    assert_same(noise((9, 7, 5)), z[..., :5])
    assert_same(noise((9, 7, 300), "float32"), z.astype(np.float32))
    for isa in ISAS:
        for threads in (1, 3):
            with using(isa=isa, threads=threads):
                assert_same(noise((9, 7, 300)), z)
    assert not (noise((9, 7, 300), step=4) == z).any()
    dropped = _core.dropout(np.ones((9, 7, 300)), 0.5, 7, 3, 2)[0] > 0
    assert abs(np.corrcoef(dropped.ravel(), z.ravel())[0, 1]) < 0.05  # of other bits


def test_gaussian_noise():
    layer = GaussianNoise(0.25, seed=4, dtype="float64")
    x = RNG.normal(size=(6, 5, 3))
    y, ctx = layer.forward(x, step=2)
    np.testing.assert_allclose(y - x, 0.25 * _core.gaussian_noise(np.zeros_like(x), 1.0, 4, 2, 0), rtol=1e-9)
    assert_same(layer.backward(ctx, x), x)
    assert_same(layer(x), x)
    assert not np.array_equal(layer(x, training=True), layer(x, training=True))
    check_gradients(layer, x=x)
    assert layer.supports_masking
    assert_same(GaussianNoise(0.0)(np.ones((1, 2), np.float32), training=True), np.ones((1, 2), np.float32))


def test_spatial_dropout():
    layer = SpatialDropout1D(0.5, seed=4)
    mask = np.arange(5) < np.array([[5], [0], [2]])
    x = RNG.normal(size=(3, 5, 90)).astype(np.float32)
    y, ctx = layer.forward(x, step=2)
    factor = y / x
    assert set(np.unique(factor.round(5))) == {0, 2}
    assert (factor[:, :1].round(5) == factor.round(5)).all()
    assert not np.array_equal(factor[0], factor[1])
    assert_same(layer.backward(ctx, x), y)
    ragged = lw.Ragged(x[mask], np.array([0, 5, 5, 7]))
    z, ctx_z = layer.forward(ragged, step=2)
    assert_same(z.values, y[mask])
    assert_same(layer.backward(ctx_z, ragged).values, y[mask])
    assert_same(layer(x), x)
    check_gradients(SpatialDropout1D(0.5, seed=4), (2, 3, 4))


def test_dropouts_fit_models():
    model = Sequential([SpatialDropout1D(0.3, input_shape=(None, 2)), GaussianNoise(0.1), LSTM(3), Dense(1)])
    model.compile("adam", "mse")
    x = RNG.normal(size=(20, 6, 2))
    model.fit(x, x[:, 0, :1], epochs=2, verbose=0)
    assert_same(model.predict(x), model.predict(x))


def test_reshape_and_permute():
    x = RNG.normal(size=(2, 3, 4, 5))
    for target in ((60,), (-1,), (4, 15), (-1, 5), (3, -1), (2, 2, 5, 3), [10, 6], 60):
        layer = Reshape(target, dtype="float64")
        wanted = x.reshape(2, *(target if isinstance(target, (tuple, list)) else (target,)))
        assert_same(layer(x), wanted)
        assert layer.y_shape(x.shape[1:]) == wanted.shape[1:]
        check_gradients(layer, x=x)
    for dims in ((1, 2, 3), (3, 1, 2), (2, 3, 1), (3, 2, 1)):
        layer = Permute(dims, dtype="float64")
        assert_same(layer(x), np.ascontiguousarray(x.transpose(0, *dims)))
        check_gradients(layer, x=x)


def test_steps_stay_open_where_they_can():
    """A Reshape that begins with -1 takes any number of steps; the others keep theirs."""
    model = Sequential([Reshape((-1, 2), input_shape=(None, 6)), LSTM(3)])
    assert model.predict(np.ones((1, 2, 6))).shape == model.predict(np.ones((1, 5, 6))).shape == (1, 3)
    model = Sequential([Permute((2, 1), input_shape=(4, 6)), Dense(3)])
    model.build()
    with pytest.raises(ValueError, match=r"got \(B, 5, 6\)|features"):
        model.predict(np.ones((1, 5, 6)))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: SpatialDropout1D(1.0), r"SpatialDropout1D: rate must be in \[0, 1\), got 1.0"),
        (lambda: SpatialDropout1D(0.5)(np.ones((2, 3))), r"x must be \(B, T, F\)"),
        (lambda: GaussianNoise(-1), "GaussianNoise: stddev must be a number at least 0"),
        (lambda: GaussianNoise(1, seed=-1), "GaussianNoise: seed must be None or"),
        (lambda: Dropout(0.5, seed=0.5), "Dropout: seed must be None or"),
        (lambda: Reshape((2, -1, -1)), "one of them -1 at most"),
        (lambda: Reshape((0, 2)), "sizes of at least 1"),
        (lambda: Reshape((2.5,)), "tuple of whole numbers"),
        (lambda: Reshape((4,))(np.ones((1, 3))), r"x must fill \(4,\), got \(B, 3\)"),
        (lambda: Reshape((2, -1))(np.ones((1, 3))), "x must fill"),
        (lambda: Reshape((3,))(lw.Ragged.from_list([np.ones((3, 1))])), "got a Ragged"),
        (lambda: Permute((0, 1)), "1 .. n in any order"),
        (lambda: Permute((2, 1))(np.ones((1, 2))), "x must have 2 axes"),
        (lambda: Permute((1, 2))(lw.Ragged.from_list([np.ones((3, 1))])), "got a Ragged"),
        (lambda: _core.gaussian_noise(np.zeros((1, 4 * 65536 + 1)), 1.0, 0, 0, 0), "at most 262144 features"),
    ],
)
def test_bad_arguments(call, message):
    with pytest.raises(ValueError, match=message):
        call()
