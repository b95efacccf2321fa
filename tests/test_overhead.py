"""What Python does around the kernels, counted in function calls, as times would flake on a shared machine.

The bounds lie a little above what was counted (CPython 3.11), for other versions of Python. Above them a step has got
work that belongs to `compile`, to `fit` or to the first batch.
"""

import gc
import sys

import numpy as np
import pytest

from latchwork import _core, layers
from latchwork import functional as F
from latchwork.models import Sequential

T, BATCH = 4, 8


def calls_of(run):
    """How many functions run() calls, of Python and of C."""
    count = 0

    def note(frame, event, argument):
        nonlocal count
        count += event in ("call", "c_call")

    gc.disable()  # a collection calls what other tests registered
    sys.setprofile(note)
    try:
        run()
    finally:
        sys.setprofile(None)
        gc.enable()
    return count


@pytest.fixture
def model():
    """The tutorials' program."""
    made = Sequential([layers.LSTM(5, input_shape=(T, 1)), layers.Dense(1)])
    made.compile(loss="mse", optimizer="adam")
    return made


def data(batches):
    return np.ones((batches * BATCH, T, 1), np.float32), np.ones((batches * BATCH, 1), np.float32)


@pytest.mark.parametrize("shuffle", [True, False])
def test_training_step(model, shuffle):
    """182 before checks that were made were left out."""

    def fit(batches):
        x, y = data(batches)
        return calls_of(lambda: model.fit(x, y, batch_size=BATCH, shuffle=shuffle, verbose=0))

    fit(1)
    assert (fit(60) - fit(10)) / 50 <= 150


def test_predict_one_sequence(model):
    x, _ = data(1)
    model.predict(x[:1])
    assert calls_of(lambda: model.predict(x[:1])) <= 180


def test_functional_call():
    x, kernel = np.ones((1, 1, 1), np.float32), np.ones((1, 4), np.float32)
    weights = _core.RecurrentWeights("lstm", kernel, kernel, None)
    assert calls_of(lambda: F.lstm(x, weights, training=False)) <= 15


def test_streaming_step():
    session = Sequential([layers.GRU(4, input_shape=(None, 3))]).session()
    x = np.ones((1, 3), np.float32)
    assert calls_of(lambda: session.step(x)) <= 4
