"""Sequences of different lengths as one array."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from latchwork.data.series import as_count
from latchwork.names import resolve

SIDES = ("pre", "post")


def pad_sequences(
    sequences: Sequence[ArrayLike],
    maxlen: int | None = None,
    dtype: Any = "int32",
    padding: str = "pre",
    truncating: str = "pre",
    value: float = 0.0,
) -> NDArray[Any]:
    """Sequences as an array [B, T] or [B, T, F], filled up with `value`; Keras' function of this name and defaults.

    Layers need no padding: `lw.Ragged` holds sequences as they are, and computes nothing for what is not there. This is
    for programs that pad, with `Masking` or `Embedding(mask_zero=True)` behind.

    Args:
        sequences: Arrays [T_i] or [T_i, F] of numbers, F the same for all.
        maxlen: T, at least 1; None: the longest of them.
        dtype: Of the result: a float, integer or bool dtype.
        padding: "pre" puts `value` before a sequence, "post" behind it.
        truncating: Where a sequence longer than T loses its steps: at its beginning ("pre") or end ("post").
        value: What fills up.

    Raises:
        ValueError: An array of another shape than the first, or an argument out of range.

    >>> pad_sequences([[1, 2, 3], [4]]).tolist()
    [[1, 2, 3], [0, 0, 4]]
    >>> pad_sequences([[1, 2, 3], [4]], maxlen=2, padding="post", value=9).tolist()
    [[2, 3], [4, 9]]
    """
    side, cut = resolve("padding", padding, SIDES), resolve("truncating", truncating, SIDES)
    if isinstance(sequences, (str, bytes)) or not hasattr(sequences, "__len__"):
        raise ValueError(f"sequences must be a list of arrays, got {sequences!r:.80}")
    arrays = [np.asarray(sequence) for sequence in sequences]
    axes = arrays[0].shape[1:] if arrays else ()
    for i, array in enumerate(arrays):
        fits = array.ndim in (1, 2) and (array.shape[1:] == axes) and array.dtype.kind in "buif"
        if not fits:
            raise ValueError(f"sequences[{i}] must be numbers [T] or [T, F] like the first, got {array.dtype} of shape "
                             f"{array.shape}")  # fmt: skip
    longest = max((len(array) for array in arrays), default=0)
    steps = longest if maxlen is None else as_count(maxlen, "maxlen", 1)
    padded = np.full((len(arrays), steps, *axes), value, dtype)
    for row, array in zip(padded, arrays, strict=True):
        kept = array[max(len(array) - steps, 0) :] if cut == "pre" else array[:steps]
        if side == "pre":
            row[steps - len(kept) :] = kept
        else:
            row[: len(kept)] = kept
    return padded
