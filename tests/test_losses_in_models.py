"""Losses whose targets are not shaped like the output, in fit, evaluate, explain and files."""

import numpy as np
import pytest

import latchwork as lw
from latchwork import Ragged, layers, losses
from latchwork.models import Sequential, load_model
from problems import assert_bits

NAN = float("nan")


def forecaster(loss, outputs, sequences=False, dtype="float64"):
    model = Sequential([layers.LSTM(4, return_sequences=sequences), layers.Dense(outputs)], dtype=dtype)
    model.build((None, None, 2))
    rng = np.random.default_rng(1)
    model.set_weights([rng.normal(size=w.shape) * 0.3 for w in model.get_weights()])
    model.compile("sgd", loss)
    return model


X = np.random.default_rng(0).normal(size=(12, 5, 2))
Y = np.random.default_rng(2).normal(size=12)


@pytest.mark.parametrize(
    ("loss", "outputs"),
    [
        (losses.Quantile([0.1, 0.5, 0.9]), 3),
        ("gaussian_nll", 2),
        ("student_t_nll", 2),
        (losses.MixtureNegativeLogLikelihood(2), 6),
    ],
)
def test_one_target_for_several_outputs(loss, outputs):
    model = forecaster(loss, outputs)
    first = model.evaluate(X, Y, verbose=0)
    assert first == pytest.approx(losses.get(loss)(Y, model.predict(X)))
    assert model.evaluate(X, Y[:, None], verbose=0) == first
    model.fit(X, Y, epochs=5, verbose=0)
    assert model.evaluate(X, Y, verbose=0) < first
    with pytest.raises(ValueError, match=r"^y must have shape \(12, 1\) to match the model's output, got \(12, 2\)$"):
        model.fit(X, np.zeros((12, 2)), verbose=0)
    assert "training" in str(model.explain(4, 5, training=True))  # it trains on targets that it makes itself


def test_a_quantile_of_every_step():
    model = forecaster(losses.Quantile([0.1, 0.9]), 2, sequences=True)
    y = np.random.default_rng(3).normal(size=(12, 5))
    assert model.evaluate(X, y, verbose=0) == model.evaluate(X, y[..., None], verbose=0)
    ragged = Ragged(X.reshape(-1, 2), np.arange(13) * 5), Ragged(y.reshape(-1, 1), np.arange(13) * 5)
    assert model.evaluate(*ragged, verbose=0) == model.evaluate(X, y, verbose=0)


def test_missing_targets_train_as_if_their_rows_were_not_there():
    loss = losses.Masked(losses.Quantile([0.1, 0.5, 0.9]))
    gone = np.arange(12) % 4 == 0
    whole, rest = forecaster(loss, 3), forecaster(loss.loss, 3)
    for model, x, y in ((whole, X, np.where(gone, NAN, Y)), (rest, X[~gone], Y[~gone])):
        model.fit(x, y, batch_size=12, epochs=3, shuffle=False, verbose=0)
    for ours, theirs in zip(whole.get_weights(), rest.get_weights(), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-12)
    assert not np.isnan(whole.evaluate(X, np.where(gone, NAN, Y), verbose=0))
    with pytest.raises(FloatingPointError, match=r"y of this batch"):
        forecaster("mse", 1).fit(X, np.where(gone, NAN, Y), verbose=0)


def test_steps_without_a_tag():
    loss = losses.Masked(losses.SparseCategoricalCrossentropy(from_logits=True), mask_value=-1)
    model = forecaster(loss, 3, sequences=True)
    y = np.random.default_rng(4).integers(0, 3, (12, 5))
    y[:, 3:] = -1
    assert model.evaluate(X, y, verbose=0) == pytest.approx(loss.loss(y[:, :3], model.predict(X)[:, :3].copy()))
    model.fit(X, y, verbose=0)
    with pytest.raises(ValueError, match=r"^y must hold class numbers from 0 to 2, got 0 to 3$"):
        model.fit(X, np.where(y == 2, 3, y), verbose=0)


LENGTHS = np.array([5, 3, 4, 5, 2, 5, 5, 4, 3, 5, 5, 5])
LABELS = np.array([[1, 2, -1], [1, -1, -1], [2, 2, -1], [1, 2, 1], [2, -1, -1], [-1, -1, -1]] * 2)


def ragged_x():
    return Ragged.from_list([x[:n] for x, n in zip(X, LENGTHS, strict=True)])


def masked_x():
    x = X.copy()
    for row, n in zip(x, LENGTHS, strict=True):
        row[n:] = 0
    return x


def reader():
    model = Sequential([layers.Masking(), layers.LSTM(4, return_sequences=True), layers.Dense(3)], dtype="float64")
    model.build((None, None, 2))
    rng = np.random.default_rng(1)
    model.set_weights([rng.normal(size=w.shape) for w in model.get_weights()])
    model.compile("sgd", "ctc")
    assert "training" in str(model.explain(4, 5, training=True))
    return model


def test_ctc_of_padded_masked_and_ragged_batches():
    padded, ragged = reader(), reader()
    wanted = losses.CTC()(LABELS, ragged.predict(ragged_x()))
    assert ragged.evaluate(ragged_x(), LABELS, verbose=0) == wanted
    assert padded.evaluate(masked_x(), LABELS, verbose=0) == pytest.approx(wanted, rel=1e-15)
    rows = [labels[labels > 0].reshape(-1, 1) for labels in LABELS]
    assert ragged.evaluate(ragged_x(), Ragged.from_list(rows), verbose=0) == wanted
    for model, x in ((padded, masked_x()), (ragged, ragged_x())):
        lw.set_seed(0)
        model.fit(x, LABELS, batch_size=5, epochs=2, verbose=0)
        assert model.evaluate(x, LABELS, verbose=0) < wanted
    for one, other in zip(padded.get_weights(), ragged.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12)  # Dense sums the gradients of its weights in other groups


def test_bad_labels_of_sequences_change_nothing():
    model = reader()
    before = [w.copy() for w in model.get_weights()]
    for y, message in (
        (LABELS[:5], r"^y must hold the labels of 12 sequences, got 5$"),
        (LABELS + 1, r"^y must hold class numbers from 0 to 2, or -1, got 0 to 3$"),
        (LABELS + 0.5, r"^y must hold whole class numbers, got fractions or NaN$"),
    ):
        with pytest.raises(ValueError, match=message):
            model.fit(masked_x(), y, verbose=0)
    with pytest.raises(ValueError, match=r"^ctc needs outputs \[B, T, classes\], got \(None, 3\)$"):
        forecaster("ctc", 3).fit(X, LABELS, verbose=0)
    for one, other in zip(model.get_weights(), before, strict=True):
        assert_bits(one, other)


@pytest.mark.parametrize(
    ("loss", "outputs", "y"),
    [
        (losses.Quantile([0.1, 0.5]), 2, Y),
        (losses.Masked(losses.Huber(0.5)), 1, np.where(Y > 1, NAN, Y)),
        (losses.StudentTNegativeLogLikelihood(df=3.0), 2, Y),
        (losses.BinaryFocalCrossentropy(from_logits=True, gamma=1.5), 1, Y > 0),
    ],
)
def test_they_travel_in_files(loss, outputs, y, tmp_path):
    model = forecaster(loss, outputs)
    model.fit(X, y, verbose=0)
    model.save(tmp_path / "m.safetensors")
    again = load_model(tmp_path / "m.safetensors")
    assert again._compiled.loss == loss
    for one in (model, again):
        one.fit(X, y, verbose=0)
    for ours, theirs in zip(model.get_weights(), again.get_weights(), strict=True):
        assert_bits(ours, theirs)
