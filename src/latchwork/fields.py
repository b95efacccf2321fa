"""What dataclasses share, written once.

`@dataclass` writes such methods for each class as source text and compiles it: a third of the time of the import.
"""

from __future__ import annotations

from dataclasses import FrozenInstanceError, fields
from typing import Any, ClassVar


class Refusing:
    """Base of classes that Keras gives more arguments: such a one is an error that says what there is instead.

    A class of the user's may have arguments of these names.

    Example:
        >>> from latchwork.optimizers import Adam
        >>> Adam(gradient_accumulation_steps=2)
        Traceback (most recent call last):
        ...
        ValueError: Adam: gradient_accumulation_steps is not supported, see fit(accumulate=...); got 2
    """

    __slots__ = ()
    refused: ClassVar[dict[str, str]] = {}

    def __new__(cls, *_: Any, **given: Any) -> Any:
        for name in cls.refused.keys() & given.keys():
            import inspect  # for an error, or a class of the user's, alone

            known = inspect.signature(cls.__init__).parameters.values()
            if not any(one.name == name or one.kind is one.VAR_KEYWORD for one in known):
                raise ValueError(f"{cls.__name__}: {name} is not supported, {cls.refused[name]}; got {given[name]!r}")
        return super().__new__(cls)


class Shown:
    """Base of dataclasses made with `repr=False`: prints as the constructor is called.

    Example:
        >>> from latchwork.losses import Huber
        >>> Huber(2.0)
        Huber(delta=2.0, name='huber_loss')
    """

    __slots__ = ()
    __dataclass_fields__: ClassVar[dict[str, Any]]

    def _shown(self) -> dict[str, Any]:
        return {field.name: getattr(self, field.name) for field in fields(self) if field.repr}

    def __repr__(self) -> str:
        return f"{type(self).__qualname__}({', '.join(f'{name}={value!r}' for name, value in self._shown().items())})"


class Value(Shown):
    """Base of dataclasses made with `repr=False, eq=False` that are equal by class and fields and never change.

    Raises:
        dataclasses.FrozenInstanceError: On setting or deleting what the constructor has set, or on a new attribute.

    Example:
        >>> from latchwork.losses import Huber
        >>> Huber(2.0) == Huber(2), Huber() == Huber(2.0), len({Huber(), Huber()})
        (True, False, 1)
    """

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return self._shown() == other._shown()

    def __hash__(self) -> int:
        return hash(tuple(self._shown().values()))

    def __setattr__(self, name: str, value: Any) -> None:
        # A class of the user's that derives from a value may have attributes of its own.
        declared = name in self.__dataclass_fields__
        if name in vars(self) if declared else "__dataclass_fields__" in vars(type(self)):
            raise FrozenInstanceError(f"cannot assign to field {name!r}")
        object.__setattr__(self, name, value)

    def __delattr__(self, name: str) -> None:
        if name in self.__dataclass_fields__:
            raise FrozenInstanceError(f"cannot delete field {name!r}")
        object.__delattr__(self, name)
