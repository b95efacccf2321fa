"""Metrics: figures against numpy, Keras' rule for "accuracy", gathering over batches, bad input."""

import numpy as np
import pytest

from latchwork import losses, metrics


def measured(metric, y, p):
    metric.reset()
    metric.update(y, p)
    return metric.result()


@pytest.fixture(scope="module")
def numbers():
    rng = np.random.default_rng(0)
    return rng.normal(size=(50, 3)), rng.normal(size=(50, 3))


def test_errors(numbers):
    y, p = numbers
    assert measured(metrics.get("mse"), y, p) == pytest.approx(((y - p) ** 2).mean(), rel=1e-14)
    assert measured(metrics.get("rmse"), y, p) == pytest.approx(np.sqrt(((y - p) ** 2).mean()), rel=1e-14)
    assert measured(metrics.get("mae"), y, p) == pytest.approx(np.abs(y - p).mean(), rel=1e-14)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_binary_accuracy(dtype):
    y = np.array([[1], [1], [0], [0], [1]])
    p = np.array([[0.9], [0.5], [0.1], [0.7], [0.6]], dtype)
    assert measured(metrics.BinaryAccuracy(), y, p) == 3 / 5  # 0.5 is not above the threshold
    assert measured(metrics.BinaryAccuracy(threshold=0.4), y, p) == 4 / 5
    assert measured(metrics.BinaryAccuracy(), y[:, 0], p) == 3 / 5


def test_accuracies_over_classes():
    p = np.array([[0.1, 0.7, 0.2], [0.4, 0.4, 0.2], [0.3, 0.3, 0.4]])
    assert measured(metrics.SparseCategoricalAccuracy(), [1, 0, 0], p) == 2 / 3  # of equals, the first
    assert measured(metrics.SparseCategoricalAccuracy(), [[1], [1], [2]], p) == 2 / 3
    assert measured(metrics.CategoricalAccuracy(), [[0, 1, 0], [1, 0, 0], [1, 0, 0]], p) == 2 / 3
    steps = p.reshape(1, 3, 3)
    assert measured(metrics.SparseCategoricalAccuracy(), [[1, 0, 2]], steps) == 1


CASES = {
    "one column": ([[1], [0]], [[0.9], [0.8]], "binary_accuracy", 0.5),
    "one column, one axis": ([1, 0], [[0.9], [0.8]], "binary_accuracy", 0.5),
    "labels": ([1, 1], [[0.2, 0.8], [0.6, 0.4]], "sparse_categorical_accuracy", 0.5),
    "labels in a column": ([[1], [1]], [[0.2, 0.8], [0.6, 0.4]], "sparse_categorical_accuracy", 0.5),
    "rows": ([[0, 1], [0, 1]], [[0.2, 0.8], [0.6, 0.4]], "categorical_accuracy", 0.5),
    "labels of steps": ([[1, 0]], [[[0.2, 0.8], [0.6, 0.4]]], "sparse_categorical_accuracy", 1.0),
}


@pytest.mark.parametrize("name", ["accuracy", "acc"])
@pytest.mark.parametrize("case", CASES)
def test_accuracy_is_what_the_shapes_say(name, case):
    y, p, kind, value = CASES[case]
    metric = metrics.get(name)
    assert metric.name == name
    assert measured(metric, y, np.array(p)) == measured(metrics.get(kind), y, np.array(p)) == value


@pytest.mark.parametrize(
    ("metric", "loss", "y"),
    [
        (metrics.BinaryCrossentropy(label_smoothing=0.1), losses.BinaryCrossentropy(label_smoothing=0.1), "soft"),
        (metrics.BinaryCrossentropy(from_logits=True), losses.BinaryCrossentropy(True), "soft"),
        (metrics.CategoricalCrossentropy(), losses.CategoricalCrossentropy(), "soft"),
        (metrics.CategoricalCrossentropy(from_logits=True), losses.CategoricalCrossentropy(True), "soft"),
        (metrics.SparseCategoricalCrossentropy(), losses.SparseCategoricalCrossentropy(), "labels"),
        (metrics.SparseCategoricalCrossentropy(from_logits=True), losses.SparseCategoricalCrossentropy(True), "labels"),
        (metrics.LossMetric(losses.Huber(0.2)), losses.Huber(0.2), "soft"),
    ],
)
def test_a_loss_as_a_metric(metric, loss, y):
    rng = np.random.default_rng(1)
    targets = rng.integers(0, 4, 9) if y == "labels" else rng.uniform(size=(9, 4))
    p = rng.uniform(0.1, 0.9, (9, 4))
    assert metric.name == loss.name
    assert measured(metric, targets, p) == loss(targets, p)


@pytest.mark.parametrize("name", ["mse", "rmse", "mae", "accuracy", "binary_crossentropy"])
def test_batches_of_any_size_give_one_figure(name):
    rng = np.random.default_rng(2)
    y, p = rng.integers(0, 2, (40, 1)), rng.uniform(0.1, 0.9, (40, 1))
    whole, parts = metrics.get(name), metrics.get(name)
    whole.update(y, p)
    for start, stop in ((0, 1), (1, 30), (30, 40)):
        parts.update(y[start:stop], p[start:stop])
    assert parts.result() == pytest.approx(whole.result(), rel=1e-15)
    parts.reset()
    assert parts.result() == 0.0
    assert isinstance(whole.result(), float)


def test_names_stay_as_written():
    for name in ("mse", "MSE", "mean_squared_error", "rmse", "mae", "acc", "bce", "sparse_categorical_accuracy"):
        assert metrics.get(name).name == name
    assert metrics.MeanSquaredError().name == "mean_squared_error"
    assert metrics.BinaryAccuracy("hits").name == "hits"
    metric = metrics.MeanAbsoluteError()
    assert metrics.get(metric) is metric
    assert metrics.get("mae") is not metrics.get("mae")


@pytest.mark.parametrize(
    ("identifier", "message"),
    [
        ("acuracy", r"^unknown metric 'acuracy'; nearest known: 'accuracy', "),
        (None, r"^metric must be a name or a Metric, got None$"),
    ],
)
def test_unknown_metrics(identifier, message):
    with pytest.raises(ValueError, match=message):
        metrics.get(identifier)


@pytest.mark.parametrize(
    ("name", "y", "message"),
    [
        ("mse", np.zeros((3, 2)), r"^y must have the shape of the output, \(3, 4\), got \(3, 2\)$"),
        ("categorical_accuracy", np.zeros(3), r"^y must have the shape of the output, \(3, 4\), got \(3,\)$"),
        ("sparse_categorical_accuracy", [0, 1, 4], r"^y must hold class labels in \[0, 4\), got 4$"),
        ("accuracy", [0.5, 1, 2], r"^y must hold integer class labels"),
        ("accuracy", np.zeros((2, 4)), r"^y must have the shape of the output, \(3, 4\), got \(2, 4\)$"),
    ],
)
def test_bad_targets_change_nothing(name, y, message):
    metric = metrics.get(name)
    with pytest.raises(ValueError, match=message):
        metric.update(y, np.ones((3, 4)))
    assert metric.result() == 0.0
