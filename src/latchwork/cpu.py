"""What the kernels run on: instruction set and threads.

Names of instruction sets: "avx512", "avx2", "neon", "portable". The best one this machine has is chosen when the
package is imported, or the one that the environment variable LATCHWORK_ISA names. Results are the same bits on all.
"""

from __future__ import annotations

from latchwork import _core


def isa() -> str:
    """The instruction set in use.

    >>> isa() in supported()
    True
    """
    return _core.isa()


def use(name: str) -> None:
    """Run the kernels of another instruction set from now on, in all threads. Results are the same bits.

    Args:
        name: One of `supported()`: "avx512", "avx2", "neon" or "portable".

    Raises:
        ValueError: An unknown name, or an instruction set that this machine does not have.

    >>> use(supported()[0])
    >>> isa() == supported()[0]
    True
    """
    _core.use_isa(name)


def supported() -> list[str]:
    """The instruction sets this machine can run, best first.

    >>> set(supported()) <= {"avx512", "avx2", "neon", "portable"}
    True
    """
    return list(_core.supported_isas())


def features() -> list[str]:
    """What the processor offers, as far as the choice looks at it: "avx2", "fma", "avx512f" and the like.

    >>> all(isinstance(name, str) for name in features())
    True
    """
    return list(_core.features())


def num_threads() -> int:
    """The number of threads the kernels may use, the caller's own included.

    Default: LATCHWORK_NUM_THREADS, else the physical cores within the process' affinity and cgroup quota.

    >>> num_threads() >= 1
    True
    """
    return _core.num_threads()


def set_num_threads(n: int) -> None:
    """Use at most `n` threads from now on, as LATCHWORK_NUM_THREADS in the environment does. Bits do not change.

    Args:
        n: 1 to 1024, the caller's own thread included.

    Raises:
        ValueError: `n` is no whole number in that range.

    >>> before = num_threads()
    >>> set_num_threads(2)
    >>> num_threads()
    2
    >>> set_num_threads(before)
    """
    if isinstance(n, bool) or not isinstance(n, int) or n < 1:
        raise ValueError(f"n must be a whole number of at least 1, got {n!r}")
    _core.set_num_threads(n)
