"""Sizes at the edge of 32 and 64 bits: one error that names the argument, before anything is allocated.

tests/cpp/test_limits.cpp has the C++ side's; tests/large.py, which .ci/full runs, a real call above 2^31 elements.
"""

import resource
import time

import numpy as np
import pytest

import latchwork as lw
from latchwork import _core
from latchwork import functional as F

EDGES = [2**31 - 1, 2**31, 2**31 + 1]
BEYOND = [2**62, 2**63 - 1]
ONE = np.float32(0.5)


def huge(*shape, dtype=np.float32):
    """An array of one element that says it has many."""
    return np.broadcast_to(np.zeros((), dtype), shape)


@pytest.fixture(autouse=True)
def _nothing_is_allocated():
    """Of the sizes asked for here: that would take seconds and gigabytes."""
    before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.perf_counter()
    yield
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200 * 1024  # KB
    assert time.perf_counter() - start < 5


@pytest.mark.parametrize("n", BEYOND)
@pytest.mark.parametrize(
    "call",
    [
        lambda n: _core.empty([n, 4], False),
        lambda n: _core.empty([4, n], True),
        lambda n: _core.empty([n], True),
        lambda n: _core.philox_uniform(1, 0, [n, 4], 0.0, 1.0, "float32"),
        lambda n: _core.philox_normal(1, 0, [n], 0.0, 1.0, True, "float64"),
        lambda n: _core.orthogonal(1, 0, n, 3, 1.0, "float32"),
    ],
)
def test_more_bytes_than_64_bits_count(call, n):
    with pytest.raises(ValueError, match=r"(shape|size).*too large"):
        call(n)


@pytest.mark.parametrize("n", [2**45, 2**46])
def test_more_than_there_is(n):
    with pytest.raises(MemoryError):
        _core.empty([n], False)


@pytest.mark.parametrize("n", EDGES)
def test_arrays_around_2_31(n):
    """Their shapes pass; that they have one element only is noticed before it is read."""
    weights = _core.RecurrentWeights("elman", np.ones((3, 2), np.float32), np.ones((2, 2), np.float32), None)
    rest = ([], None, None, False, False, "tanh", "tanh", True, None, False, False, None, "store")
    for x in (huge(1, n, 3), huge(n, 1, 3)):
        with pytest.raises(ValueError, match="x must be C-contiguous"):
            _core.recurrent_forward([(weights, x, *rest)], True)
    with pytest.raises(ValueError, match="kernel must be C-contiguous"):
        _core.RecurrentWeights("dense", huge(1, n), None, None)
    with pytest.raises(ValueError, match="a must be C-contiguous"):
        _core.sum(huge(n))
    with pytest.raises(ValueError, match="must"):
        _core.gather_rows(huge(n, 2), np.zeros(1, np.int64))


@pytest.mark.parametrize("n", [*EDGES, *BEYOND])
def test_numbers_that_are_looked_up(n):
    """Rows, lengths, offsets and labels beyond what is there."""
    x = np.ones((2, 4, 3), np.float32)
    params = (np.ones((3, 8), np.float32), np.ones((2, 8), np.float32), None)
    with pytest.raises(ValueError, match=r"lengths must lie within \[0, 4\]"):
        F.lstm(x, params, lengths=np.array([1, n]))
    with pytest.raises(ValueError, match="offsets"):
        F.lstm(lw.Ragged(x[0], np.array([0, n])), params)
    with pytest.raises(ValueError, match=rf"numbers must lie within \[0, 2\), got {n}"):
        _core.gather_rows(x[:, 0].copy(), np.array([0, n]))
    with pytest.raises(ValueError, match=rf"class labels in \[0, 3\), got {n}"):
        _core.loss("sparse_categorical_crossentropy", np.array([0, n]), x[:, 0].copy())


def test_counters_of_32_bits():
    """Dropout numbers samples and steps, a shuffle its elements, in 32 bits: more are refused, not wrapped around."""
    x = np.ones((2, 3), np.float32)
    _core.dropout(x, 0.5, 1, 2, 3, sample_offset=2**32 - 2)
    with pytest.raises(ValueError, match="sample_offset"):
        _core.dropout(x, 0.5, 1, 2, 3, sample_offset=2**32 - 1)
    for n in (2**32, 2**63 - 1, -1):
        with pytest.raises(ValueError, match="n must be within"):
            _core.permutation(1, 0, n)


@pytest.mark.parametrize("units", [2**31, 2**62])
def test_layers_of_many_units(units):
    """A layer says what it would need, and the model is as it was."""
    model = lw.models.Sequential([lw.layers.Input((4, 3)), lw.layers.LSTM(units)])
    for _ in range(2):
        with pytest.raises((ValueError, MemoryError), match=r"shape|allocate|bad_alloc"):
            model.build()


@pytest.mark.parametrize("batch", [2**62, 2**63 - 1])
def test_streams_of_a_session(batch):
    model = lw.models.Sequential([lw.layers.Input((4, 3)), lw.layers.LSTM(5)])
    with pytest.raises(ValueError, match="streams"):
        model.session(batch)
