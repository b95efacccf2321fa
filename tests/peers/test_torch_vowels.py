"""examples/vowels.py beside torch's packed sequences: ten steps of Adam in float64 from the same weights, at 1e-9."""

import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

import latchwork as lw

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
import vowels_in_torch as side_by_side
from vowels_in_torch import vowels


def like_vowels():
    """270 random sequences of the data's lengths and speakers."""
    rng = np.random.default_rng(0)
    lengths = rng.integers(7, 27, 270)
    return lw.Ragged.from_list([rng.normal(size=(n, 12)) for n in lengths]), rng.integers(0, 9, 270)


def recorded():
    if find_spec("aeon") is None:
        pytest.skip("the data come with aeon: pip install --no-deps aeon")
    x, y = vowels.read(vowels.data_folder() / "JapaneseVowels_TRAIN.ts")
    return lw.Ragged(x.values.astype(np.float64), x.offsets), y


@pytest.mark.parametrize("data", [like_vowels, recorded])
def test_ten_steps(data):
    ours, theirs = side_by_side.pair(seed=1, dtype="float64")
    before = ours.model.get_weights()
    for batch in side_by_side.batches(data(), seed=1, epoch=0):
        ours.step(batch)
        theirs.step(theirs.read(batch))
    pairs = list(zip(before, ours.model.get_weights(), theirs.net.arrays(), strict=True))
    assert len(pairs) == 8
    for first, mine, torchs in pairs:
        assert mine.dtype == torchs.dtype == np.float64
        assert np.abs(mine - first).max() > 1e-3  # ten steps of at most about 0.001 each
        np.testing.assert_allclose(mine, torchs, rtol=0, atol=1e-9)
