"""CTC: against every path counted, finite differences, padding, ragged batches, impossible labels, one answer."""

import itertools

import numpy as np
import pytest

from latchwork import Ragged, _core, losses
from problems import ISAS, assert_bits, using


def log_softmax(x):
    return x - np.logaddexp.reduce(x, -1, keepdims=True)


def merged(path, blank):
    return [label for i, label in enumerate(path) if label != blank and (i == 0 or label != path[i - 1])]


def by_paths(logits, labels, blank):
    """-log of the sum of the probabilities of all paths that say the labels."""
    log_p = log_softmax(logits.astype(np.float64))
    steps, classes = logits.shape
    found = [
        sum(log_p[t, c] for t, c in enumerate(path))
        for path in itertools.product(range(classes), repeat=steps)
        if merged(path, blank) == list(labels)
    ]
    return -np.logaddexp.reduce(found)


CASES = [
    (1, [], 0),
    (1, [1], 0),
    (4, [], 0),
    (4, [1], 0),
    (4, [1, 2], 0),
    (4, [1, 1], 0),
    (3, [1, 1], 0),
    (5, [2, 1, 2], 0),
    (5, [2, 2, 1], 0),
    (5, [0, 1, 0], 2),
    (5, [1, 1, 0], 2),
    (4, [0, 2, 0, 2], 1),
]


@pytest.mark.parametrize(("steps", "labels", "blank"), CASES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_it_is_the_sum_over_all_paths(steps, labels, blank, dtype):
    logits = np.random.default_rng(steps).normal(size=(1, steps, 3)).astype(dtype)
    total, count, gradient = losses.CTC(blank=blank).value_and_grad(np.array([labels], int).reshape(1, -1), logits)
    assert count == 1
    assert total == pytest.approx(by_paths(logits[0], labels, blank), rel=1e-13)
    assert gradient.shape == logits.shape
    assert gradient.dtype == dtype


def problem(dtype=np.float64, sequences=6, steps=12, classes=5, seed=0):
    rng = np.random.default_rng(seed)
    lengths = rng.integers(7, steps + 1, sequences)
    labels = [rng.integers(1, classes, rng.integers(0, 4)) for _ in range(sequences)]
    logits = Ragged.from_list([3 * rng.normal(size=(n, classes)).astype(dtype) for n in lengths])
    return padded(labels), logits, labels


def padded(labels, by=-1):
    width = max(len(each) for each in labels)
    return np.array([[*each, *[by] * (width - len(each))] for each in labels], int).reshape(len(labels), width)


def test_gradient_is_the_slope_of_the_value():
    y, p, _ = problem()
    weight = np.array([1.0, 0.5, 2, 1, 0, -1])
    for given in ((), (weight,)):
        _, count, gradient = losses.CTC().value_and_grad(y, p, *given)
        step = 1e-6
        for place in np.ndindex(p.values.shape):
            up, down = p.values.copy(), p.values.copy()
            up[place] += step
            down[place] -= step
            slope = losses.CTC().value(y, Ragged(up, p.offsets), *given)[0]
            slope -= losses.CTC().value(y, Ragged(down, p.offsets), *given)[0]
            assert slope / (2 * step * count) == pytest.approx(gradient[place], rel=1e-6, abs=1e-8)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_one_answer_alone_or_in_a_batch_on_every_isa(dtype):
    y, p, labels = problem(dtype, 9, 20)
    total, _, gradient = losses.CTC().value_and_grad(y, p)
    alone = [losses.CTC().value(each[None], p[i][None]) for i, each in enumerate(labels)]
    assert sum(each[0] for each in alone) == pytest.approx(total, rel=1e-15)
    for isa in ISAS:
        for threads in (1, 2, 4):
            with using(isa=isa, threads=threads):
                other = losses.CTC().value_and_grad(y, p)
                assert other[0] == total
                assert_bits(other[2], gradient, f"{isa} with {threads} threads")


def test_labels_in_every_form():
    y, p, labels = problem()
    wanted = losses.CTC().value(y, p)
    ragged = Ragged.from_list([each.reshape(-1, 1) for each in labels])
    for given in (padded(labels, by=0), y.astype(float), ragged, np.pad(y, ((0, 0), (0, 3)), constant_values=-1)):
        assert losses.CTC().value(given, p) == wanted
    moved = Ragged(np.roll(p.values, -1, axis=1), p.offsets)  # the last class is blank
    assert losses.CTC(blank=4).value(np.where(y > 0, y - 1, -1), moved)[0] == pytest.approx(wanted[0], rel=1e-14)


def test_weights_of_sequences():
    y, p, _ = problem()
    each = [losses.CTC().value(y[i : i + 1], p[i][None])[0] for i in range(6)]
    weight = np.array([1.0, 0, 2, 0, 1, 0.5])
    total, count, gradient = losses.CTC().value_and_grad(y, p, weight)
    assert (total, count) == (pytest.approx(np.dot(each, weight), rel=1e-14), 6)
    left_out = np.repeat(weight == 0, p.lengths)
    assert not gradient[left_out].any()
    bad = Ragged(np.where(left_out[:, None], np.nan, p.values), p.offsets)
    assert losses.CTC().value(y, bad, weight) == (total, count)
    ones = losses.CTC().value_and_grad(y, p, np.ones(6))
    assert ones[:2] == losses.CTC().value(y, p)


@pytest.mark.parametrize(
    ("labels", "steps", "needed"),
    [([1, 2, 1], 2, 3), ([1, 1], 2, 3), ([2, 2, 2], 4, 5), ([1], 0, 1), ([1, 2, 2], 3, 4)],
)
def test_too_few_steps(labels, steps, needed):
    p = Ragged.from_list([np.ones((9, 3)), np.ones((steps, 3)), np.ones((9, 3))])
    y = padded([[2], labels, [1, 1]])
    message = rf"^y: the {len(labels)} labels of sequence 1 take {needed} steps or more, got {steps}$"
    with pytest.raises(ValueError, match=message):
        losses.CTC().value(y, p)
    total, count, gradient = losses.CTC(impossible="skip").value_and_grad(y, p)
    rest = losses.CTC().value_and_grad(y[[0, 2]], Ragged.from_list([p[0], p[2]]))
    assert (total, count) == rest[:2]
    assert not gradient[9 : 9 + steps].any()
    assert_bits(np.delete(gradient, np.s_[9 : 9 + steps], 0), rest[2])
    weighted = losses.CTC(impossible="skip").value(y, p, [2, 2, 2])
    assert weighted == (pytest.approx(2 * total), 2)
    longer = Ragged.from_list([np.ones((9, 3)), np.ones((needed, 3)), np.ones((9, 3))])
    assert losses.CTC().value(y, longer)[1] == 3


def test_a_class_that_cannot_be():
    p = np.zeros((1, 3, 3))
    p[..., 1] = -np.inf
    total, _, gradient = losses.CTC().value_and_grad([[1]], p)
    assert total == np.inf
    assert np.isnan(gradient).all()
    total, _, gradient = losses.CTC().value_and_grad([[2]], p)
    assert total == pytest.approx(by_paths(np.zeros((3, 2)), [1], 0))
    assert np.isfinite(gradient).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_far_logits_and_long_sequences_stay_finite(dtype):
    p = np.random.default_rng(0).normal(size=(2, 500, 40)).astype(dtype) * 1000
    y = np.random.default_rng(1).integers(1, 40, (2, 60))
    total, _, gradient = losses.CTC().value_and_grad(y, p)
    assert np.isfinite(total)
    assert np.isfinite(gradient).all()
    assert abs(gradient.sum(-1)).max() < 1e-4


@pytest.mark.parametrize(
    ("y", "shape", "message"),
    [
        ([[1, 3]], (1, 5, 3), r"^y must hold class numbers from 0 to 2, or -1, got 1 to 3$"),
        ([[1, -2]], (1, 5, 3), r"^y must hold class numbers from 0 to 2, or -1, got -2 to 1$"),
        ([[-1, 1]], (1, 5, 3), r"^y must have its padding, -1 or blank \(0\), behind the labels alone$"),
        ([[1, 0, 1]], (1, 5, 3), r"^y must have its padding, -1 or blank \(0\), behind the labels alone$"),
        ([[1.5]], (1, 5, 3), r"^y must hold integer class labels, got fractions$"),
        ([1], (1, 5, 3), r"^y must hold labels \[B, L\], got shape \(1,\)$"),
        ([[1]], (2, 5, 3), r"^y must hold labels of 2 sequences, as y_pred does, got 1$"),
        ([[1]], (5, 3), r"^y_pred must be \[B, T, classes\] or Ragged, got shape \(5, 3\)$"),
        (Ragged(np.ones((2, 2)), [0, 2]), (1, 5, 3), r"^y must be a Ragged of labels \[N, 1\], got \(2, 2\)$"),
        (Ragged(np.zeros((2, 1)), [0, 2]), (1, 5, 3), r"^y must hold labels in \[0, 3\) other than blank, 0, got 0$"),
    ],
)
def test_bad_labels(y, shape, message):
    with pytest.raises(ValueError, match=message):
        losses.CTC().value_and_grad(y, np.zeros(shape))


def test_bad_options():
    with pytest.raises(ValueError, match=r"^blank must be a whole number from 0, got -1$"):
        losses.CTC(blank=-1)
    with pytest.raises(ValueError, match=r"^impossible must be 'raise' or 'skip', got 'zero'$"):
        losses.CTC(impossible="zero")
    with pytest.raises(ValueError, match=r"^blank must be one of 3 classes, got 3$"):
        losses.CTC(blank=3).value([[1]], np.zeros((1, 5, 3)))


def test_the_core_checks_what_it_is_given():
    labels, places, steps, p = np.array([1]), np.array([0, 1]), np.array([0, 5]), np.zeros((5, 3))
    assert _core.ctc_loss(labels, places, p, steps, blank=0)[1] == 1
    for bad, message in (
        (dict(places=np.array([0, 2])), r"^places must rise from 0 to 1$"),
        (dict(steps=np.array([1, 5])), r"^steps must rise from 0 to 5$"),
        (dict(steps=np.array([0, 6, 5])), r"^places must be 3 int64|^steps must rise from 0 to 5$"),
        (dict(labels=np.array([1.0])), r"^labels must be 1 int64 in one piece, got float64"),
        (dict(blank=3), r"^blank must be in \[0, 3\), got 3$"),
        (dict(weight=np.ones(2)), r"^weight must hold 1 numbers, got shape \(2,\)$"),
    ):
        with pytest.raises(ValueError, match=message):
            _core.ctc_loss(**{"labels": labels, "places": places, "y_pred": p, "steps": steps, "blank": 0} | bad)


def test_an_empty_batch_and_empty_sequences():
    assert losses.CTC().value_and_grad(np.zeros((0, 2), int), np.zeros((0, 4, 3)))[:2] == (0.0, 0)
    nothing = Ragged(np.zeros((0, 3)), [0, 0, 0])
    assert losses.CTC().value_and_grad(np.zeros((2, 0), int), nothing)[:2] == (0.0, 2)


def test_the_best_path():
    rng = np.random.default_rng(3)
    p = Ragged.from_list([rng.normal(size=(n, 4)) for n in (7, 1, 12, 3)])
    for blank in (0, 3):
        found = losses.ctc_decode(p, blank=blank)
        assert found.dtype == np.int64
        for said, sequence in zip(found, p, strict=True):
            assert said[:, 0].tolist() == merged(sequence.argmax(-1).tolist(), blank)
    assert losses.ctc_decode(np.zeros((2, 3, 4))).lengths.tolist() == [0, 0]
    same = np.eye(2)[[[1, 1], [1, 1]]]  # a sequence's first label is new, whatever the one before it ended with
    assert losses.ctc_decode(same).lengths.tolist() == [1, 1]
    assert losses.ctc_decode(Ragged(np.zeros((0, 2)), [0, 0])).lengths.tolist() == [0]
    with pytest.raises(ValueError, match=r"^blank must be one of 4 classes, got 4$"):
        losses.ctc_decode(p, blank=4)
