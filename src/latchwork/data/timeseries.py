"""Windows over a long series, cut batch by batch: the whole of them is never in memory."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from latchwork import random
from latchwork.data.order import permutation
from latchwork.data.series import as_columns, as_count, as_series


class TimeseriesDataset:
    """Batches (x, y) of windows over a series, as Keras' `timeseries_dataset_from_array`: iterate, once an epoch.

    Window i holds the rows i * sequence_stride + (0, .. sequence_length - 1) * sampling_rate of the series, its target
    is `targets[i * sequence_stride]`. To predict the value behind a window, pass `series[:-sequence_length]` and
    `series[sequence_length:]` (sampling_rate 1).

    Args:
        series: [N] or [N, F], rows in time order; float32 stays, other numbers become float64. It is kept, not copied.
        targets: [M] or [M, ...], M as many rows as windows start at or more; None: batches are x alone.
        sequence_length: Rows of a window, at least 1.
        sequence_stride: Rows from one window to the next, at least 1.
        sampling_rate: Rows from one step of a window to the next, at least 1.
        batch_size: Windows of a batch, at least 1; the last has what is left.
        shuffle: Whether each pass visits the windows in another order: a function of (seed, number of the pass).
        seed: Of the orders, an integer in [0, 2^64); None: `lw.random.seed()` when a pass begins.

    `model.fit(dataset)` takes it, and `evaluate` and `predict` (which reads x).

    Raises:
        ValueError: A series shorter than one window, too few targets, or an argument out of range.

    >>> series = np.arange(6.0)
    >>> batches = TimeseriesDataset(series[:-2], series[2:], sequence_length=2, batch_size=2)
    >>> len(batches), [(x[:, :, 0].tolist(), y.tolist()) for x, y in batches]
    (2, [([[0.0, 1.0], [1.0, 2.0]], [2.0, 3.0]), ([[2.0, 3.0]], [4.0])])
    """

    def __init__(
        self,
        series: ArrayLike,
        targets: ArrayLike | None,
        *,
        sequence_length: int,
        sequence_stride: int = 1,
        sampling_rate: int = 1,
        batch_size: int = 128,
        shuffle: bool = False,
        seed: int | None = None,
    ) -> None:
        self._rows = as_columns(as_series(series))
        self._steps = as_count(sequence_length, "sequence_length", 1)
        self._stride = as_count(sequence_stride, "sequence_stride", 1)
        self._rate = as_count(sampling_rate, "sampling_rate", 1)
        self._batch = as_count(batch_size, "batch_size", 1)
        if not isinstance(shuffle, (bool, np.bool_)):
            raise ValueError(f"shuffle must be True or False, got {shuffle!r}")
        self._shuffle = bool(shuffle)
        self._seed = None if seed is None else random._integer("seed", seed, 64)
        self._passes = 0
        reach = (self._steps - 1) * self._rate + 1
        if len(self._rows) < reach:
            raise ValueError(f"series has {len(self._rows)} rows, fewer than one window of {reach}")
        self._windows = (len(self._rows) - reach) // self._stride + 1
        self._targets = None if targets is None else np.asarray(targets)
        needed = (self._windows - 1) * self._stride + 1
        if self._targets is not None and (self._targets.ndim == 0 or len(self._targets) < needed):
            raise ValueError(f"targets must have at least {needed} rows, one where each window starts, got "
                             f"shape {self._targets.shape}")  # fmt: skip

    def __len__(self) -> int:
        """Batches of a pass."""
        return -(-self._windows // self._batch)

    def __iter__(self) -> Iterator[NDArray[Any] | tuple[NDArray[Any], NDArray[Any]]]:
        order = np.arange(self._windows)
        if self._shuffle:
            seed = random.seed() if self._seed is None else self._seed
            order = permutation(self._windows, seed=seed, epoch=self._passes)
        self._passes += 1
        within = np.arange(self._steps) * self._rate
        for first in range(0, self._windows, self._batch):
            starts = order[first : first + self._batch] * self._stride
            x = self._rows[starts[:, None] + within]
            yield x if self._targets is None else (x, self._targets[starts])

    def set_epoch(self, epoch: int) -> None:
        """Let the next pass have the order of pass number `epoch`, from 0; `fit` calls it, so that a run can go on.

        Raises:
            ValueError: epoch is no whole number of at least 0.
        """
        self._passes = as_count(epoch, "epoch", 0)

    def __repr__(self) -> str:
        return f"TimeseriesDataset({self._windows} windows of {self._steps} steps in {len(self)} batches)"
