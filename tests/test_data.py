"""Windows, splits, scaling, missing values, shuffling."""

import numpy as np
import pytest

from latchwork import random
from latchwork.data import StandardScaler, fill_missing, permutation, split_by_time, windows

NAN = float("nan")


def test_windows_hold_past_and_future():
    x, y = windows(np.arange(10.0), lookback=3, horizon=2)
    assert x.shape == (6, 3, 1)
    assert y.shape == (6, 2)
    for w in range(6):
        assert x[w, :, 0].tolist() == [w, w + 1, w + 2]
        assert y[w].tolist() == [w + 3, w + 4]


def test_windows_stride_and_exact_length():
    x, y = windows(np.arange(10.0), 3, 2, stride=4)
    assert x[:, 0, 0].tolist() == [0, 4]
    assert y[:, -1].tolist() == [4, 8]
    x, y = windows(np.arange(5.0), 3, 2)
    assert x.shape == (1, 3, 1)


def test_windows_of_several_features_predict_the_target_column():
    series = np.stack([np.arange(8.0), 100 + np.arange(8.0)], axis=1)
    x, y = windows(series, 2, 3, target=1)
    assert x[0].tolist() == [[0, 100], [1, 101]]
    assert y[0].tolist() == [102, 103, 104]
    assert windows(series, 2, 3, target=-1)[1].tolist() == y.tolist()


def test_windows_relative_to_last_leave_x_alone():
    series = np.array([1.0, 2, 4, 8, 16])
    x, y = windows(series, 2, 2)
    relative_x, change = windows(series, 2, 2, relative_to="last")
    assert np.array_equal(x, relative_x)
    assert np.array_equal(change + x[:, -1, 0, None], y)


def test_windows_keep_float32_and_own_their_data():
    series = np.arange(6, dtype=np.float32)
    x, y = windows(series, 2, 1)
    assert x.dtype == y.dtype == np.float32
    x[:] = -1
    y[:] = -1
    assert series.tolist() == [0, 1, 2, 3, 4, 5]
    assert windows(np.arange(6), 2, 1)[0].dtype == np.float64


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (
            lambda: windows(np.arange(4.0), 3, 2),
            "series has 4 rows, fewer than one window of lookback 3 . horizon 2 = 5",
        ),
        (lambda: windows(np.zeros((9, 2)), 3, 2), "series has 2 features: say which one to predict"),
        (lambda: windows(np.zeros((9, 2)), 3, 2, target=2), "target must be the index of one of the 2 features"),
        (lambda: windows(np.zeros((9, 2, 2)), 3, 2), r"series must be \[N\] or \[N, F\], got shape \(9, 2, 2\)"),
        (lambda: windows(["a", "b"], 1, 1), "series must hold numbers, got dtype"),
        (lambda: windows(np.arange(9.0), 0, 2), "lookback must be a whole number of at least 1, got 0"),
        (lambda: windows(np.arange(9.0), 3, 1.5), "horizon must be a whole number of at least 1, got 1.5"),
        (lambda: windows(np.arange(9.0), 3, 2, stride=0), "stride must be a whole number"),
        (lambda: windows(np.arange(9.0), 3, 2, relative_to="lst"), "unknown relative_to 'lst'; nearest known: 'last'"),
        (
            lambda: split_by_time(np.arange(9.0), 4, 5),
            "validation=4 and test=5 leave 0 to train on, at least 1 must be",
        ),
        (lambda: split_by_time(np.arange(9.0), 0.5, 1.5), "test must be a share of the rows"),
        (lambda: split_by_time(np.arange(9.0), 2, 2, context=6), "at least 6 must be left"),
        (lambda: fill_missing([NAN, NAN]), "feature 0 is missing everywhere"),
        (lambda: fill_missing([1.0, NAN], "liner"), "unknown method 'liner'; nearest known: 'linear'"),
        (lambda: StandardScaler().transform([[1.0]]), "not fitted yet"),
        (lambda: StandardScaler().fit([[1.0], [NAN]]), "NaN or infinite"),
        (lambda: StandardScaler().fit(np.zeros((0, 2))), "at least one sample"),
        (lambda: StandardScaler().fit(np.ones((3, 2))).transform(np.ones((3, 1))), "x must have 2 features"),
        (lambda: permutation(-1, seed=0, epoch=0), "n must be in"),
    ],
)
def test_bad_arguments(call, text):
    with pytest.raises(ValueError, match=text):
        call()


def test_split_by_time_never_mixes_past_and_future():
    train, validation, test = split_by_time(np.arange(100), 0.2, 0.29)
    assert np.concatenate([train, validation, test]).tolist() == list(range(100))
    assert (len(validation), len(test)) == (20, 29)
    assert test.base is not None  # a view


def test_split_with_context_loses_and_doubles_no_target():
    lookback, horizon = 4, 2
    series = np.arange(50.0)
    targets = [windows(part, lookback, horizon)[1] for part in split_by_time(series, 10, 10, context=lookback)]
    seen = [set(t.ravel().tolist()) for t in targets]
    assert not seen[0] & seen[1]
    assert not seen[1] & seen[2]
    assert set.union(*seen) == set(series[lookback:].tolist())


def test_split_without_validation_or_test():
    train, validation, test = split_by_time(np.arange(10), 0, 0, context=3)
    assert (len(train), len(validation), len(test)) == (10, 0, 0)


def test_fill_missing_linear_and_previous():
    series = np.array([NAN, 1.0, NAN, NAN, 4.0, NAN])
    before = series.copy()
    assert fill_missing(series).tolist() == [1, 1, 2, 3, 4, 4]
    assert fill_missing(series, "previous").tolist() == [1, 1, 1, 1, 4, 4]
    assert np.array_equal(series, before, equal_nan=True)


def test_fill_missing_by_feature_with_mask():
    series = np.array([[0.0, NAN], [NAN, 5.0], [2.0, NAN]], dtype=np.float32)
    filled, missing = fill_missing(series, mask=True)
    assert filled.dtype == np.float32
    assert filled.tolist() == [[0, 5], [1, 5], [2, 5]]
    assert missing.tolist() == [[False, True], [True, False], [False, True]]


def test_fill_missing_keeps_infinities_and_complete_series():
    series = np.array([1.0, np.inf, 3.0])
    assert fill_missing(series).tolist() == [1, np.inf, 3]
    assert fill_missing(np.zeros(0)).shape == (0,)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_scaler_gives_mean_0_and_deviation_1(dtype):
    x = (np.random.default_rng(0).normal(size=(500, 3)) * [1, 10, 0.1] + [0, 5, -100]).astype(dtype)
    scaler = StandardScaler().fit(x)
    scaled = scaler.transform(x)
    assert scaled.dtype == dtype
    tolerance = 2000 * np.finfo(dtype).eps  # the third feature has 1000 deviations in its mean
    assert abs(scaled.mean(axis=0, dtype=np.float64)).max() < tolerance
    assert abs(scaled.std(axis=0, dtype=np.float64) - 1).max() < tolerance
    assert abs(scaler.inverse_transform(scaled) - x).max() <= 200 * np.finfo(dtype).eps


def test_scaler_of_forecasts_of_one_feature():
    """A forecast [N, T] holds one feature, whatever its shape; of several features it is said which."""
    x = np.random.default_rng(2).normal(size=(50, 2)) * [3, 5] + [1, -2]
    scaler = StandardScaler().fit(x)
    targets = x[:48, 1].reshape(4, 12)
    scaled = scaler.transform(targets, feature=1)
    assert np.array_equal(scaled.ravel(), scaler.transform(x)[:48, 1])
    assert np.array_equal(
        scaler.inverse_transform(scaled, feature=1).ravel(), scaler.inverse_transform(scaler.transform(x))[:48, 1]
    )
    assert scaler.inverse_transform(scaled[0, 0], feature=0).shape == ()
    for wrong in (-1, 2, True, 1.0):
        with pytest.raises(ValueError, match=rf"^feature must be a whole number from 0 to 1, got {wrong}$"):
            scaler.inverse_transform(scaled, feature=wrong)
    message = r"^x must have 1 features on its last axis, or feature= must say which one x holds, got shape \(4, 12\)$"
    with pytest.raises(ValueError, match=message):
        StandardScaler().fit(x[:, 0]).inverse_transform(scaled)


def test_scaler_on_windows_vectors_and_constants():
    windows_of_two = np.random.default_rng(1).normal(size=(4, 5, 2))
    assert StandardScaler().fit(windows_of_two).mean_.shape == (2,)
    assert np.array_equal(
        StandardScaler().fit(windows_of_two).transform(windows_of_two[0]),
        StandardScaler().fit(windows_of_two.reshape(-1, 2)).transform(windows_of_two[0]),
    )
    assert StandardScaler().fit_transform([1.0, 3.0]).tolist() == [-1, 1]
    constant = StandardScaler().fit(np.full((7, 1), 0.1))
    assert constant.scale_.tolist() == [1]
    assert abs(constant.transform([[0.1]])).max() < 1e-16


def test_permutation_is_a_pure_function_of_seed_and_epoch():
    first = permutation(1000, seed=3, epoch=5)
    random.set_seed(99)
    assert np.array_equal(first, permutation(1000, seed=3, epoch=5))
    assert sorted(first.tolist()) == list(range(1000))
    assert not np.array_equal(first, permutation(1000, seed=3, epoch=6))
    assert not np.array_equal(first, permutation(1000, seed=4, epoch=5))
