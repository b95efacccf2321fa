"""The order in which training visits its samples."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from latchwork import random


def permutation(n: int, *, seed: int, epoch: int) -> NDArray[np.int64]:
    """The order of `n` samples in one epoch, int64 [n]: a pure function of (seed, epoch), the same on every machine.

    `fit` visits its samples in exactly this order, so a run can be repeated or taken up again at any epoch.

    Args:
        n: In [0, 2^32).
        seed: In [0, 2^64).
        epoch: In [0, 2^32).

    Raises:
        TypeError, ValueError: An argument is no integer or out of range.

    >>> sorted(permutation(5, seed=1, epoch=0).tolist())
    [0, 1, 2, 3, 4]
    """
    return random.permutation(seed, epoch, n)
