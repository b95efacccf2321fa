"""Metrics over thresholds, classes and columns, and means of errors: against numpy, weights, batches, bad input."""

import itertools

import numpy as np
import pytest

from latchwork import losses, metrics
from latchwork.layers import LSTM, Dense
from latchwork.models import Sequential

RNG = np.random.default_rng(0)
Y = (RNG.random((60, 4)) < 0.3).astype(float)
P = np.clip(Y * 0.3 + RNG.random((60, 4)) * 0.7, 0, 1)
P[5] = P[6]  # ties
W = RNG.random(60)
LABELS = RNG.integers(0, 4, 60)
ONE_HOT = np.eye(4)[LABELS]


def measured(metric, *batch):
    metric.update(*batch)
    return metric.result()


def counts(y, p, threshold, w=None):
    """(true positives, false positives, false negatives, true negatives)."""
    w = np.ones(p.shape) if w is None else np.broadcast_to(w.reshape(-1, *(1,) * (p.ndim - 1)), p.shape)
    above, right = p > threshold, y == 1
    return [(w * kind).sum() for kind in (above & right, above & ~right, ~above & right, ~above & ~right)]


@pytest.mark.parametrize("weight", [None, W])
@pytest.mark.parametrize("threshold", [None, 0.3])
def test_precision_and_recall(weight, threshold):
    true, false, missed, _ = counts(Y, P, threshold or 0.5, weight)
    given = () if weight is None else (weight,)
    assert measured(metrics.Precision(threshold), Y, P, *given) == pytest.approx(true / (true + false), rel=1e-14)
    assert measured(metrics.Recall(threshold), Y, P, *given) == pytest.approx(true / (true + missed), rel=1e-14)


def test_several_thresholds_one_class_and_the_best():
    found = measured(metrics.Precision([0.7, 0.2]), Y, P)
    assert found.tolist() == [measured(metrics.Precision(t), Y, P) for t in (0.7, 0.2)]
    assert measured(metrics.Recall(class_id=2), Y, P) == measured(metrics.Recall(), Y[:, 2:3], P[:, 2:3].copy())
    p = np.array([[0.3, 0.3, 0.1], [0.2, 0.5, 0.4]])
    y = np.array([[1, 0, 0], [1, 0, 1]])
    assert measured(metrics.Precision(top_k=1), y, p) == 0.5  # of equals the first
    assert measured(metrics.Recall(top_k=2), y, p) == pytest.approx(2 / 3)
    assert measured(metrics.Precision(0.45, top_k=2), y, p) == 0
    assert measured(metrics.Precision(), np.zeros((2, 1)), np.zeros((2, 1))) == 0
    assert measured(metrics.Recall(), np.zeros((2, 1)), np.zeros((2, 1))) == 0
    assert measured(metrics.Precision(), [1], np.array([[0.5]])) == 0  # 0.5 is not above the threshold


def area(x, y):
    return ((x[:-1] - x[1:]) * (y[:-1] + y[1:]) / 2).sum()


@pytest.mark.parametrize("weight", [None, W])
def test_auc(weight):
    given = () if weight is None else (weight,)
    for number in (2, 3, 50, 200):
        levels = [-1e-7, *((i + 1) / (number - 1) for i in range(number - 2)), 1 + 1e-7]
        table = np.array([counts(Y, P, level, weight) for level in levels])
        true, false, missed, rest = table.T
        wanted = area(false / (false + rest), true / (true + missed))
        assert measured(metrics.AUC(number), Y, P, *given) == pytest.approx(wanted, rel=1e-13)


def test_between_thresholds_a_pr_curve_bends():
    """True positives grow evenly with false ones, and precision is their share: integrated in small steps."""
    levels = [-1e-7, 1 / 3, 2 / 3, 1 + 1e-7]
    table = np.array([counts(Y, P, level) for level in levels])
    wanted = 0
    for (true, false, *_), (fewer, less, *_) in itertools.pairwise(table):
        step = np.linspace(0, 1, 200_001)[1:] - 0.5 / 200_000
        found, wrong = fewer + step * (true - fewer), less + step * (false - less)
        wanted += (found / (found + wrong)).mean() * (true - fewer) / table[0, 0]
    assert measured(metrics.AUC(4, "PR"), Y, P) == pytest.approx(wanted, rel=1e-8)


def test_the_exact_area_is_the_share_of_pairs_in_order():
    y, p = Y.ravel(), P.ravel()
    pairs = p[y == 1][:, None] - p[y == 0]
    wanted = (pairs > 0).mean() + (pairs == 0).mean() / 2
    assert measured(metrics.AUC(None), Y, P) == pytest.approx(wanted, rel=1e-13)
    assert measured(metrics.AUC(None), Y, 3 * P - 9) == pytest.approx(wanted, rel=1e-13)
    logits = np.log(P + 1e-3)
    assert measured(metrics.AUC(None, from_logits=True), Y, logits) == pytest.approx(wanted, rel=1e-13)
    weights = np.broadcast_to(W[:, None], Y.shape).ravel()
    each = weights[y == 1][:, None] * weights[y == 0]
    weighed = ((pairs > 0) * each).sum() / each.sum() + ((pairs == 0) * each).sum() / each.sum() / 2
    assert measured(metrics.AUC(None), Y, P, W) == pytest.approx(weighed, rel=1e-13)


def test_auc_of_each_column():
    each = [measured(metrics.AUC(), Y[:, c : c + 1], P[:, c : c + 1].copy()) for c in range(4)]
    assert measured(metrics.AUC(multi_label=True), Y, P) == pytest.approx(np.mean(each), rel=1e-14)
    weights = [1, 0, 2, 1]
    found = measured(metrics.AUC(multi_label=True, label_weights=weights), Y, P)
    assert found == pytest.approx(np.average(each, weights=weights), rel=1e-14)


def test_perfect_and_hopeless_curves():
    y, p = np.array([[0], [0], [1], [1]]), np.array([[0.1], [0.2], [0.8], [0.9]])
    for number in (200, None):
        assert measured(metrics.AUC(number), y, p) == pytest.approx(1)
        assert measured(metrics.AUC(number, "PR"), y, p) == pytest.approx(1)
        assert measured(metrics.AUC(number), 1 - y, p) == pytest.approx(0)
    assert metrics.AUC().result() == 0
    assert measured(metrics.AUC(), np.zeros((3, 1)), np.ones((3, 1))) == 0


def f_score(true, false, missed, beta):
    precision, recall = true / (true + false + 1e-7), true / (true + missed + 1e-7)
    return (1 + beta**2) * precision * recall / (beta**2 * precision + recall + 1e-7)


@pytest.mark.parametrize("weight", [None, W])
@pytest.mark.parametrize("threshold", [None, 0.4])
@pytest.mark.parametrize("beta", [1.0, 2.0])
def test_f_scores(weight, threshold, beta):
    found = threshold < P if threshold else P.max(-1, keepdims=True) == P
    table = np.array([counts(Y[:, c], found[:, c], 0.5, weight) for c in range(4)])
    true, false, missed, _ = table.T
    given = () if weight is None else (weight,)
    each = f_score(true, false, missed, beta)
    wanted = {
        None: each,
        "macro": each.mean(),
        "weighted": (each * (true + missed)).sum() / ((true + missed).sum() + 1e-7),
        "micro": f_score(true.sum(), false.sum(), missed.sum(), beta),
    }
    for average, score in wanted.items():
        metric = metrics.FBetaScore(average, beta, threshold)
        np.testing.assert_allclose(measured(metric, Y, P, *given), score, rtol=1e-13)
        if beta == 1:
            np.testing.assert_allclose(measured(metrics.F1Score(average, threshold), Y, P, *given), score, rtol=1e-13)


def test_r2():
    t, p = 1000 + RNG.normal(size=(40, 3)) * [1, 2, 3], 1000 + RNG.normal(size=(40, 3))
    w = RNG.random(40)
    for weight in (None, w):
        own = np.ones(40) if weight is None else weight
        mean = (own[:, None] * t).sum(0) / own.sum()
        spread = (own[:, None] * (t - mean) ** 2).sum(0)
        each = 1 - (own[:, None] * (t - p) ** 2).sum(0) / spread
        given = () if weight is None else (weight,)
        np.testing.assert_allclose(measured(metrics.R2Score(None), t, p, *given), each, rtol=1e-11)
        assert measured(metrics.R2Score(), t, p, *given) == pytest.approx(each.mean(), rel=1e-11)
        by_spread = (each * spread).sum() / spread.sum()
        kind = "variance_weighted_average"
        assert measured(metrics.R2Score(kind), t, p, *given) == pytest.approx(by_spread, rel=1e-11)
    one = metrics.R2Score(num_regressors=2)
    plain = measured(metrics.R2Score(), t[:, 0], p[:, :1].copy())
    assert measured(one, t[:, 0], p[:, :1].copy()) == pytest.approx(1 - (1 - plain) * 39 / 37)
    assert measured(metrics.R2Score(), np.full((3, 1), 2.0), np.zeros((3, 1))) == 0  # the targets do not vary
    with pytest.raises(ValueError, match=r"^num_regressors must be below 1 for 2 targets$"):
        measured(metrics.R2Score(num_regressors=1), np.zeros(2), np.ones((2, 1)))


def test_errors_of_forecasts():
    t, p = RNG.normal(size=(30, 2)), RNG.normal(size=(30, 2))
    t[0] = p[0] = 0
    sizes = np.abs(t) + np.abs(p)
    each = np.where(sizes == 0, 0, 200 * np.abs(t - p) / np.where(sizes == 0, 1, sizes))
    assert measured(metrics.get("smape"), t, p) == pytest.approx(each.mean(), rel=1e-14)
    w = RNG.random(30)
    weighed = (each * w[:, None]).sum() / (2 * w.sum())
    assert measured(metrics.get("smape"), t, p, w) == pytest.approx(weighed, rel=1e-14)
    series = RNG.normal(size=50)
    scale = metrics.naive_scale(series, season=7)
    assert scale == pytest.approx(np.abs(series[7:] - series[:-7]).mean(), rel=1e-14)
    wanted = np.abs(t - p).mean() / scale
    assert measured(metrics.MeanAbsoluteScaledError(scale), t, p) == pytest.approx(wanted, rel=1e-14)
    with pytest.raises(ValueError, match=r"^series must be \[T\] with more than 3 steps, got shape \(3,\)$"):
        metrics.naive_scale([1, 2, 3], season=3)
    with pytest.raises(ValueError, match=r"^scale must be above 0, got 0.0$"):
        metrics.MeanAbsoluteScaledError(metrics.naive_scale([1, 1, 1]))


def test_perplexity_and_the_best_classes():
    q = P / P.sum(-1, keepdims=True)
    own = -np.log(q[np.arange(60), LABELS])
    assert measured(metrics.Perplexity(), LABELS, P) == pytest.approx(np.exp(own.mean()), rel=1e-13)
    logits = metrics.Perplexity(from_logits=True)
    assert measured(logits, LABELS, np.log(P)) == pytest.approx(np.exp(own.mean()), rel=1e-12)
    kept = LABELS != 0
    masked = metrics.Perplexity(mask_token_id=0)
    assert measured(masked, LABELS, P) == pytest.approx(np.exp(own[kept].mean()), rel=1e-13)
    padded = metrics.Perplexity(mask_token_id=-1)
    assert measured(padded, np.where(kept, LABELS, -1), P) == pytest.approx(np.exp(own[kept].mean()), rel=1e-13)
    weighed = metrics.Perplexity(mask_token_id=0)
    wanted = np.exp(np.average(own[kept], weights=W[kept]))
    assert measured(weighed, LABELS, P, W) == pytest.approx(wanted, rel=1e-13)
    for k in (1, 2, 5):
        rank = (P[np.arange(60), LABELS][:, None] < P).sum(-1)
        assert measured(metrics.SparseTopKCategoricalAccuracy(k), LABELS, P) == (rank < k).mean()
        assert measured(metrics.TopKCategoricalAccuracy(k), ONE_HOT, P) == (rank < k).mean()
        assert measured(metrics.TopKCategoricalAccuracy(k), ONE_HOT, P, W) == pytest.approx(
            np.average(rank < k, weights=W)
        )


@pytest.mark.parametrize("name", ["mse", "mae", "rmse", "bce", "binary_accuracy", "mape", "cosine_similarity"])
def test_means_with_weights(name):
    each = []
    for row in range(60):
        each.append(measured(metrics.get(name), Y[row : row + 1], P[row : row + 1].copy()))
    if name == "rmse":
        each = np.square(each)
    wanted = np.average(each, weights=W)
    found = measured(metrics.get(name), Y, P, W)
    assert (found**2 if name == "rmse" else found) == pytest.approx(wanted, rel=1e-12)
    assert measured(metrics.get(name), Y, P, np.ones(60)) == pytest.approx(measured(metrics.get(name), Y, P), rel=1e-15)


BATCHED = {
    "precision": (lambda: metrics.Precision([0.2, 0.6]), Y),
    "recall": (lambda: metrics.Recall(top_k=2), Y),
    "auc": (metrics.AUC, Y),
    "exact auc": (lambda: metrics.AUC(None, multi_label=True), Y),
    "pr": (lambda: metrics.AUC(curve="PR", summation_method="minoring"), Y),
    "f1": (metrics.F1Score, Y),
    "accuracy": (lambda: metrics.get("acc"), LABELS),
    "top": (lambda: metrics.SparseTopKCategoricalAccuracy(2), LABELS),
}


@pytest.mark.parametrize("case", BATCHED)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_counts_do_not_depend_on_where_batches_end(case, dtype):
    make, y = BATCHED[case]
    whole, parts = make(), make()
    whole.update(y, P.astype(dtype))
    for start, stop in ((0, 1), (1, 30), (30, 60), (60, 60)):
        parts.update(y[start:stop], P[start:stop].astype(dtype))
    np.testing.assert_array_equal(whole.result(), parts.result())
    parts.reset()
    parts.update(y[:7], P[:7].astype(dtype))
    fresh = make()
    fresh.update(y[:7], P[:7].astype(dtype))
    np.testing.assert_array_equal(parts.result(), fresh.result())


@pytest.mark.parametrize("make", [metrics.R2Score, lambda: metrics.get("smape"), metrics.Perplexity])
def test_sums_hardly_depend_on_where_batches_end(make):
    y = LABELS if make is metrics.Perplexity else 1e6 + Y
    p = P if make is metrics.Perplexity else 1e6 + P
    whole, parts = make(), make()
    whole.update(y, p)
    for start, stop in ((0, 0), (0, 1), (1, 30), (30, 60)):
        parts.update(y[start:stop], p[start:stop])
    assert parts.result() == pytest.approx(whole.result(), rel=1e-13)
    assert make().result() in (0, 1)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: metrics.Precision(1.5), r"^thresholds must lie in \[0, 1\], got 1.5$"),
        (lambda: metrics.Precision([]), r"^thresholds must lie in \[0, 1\], got \[\]$"),
        (lambda: metrics.Recall(top_k=0), r"^top_k must be a whole number from 1, got 0$"),
        (lambda: metrics.Recall(class_id=-1), r"^class_id must be a whole number from 0, got -1$"),
        (lambda: metrics.AUC(1), r"^num_thresholds must be a whole number from 2 or None, got 1$"),
        (lambda: metrics.AUC(thresholds=[2.0]), r"^thresholds must lie in \[0, 1\], got \[2.0\]$"),
        (lambda: metrics.AUC(curve="PRGAIN"), r"^curve must be 'ROC' or 'PR', got 'PRGAIN'$"),
        (lambda: metrics.AUC(summation_method="mean"), r"^summation_method must be 'interpolation', 'minoring' or"),
        (lambda: metrics.AUC(label_weights=[1.0]), r"^label_weights needs multi_label=True$"),
        (lambda: metrics.F1Score("mean"), r"^average must be None, 'micro', 'macro' or 'weighted', got 'mean'$"),
        (lambda: metrics.F1Score(threshold=0.0), r"^threshold must be in \(0, 1\], got 0.0$"),
        (lambda: metrics.FBetaScore(beta=0.0), r"^beta must be above 0, got 0.0$"),
        (lambda: metrics.R2Score("mean"), r"^class_aggregation must be 'uniform_average', 'variance_weighted_average'"),
        (lambda: metrics.R2Score(num_regressors=-1), r"^num_regressors must be a whole number from 0, got -1$"),
        (lambda: metrics.TopKCategoricalAccuracy(0), r"^k must be a whole number from 1, got 0$"),
        (lambda: metrics.get("f1_score"), r"^metric 'f1_score' gives several numbers and a history holds one: choose"),
        (lambda: metrics.get(metrics.Recall([0.1, 0.2])), r"^metric 'recall' gives several numbers and a history"),
    ],
)
def test_bad_options(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize(
    ("make", "arguments", "message"),
    [
        (metrics.Precision, (Y * 0.5, P), r"^y must hold 0 or 1, got 0.0 to 0.5$"),
        (metrics.AUC, (Y[:, :2], P), r"^y must have the shape of the output, \(60, 4\), got \(60, 2\)$"),
        (metrics.Recall, (Y, P, W[:5]), r"^sample_weight must have the shape of the losses, \(60, 4\), or of their"),
        (lambda: metrics.Recall(class_id=4), (Y, P), r"^class_id must be below 4 classes, got 4$"),
        (
            lambda: metrics.AUC(multi_label=True, label_weights=[1]),
            (Y, P),
            r"^label_weights must hold 4 numbers, got",
        ),
        (metrics.F1Score, (Y[:, 0], P[:, 0].copy()), r"^y_pred must be \[\.\.\., classes\], got shape \(60,\)$"),
        (metrics.SparseTopKCategoricalAccuracy, (LABELS + 1, P), r"^y must hold class labels in \[0, 4\), got 4$"),
        (
            lambda: metrics.LossMetric(losses.CTC()),
            ([[1]], P[None], [1.0]),
            r"^sample_weight: CTC\(.* must be a loss of",
        ),
    ],
)
def test_bad_batches_change_nothing(make, arguments, message):
    metric = make()
    before = repr(metric.result())
    with pytest.raises(ValueError, match=message):
        metric.update(*arguments)
    assert repr(metric.result()) == before


@pytest.mark.parametrize("make", [metrics.F1Score, metrics.R2Score, lambda: metrics.AUC(multi_label=True)])
def test_columns_stay_as_many_as_they_were(make):
    metric = make()
    metric.update(Y, P)
    before = np.array(metric.result())
    with pytest.raises(ValueError, match=r"^y_pred must have 4 columns as before, got 2$"):
        metric.update(Y[:, :2], P[:, :2].copy())
    np.testing.assert_array_equal(metric.result(), before)


def test_what_is_no_mean_says_so():
    for metric in (metrics.AUC(), metrics.Precision(), metrics.F1Score()):
        with pytest.raises(TypeError, match=r"is no mean: it has update and result alone$"):
            metric.measure(Y, P)


def test_in_a_model():
    model = Sequential([LSTM(3, input_shape=(5, 2)), Dense(4, activation="sigmoid")])
    measures = [metrics.AUC(multi_label=True), metrics.F1Score("macro", 0.5), "precision", "recall", "mape", "r2"]
    model.compile("adam", "binary_focal_crossentropy", measures)
    x = RNG.normal(size=(60, 5, 2))
    history = model.fit(x, Y, epochs=2, verbose=0).history
    assert list(history) == ["loss", "auc", "f1_score", "precision", "recall", "mape", "r2"]
    figures = model.evaluate(x, Y, verbose=0, return_dict=True)
    p = model.predict(x)
    assert figures["auc"] == measured(metrics.AUC(multi_label=True), Y, p)
    assert figures["mape"] == losses.get("mape")(Y, p)
    assert all(isinstance(figure, float) for figure in figures.values())
