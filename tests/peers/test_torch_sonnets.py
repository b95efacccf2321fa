"""examples/sonnets.py beside torch: fit(tbptt=...) is truncated back-propagation by hand, in float64 at 1e-9."""

import sys
from pathlib import Path

import numpy as np
import torch

import latchwork as lw

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
import sonnets_in_torch as side_by_side
from sonnets_in_torch import sonnets


def test_three_epochs_of_five_pieces():
    """The last piece is shorter; all begin at the states that the one before it left."""
    text = sonnets.load()[0][: sonnets.STREAMS * (4 * sonnets.PIECE + 20) + 1]
    alphabet = lw.data.CharacterVocabulary(text)
    streams = sonnets.in_streams(alphabet.encode(text), sonnets.STREAMS)
    assert streams[0].shape == (16, 276)
    lw.set_seed(1)
    ours = sonnets.build(len(alphabet), units=32, dtype="float64")
    first = ours.get_weights()
    theirs = side_by_side.InTorch(first)
    losses = []
    for epoch in range(3):
        losses.append(side_by_side.epoch_in_latchwork(ours, streams, epoch))
        assert abs(theirs.epoch(*map(torch.from_numpy, streams)) - losses[-1]) < 1e-9
    assert theirs.steps == ours.optimizer.iterations == 15
    assert losses[2] < losses[0] - 0.5  # it learns
    for before, mine, torchs in zip(first, ours.get_weights(), theirs.net.arrays(), strict=True):
        assert mine.dtype == torchs.dtype == np.float64
        assert np.abs(mine - before).max() > 1e-2  # fifteen steps of at most about 0.005 each
        np.testing.assert_allclose(mine, torchs, rtol=0, atol=1e-9)
