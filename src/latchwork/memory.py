"""What training keeps until backward: the modes there are, and budgets in bytes."""

from __future__ import annotations

import re

MODES = ("store", "recompute", "checkpoint")
UNITS = {"KB": 10**3, "MB": 10**6, "GB": 10**9, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}


def as_memory(memory: str) -> str | int:
    """The mode that `memory` names, or the bytes of a budget: a number and its unit, without a space.

    Raises:
        ValueError: Neither.

    >>> as_memory("store"), as_memory("1.5GB"), as_memory("64MiB")
    ('store', 1500000000, 67108864)
    """
    if memory in MODES:
        return memory
    found = re.fullmatch(rf"(\d+(?:\.\d+)?)({'|'.join(UNITS)})", memory, re.ASCII) if isinstance(memory, str) else None
    size = int(float(found[1]) * UNITS[found[2]]) if found else 0
    if not 0 < size < 2**63:
        raise ValueError(
            f"memory must be one of {', '.join(MODES)}, or a size such as '200MB', '1.5GB' or '64MiB' "
            f"(units {', '.join(UNITS)}), got {memory!r}"
        )
    return size


def size_text(size: int) -> str:
    """A size as `memory` takes it, rounded up.

    >>> size_text(14_720_001), size_text(1)
    ('14.8MB', '0.1MB')
    """
    return f"{-(-size // 10**5) / 10:.1f}MB"
