"""Metrics with and without weights, batch by batch, beside Keras on torch."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from latchwork import metrics
from peers.keras_adapter import IGNORED, keras, numbers

pytestmark = [pytest.mark.filterwarnings(warning) for warning in IGNORED]

FLAGS, SEEDS = st.booleans(), st.integers(0, 2**32 - 1)
LEVELS = st.sampled_from([None, 0.3, [0.25, 0.75]])
ONE_HOT = ("CategoricalAccuracy", "TopKCategoricalAccuracy")
LABELS = ("SparseCategoricalAccuracy", "SparseTopKCategoricalAccuracy")
OPTIONS = {
    "Precision": st.fixed_dictionaries({"thresholds": LEVELS, "class_id": st.sampled_from([None, 1])}),
    "Recall": st.fixed_dictionaries({"thresholds": LEVELS, "top_k": st.sampled_from([None, 1, 2])}),
    "AUC": st.fixed_dictionaries(
        {
            "num_thresholds": st.sampled_from([2, 7, 200]),
            "curve": st.sampled_from(["ROC", "PR"]),
            "summation_method": st.sampled_from(["interpolation", "minoring", "majoring"]),
            "multi_label": FLAGS,
        }
    ),
    "F1Score": st.fixed_dictionaries(
        {
            "average": st.sampled_from([None, "micro", "macro", "weighted"]),
            "threshold": st.sampled_from([None, 0.4]),
        }
    ),
    "FBetaScore": st.fixed_dictionaries({"beta": st.sampled_from([0.5, 2.0])}),
    "R2Score": st.fixed_dictionaries(
        {"class_aggregation": st.sampled_from([None, "uniform_average", "variance_weighted_average"])}
    ),
    "BinaryAccuracy": st.just({"threshold": 0.3}),
    "CategoricalAccuracy": st.just({}),
    "SparseCategoricalAccuracy": st.just({}),
    "TopKCategoricalAccuracy": st.just({"k": 2}),
    "SparseTopKCategoricalAccuracy": st.just({"k": 2}),
    "MeanSquaredError": st.just({}),
    "MeanAbsoluteError": st.just({}),
    "RootMeanSquaredError": st.just({}),
    "CosineSimilarity": st.just({}),
}


def batch(kind, rows, rng):
    # No score on a threshold: Keras counts by buckets there, where ours compares.
    p = (rng.permutation(rows * 3).reshape(rows, 3) + 0.31) / (rows * 3)
    if kind in LABELS or kind in ONE_HOT:
        labels = rng.integers(0, 3, rows)
        return (np.eye(3)[labels] if kind in ONE_HOT else labels), p
    return (rng.normal(size=(rows, 3)) if "Error" in kind or kind == "R2Score" else rng.integers(0, 2, (rows, 3))), p


@given(st.data(), FLAGS, SEEDS)
@pytest.mark.parametrize("kind", OPTIONS)
def test_metrics_are_those_of_keras(kind, data, weighted, seed):
    options = data.draw(OPTIONS[kind])
    rng = np.random.default_rng(seed)
    if kind == "AUC" and options["multi_label"]:
        weighted = False  # Keras cannot spread weights of samples over labels
    ours, theirs = getattr(metrics, kind)(**options), getattr(keras.metrics, kind)(**options, dtype="float64")
    for _ in range(2):
        y, p = batch(kind, int(rng.integers(2, 9)), rng)
        given_weight = (rng.uniform(0.1, 2, len(p)),) if weighted else ()
        ours.update(y, p, *given_weight)
        theirs.update_state(y, p, *given_weight)
    # Keras keeps the sums of some metrics in float32.
    np.testing.assert_allclose(ours.result(), numbers(theirs.result()), rtol=2e-6, atol=2e-6)
