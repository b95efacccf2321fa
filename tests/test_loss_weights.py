"""Weights of loss elements: values and gradients against the elements, shapes that are taken, bad input, one answer."""

import numpy as np
import pytest

import latchwork as lw
from latchwork import losses
from problems import ISAS, assert_bits, using
from test_losses import EVERY, batch, reference


def weights_like(elements, dtype=np.float64):
    weight = np.random.default_rng(3).uniform(-0.5, 2, elements.shape)
    weight.flat[::3] = 0
    return weight.astype(dtype)


@pytest.mark.parametrize("loss", EVERY, ids=repr)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", [(1, 2), (7, 3), (1025, 5)])
def test_every_element_is_weighed(loss, dtype, shape):
    y, p = batch(loss, shape, dtype)
    elements, slope = reference(loss, y, p)
    weight = weights_like(elements, dtype)
    total, count, gradient = loss.value_and_grad(y, p, weight)
    eps = np.finfo(dtype).eps
    assert count == elements.size
    assert abs(total - (elements * weight).sum()) <= 32 * eps * np.abs(elements * weight).sum() + 1e-300
    wanted = slope * (weight if weight.shape == slope.shape else weight[..., None])
    np.testing.assert_allclose(gradient * count, wanted, rtol=64 * eps, atol=64 * eps * np.abs(slope).max())
    assert loss.value(y, p, weight) == (total, count)
    assert loss(y, p, weight) == total / count


@pytest.mark.parametrize("loss", EVERY, ids=repr)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_weights_of_one_change_no_bit(loss, dtype):
    y, p = batch(loss, (1030, 7), dtype)
    total, count, gradient = loss.value_and_grad(y, p)
    other = loss.value_and_grad(y, p, np.ones(len(p)))
    assert other[:2] == (total, count)
    assert_bits(other[2], gradient, "gradient")


@pytest.mark.parametrize("loss", EVERY, ids=repr)
def test_a_weight_of_zero_leaves_out_whatever_is_there(loss):
    y, p = batch(loss, (6, 20), np.float64)
    weight = np.array([1.0, 0, 2, 1, 0, 1])
    wanted = loss.value_and_grad(y, p, weight)
    p[weight == 0] = np.nan
    total, count, gradient = loss.value_and_grad(y, p, weight)
    assert (total, count) == wanted[:2]
    assert_bits(gradient, wanted[2], "gradient")
    assert not gradient[weight == 0].any()


@pytest.mark.parametrize("loss", EVERY, ids=repr)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_one_answer_with_weights(loss, dtype):
    y, p = batch(loss, (1030, 37), dtype)
    weight = np.random.default_rng(4).random(1030)
    total, _, gradient = loss.value_and_grad(y, p, weight)
    for isa in ISAS:
        for threads in (1, 2):
            with using(isa=isa, threads=threads):
                other = loss.value_and_grad(y, p, weight)
                assert other[0] == total, (isa, threads)
                assert_bits(other[2], gradient, f"gradient on {isa} with {threads} threads")


def test_weights_of_leading_axes():
    y, p = np.zeros((2, 3, 4)), np.arange(24.0).reshape(2, 3, 4)
    mse = losses.MeanSquaredError()
    for shape in ((2,), (2, 1), (2, 1, 1), (2, 3), (2, 3, 1), (2, 3, 4)):
        weight = np.random.default_rng(0).random(shape)
        spread = weight.reshape(*shape, *(1,) * (3 - len(shape)))
        assert mse.value(y, p, weight)[0] == pytest.approx((p**2 * spread).sum(), rel=1e-14)
    sparse = losses.SparseCategoricalCrossentropy(from_logits=True)
    labels = np.zeros((2, 3), int)
    for shape in ((2,), (2, 1), (2, 3), (2, 3, 1)):
        weight = np.ones(shape, bool)
        assert sparse.value(labels, p, weight) == sparse.value(labels, p)


@pytest.mark.parametrize("shape", [(), (3,), (1,), (3, 2), (2, 4), (1, 3), (2, 3, 4, 1, 1)])
def test_weights_of_another_shape(shape):
    with pytest.raises(ValueError, match=r"^sample_weight must have the shape of the losses, \(2, 3, 4\), or of"):
        losses.get("mse").value(np.zeros((2, 3, 4)), np.zeros((2, 3, 4)), np.ones(shape))


def test_weights_of_another_kind():
    with pytest.raises(ValueError, match=r"^sample_weight must be bool, integer or float, got <U1$"):
        losses.get("mse").value([1.0], np.zeros((1, 1)), ["a"])


class Sum(losses.Loss):
    """Of the user's own, without weights."""

    name = "sum"

    def value_and_grad(self, y_true, y_pred):
        return float(y_pred.sum()), y_pred.size, np.full_like(y_pred, 1 / y_pred.size)


def test_a_loss_of_ones_own_may_know_no_weights():
    assert Sum()([0.0], np.array([[3.0]])) == 3
    with pytest.raises(TypeError):
        Sum()([0.0], np.array([[3.0]]), [1.0])


BINARY = np.array([0, 1, 1, 0, 1, 0])
LABELS = np.array([0, 1, 2, 1, 0, 2])
FORMS = {
    "labels": ("sparse_categorical_crossentropy", LABELS, LABELS),
    "labels [N, 1] of floats": ("sparse_categorical_crossentropy", LABELS[:, None].astype(float), LABELS),
    "one-hot rows": ("categorical_crossentropy", np.eye(3)[LABELS], LABELS),
    "probabilities": ("categorical_crossentropy", 0.9 * np.eye(3)[LABELS] + 0.1 / 3, LABELS),
    "0 and 1": ("binary_crossentropy", BINARY, BINARY),
    "0 and 1 [N, 1]": ("binary_crossentropy", BINARY[:, None], BINARY),
    "bool": ("binary_crossentropy", BINARY.astype(bool), BINARY),
    "-1 and 1": ("hinge", 2 * BINARY - 1, 2 * BINARY - 1),
    "missing": (
        losses.Masked(losses.BinaryCrossentropy()), np.where(np.arange(6) == 2, np.nan, BINARY), BINARY,
    ),
    "labels of no class": (
        losses.Masked(losses.SparseCategoricalCrossentropy(), -1), np.where(LABELS == 2, -1, LABELS), LABELS,
    ),
    "rows that are missing": (
        losses.Masked(losses.CategoricalCrossentropy()),
        np.where((np.arange(6) == 2)[:, None], np.nan, np.eye(3)[LABELS]), LABELS,
    ),
}  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
def test_class_weights_of_every_form_of_labels(form):
    """The same as a weight for each sample, by its class."""
    loss, y, classes = FORMS[form]
    outputs = 1 if classes is BINARY or form == "-1 and 1" else 3
    given = {-1: 4.0, 0: 2.0, 1: 0.25}
    x = np.random.default_rng(0).normal(size=(6, 3))

    def trained(**weights):
        lw.set_seed(0)
        activation = None if form == "-1 and 1" else "sigmoid" if outputs == 1 else "softmax"
        model = lw.models.Sequential([lw.layers.Dense(outputs, activation, input_shape=(3,))])
        model.compile("sgd", loss)
        return model.train_on_batch(x, y, **weights), *model.get_weights()

    wanted = trained(sample_weight=np.array([given.get(int(number), 1.0) for number in classes]))
    for ours, theirs in zip(trained(class_weight=given), wanted, strict=True):
        assert_bits(np.asarray(ours), np.asarray(theirs))


@pytest.mark.parametrize("row", [[1, 1, 0], [0, 0, 0]])
def test_rows_without_one_class_have_no_class_weight(row):
    model = lw.models.Sequential([lw.layers.Dense(3, "sigmoid", input_shape=(3,))])
    model.compile("sgd", "bce")
    with pytest.raises(ValueError, match=r"^class_weight must be None for rows of y with several largest numbers: "):
        model.fit(np.ones((2, 3)), [[0, 0, 1], row], class_weight={0: 2.0}, verbose=0)
