"""Checks of what layers and models are given: shared so that every message reads alike."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from latchwork.ragged import Ragged

Shape = tuple[int | None, ...]  # of one sample: no batch axis, None where any size runs


def refuse(owner: str, given: Mapping[str, Any], unbuilt: Mapping[str, Any], known: tuple[str, ...] = ()) -> None:
    """Raise for every argument in `given`, but those in `unbuilt` (name -> Keras' default) that hold that default."""
    for name, value in given.items():
        if name not in unbuilt:
            import difflib  # 1 ms, for an error alone

            near = difflib.get_close_matches(name, [*known, *unbuilt], n=3)
            hint = f"; nearest: {', '.join(near)}" if near else ""
            raise TypeError(f"{owner} has no argument {name!r}{hint}")
        default = unbuilt[name]
        if value is not default and not (type(value) is type(default) and value == default):
            raise ValueError(f"{owner}: {name} must be {default!r} (other values are not supported yet), got {value!r}")


def as_flag(value: Any, name: str, owner: str) -> bool:
    if not isinstance(value, (bool, np.bool_)):
        raise ValueError(f"{owner}: {name} must be True or False, got {value!r}")
    return bool(value)


def as_dtype(dtype: Any, owner: str) -> np.dtype[Any]:
    try:
        found = np.dtype(dtype)
    except TypeError:
        found = None
    for known in (np.dtype(np.float32), np.dtype(np.float64)):
        if found is not None and found == known:  # numpy: dtype("float64") == None
            return known
    raise ValueError(f"{owner}: dtype must be 'float32' or 'float64', got {dtype!r}")


def as_shape(shape: Any, name: str, owner: str) -> Shape:
    """A shape without its batch axis: whole numbers of at least 1, or None where any size runs."""
    sizes = tuple(shape) if isinstance(shape, (tuple, list)) else (shape,)
    for size in sizes:
        whole = isinstance(size, (int, np.integer)) and not isinstance(size, bool)
        if size is not None and (not whole or size < 1):
            raise ValueError(f"{owner}: {name} must hold whole numbers of at least 1 or None, got {shape!r}")
    return tuple(None if size is None else int(size) for size in sizes)


def as_batch_shape(shape: Any, owner: str) -> Shape:
    """Keras' shape of a batch, (None, 32, 1), without its first axis."""
    if not isinstance(shape, (tuple, list)) or not shape:
        raise ValueError(f"{owner}: input_shape must be a tuple that begins with the batch axis, got {shape!r}")
    return as_shape(tuple(shape)[1:], "input_shape", owner)


def open_steps(shape: Shape) -> Shape:
    """The sample shape that any number of steps fits: all but the last axis open."""
    return (None,) * (len(shape) - 1) + shape[-1:]


def as_array(x: Any, name: str, dtype: np.dtype[Any]) -> NDArray[Any]:
    """`x` as a C-contiguous array of `dtype`; booleans, integers and floats are cast, all else is an error."""
    if type(x) is np.ndarray and x.dtype == dtype and x.flags.c_contiguous:
        return x  # the path of every training step
    if isinstance(x, (list, tuple)) and any(isinstance(part, np.ndarray) for part in x):
        raise ValueError(
            f"{name} is a list of {len(x)} arrays, which means several inputs, and one is expected: "
            "np.stack sequences of one length, put others into lw.Ragged.from_list"
        )
    try:
        array = np.asarray(x)
    except ValueError:
        raise ValueError(f"{name} must be one rectangular array of numbers; for others see lw.Ragged") from None
    if array.dtype.kind not in "buif":
        raise ValueError(f"{name} must hold numbers (bool, int or float), got dtype {array.dtype}")
    return np.ascontiguousarray(array, dtype) if array.ndim else array.astype(dtype)


def as_input(x: Any, name: str, dtype: np.dtype[Any]) -> NDArray[Any] | Ragged:
    """Like `as_array`, and a Ragged stays one, its values cast."""
    if isinstance(x, Ragged):
        values = as_array(x.values, f"{name}.values", dtype)
        return x if values is x.values else Ragged(values, x.offsets)
    return as_array(x, name, dtype)


def shape_text(shape: Shape) -> str:
    """(None, 3) with its batch axis, as errors and summaries print it: (B, None, 3)."""
    return "(" + ", ".join(["B", *map(str, shape)]) + ("" if shape else ",") + ")"


def check_fit(shape: Shape, expected: Shape, owner: str) -> None:
    """Sizes said beforehand hold for the rank and the last axis; the number of steps is a hint."""
    if len(shape) != len(expected) or (expected and expected[-1] not in (None, shape[-1])):
        raise ValueError(f"{owner}: x must be {shape_text(open_steps(expected))}, got {shape_text(shape)}")
