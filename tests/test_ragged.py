"""lw.Ragged: what it holds, what it gives, what it refuses."""

import numpy as np
import pytest

import latchwork as lw

A, B, C = (np.arange(n * 2, dtype=np.float32).reshape(n, 2) + n for n in (3, 0, 1))


def test_holds_sequences_of_any_length():
    ragged = lw.Ragged.from_list([A, B, C])
    assert len(ragged) == 3
    assert ragged.dtype == np.float32
    assert ragged.lengths.tolist() == [3, 0, 1]
    assert ragged.offsets.tolist() == [0, 3, 3, 4]
    assert ragged.offsets.dtype == np.int64
    for sequence, wanted in zip(ragged, (A, B, C), strict=True):
        assert np.array_equal(sequence, wanted)
    assert np.array_equal(ragged[-1], C)
    assert np.shares_memory(ragged[0], ragged.values)
    assert repr(ragged) == "Ragged(3 sequences, 4 steps of 2, float32)"


def test_padded():
    padded = lw.Ragged.from_list([C, A, B]).to_padded()
    assert padded.dtype == np.float32
    assert np.array_equal(padded[1], A)
    assert np.array_equal(padded[0], [C[0], [0, 0], [0, 0]])
    assert not padded[2].any()
    assert lw.Ragged(np.zeros((0, 5)), [0]).to_padded().shape == (0, 0, 5)


@pytest.mark.parametrize("i", [3, -4])
def test_no_such_sequence(i):
    with pytest.raises(IndexError, match=f"sequence {i} of 3"):
        lw.Ragged.from_list([A, B, C])[i]


@pytest.mark.parametrize(
    ("values", "offsets", "message"),
    [
        (np.zeros(3), [0, 3], r"values must be \[N, F\], got shape \(3,\)"),
        (np.zeros((3, 1)), [0.0, 3.0], r"offsets must be \[B \+ 1\] whole numbers, got float64 of shape \(2,\)"),
        (np.zeros((3, 1)), [], "offsets must be"),
        (np.zeros((3, 1)), [[0, 3]], r"got int64 of shape \(1, 2\)"),
        (np.zeros((3, 1)), [0, 2], r"offsets must rise from 0 to 3 \(the rows of values\), got \[0, 2\]"),
        (np.zeros((3, 1)), [1, 3], "offsets must rise from 0"),
        (np.zeros((3, 1)), [0, 2, 1, 3], "offsets must rise from 0"),
    ],
)
def test_what_does_not_fit(values, offsets, message):
    with pytest.raises(ValueError, match=message):
        lw.Ragged(values, offsets)


@pytest.mark.parametrize(
    ("sequences", "message"),
    [
        ([], "sequences must hold at least one array"),
        ([A, np.zeros((2, 3), np.float32)], r"sequences\[1\] must be \[T, F\] like the first \(float32\), got float32"),
        ([A, A.astype(np.float64)], r"sequences\[1\] must be .* got float64 of \(3, 2\)"),
        ([A[0]], r"sequences\[0\] must be \[T, F\]"),
    ],
)
def test_sequences_that_do_not_go_together(sequences, message):
    with pytest.raises(ValueError, match=message):
        lw.Ragged.from_list(sequences)
