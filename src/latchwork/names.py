"""Names given as strings: one lookup, one error that helps."""

from __future__ import annotations

from collections.abc import Iterable


def resolve(kind: str, name: str, known: Iterable[str]) -> str:
    """Return `name` if it is known; else raise ValueError with the nearest known names.

    Args:
        kind: What is named, as the error calls it, e.g. "loss".
        name: The name given.
        known: The names there are.

    Raises:
        ValueError: `name` is not among `known`.

    Example:
        >>> resolve("loss", "mse", ["mse", "mae"])
        'mse'
        >>> resolve("loss", "msee", ["mse", "mae"])
        Traceback (most recent call last):
        ...
        ValueError: unknown loss 'msee'; nearest known: 'mse'
    """
    names = list(known)
    if name in names:
        return name
    import difflib  # 1 ms, for an error alone

    folded = {candidate.lower(): candidate for candidate in reversed(names)}
    near = difflib.get_close_matches(str(name).lower(), folded, n=3)
    if near:
        raise ValueError(f"unknown {kind} {name!r}; nearest known: {', '.join(repr(folded[n]) for n in near)}")
    raise ValueError(f"unknown {kind} {name!r}; known: {', '.join(repr(n) for n in names)}")
