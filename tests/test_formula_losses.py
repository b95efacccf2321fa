"""Losses that are formulas in float64: values and slopes against numpy, extremes, weights, bad input, one answer."""

import math

import numpy as np
import pytest

import test_losses as fused
from latchwork import _core, config, losses
from problems import ISAS, assert_bits, using

EPSILON = 1e-7


def softplus(x):
    return np.logaddexp(0, x)


def log_softmax(x):
    return x - np.logaddexp.reduce(x, -1, keepdims=True)


def blocks(p, count):
    return np.split(p, count, axis=-1)


def gaussian(t, mean, raw, floor):
    scale = softplus(raw) + floor
    return 0.5 * ((t - mean) / scale) ** 2 + np.log(scale) + 0.5 * np.log(2 * np.pi)


def student(t, mean, raw, df, floor):
    scale = softplus(raw) + floor
    constant = math.lgamma(df / 2) - math.lgamma((df + 1) / 2) + 0.5 * math.log(df * math.pi)
    return constant + np.log(scale) + (df + 1) / 2 * np.log1p(((t - mean) / scale) ** 2 / df)


def mixture(t, p, count, floor):
    logits, means, raws = (b.reshape(*b.shape[:-1], -1, count) for b in blocks(p, 3))
    return -np.logaddexp.reduce(log_softmax(logits) - gaussian(t[..., None], means, raws, floor), -1)


def binary_focal(t, x, loss):
    t = t * (1 - loss.label_smoothing) + loss.label_smoothing / 2
    p = 1 / (1 + np.exp(-x)) if loss.from_logits else x
    q = p if loss.from_logits else np.clip(p, EPSILON, 1 - EPSILON)
    weight = t * loss.alpha + (1 - t) * (1 - loss.alpha) if loss.apply_class_balancing else 1
    other = t * (1 - p) + (1 - t) * p
    return -weight * other**loss.gamma * (t * np.log(q) + (1 - t) * np.log(1 - q))


def categorical_focal(t, x, loss):
    t = t * (1 - loss.label_smoothing) + loss.label_smoothing / t.shape[-1]
    q = np.exp(log_softmax(x)) if loss.from_logits else np.clip(x / x.sum(-1, keepdims=True), EPSILON, 1 - EPSILON)
    return -(loss.alpha * t * (1 - q) ** loss.gamma * np.log(q)).sum(-1)


def hinge(t, p):
    return np.maximum(1 - np.where(t == 0, -1, t) * p, 0)


def cosine(t, p):
    return -(t * p).sum(-1) / np.sqrt((t**2).sum(-1) * (p**2).sum(-1))


def kl(t, p):
    t, p = np.clip(t, EPSILON, 1), np.clip(p, EPSILON, 1)
    return (t * np.log(t / p)).sum(-1)


def pinball(t, p, loss):
    e = t - p
    return np.maximum(loss.quantiles * e, (np.array(loss.quantiles) - 1) * e)


def elements(loss, t, p):
    """The losses in float64, from the formulas of Keras 3 and of the papers that the docstrings name."""
    match loss:
        case losses.LogCosh():
            return np.logaddexp(p - t, t - p) - np.log(2)
        case losses.MeanSquaredLogarithmicError():
            return (np.log(np.maximum(p, EPSILON) + 1) - np.log(np.maximum(t, EPSILON) + 1)) ** 2
        case losses.MeanAbsolutePercentageError():
            return 100 * np.abs(t - p) / np.maximum(np.abs(t), EPSILON)
        case losses.Quantile():
            return pinball(t, p, loss)
        case losses.Poisson(log_input=True):
            return np.exp(p) - t * p
        case losses.Poisson():
            return p - t * np.log(p + EPSILON)
        case losses.Hinge():
            return hinge(t, p)
        case losses.SquaredHinge():
            return hinge(t, p) ** 2
        case losses.BinaryFocalCrossentropy():
            return binary_focal(t, p, loss)
        case losses.CategoricalFocalCrossentropy():
            return categorical_focal(t, p, loss)
        case losses.CosineSimilarity():
            return cosine(t, p)
        case losses.KLDivergence():
            return kl(t, p)
        case losses.CategoricalHinge():
            return np.maximum(((1 - t) * p).max(-1) - (t * p).sum(-1) + 1, 0)
        case losses.GaussianNegativeLogLikelihood(min_scale=floor):
            return gaussian(t, *blocks(p, 2), floor)
        case losses.StudentTNegativeLogLikelihood(df=df, min_scale=floor):
            return student(t, *blocks(p, 2), df, floor)
        case losses.MixtureNegativeLogLikelihood(components=count, min_scale=floor):
            return mixture(t, p, count, floor)
    raise AssertionError(loss)


EVERY = [
    losses.LogCosh(),
    losses.MeanSquaredLogarithmicError(),
    losses.MeanAbsolutePercentageError(),
    losses.Quantile(),
    losses.Quantile([0.1, 0.5, 0.9]),
    losses.Poisson(),
    losses.Poisson(log_input=True),
    losses.Hinge(),
    losses.SquaredHinge(),
    losses.BinaryFocalCrossentropy(),
    losses.BinaryFocalCrossentropy(True, 0.3, 1.0, label_smoothing=0.2),
    losses.BinaryFocalCrossentropy(gamma=0.0, from_logits=True),
    losses.BinaryFocalCrossentropy(True, 0.3, 2.5, from_logits=True, label_smoothing=0.2),
    losses.CategoricalFocalCrossentropy(),
    losses.CategoricalFocalCrossentropy(0.5, 1.0, label_smoothing=0.2),
    losses.CategoricalFocalCrossentropy(1.0, 0.0, from_logits=True),
    losses.CategoricalFocalCrossentropy(0.5, 2.5, from_logits=True, label_smoothing=0.2),
    losses.CosineSimilarity(),
    losses.KLDivergence(),
    losses.CategoricalHinge(),
    losses.GaussianNegativeLogLikelihood(),
    losses.StudentTNegativeLogLikelihood(),
    losses.StudentTNegativeLogLikelihood(df=0.7, min_scale=0.1),
    losses.MixtureNegativeLogLikelihood(1),
    losses.MixtureNegativeLogLikelihood(3),
]


def test_every_loss_is_tried():
    tried = {type(loss) for loss in (*EVERY, *fused.EVERY)}
    assert tried == {*losses.CLASSES.values()} - {losses.CTC, losses.Masked}  # have tests of their own


# (rows, targets of a row): one of each, tails of blocks of 128, more than a block.
SIZES = ((1, 1), (3, 2), (43, 3), (300, 5))
PROBABILITIES = (losses.KLDivergence, losses.Poisson, losses.MeanSquaredLogarithmicError)


def outputs_of(loss, width):
    """How many outputs a row has with `width` targets."""
    if isinstance(loss, losses.Quantile):
        return np.size(loss.quantiles)
    each = {"GaussianNegativeLogLikelihood": 2, "StudentTNegativeLogLikelihood": 2}.get(type(loss).__name__, 1)
    return width * (3 * loss.components if isinstance(loss, losses.MixtureNegativeLogLikelihood) else each)


def batch(loss, rows, width, dtype=np.float64, seed=0):
    rng = np.random.default_rng([seed, rows, width])
    shape = (rows, outputs_of(loss, width))
    y = rng.normal(size=(rows, 1 if isinstance(loss, losses.Quantile) else width))
    positive = isinstance(loss, PROBABILITIES) or getattr(loss, "from_logits", True) is False
    p = rng.uniform(0.05, 0.95, shape) if positive else 2 * rng.normal(size=shape)
    if isinstance(loss, losses.Hinge | losses.SquaredHinge):
        y = rng.integers(-1, 2, y.shape)
    elif isinstance(loss, losses.Poisson):
        y = rng.integers(0, 9, y.shape)
    elif positive or "Categorical" in type(loss).__name__ or "Focal" in type(loss).__name__:
        y = rng.uniform(0.01, 0.99, y.shape)
    return y.astype(dtype), p.astype(dtype)


@pytest.mark.parametrize("loss", EVERY, ids=repr)
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_value_is_that_of_the_formula(loss, size, dtype):
    y, p = batch(loss, *size, dtype)
    wanted = elements(loss, y.astype(np.float64), p.astype(np.float64))
    total, count, gradient = loss.value_and_grad(y, p)
    assert count == wanted.size
    # Float64 whatever the dtype: some 30 roundings and functions of 3 ULP; 1 - p and log(scale) magnify 20 times.
    assert abs(total - wanted.sum()) <= 1e-13 * (np.abs(wanted).sum() + wanted.size)
    assert gradient.dtype == dtype
    assert gradient.shape == p.shape
    assert loss.value(y, p) == (total, count)
    assert loss(y, p) == total / count
    single = loss.value_and_grad(y, p)[2]
    assert_bits(single, gradient)


@pytest.mark.parametrize("loss", EVERY, ids=repr)
@pytest.mark.parametrize("size", [(1, 1), (7, 3)])
def test_gradient_is_the_slope_of_the_reference(loss, size):
    y, p = batch(loss, *size, seed=1)
    total, count, gradient = loss.value_and_grad(y, p)
    step = 1e-6
    for place in np.ndindex(p.shape):
        up, down = p.copy(), p.copy()
        up[place] += step
        down[place] -= step
        slope = (elements(loss, y, up) - elements(loss, y, down)).sum() / (2 * step)
        assert slope == pytest.approx(gradient[place] * count, rel=2e-6, abs=1e-7)
    y32, p32 = y.astype(np.float32), p.astype(np.float32)
    exact = loss.value_and_grad(y32.astype(np.float64), p32.astype(np.float64))
    total, _, gradient = loss.value_and_grad(y32, p32)
    assert total == exact[0]  # the same operations
    np.testing.assert_array_equal(gradient, exact[2].astype(np.float32))


@pytest.mark.parametrize("loss", EVERY, ids=repr)
def test_weights(loss):
    y, p = batch(loss, 300, 3)
    wanted = elements(loss, y, p)
    weight = np.random.default_rng(7).uniform(-1, 2, wanted.shape)
    weight[::3] = 0
    total, count, gradient = loss.value_and_grad(y, p, weight)
    assert count == wanted.size
    assert abs(total - (weight * wanted).sum()) <= 1e-13 * (np.abs(weight * wanted).sum() + wanted.size)
    rows = np.arange(300) % 3 != 0
    plain = loss.value_and_grad(y, p)[2]
    assert not gradient[~rows].any()
    if wanted.shape == p.shape:
        np.testing.assert_allclose(gradient, plain * weight, rtol=1e-15)
    bad = np.where(rows[:, None], p, np.nan)
    other = loss.value_and_grad(y, bad, weight)
    assert other[:2] == (total, count)
    assert_bits(other[2], gradient)
    by_row = loss.value_and_grad(y, p, np.ones(300))
    assert by_row[:2] == loss.value(y, p)
    assert_bits(by_row[2], plain)


@pytest.mark.parametrize("loss", EVERY, ids=repr)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_one_answer_on_every_isa_and_any_number_of_threads(loss, dtype):
    y, p = batch(loss, 3001, 3, dtype)
    total, _, gradient = loss.value_and_grad(y, p)
    for isa in ISAS:
        for threads in (1, 2, 3):
            with using(isa=isa, threads=threads):
                other = loss.value_and_grad(y, p)
                assert other[0] == total, (isa, threads)
                assert_bits(other[2], gradient, f"gradient on {isa} with {threads} threads")


@pytest.mark.parametrize("loss", EVERY, ids=repr)
def test_nan_reaches_value_and_gradient(loss):
    y, p = batch(loss, 4, 3)
    p[2, 0] = np.nan
    total, _, gradient = loss.value_and_grad(y, p)
    assert np.isnan(total)
    assert np.isnan(gradient[2, 0])
    assert np.isfinite(gradient[:2]).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_far_outputs_stay_finite(dtype):
    far = np.array([[1e4], [-1e4]], dtype)
    cases = [
        (losses.LogCosh(), [0, 0], far, 2e4 - 2 * np.log(2)),
        (losses.BinaryFocalCrossentropy(from_logits=True), [0, 1], far, 2e4),
        (losses.BinaryFocalCrossentropy(from_logits=True, gamma=0.5), [1, 0], far, 0),
        (losses.CategoricalFocalCrossentropy(1.0, from_logits=True), [[0, 1]], far.T, 2e4),
        (losses.CategoricalFocalCrossentropy(1.0, 0.5, from_logits=True), [[1, 0]], far.T, 0),
        (losses.Quantile(0.25), [0, 0], far, 0.75e4 + 0.25e4),
        (losses.StudentTNegativeLogLikelihood(df=1.0, min_scale=1.0), [0], np.array([[1e30, -1e3]], dtype), None),
        (losses.MixtureNegativeLogLikelihood(2), [0], np.array([[0, 0, 0, 1e15, 0, -1e3]], dtype), None),
        (losses.MixtureNegativeLogLikelihood(2), [0], np.array([[1e4, 0, 0, 0, 0, 0]], dtype), None),
        (losses.CosineSimilarity(), [[1, 0]], np.array([[1e30, 1e30]], dtype), -np.sqrt(0.5)),
        (losses.GaussianNegativeLogLikelihood(), [0], np.array([[1e10, 1e5]], dtype), None),
    ]
    for loss, y, p, wanted in cases:
        total, _, gradient = loss.value_and_grad(y, p)
        assert np.isfinite(total), loss
        assert np.isfinite(gradient).all(), loss
        if wanted is not None:
            assert total == pytest.approx(wanted, rel=1e-6, abs=1e-12), loss
    p = np.array([[1e200, -1e3]])
    total, _, gradient = losses.StudentTNegativeLogLikelihood(df=1.0, min_scale=1.0).value_and_grad([0], p)
    assert total == pytest.approx(np.log(np.pi) + 2 * np.log(1e200), rel=1e-15)
    np.testing.assert_allclose(gradient[0, 0], 2e-200)


@pytest.mark.parametrize("df", [1e-3, 0.5, 1, 2, 4, 15.5, 16, 40, 1e4])
def test_the_constant_of_students_t(df):
    wanted = student(0.0, 0.0, 0.0, df, 1.0)
    assert losses.StudentTNegativeLogLikelihood(df, 1.0)([0.0], np.zeros((1, 2))) == pytest.approx(
        wanted, rel=1e-14, abs=2e-15 * (1 + df)
    )  # two logarithms of Gamma cancel


def test_zeros_have_no_direction():
    total, _, gradient = losses.CosineSimilarity().value_and_grad([[1.0, 0.0]], np.zeros((1, 2)))
    assert total == 0
    np.testing.assert_allclose(gradient, [[-1e7, 0]])


def test_labels_of_zero_mean_minus_one():
    p = np.array([[0.3], [-2.0]])
    for loss in (losses.Hinge(), losses.SquaredHinge()):
        assert loss([0, 1], p) == loss([-1, 1], p)


def test_targets_of_quantiles_and_likelihoods():
    p = np.random.default_rng(0).normal(size=(2, 5, 6))
    y = np.arange(10.0).reshape(2, 5)
    quantile = losses.Quantile([0.1, 0.2, 0.3, 0.5, 0.7, 0.9])
    assert quantile(y, p) == quantile(y[..., None], p)
    mixture = losses.MixtureNegativeLogLikelihood(2)
    assert mixture(y, p) == mixture(y[..., None], p)
    assert losses.GaussianNegativeLogLikelihood().value(np.zeros((2, 5, 3)), p)[1] == 30
    for shape in ((2,), (2, 5, 6), (5, 2), (2, 5, 1, 1)):
        with pytest.raises(ValueError, match=r"^y must have the shape \(2, 5, 1\) for outputs \(2, 5, 6\), got \("):
            quantile(np.zeros(shape), p)
    with pytest.raises(ValueError, match=r"^y must have the shape \(2, 5, 3\) for outputs \(2, 5, 6\), got \(2, 5\)$"):
        losses.GaussianNegativeLogLikelihood()(y, p)


@pytest.mark.parametrize(
    ("loss", "y", "p", "message"),
    [
        (
            "quantile",
            (3,),
            (3, 2),
            r"^y_pred must be \[\.\.\., 1\], an output for each quantile, got a last axis of 2$",
        ),
        (
            "gaussian_nll",
            (3,),
            (3, 3),
            r"^gaussian_negative_log_likelihood needs 2 outputs for each target, got a last",
        ),
        ("mixture_nll", (3,), (3, 6), r"^mixture_negative_log_likelihood needs 9 outputs for each target, got"),
        ("log_cosh", (3, 1), (3, 2), r"^y must have the shape \(3, 2\) for outputs \(3, 2\), got \(3, 1\)$"),
        ("kl_divergence", (3,), (3, 2), r"^y must have the shape \(3, 2\) for outputs \(3, 2\), got \(3,\)$"),
        ("log_cosh", (2, 3), (2, 3, 1), r"^y must have the shape \(2, 3, 1\) for outputs \(2, 3, 1\), got \(2, 3\)$"),
    ],
)
def test_shapes_that_do_not_fit(loss, y, p, message):
    with pytest.raises(ValueError, match=message):
        losses.get(loss).value_and_grad(np.zeros(y), np.zeros(p))


@pytest.mark.parametrize(
    ("loss", "bad", "message"),
    [
        ("poisson", -1.0, r"^y must be 0.0 or more for poisson, got -1.0 to 0.0$"),
        ("kl_divergence", 1.5, r"^y must lie in \[0, 1\] for kl_divergence, got 0.0 to 1.5$"),
        (
            "binary_focal_crossentropy",
            np.nan,
            r"^y must lie in \[0, 1\] for binary_focal_crossentropy, got nan",
        ),
        ("categorical_focal_crossentropy", -0.5, r"^y must lie in \[0, 1\] for categorical_focal_crossentropy"),
        ("categorical_hinge", 2, r"^y must lie in \[0, 1\] for categorical_hinge"),
        ("hinge", 0.5, r"^y must be -1 or 1 \(or 0, which means -1\) for hinge, got 0.0 to 0.5$"),
        ("squared_hinge", np.nan, r"^y must be -1 or 1 \(or 0, which means -1\) for squared_hinge"),
    ],
)
def test_targets_out_of_range(loss, bad, message):
    with pytest.raises(ValueError, match=message):
        losses.get(loss).value(np.array([[0.0, bad]]), np.full((1, 2), 0.5))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: losses.Quantile([]), r"^quantiles must rise within \(0, 1\), got \[\]$"),
        (lambda: losses.Quantile([0.5, 0.5]), r"^quantiles must rise within \(0, 1\), got \[0.5, 0.5\]$"),
        (lambda: losses.Quantile(1.0), r"^quantiles must rise within \(0, 1\), got 1.0$"),
        (lambda: losses.Quantile(np.nan), r"^quantiles must rise within \(0, 1\), got nan$"),
        (lambda: losses.GaussianNegativeLogLikelihood(0.0), r"^min_scale must be finite and above 0, got 0.0$"),
        (lambda: losses.StudentTNegativeLogLikelihood(df=-1), r"^df must be finite and above 0, got -1$"),
        (lambda: losses.StudentTNegativeLogLikelihood(df=math.inf), r"^df must be finite and above 0, got inf$"),
        (lambda: _core.formula_loss("student_t", np.ones(1), np.ones(2), df=-1e300), r"^df must be finite and above 0"),
        (lambda: losses.GaussianNegativeLogLikelihood(math.inf), r"^min_scale must be finite and above 0, got inf$"),
        (lambda: losses.StudentTNegativeLogLikelihood(min_scale=0), r"^min_scale must be finite and above 0, got 0$"),
        (lambda: losses.MixtureNegativeLogLikelihood(0), r"^components must be a whole number from 1, got 0$"),
        (lambda: losses.MixtureNegativeLogLikelihood(2.0), r"^components must be a whole number from 1, got 2.0$"),
        (lambda: losses.BinaryFocalCrossentropy(gamma=-1), r"^gamma must be 0 or more, got -1$"),
        (lambda: losses.CategoricalFocalCrossentropy(alpha=2), r"^alpha must be in \[0, 1\], got 2$"),
        (lambda: losses.BinaryFocalCrossentropy(label_smoothing=2), r"^label_smoothing must be in \[0, 1\], got 2$"),
    ],
)
def test_bad_options(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_the_core_checks_sizes():
    for name, y, p in (("log_cosh", 3, (2, 2)), ("gaussian", 3, (2, 4)), ("quantile", 4, (2, 2))):
        with pytest.raises(ValueError, match=r"^y must hold \d targets for y_pred"):
            _core.formula_loss(name, np.zeros(y), np.zeros(p), levels=[0.1, 0.2] if name == "quantile" else [])
    with pytest.raises(ValueError, match=r"^weight must hold 4 numbers, got shape \(3,\)$"):
        _core.formula_loss("log_cosh", np.zeros(4), np.zeros((2, 2)), weight=np.zeros(3))
    with pytest.raises(ValueError, match=r"^unknown loss none$"):
        _core.formula_loss("none", np.zeros(4), np.zeros((2, 2)))
    with pytest.raises(ValueError, match=r"^y_pred must have 2 outputs for each target, got a last axis of 3$"):
        _core.formula_loss("gaussian", np.zeros(4), np.zeros((2, 3)))
    for name, given in (("gaussian", {"levels": [0.5]}), ("quantile", {}), ("kl_divergence", {"levels": [0.5]})):
        with pytest.raises(ValueError, match=r"^levels must be given for the loss quantile, and for no other$"):
            _core.formula_loss(name, np.zeros(2), np.zeros((2, 2)), **given)
    for name, count in (("mixture", 0), ("mixture", -1), ("gaussian", 2)):
        with pytest.raises(ValueError, match=rf"^components must be 1, or more for the loss mixture, got {count}$"):
            _core.formula_loss(name, np.zeros(2), np.zeros((2, 6)), components=count)


@pytest.mark.parametrize("loss", EVERY, ids=repr)
def test_they_are_values_that_files_hold(loss):
    assert hash(loss) == hash(loss)
    known = config.Registry(losses.CLASSES)
    assert config.rebuild(config.describe(loss, known), known, "loss") == loss
    assert losses.get(loss) is loss
    assert losses.get(losses.get(type(loss).__name__).name) == type(loss)()


@pytest.mark.parametrize("loss", EVERY, ids=repr)
def test_an_empty_batch_has_no_elements(loss):
    y, p = batch(loss, 1, 3)
    total, count, gradient = loss.value_and_grad(y[:0], p[:0])
    assert (total, count, gradient.shape) == (0.0, 0, p[:0].shape)
    assert loss(y[:0], p[:0]) == 0
