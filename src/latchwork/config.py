"""Objects as plain data and back: the class's name and the arguments of its constructor, from a closed list of classes.

The constructor is the one place that says which fields there are and what they may be; nothing is imported by name.
"""

from __future__ import annotations

import dataclasses
import inspect
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from latchwork.fields import Shown

# What an argument of these names decides is in the file already, as weights.
_OF_INITIAL_VALUES = ("_initializer", "unit_forget_bias", "weights", "mean", "variance")


@dataclasses.dataclass(eq=False, repr=False)
class Registry:
    """The classes that may be named.

    Attributes:
        classes: by name.
        common: arguments that every constructor passes on.
        parts: by argument, the registry of the object, or the objects, that it holds.
        numbers: arguments that may be infinite or NaN, which JSON has no numbers for: they become texts.
    """

    classes: Mapping[str, Any]
    common: tuple[str, ...] = ()
    parts: dict[str, Registry] = dataclasses.field(default_factory=dict)
    numbers: tuple[str, ...] = ()


def describe(thing: Any, known: Registry) -> dict[str, Any]:
    """`thing` as {"class": its name, argument: value, ...}; objects that it holds are described in their places.

    Raises:
        ValueError: Its class is not among those known.

    Example:
        >>> from latchwork import losses
        >>> describe(losses.Huber(2.0), Registry(losses.CLASSES))
        {'class': 'Huber', 'delta': 2.0, 'name': 'huber_loss'}
    """
    kind = type(thing)
    if known.classes.get(kind.__name__) is not kind:
        raise ValueError(
            f"{thing!r} cannot be saved: a file holds {', '.join(known.classes)} and no classes of your own"
        )
    fields = {"class": kind.__name__}
    return fields | {name: _described(_value(thing, name), name, known) for name in (*known.common, *_arguments(kind))}


def rebuild(described: Any, known: Registry, where: str) -> Any:
    """The object that `describe` said. Fields missing, unknown, of another type or out of range are errors.

    Args:
        where: What errors begin with.

    Example:
        >>> from latchwork import losses
        >>> rebuild({"class": "Huber", "delta": 2.0, "name": "huber_loss"}, Registry(losses.CLASSES), "loss").delta
        2.0
    """
    fields = dict(as_object(described, where))
    name = fields.pop("class", None)
    if not isinstance(name, str) or name not in known.classes:
        raise ValueError(f"{where}: class must be one of {', '.join(known.classes)}, got {name!r}")
    kind = known.classes[name]
    check_keys(fields, (*known.common, *_arguments(kind)), where)
    arguments = {key: _rebuilt(value, key, known, where) for key, value in fields.items()}
    try:
        thing = kind(**arguments)
    except (TypeError, ValueError, OverflowError) as error:
        raise ValueError(f"{where}: {error}") from None
    for key, value in describe(thing, known).items():
        given = fields.get(key, name)
        if type(given) is not type(value) or given != value:
            raise ValueError(f"{where}: {key} must be {value!r} or another {type(value).__name__}, got {given!r}")
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
    shown = thing._shown() if isinstance(thing, Shown) else {}  # as the constructor was called: a schedule, not a rate
    value = shown[name] if name in shown else getattr(thing if hasattr(thing, name) else thing.loss, name)
    return value.item() if isinstance(value, np.generic) else value


def _described(value: Any, name: str, known: Registry) -> Any:
    if isinstance(value, tuple):
        return list(value)
    if name in known.parts and not isinstance(value, (int, float)):  # a learning rate is a number or a schedule
        part = known.parts[name]
        return [describe(each, part) for each in value] if isinstance(value, list) else describe(value, part)
    return repr(value) if name in known.numbers and not math.isfinite(value) else value


def _rebuilt(value: Any, name: str, known: Registry, where: str) -> Any:
    if name in known.parts and not isinstance(value, (int, float)):
        part, where = known.parts[name], f"{where}: {name}"
        if isinstance(value, list):
            return [rebuild(each, part, f"{where}[{i}]") for i, each in enumerate(value)]
        return rebuild(value, part, where)
    return float(value) if name in known.numbers and value in ("nan", "inf", "-inf") else value
