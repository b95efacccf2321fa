"""Sequences of different lengths, laid end to end."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt


class Ragged:
    """A batch of sequences of different lengths, without padding.

    Args:
        values: `[N, F]` of any dtype, the sequences one after the other.
        offsets: `[B + 1]` whole numbers; sequence `i` is `values[offsets[i]:offsets[i + 1]]`.

    Raises:
        ValueError: Another shape, or offsets that do not rise from 0 to N.

    >>> r = Ragged.from_list([np.ones((2, 3)), np.zeros((1, 3))])
    >>> len(r), r.lengths.tolist(), r[1].shape
    (2, [2, 1], (1, 3))
    """

    __slots__ = ("offsets", "values")

    values: npt.NDArray[np.floating]
    offsets: npt.NDArray[np.int64]

    def __init__(self, values: npt.ArrayLike, offsets: npt.ArrayLike) -> None:
        checked = np.asarray(values)
        given = np.asarray(offsets)
        if checked.ndim != 2:
            raise ValueError(f"values must be [N, F], got shape {checked.shape}")
        if given.ndim != 1 or given.size == 0 or given.dtype.kind not in "iu":
            raise ValueError(f"offsets must be [B + 1] whole numbers, got {given.dtype} of shape {given.shape}")
        bounds = given.astype(np.int64)
        if bounds[0] != 0 or bounds[-1] != len(checked) or np.any(bounds[1:] < bounds[:-1]):
            raise ValueError(f"offsets must rise from 0 to {len(checked)} (the rows of values), got {bounds.tolist()}")
        self.values = checked
        self.offsets = bounds

    @classmethod
    def from_list(cls, sequences: Sequence[npt.ArrayLike]) -> Ragged:
        """Joins arrays.

        Args:
            sequences: At least one array; `[T_i, F]` each, of one dtype and feature count.

        Raises:
            ValueError: No array, or one of another dtype or feature count than the first.
        """
        arrays = [np.asarray(s) for s in sequences]
        if not arrays:
            raise ValueError("sequences must hold at least one array")
        dtype, features = arrays[0].dtype, arrays[0].shape[-1:]
        for i, a in enumerate(arrays):
            if a.ndim != 2 or a.shape[1:] != features or a.dtype != dtype:
                raise ValueError(f"sequences[{i}] must be [T, F] like the first ({dtype}), got {a.dtype} of {a.shape}")
        offsets = np.zeros(len(arrays) + 1, np.int64)
        np.cumsum([len(a) for a in arrays], dtype=np.int64, out=offsets[1:])
        return cls(np.concatenate(arrays), offsets)

    @property
    def lengths(self) -> npt.NDArray[np.int64]:
        """`[B]`, the steps of each sequence."""
        return np.diff(self.offsets)

    @property
    def dtype(self) -> np.dtype[np.floating]:
        """The dtype of `values`."""
        return self.values.dtype

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, i: int) -> npt.NDArray[np.floating]:
        if not -len(self) <= i < len(self):
            raise IndexError(f"sequence {i} of {len(self)}")
        i %= len(self)
        return self.values[self.offsets[i] : self.offsets[i + 1]]

    def __iter__(self) -> Iterator[npt.NDArray[np.floating]]:
        return (self[i] for i in range(len(self)))

    def to_padded(self) -> npt.NDArray[np.floating]:
        """`[B, T, F]` with zeros from each sequence's length on; T is the longest."""
        steps = int(self.lengths.max(initial=0))
        padded = np.zeros((len(self), steps, self.values.shape[1]), self.values.dtype)
        for i, sequence in enumerate(self):
            padded[i, : len(sequence)] = sequence
        return padded

    def __repr__(self) -> str:
        steps, features = self.values.shape
        return f"Ragged({len(self)} sequences, {steps} steps of {features}, {self.dtype})"
