"""Losses: values and gradients against float64 formulas and Keras, shapes, bad input, one answer."""

import numpy as np
import pytest

from latchwork import _core, losses
from problems import ISAS, assert_bits, using

SIZES = ((1, 1), (7, 1), (5, 3), (33, 7), (1025, 5))  # a lane, less than a vector, tails, more than a chunk of 4096
ELEMENTWISE = ("mse", "mae", "huber", "binary_crossentropy")
CLASSES = ("categorical_crossentropy", "sparse_categorical_crossentropy")
CLIP = 1e-7


def softmax(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def reference(loss, y, p):
    """(elements, d(sum of elements)/dp) in float64, straight from the formulas of Keras 3."""
    y, p = y.astype(np.float64), p.astype(np.float64)
    e = p - y if y.shape == p.shape else None  # labels
    match loss:
        case losses.MeanSquaredError():
            return e**2, 2 * e
        case losses.MeanAbsoluteError():
            return np.abs(e), np.sign(e)
        case losses.Huber(delta=d):
            return np.where(np.abs(e) <= d, e**2 / 2, d * np.abs(e) - d**2 / 2), np.clip(e, -d, d)
        case losses.BinaryCrossentropy(from_logits=logits, label_smoothing=s):
            t = y * (1 - s) + s / 2
            if logits:
                return np.logaddexp(0, p) - t * p, 1 / (1 + np.exp(-p)) - t
            q = np.clip(p, CLIP, 1 - CLIP)
            return -(t * np.log(q) + (1 - t) * np.log(1 - q)), np.where(q == p, (q - t) / (q * (1 - q)), 0)
    s = getattr(loss, "label_smoothing", 0.0)
    t = np.eye(p.shape[-1])[y.astype(int)] if isinstance(loss, losses.SparseCategoricalCrossentropy) else y
    t = t * (1 - s) + s / p.shape[-1]
    if loss.from_logits:
        q = softmax(p)
        log_q = p - p.max(-1, keepdims=True) - np.log(np.exp(p - p.max(-1, keepdims=True)).sum(-1, keepdims=True))
        return -(t * log_q).sum(-1), q * t.sum(-1, keepdims=True) - t
    total = p.sum(-1, keepdims=True)
    q = p / total
    clipped = np.clip(q, CLIP, 1 - CLIP)
    g = np.where(q == clipped, -t / q, 0)
    return -(t * np.log(clipped)).sum(-1), (g - (g * q).sum(-1, keepdims=True)) / total


def batch(loss, shape, dtype, seed=0):
    rng = np.random.default_rng([seed, *shape])
    if isinstance(loss, losses.SparseCategoricalCrossentropy):
        y = rng.integers(0, shape[-1], shape[:-1])
    elif isinstance(loss, losses.CategoricalCrossentropy | losses.BinaryCrossentropy):  # rows need not add up to 1
        y = rng.uniform(size=shape).astype(dtype)
    else:
        y = rng.normal(size=shape).astype(dtype)
    probabilities = getattr(loss, "from_logits", True) is False
    p = rng.uniform(0.05, 0.95, shape) if probabilities else 3 * rng.normal(size=shape)
    return y, p.astype(dtype)


EVERY = [
    losses.MeanSquaredError(),
    losses.MeanAbsoluteError(),
    losses.Huber(),
    losses.Huber(0.3),
    *(losses.BinaryCrossentropy(logits, s) for logits in (False, True) for s in (0.0, 0.2)),
    *(losses.CategoricalCrossentropy(logits, s) for logits in (False, True) for s in (0.0, 0.2)),
    *(losses.SparseCategoricalCrossentropy(logits) for logits in (False, True)),
]


@pytest.mark.parametrize("loss", EVERY, ids=repr)
@pytest.mark.parametrize("shape", SIZES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_value_and_gradient_are_those_of_the_formula(loss, shape, dtype):
    if "Categorical" in type(loss).__name__:  # a single class has no loss
        shape = (shape[0], shape[1] + 1)
    y, p = batch(loss, shape, dtype)
    elements, gradient = reference(loss, y, p)
    total, count, got = loss.value_and_grad(y, p)
    eps = np.finfo(dtype).eps
    assert isinstance(total, float)
    assert count == elements.size
    # An element is a few roundings and one function of at most 3 ULP; log(1 - p) magnifies p's error up to 20 times.
    assert abs(total - elements.sum()) <= 32 * eps * np.abs(elements).sum() + 1e-300
    assert got.dtype == dtype
    assert got.shape == p.shape
    np.testing.assert_allclose(got * count, gradient, rtol=64 * eps, atol=64 * eps * np.abs(gradient).max())
    assert loss.value(y, p) == (total, count)
    assert loss(y, p) == total / count


@pytest.mark.parametrize("loss", EVERY, ids=repr)
def test_gradient_is_the_slope_of_the_value(loss):
    y, p = batch(loss, (6, 4), np.float64, seed=1)
    _, count, gradient = loss.value_and_grad(y, p)
    step = 1e-6
    for place in np.ndindex(p.shape):
        up, down = p.copy(), p.copy()
        up[place] += step
        down[place] -= step
        slope = (loss.value(y, up)[0] - loss.value(y, down)[0]) / (2 * step)
        assert slope / count == pytest.approx(gradient[place], rel=1e-6, abs=1e-8)


# Keras 3.15.1 on JAX in float64: keras.losses.<class>(...)(y_true, y_pred); for the binary ones the mean of
# keras.ops.binary_crossentropy, since the class's own mean is taken in float32.
T, P = np.array([[1.0, -0.5], [0.25, 2.0]]), np.array([[0.5, -1.5], [2.0, 1.75]])
T_BINARY, P_BINARY = np.array([[0.0, 1.0], [1.0, 0.25]]), np.array([[0.1, 0.8], [1.0, 0.0]])
X_BINARY = np.array([[-3.0, 2.0], [0.5, -40.0]])
T_CLASS, P_CLASS = np.array([[0.0, 1.0, 0.0], [0.5, 0.25, 0.25]]), np.array([[0.2, 0.7, 0.3], [1.0, 0.0, 0.5]])
X_CLASS = np.array([[1.0, -2.0, 0.5], [30.0, 0.0, -1.0]])
LABELS = np.array([2, 0])
KERAS = [
    (losses.MeanSquaredError(), T, P, 1.09375),
    (losses.MeanAbsoluteError(), T, P, 0.875),
    (losses.Huber(delta=0.75), T, P, 0.4140625),
    (losses.BinaryCrossentropy(), T_BINARY, P_BINARY, 1.089507038677906),
    (losses.BinaryCrossentropy(label_smoothing=0.2), T_BINARY, P_BINARY, 1.7835235953134048),
    (losses.BinaryCrossentropy(from_logits=True), T_BINARY, X_BINARY, 2.662398086699205),
    (losses.BinaryCrossentropy(from_logits=True, label_smoothing=0.2), T_BINARY, X_BINARY, 3.299898086699206),
    (losses.CategoricalCrossentropy(), T_CLASS, P_CLASS, 2.522953019846688),
    (losses.CategoricalCrossentropy(label_smoothing=0.3), T_CLASS, P_CLASS, 2.8330282828334425),
    (losses.CategoricalCrossentropy(from_logits=True), T_CLASS, X_CLASS, 9.377298451171205),
    (losses.CategoricalCrossentropy(from_logits=True, label_smoothing=0.3), T_CLASS, X_CLASS, 9.864798451171204),
    (losses.SparseCategoricalCrossentropy(), LABELS, P_CLASS, 0.8958797346140275),
    (losses.SparseCategoricalCrossentropy(from_logits=True), LABELS, X_CLASS, 0.5022984511712056),
]


@pytest.mark.parametrize(
    ("loss", "y", "p", "value"), KERAS, ids=lambda v: repr(v) if isinstance(v, losses.Loss) else ""
)
def test_keras_says_the_same(loss, y, p, value):
    assert loss(y, p) == pytest.approx(value, rel=1e-14)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("logit", [1e4, 700.0, 90.0])
def test_logits_far_out_are_exact(dtype, logit):
    x = np.array([[logit], [-logit]], dtype)
    total, _, gradient = losses.BinaryCrossentropy(from_logits=True).value_and_grad([0, 1], x)
    assert total == 2 * logit
    assert gradient.tolist() == [[0.5], [-0.5]]
    rows = np.array([[logit, -logit, 0], [0, logit, logit]], dtype)
    total, _, gradient = losses.SparseCategoricalCrossentropy(from_logits=True).value_and_grad([1, 2], rows)
    assert total == pytest.approx(2 * logit + np.log(2), rel=4 * float(np.finfo(dtype).eps))
    np.testing.assert_allclose(gradient * 2, [[1, -1, 0], [0, 0.5, -0.5]], atol=1e-30)


def test_a_masked_logit_of_minus_infinity_costs_nothing():
    x = np.array([[0.0, -np.inf, 0.0]])
    total, _, gradient = losses.SparseCategoricalCrossentropy(from_logits=True).value_and_grad([0], x)
    assert total == pytest.approx(np.log(2), rel=1e-15)
    assert gradient.tolist() == [[-0.5, 0.0, 0.5]]


@pytest.mark.parametrize("loss", EVERY, ids=repr)
def test_nan_reaches_value_and_gradient(loss):
    y, p = batch(loss, (5, 20), np.float64)
    for column in (0, 17):
        bad = p.copy()
        bad[2, column] = np.nan
        total, _, gradient = loss.value_and_grad(y, bad)
        assert np.isnan(total)
        assert np.isnan(gradient[2, column])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("from_logits", [False, True])
@pytest.mark.parametrize("classes", [2, 17, 5000])
def test_labels_and_one_hot_rows_are_one_loss(dtype, from_logits, classes):
    sparse = losses.SparseCategoricalCrossentropy(from_logits)
    labels, p = batch(sparse, (6, classes), dtype)
    one_hot = np.eye(classes, dtype=dtype)[labels]
    total, count, gradient = sparse.value_and_grad(labels, p)
    dense_total, dense_count, dense = losses.CategoricalCrossentropy(from_logits).value_and_grad(one_hot, p)
    assert (total, count) == (dense_total, dense_count)
    np.testing.assert_array_max_ulp(gradient, dense, 2)


@pytest.mark.parametrize("loss", EVERY, ids=repr)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_one_answer_on_every_isa_and_any_number_of_threads(loss, dtype):
    shape = (1030, 37)
    y, p = batch(loss, shape, dtype)
    total, _, gradient = loss.value_and_grad(y, p)
    for isa in ISAS:
        for threads in (1, 2, 3):
            with using(isa=isa, threads=threads):
                other_total, _, other = loss.value_and_grad(y, p)
                assert other_total == total, (isa, threads)
                assert_bits(other, gradient, f"gradient on {isa} with {threads} threads")


def emulated_sum(x):
    """The contract's order: chunks of 4096, 16 lanes, a pairwise tree, float64 across chunks."""
    total = 0.0
    for start in range(0, len(x), 4096):
        chunk = x[start : start + 4096]
        lanes = np.zeros(16, x.dtype)
        for i in range(0, len(chunk), 16):
            row = chunk[i : i + 16]
            lanes[: len(row)] += row
        for width in (8, 4, 2, 1):
            lanes[:width] += lanes[width : 2 * width]
        total += float(lanes[0])
    return total


@pytest.mark.parametrize("n", [0, 1, 5, 16, 100, 4095, 4096, 4097, 70001])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("isa", ISAS)
def test_a_long_sum_is_added_in_the_order_of_the_contract(n, dtype, isa):
    x = np.random.default_rng(n).normal(size=n).astype(dtype)
    with using(isa=isa):
        assert _core.sum(x) == emulated_sum(x)
        assert _core.all_finite(x)
        assert _core.sum_squares(np.abs(x)) == pytest.approx(float((x.astype(np.float64) ** 2).sum()), rel=1e-5)


@pytest.mark.parametrize("place", [0, 6, 17, 99_999])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_all_finite_finds_one_that_is_not(place, value):
    x = np.ones(100_000, np.float32)
    x[place] = value
    assert not _core.all_finite(x)


def test_targets_of_one_axis_are_those_of_a_column():
    p = np.array([[0.5], [2.0], [3.0]], np.float32)
    total, count, gradient = losses.get("mse").value_and_grad([1, 2, 3], p)
    assert (total, count) == (0.25, 3)
    assert gradient.shape == (3, 1)
    assert losses.get("mse").value([[1], [2], [3]], p) == (0.25, 3)


@pytest.mark.parametrize(
    ("y", "p"),
    [
        ((3,), (3, 2)),
        ((3, 1), (3, 2)),
        ((3, 1), (3,)),
        ((1, 3), (3, 1)),
        ((2, 1), (3, 1)),
        ((3, 4), (3, 4, 1)),
        ((), (1, 1)),
    ],
)
@pytest.mark.parametrize("name", ELEMENTWISE)
def test_nothing_is_broadcast(name, y, p):
    with pytest.raises(ValueError, match=r"^y must have the shape of the output, \(.*\), got \(.*\)$") as caught:
        losses.get(name).value_and_grad(np.zeros(y), np.ones(p))
    assert str(y) in str(caught.value)
    assert str(p) in str(caught.value)


@pytest.mark.parametrize("y", [(3, 2), (4,), (), (3, 4)])
def test_labels_of_another_shape(y):
    with pytest.raises(ValueError, match=r"^y must hold one class label for each row of the output \(3, 4\), got \("):
        losses.get("sparse_categorical_crossentropy").value(np.zeros(y, int), np.ones((3, 4)))


@pytest.mark.parametrize("label", [-1, 4, 10**12])
def test_a_label_out_of_range(label):
    with pytest.raises(ValueError, match=rf"^y must hold class labels in \[0, 4\), got {label}$"):
        losses.get("sparse_categorical_crossentropy").value([0, label], np.ones((2, 4)))


@pytest.mark.parametrize("label", [0.5, np.nan, np.inf, 1e30])
def test_a_label_that_is_no_integer(label):
    with pytest.raises(ValueError, match=r"^y must hold integer class labels"):
        losses.get("sparse_categorical_crossentropy").value([0.0, label], np.ones((2, 4)))


@pytest.mark.parametrize("value", [-0.1, 1.5, np.nan])
@pytest.mark.parametrize("name", ["binary_crossentropy", "categorical_crossentropy"])
def test_a_target_that_is_no_probability(name, value):
    with pytest.raises(ValueError, match=r"^y must hold probabilities in \[0, 1\]"):
        losses.get(name).value([[0.0, value]], np.full((1, 2), 0.5))


@pytest.mark.parametrize("y", [["a"], [object()], [1j]])
def test_targets_of_another_kind(y):
    with pytest.raises(ValueError, match=r"^y must be bool, integer or float, got "):
        losses.get("mse").value(y, np.ones((1, 1)))


def test_outputs_of_another_kind():
    with pytest.raises(ValueError, match=r"^y_pred must be float32 or float64.*, got int64$"):
        losses.get("mse").value([1], np.ones((1, 1), np.int64))
    with pytest.raises(ValueError, match=r"^y_pred must be C-contiguous$"):
        losses.get("mse").value(np.ones((2, 2)), np.ones((4, 2))[::2])


def test_names():
    for name in ("mse", "MSE", "mean_squared_error", "MeanSquaredError"):
        assert losses.get(name) == losses.MeanSquaredError()
    loss = losses.Huber(2.0)
    assert losses.get(loss) is loss
    with pytest.raises(ValueError, match=r"^unknown loss 'msse'; nearest known: 'mse'"):
        losses.get("msse")
    with pytest.raises(ValueError, match=r"^loss must be a name or a Loss, got 3$"):
        losses.get(3)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: losses.Huber(0.0), r"^delta must be above 0, got 0.0$"),
        (lambda: losses.BinaryCrossentropy(label_smoothing=1.5), r"^label_smoothing must be in \[0, 1\], got 1.5$"),
        (lambda: losses.CategoricalCrossentropy(label_smoothing=-0.1), r"^label_smoothing must be in"),
    ],
)
def test_bad_options(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_an_empty_batch_has_no_elements():
    for name in (*ELEMENTWISE, *CLASSES):
        y = np.zeros((0,), int) if name.startswith("sparse") else np.zeros((0, 3))
        total, count, gradient = losses.get(name).value_and_grad(y, np.zeros((0, 3)))
        assert (total, count, gradient.shape) == (0.0, 0, (0, 3))


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", [(1, 1), (3, 7), (2, 3, 40), (2, 5000)])
def test_softmax_and_its_gradient(isa, dtype, shape):
    rng = np.random.default_rng(5)
    x, dy = (5 * rng.normal(size=shape)).astype(dtype), rng.normal(size=shape).astype(dtype)
    reference_isa = _core.softmax(x)
    with using(isa=isa):
        y = _core.softmax(x)
        dx = _core.softmax_backward(y, dy)
    assert_bits(y, reference_isa, "softmax")
    wanted = softmax(x.astype(np.float64))
    eps = np.finfo(dtype).eps
    np.testing.assert_allclose(y, wanted, rtol=(16 + np.ptp(x)) * eps)  # x - max is rounded before exp
    slope = wanted * (dy - (wanted * dy).sum(-1, keepdims=True))
    np.testing.assert_allclose(dx, slope, rtol=32 * eps, atol=32 * eps * np.abs(slope).max())


def test_mean_and_deviation_of_columns():
    a = np.random.default_rng(2).normal(1000.0, 2.0, (9000, 3))
    mean, deviation = _core.mean_std(a)
    np.testing.assert_allclose(mean, a.mean(0), rtol=1e-14)
    np.testing.assert_allclose(deviation, a.std(0), rtol=1e-13)
    for isa in ISAS:
        with using(isa=isa, threads=2):
            other = _core.mean_std(a)
            assert_bits(other[0], mean)
            assert_bits(other[1], deviation)
    with pytest.raises(ValueError, match=r"^a must be \[N, F\] with at least one row, got \(0, 3\)$"):
        _core.mean_std(np.zeros((0, 3)))
