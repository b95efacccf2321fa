"""Targets that are not there: `Masked` against the loss of those that are."""

import numpy as np
import pytest

import test_formula_losses as formulas
import test_losses as fused
from latchwork import losses
from latchwork.config import describe, rebuild
from latchwork.models.saving import LOSSES
from problems import assert_bits

NAN = float("nan")
PLAIN = [loss for loss in fused.EVERY if not loss.labels]


@pytest.mark.parametrize("loss", [*PLAIN, *formulas.EVERY], ids=repr)
@pytest.mark.parametrize("weighted", [False, True])
def test_rows_without_targets_are_as_if_they_were_not_there(loss, weighted):
    y, p = formulas.batch(loss, 40, 3, np.float32) if loss in formulas.EVERY else fused.batch(loss, (40, 3), np.float32)
    gone = np.arange(40) % 3 == 0
    weight = np.random.default_rng(0).random(40) if weighted else None
    kept = () if weight is None else (weight[~gone],)
    wanted = loss.value_and_grad(y[~gone], p[~gone], *kept)
    masked = np.where(gone[:, None], np.float32(NAN), y)
    total, count, gradient = losses.Masked(loss).value_and_grad(masked, p, weight)
    assert count == wanted[1]
    assert total == pytest.approx(wanted[0], rel=1e-6)
    assert not gradient[gone].any()
    assert_bits(gradient[~gone], wanted[2])
    assert losses.Masked(loss).value(masked, p, weight) == (total, count)


def test_elements_rows_and_quantiles():
    mse = losses.Masked(losses.MeanSquaredError())
    p = np.arange(6.0).reshape(2, 3)
    total, count, gradient = mse.value_and_grad([[0, NAN, 0], [NAN, NAN, 5]], p)
    assert (total, count) == (4, 3)
    np.testing.assert_array_equal(gradient * 3, [[0, 0, 4], [0, 0, 0]])
    likely = losses.GaussianNegativeLogLikelihood()
    p4 = np.arange(8.0).reshape(2, 4)
    whole = likely.value_and_grad(np.zeros((2, 2)), p4)[2] * 4
    total, count, gradient = losses.Masked(likely).value_and_grad([[0, NAN], [NAN, 0]], p4)
    assert count == 2
    np.testing.assert_array_equal(gradient * 2, whole * [[1, 0, 1, 0], [0, 1, 0, 1]])
    row = losses.Masked(losses.CategoricalCrossentropy(from_logits=True))
    assert row.value([[0, 1, NAN], [0, 1, 0]], p)[1] == 1
    quantile = losses.Masked(losses.Quantile([0.1, 0.5, 0.9]))
    assert quantile.value([1.0, NAN], p)[1] == quantile.value([[1.0], [NAN]], p)[1] == 3


def test_labels_of_no_class():
    sparse = losses.SparseCategoricalCrossentropy(from_logits=True)
    masked = losses.Masked(sparse, mask_value=-1)
    p = np.random.default_rng(0).normal(size=(2, 3, 4))
    y = np.array([[0, -1, 3], [-1, -1, 2]])
    assert masked.labels
    total, count, gradient = masked.value_and_grad(y, p)
    assert count == 3
    assert total == pytest.approx(sparse.value(y[y >= 0], p[y >= 0])[0])
    assert not gradient[y < 0].any()
    masked.check_targets(y, (None, 3, 4))
    with pytest.raises(ValueError, match=r"^y must hold class numbers from 0 to 3, got 0 to 4$"):
        masked.check_targets(y + 1, (None, 3, 4))
    with pytest.raises(ValueError, match=r"^y must hold class labels in \[0, 4\), got 4$"):
        masked.value(np.where(y == 3, 4, y), p)


def test_nothing_is_there():
    total, count, gradient = losses.Masked(losses.Huber()).value_and_grad([NAN, NAN], np.ones((2, 1)))
    assert (total, count, gradient.tolist()) == (0, 0, [[0], [0]])
    assert losses.Masked(losses.Huber())([NAN], np.ones((1, 1))) == 0


def test_other_targets_are_checked():
    masked = losses.Masked(losses.BinaryCrossentropy())
    masked.check_targets(np.array([NAN, 1.0]), (None, 1))
    with pytest.raises(ValueError, match=r"^y must lie in \[0, 1\] for binary_crossentropy, got 0.0 to 2.0$"):
        masked.check_targets(np.array([NAN, 2.0]), (None, 1))
    with pytest.raises(ValueError, match=r"^y must hold probabilities in \[0, 1\]"):
        masked.value([NAN, 2.0], np.full((2, 1), 0.5))
    with pytest.raises(ValueError, match=r"^y must have the shape of the output, \(2, 1\), got \(3,\)$"):
        masked.value([NAN, 1, 1], np.full((2, 1), 0.5))


def test_values_and_files():
    assert losses.Masked(losses.Huber()) == losses.Masked(losses.Huber())
    assert hash(losses.Masked(losses.Huber())) == hash(losses.Masked(losses.Huber()))
    assert losses.Masked(losses.Huber()) != losses.Masked(losses.Huber(), -1)
    assert losses.Masked(losses.Huber()).name == "masked_huber_loss"
    for loss in (losses.Masked(losses.Quantile([0.1, 0.9])), losses.Masked(losses.Huber(2.0), -1, "mine")):
        assert rebuild(describe(loss, LOSSES), LOSSES, "loss") == loss
    assert describe(losses.Masked(losses.Huber()), LOSSES)["mask_value"] == "nan"


@pytest.mark.parametrize("loss", [losses.CTC(), losses.Masked(losses.Huber()), "mse", None])
def test_losses_that_cannot_be_masked(loss):
    with pytest.raises(ValueError, match=r"^Masked: loss must be one of lw.losses \(not CTC or Masked\), got "):
        losses.Masked(loss)
