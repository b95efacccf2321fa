"""Losses with weights beside Keras on torch, likelihoods beside torch.distributions, in float64."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from latchwork import Ragged, losses
from peers.keras_adapter import IGNORED, keras, numbers, tensor

pytestmark = [pytest.mark.filterwarnings(warning) for warning in IGNORED]

FLAGS, SEEDS = st.booleans(), st.integers(0, 2**32 - 1)
OF_NUMBERS = ("MeanSquaredError", "MeanAbsoluteError", "LogCosh", "CosineSimilarity")
OF_POSITIVES = ("MeanSquaredLogarithmicError", "MeanAbsolutePercentageError", "Poisson", "KLDivergence")
OF_CLASSES = ("BinaryCrossentropy", "CategoricalCrossentropy", "Hinge", "SquaredHinge", "CategoricalHinge")
FOCAL = ("BinaryFocalCrossentropy", "CategoricalFocalCrossentropy")


def one_row_wide(kind):
    """Whether a loss is of a row, not of an element."""
    return "Categorical" in kind or kind in ("CosineSimilarity", "KLDivergence")


@st.composite
def settings_of(draw, kind):
    settings = {}
    if "Crossentropy" in kind:
        settings = {"from_logits": draw(FLAGS), "label_smoothing": draw(st.sampled_from([0.0, 0.1, 0.5]))}
    if "Focal" in kind:
        settings |= {"alpha": draw(st.floats(0, 1)), "gamma": draw(st.sampled_from([0.0, 1.0, 2.0, 2.7]))}
    if kind == "BinaryFocalCrossentropy":
        settings["apply_class_balancing"] = draw(FLAGS)
    return settings


def targets_and_outputs(kind, settings, shape, rng):
    y_pred = rng.normal(size=shape)
    if kind in OF_POSITIVES or settings.get("from_logits") is False:
        y_pred = rng.uniform(0.01, 0.99, shape)
    if kind in OF_NUMBERS:
        return rng.normal(size=shape), y_pred
    if "Hinge" in kind and "Categorical" not in kind:
        return rng.integers(0, 2, shape), y_pred
    return rng.uniform(0.01, 0.99, shape), y_pred


@given(st.data(), st.integers(1, 6), st.integers(0, 4), st.integers(2, 5), FLAGS, SEEDS)
@pytest.mark.parametrize("kind", [*OF_NUMBERS, *OF_POSITIVES, *OF_CLASSES, *FOCAL])
def test_losses_are_those_of_keras(kind, data, batch, steps, classes, weighted, seed):
    """Value and gradient; outputs [B, C] and [B, T, C]; weights [B] and [B, T]."""
    settings = data.draw(settings_of(kind))
    shape = (batch, steps, classes) if steps else (batch, classes)
    rng = np.random.default_rng(seed)
    y_true, y_pred = targets_and_outputs(kind, settings, shape, rng)
    weight = rng.random(shape[:-1]) if weighted else None
    leaf = tensor(y_pred)
    given_weight = None if weight is None else torch.tensor(weight)
    theirs = getattr(keras.losses, kind)(**settings)(torch.tensor(y_true), leaf, given_weight)
    arguments = (y_true, y_pred) if weight is None else (y_true, y_pred, weight)
    total, count, gradient = getattr(losses, kind)(**settings).value_and_grad(*arguments)
    np.testing.assert_allclose(total / count, theirs.item(), rtol=1e-12, atol=1e-14)
    wanted = numbers(torch.autograd.grad(theirs, leaf)[0])
    np.testing.assert_allclose(gradient, wanted, rtol=1e-12, atol=1e-12 * max(1.0, abs(wanted).max()))


def scale_of(raw, floor=1e-6):
    return torch.nn.functional.softplus(raw, threshold=1e9) + floor


def gaussian(p, width, _):
    return torch.distributions.Normal(p[:, :width], scale_of(p[:, width:]))


def student(p, width, df):
    return torch.distributions.StudentT(df, p[:, :width], scale_of(p[:, width:]))


def mixture(p, width, components):
    logits, means, raws = p.reshape(len(p), 3, width, components).unbind(1)
    each = torch.distributions.Normal(means, scale_of(raws))
    return torch.distributions.MixtureSameFamily(torch.distributions.Categorical(logits=logits), each)


LIKELIHOODS = {
    "gaussian": (lambda _: losses.GaussianNegativeLogLikelihood(), gaussian, 2),
    "student": (lambda df: losses.StudentTNegativeLogLikelihood(df=df), student, 2),
    "mixture": (lambda k: losses.MixtureNegativeLogLikelihood(k), mixture, 3),
}


@given(st.integers(1, 5), st.integers(1, 4), st.integers(1, 5), SEEDS)
@pytest.mark.parametrize("name", LIKELIHOODS)
def test_likelihoods_are_those_of_torch(name, batch, width, number, seed):
    make, distribution, each = LIKELIHOODS[name]
    rng = np.random.default_rng(seed)
    outputs = each * width * (number if name == "mixture" else 1)
    y, p = 3 * rng.normal(size=(batch, width)), 2 * rng.normal(size=(batch, outputs))
    leaf = tensor(p)
    theirs = -distribution(leaf, width, number).log_prob(torch.tensor(y)).mean()
    total, count, gradient = make(number).value_and_grad(y, p)
    np.testing.assert_allclose(total / count, theirs.item(), rtol=1e-12, atol=1e-12)
    wanted = numbers(torch.autograd.grad(theirs, leaf)[0])
    np.testing.assert_allclose(gradient, wanted, rtol=1e-11, atol=1e-11 * max(1.0, abs(wanted).max()))


@given(st.integers(1, 5), st.integers(6, 12), st.integers(2, 6), st.integers(0, 3), FLAGS, SEEDS)
def test_ctc_is_that_of_torch_and_of_keras(batch, steps, classes, width, ragged, seed):
    rng = np.random.default_rng(seed)
    lengths = rng.integers(6, steps + 1, batch) if ragged else np.full(batch, steps)
    counts = rng.integers(0, width + 1, batch)
    y = rng.integers(1, classes, (batch, width)) * (np.arange(width) < counts[:, None])  # 0: blank, and Keras' padding
    p = 2 * rng.normal(size=(batch, steps, classes))
    leaf = tensor(p)
    log_p = torch.log_softmax(leaf, -1).transpose(0, 1)
    targets, known = torch.tensor(y), (torch.tensor(lengths), torch.tensor(counts))
    theirs = torch.nn.functional.ctc_loss(log_p, targets, *known, blank=0, reduction="none").mean()
    given_p = Ragged.from_list([p[i, :n] for i, n in enumerate(lengths)]) if ragged else p
    total, count, gradient = losses.CTC().value_and_grad(y, given_p)
    assert count == batch
    np.testing.assert_allclose(total / count, theirs.item(), rtol=1e-12, atol=1e-13)
    wanted = numbers(torch.autograd.grad(theirs, leaf)[0])
    wanted = np.concatenate([wanted[i, :n] for i, n in enumerate(lengths)]).reshape(gradient.shape)
    np.testing.assert_allclose(gradient, wanted, rtol=0, atol=1e-12)
    if not ragged and width:
        assert keras.losses.CTC()(y, p).item() == pytest.approx(total / count, rel=1e-12)


@given(st.integers(1, 5), st.integers(1, 12), st.integers(2, 6), SEEDS)
def test_the_best_path_is_that_of_keras(batch, steps, classes, seed):
    p = np.random.default_rng(seed).normal(size=(batch, steps, classes))
    (theirs,), _ = keras.ops.ctc_decode(p, np.full(batch, steps), strategy="greedy", mask_index=0)
    for ours, row in zip(losses.ctc_decode(p), numbers(theirs), strict=True):
        assert ours[:, 0].tolist() == row[row >= 0].tolist()
