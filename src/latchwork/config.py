"""Objects as plain data and back: the class's name and the arguments of its constructor, from a closed list of classes.

The constructor is the one place that says which fields there are and what they may be; nothing is imported by name.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

import numpy as np

# What an argument of these names decides is in the file already, as weights.
_OF_INITIAL_VALUES = ("_initializer", "unit_forget_bias")


def describe(thing: Any, known: Mapping[str, Any], more: tuple[str, ...] = ()) -> dict[str, Any]:
    """`thing` as {"class": its name, argument: value, ...}; `more` are arguments its constructor passes on.

    Raises:
        ValueError: Its class is not among `known`.

    Example:
        >>> from latchwork import losses
        >>> describe(losses.Huber(2.0), losses.CLASSES)
        {'class': 'Huber', 'delta': 2.0, 'name': 'huber_loss'}
    """
    kind = type(thing)
    if known.get(kind.__name__) is not kind:
        raise ValueError(f"{thing!r} cannot be saved: a file holds {', '.join(known)} and no classes of your own")
    return {"class": kind.__name__, **{name: _value(thing, name) for name in (*more, *_arguments(kind))}}


def rebuild(described: Any, known: Mapping[str, Any], where: str, more: tuple[str, ...] = ()) -> Any:
    """The object that `describe` said. Fields missing, unknown, of another type or out of range are errors.

    Args:
        where: What errors begin with.

    Example:
        >>> from latchwork import losses
        >>> rebuild({"class": "Huber", "delta": 2.0, "name": "huber_loss"}, losses.CLASSES, "loss").delta
        2.0
    """
    fields = dict(as_object(described, where))
    name = fields.pop("class", None)
    if not isinstance(name, str) or name not in known:
        raise ValueError(f"{where}: class must be one of {', '.join(known)}, got {name!r}")
    kind = known[name]
    check_keys(fields, (*more, *_arguments(kind)), where)
    try:
        thing = kind(**fields)
    except (TypeError, ValueError, OverflowError) as error:
        raise ValueError(f"{where}: {error}") from None
    for field, value in describe(thing, known, more).items():
        given = fields.get(field, name)
        if type(given) is not type(value) or given != value:
            raise ValueError(f"{where}: {field} must be {value!r} or another {type(value).__name__}, got {given!r}")
    return thing


def as_object(value: Any, where: str) -> dict[str, Any]:
    """`value` if it is a dict."""
    if not isinstance(value, dict):
        raise ValueError(f"{where} must be an object, got {value!r}")
    return value


def check_keys(fields: Mapping[str, Any], expected: tuple[str, ...], where: str) -> None:
    """Raise unless the fields are exactly those expected."""
    for field in fields:
        if field not in expected:
            raise ValueError(f"{where}: no field is named {field!r}; there are {', '.join(expected)}")
    for field in expected:
        if field not in fields:
            raise ValueError(f"{where}: {field} must be there, got no such field")


def _arguments(kind: type) -> list[str]:
    parameters = inspect.signature(kind).parameters.values()
    return [p.name for p in parameters if p.kind is not p.VAR_KEYWORD and not p.name.endswith(_OF_INITIAL_VALUES)]


def _value(thing: Any, name: str) -> Any:
    """The attribute of an argument's name; a metric of a loss keeps that loss's options there."""
    value = getattr(thing if hasattr(thing, name) else thing.loss, name)
    return value.item() if isinstance(value, np.generic) else value
