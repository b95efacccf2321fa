"""What the calls are given: types, checks, parameters packed for one call."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from latchwork import _core
from latchwork.ragged import Ragged

Array: TypeAlias = npt.NDArray[np.floating]
Sequences: TypeAlias = Array | Ragged
State: TypeAlias = tuple[Array, ...]
Context: TypeAlias = _core.Context
Params: TypeAlias = Sequence[Array | None] | _core.RecurrentWeights


def describe(x: object) -> str:
    return f"{x.dtype} of shape {x.shape}" if isinstance(x, np.ndarray) else f"{type(x).__name__}"


def packed_weights(cell: str, params: Params, names: tuple[str, ...]) -> _core.RecurrentWeights:
    """Packs raw arrays for one call; a layer's weights come packed."""
    if isinstance(params, _core.RecurrentWeights):
        if params.cell != cell:
            raise ValueError(f"params must be weights of '{cell}', got weights of '{params.cell}'")
        return params
    if not isinstance(params, (tuple, list)) or len(params) != len(names):
        raise ValueError(f"params must be ({', '.join(names)}), got {type(params).__name__} of {count_text(params)}")
    for name, a in zip(names, params, strict=True):
        if not isinstance(a, np.ndarray) and not (a is None and name == "bias"):
            raise ValueError(f"{name} must be a numpy array{' or None' if name == 'bias' else ''}, got {describe(a)}")
    arrays = [None if a is None else contiguous(a) for a in params]
    if cell == "dense":
        arrays.insert(1, None)
    return _core.RecurrentWeights(cell, *arrays)


def even_rows(a: Array) -> bool:
    """Whether the features of `a` are neighbours and its rows lie evenly, as in a slice of the last axis."""
    if a.ndim < 2 or a.strides[-1] != a.itemsize or a.strides[-2] < a.shape[-1] * a.itemsize:
        return False
    return a.strides[-2] % a.itemsize == 0 and all(
        a.strides[i] == a.strides[i + 1] * a.shape[i + 1] for i in range(a.ndim - 2)
    )


def contiguous(a: Array) -> Array:
    """`a`, copied only if it must be; np.ascontiguousarray would also turn a scalar into a vector."""
    return a if a.flags.c_contiguous else np.ascontiguousarray(a)


def count_text(x: object) -> str:
    return f"{len(x)}" if hasattr(x, "__len__") else "no length"


def check_context(ctx: Context | None, cells: tuple[str, ...] = ()) -> Context:
    """`ctx` if it may be used for a backward, of one of `cells` where these are given."""
    if not isinstance(ctx, _core.Context):
        raise ValueError(f"ctx must be the context of a training call (training=True), got {describe(ctx)}")
    if ctx.consumed:
        raise ValueError("ctx has been used: a context serves one backward")
    if cells and ctx.cell not in cells:
        raise ValueError(f"ctx must come from {' or '.join(cells)}, got one from {ctx.cell}")
    return ctx
