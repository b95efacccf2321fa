"""Random numbers that hang on what they are for, never on how many were drawn before.

Every draw is Philox4x32-10 of a key, the seed, and a counter: the number of a stream (initialisers), the epoch
(shuffles), or the training step, sample, time step and layer (dropout). So the same program gives the same weights on
every run, with any number of threads, on any CPU, and a dropout mask does not depend on how a batch is split.
"""

from __future__ import annotations

import operator
import os
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from . import _core

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_SEEDS = 5  # the purpose of their draws: runtime/philox.h

_lock = threading.Lock()
_seed: int | None = None
_times_set = 0
_streams = 0


def _integer(name: str, value: int, bits: int) -> int:
    try:
        number = operator.index(value)
    except TypeError:
        raise TypeError(f"{name} must be an integer, got {type(value).__name__}") from None
    if not 0 <= number < 1 << bits:
        raise ValueError(f"{name} must be in [0, 2^{bits}), got {number}")
    return number


def set_seed(n: int) -> None:
    """Make what follows repeatable: the same program then gives the same weights, shuffles and masks on every run.

    Sets the global seed and starts the streams of `next_stream` from 0. Without it the seed is taken from the operating
    system once per process (`seed` tells it).

    Args:
        n: The seed, an integer in [0, 2^64).

    Raises:
        TypeError: `n` is no integer.
        ValueError: `n` is out of range.

    Example:
        >>> set_seed(7)
        >>> seed(), next_stream(), next_stream()
        (7, 0, 1)
    """
    global _seed, _streams, _times_set
    number = _integer("seed", n, 64)
    with _lock:
        _seed, _streams, _times_set = number, 0, _times_set + 1


def seed() -> int:
    """Return the global seed, drawing it from the operating system if none was set.

    Example:
        >>> set_seed(3)
        >>> seed()
        3
    """
    global _seed
    with _lock:
        if _seed is None:
            _seed = int.from_bytes(os.urandom(8), "little")
        return _seed


def resumed(saved: int) -> Callable[[], int]:
    """Return a function that gives the seed `saved` until `set_seed` is called again, then the global one.

    Training that goes on from a file shuffles as it would have done without the interruption.

    Example:
        >>> seed_of_model = resumed(5)
        >>> seed_of_model()
        5
        >>> set_seed(3)
        >>> seed_of_model()
        3
    """
    number, times = _integer("seed", saved, 64), _times_set
    return lambda: number if _times_set == times else seed()


def next_stream() -> int:
    """Return a stream number not given out since `set_seed`: 0, 1, 2, ... Each variable of a model takes one.

    Raises:
        ValueError: All 2^32 streams are given out.

    Example:
        >>> set_seed(3)
        >>> [next_stream() for _ in range(3)]
        [0, 1, 2]
    """
    global _streams
    with _lock:
        stream = _integer("the number of streams", _streams, 32)
        _streams += 1
    return stream


def next_seed() -> int:
    """Return a seed for what is given none, not given out since `set_seed`: 64 bits of Philox.

    Raises:
        ValueError: All 2^32 streams are given out.

    Example:
        >>> set_seed(3)
        >>> first, second = next_seed(), next_seed()
        >>> set_seed(3)
        >>> first == next_seed(), first == second
        (True, False)
    """
    low, high, _, _ = _core.philox(seed(), [_SEEDS << 21, 0, 0, next_stream()])
    return int(low) | int(high) << 32


def permutation(seed: int, epoch: int, n: int) -> NDArray[np.int64]:
    """Return the order of an epoch: a uniformly drawn permutation of 0 .. n - 1, a pure function of its arguments.

    Fisher-Yates with unbiased draws (D. Lemire, "Fast random integer generation in an interval", 2019).

    Args:
        seed: Integer in [0, 2^64).
        epoch: Integer in [0, 2^32).
        n: Number of elements, in [0, 2^32).

    Returns:
        int64 [n].

    Raises:
        TypeError, ValueError: An argument is no integer or out of range.

    Example:
        >>> sorted(permutation(seed=1, epoch=0, n=4).tolist())
        [0, 1, 2, 3]
        >>> bool((permutation(1, 0, 50) == permutation(1, 0, 50)).all())
        True
    """
    return _core.permutation(_integer("seed", seed, 64), _integer("epoch", epoch, 32), _integer("n", n, 32))


def dropout(
    x: NDArray[np.floating], rate: float, *, seed: int, step: int, layer: int, sample_offset: int = 0
) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
    """Drop each element of `x` with probability `rate`, and scale the others by 1 / (1 - rate) (inverted dropout,
    N. Srivastava et al., 2014, as in Keras).

    The mask is a function of (seed, step, sample, time step, layer, unit) alone: cutting a batch in two and passing
    `sample_offset` for the second half gives the same masks. A draw has 16 bits, so the rate is met to 2^-17.

    Args:
        x: [N, ..., F], float32 or float64, C-contiguous; the axes between are counted as time steps.
        rate: In [0, 1).
        seed: Integer in [0, 2^64).
        step: Training step, in [0, 2^32).
        layer: Number of the layer, in [0, 256).
        sample_offset: Index of x[0] in the whole batch of the step.

    Returns:
        (y, mask), both of x's shape and dtype; the mask holds 0 or 1 / (1 - rate).

    Raises:
        ValueError: `x` is no float array, or an argument is out of range.

    Example:
        >>> import numpy as np
        >>> y, mask = dropout(np.ones((2, 4), np.float32), 0.5, seed=1, step=0, layer=0)
        >>> bool(((y == 0) | (y == 2)).all()), bool((y == mask).all())
        (True, True)
    """
    return _core.dropout(
        x,
        float(rate),
        _integer("seed", seed, 64),
        _integer("step", step, 32),
        _integer("layer", layer, 8),
        _integer("sample_offset", sample_offset, 32),
    )


def dropout_backward(dy: NDArray[np.floating], mask: NDArray[np.floating]) -> NDArray[np.floating]:
    """Return the gradient of `dropout` with respect to x: dy * mask, 0 where dropped.

    Args:
        dy: Gradient of y, [N, ..., F], float32 or float64.
        mask: What `dropout` returned, of the same shape and dtype.

    Raises:
        ValueError: The shapes or dtypes differ.

    Example:
        >>> import numpy as np
        >>> dropout_backward(np.ones((1, 2)), np.array([[0.0, 2.0]]))
        array([[0., 2.]])
    """
    return _core.dropout_backward(dy, mask)
