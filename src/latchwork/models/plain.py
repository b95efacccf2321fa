"""What objects hold, as plain data and arrays, and back: for checkpoints."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
from numpy.typing import NDArray

from latchwork.callbacks import Callback
from latchwork.metrics import Metric
from latchwork.models.figures import Figures


class _NotPlainError(Exception):
    """A value that is configuration or of another library's: it stays as the program made it."""


def take(value: Any, name: str, arrays: dict[str, NDArray[Any]]) -> Any:
    """`value` as JSON can hold it; float arrays go into `arrays`, by names that begin with `name`.

    Raises:
        _NotPlainError: Something in it is none of numbers, texts, arrays, lists, tuples, dicts, figures and metrics.
    """
    if isinstance(value, np.generic):
        return {"scalar": take(np.asarray(value), name, arrays)}
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, np.ndarray):
        if value.dtype in (np.float32, np.float64):
            arrays[name] = np.ascontiguousarray(value)
            return {"array": name}
        if value.dtype.kind in "biu":
            return {"numbers": value.ravel().tolist(), "shape": list(value.shape), "dtype": value.dtype.str}
        raise _NotPlainError
    if isinstance(value, (list, tuple)):
        items = [take(item, f"{name}.{i}", arrays) for i, item in enumerate(value)]
        return {"list" if isinstance(value, list) else "tuple": items}
    if isinstance(value, dict):
        pairs = enumerate(value.items())
        return {"dict": [[take(k, "", {}), take(item, f"{name}.{i}", arrays)] for i, (k, item) in pairs]}
    if _is_looked_into(value):
        return {"object": attributes(value, name, arrays)}
    raise _NotPlainError


def _is_looked_into(value: Any) -> bool:
    """Figures of any kind, metrics, callbacks; not what they refer to: a model, a writer, a loss."""
    return isinstance(value, (Metric, Callback)) or type(value).__module__ == Figures.__module__


def attributes(thing: Any, name: str, arrays: dict[str, NDArray[Any]]) -> dict[str, Any]:
    """What `put_attributes` takes: the attributes that are state, not configuration."""
    found = {}
    for key in sorted(vars(thing).keys() - _configuration(thing)):
        taken: dict[str, NDArray[Any]] = {}
        try:
            found[key] = take(vars(thing)[key], f"{name}.{key}", taken)
        except _NotPlainError:
            continue
        arrays.update(taken)
    return found


def _configuration(thing: Any) -> set[str]:
    """The attributes that the program decides: arguments of the constructor, and what `fit` sets."""
    if not isinstance(thing, (Metric, Callback)):
        return set()
    return {*inspect.signature(type(thing).__init__).parameters, "model", "params"}


def put(saved: Any, into: Any, arrays: dict[str, NDArray[Any]]) -> Any:
    """The value that `take` took; `into`, the value that is there now, is written where it is an object."""
    if not isinstance(saved, dict):
        return saved
    [kind] = saved.keys() & {"scalar", "array", "numbers", "list", "tuple", "dict", "object"}
    content = saved[kind]
    if kind == "scalar":
        return put(content, None, arrays)[()]
    if kind == "array":
        return arrays[content].copy()
    if kind == "numbers":
        return np.array(content, saved["dtype"]).reshape(saved["shape"])
    if kind == "object":
        put_attributes(into, content, arrays)
        return into
    if kind == "dict":
        held = into if isinstance(into, dict) else {}
        pairs = [(put(key, None, arrays), item) for key, item in content]
        return {key: put(item, held.get(key), arrays) for key, item in pairs}
    there = into if isinstance(into, (list, tuple)) and len(into) == len(content) else [None] * len(content)
    items = [put(item, old, arrays) for item, old in zip(content, there, strict=True)]
    return items if kind == "list" else tuple(items)


def put_attributes(thing: Any, saved: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> None:
    """Write what `attributes` took."""
    for key, value in saved.items():
        setattr(thing, key, put(value, getattr(thing, key, None), arrays))
