"""Progress of training: one bar of our own, on stderr, without control characters where there is no terminal."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from time import perf_counter
from typing import Any, TextIO

_BAR_WIDTH = 24
_SHORTEST_BAR = 6
_REDRAW_SECONDS = 0.1  # ten a second: smooth to the eye, under 0.1 % of the time at 50 us a draw


def is_interactive(stream: TextIO | None = None) -> bool:
    """Whether a line can be redrawn: a terminal, or a notebook."""
    stream = stream or sys.stderr
    return stream is not None and (stream.isatty() or "ipykernel" in sys.modules)


def verbosity(verbose: Any) -> int:
    """`verbose` as 0 (silent), 1 (bar) or 2 (a line an epoch); "auto" is 1 on a terminal or notebook, else 0."""
    if isinstance(verbose, str) and verbose == "auto":
        return 1 if is_interactive() else 0
    if isinstance(verbose, (bool, int)) and int(verbose) in (0, 1, 2):
        return int(verbose)
    raise ValueError(f"verbose must be 'auto', 0, 1 or 2, got {verbose!r}")


class Progress:
    """Draws the progress of one pass over batches after another.

    verbose: 0 draws nothing; 1 redraws a bar in place at most ten times a second, then leaves one line (without a
    terminal only that line is written); 2 writes one line when a pass ends. steps: None where nobody knows how many.
    """

    def __init__(self, verbose: int, steps: int | None, stream: TextIO | None = None) -> None:
        self._stream = (stream or sys.stderr) if verbose else None
        self._steps = steps
        self._live = verbose == 1 and self._stream is not None and is_interactive(self._stream)
        self._drawn = 0  # width of what stands on the line now
        self._next = float("inf")

    def begin(self, title: str) -> None:
        """Start a pass."""
        self._title = title
        self._start = perf_counter()
        self._next = self._start + _REDRAW_SECONDS if self._live else float("inf")

    def step(self, done: int, figures: Callable[[], Mapping[str, float]]) -> None:
        """After batch number `done`; `figures` is only called when it is time to draw."""
        now = perf_counter()
        if now < self._next:
            return
        self._next = now + _REDRAW_SECONDS
        elapsed = now - self._start
        left = clock(elapsed) if self._steps is None else f"ETA {clock(elapsed / done * (self._steps - done))}"
        line = self._line(done, elapsed, left, figures())
        self._write("\r" + line[: self._columns() - 1].ljust(self._drawn))
        self._drawn = min(len(line), self._columns() - 1)

    def end(self, done: int, figures: Mapping[str, float]) -> None:
        """Finish a pass: one line that stays."""
        if self._stream is None:
            return
        elapsed = perf_counter() - self._start
        line = self._line(done, elapsed, clock(elapsed), figures)
        self._write(("\r" if self._live else "") + line.ljust(self._drawn) + "\n")
        self._drawn = 0
        self._next = float("inf")

    def abort(self) -> None:
        """Leave a half-drawn line, so that what follows starts on its own."""
        if self._drawn:
            self._write("\n")
            self._drawn = 0

    def _line(self, done: int, elapsed: float, time: str, figures: Mapping[str, float]) -> str:
        count = str(done) if self._steps is None else f"{done:{len(str(self._steps))}}/{self._steps}"
        parts = [count, f"{per_step(elapsed / max(done, 1))}/step", time]
        parts += [f"{name} {number(value)}" for name, value in figures.items()]
        text = "  ".join(parts)
        room = min(self._columns() - len(self._title) - len(text) - 5, _BAR_WIDTH) if self._live else 0
        # the figures come first: the bar takes what they leave, and goes where that is little
        return "  ".join([self._title, *([self._bar(done, room)] if room >= _SHORTEST_BAR else []), text])

    def _bar(self, done: int, width: int) -> str:
        full, empty = "━", "┄"
        try:
            (full + empty).encode(getattr(self._stream, "encoding", None) or "ascii")
        except UnicodeEncodeError:
            full, empty = "=", "."
        filled = width * done // max(done if self._steps is None else self._steps, 1)
        return full * filled + empty * (width - filled)

    def _columns(self) -> int:
        try:
            return os.get_terminal_size(self._stream.fileno()).columns or 80 if self._stream else 80
        except (OSError, ValueError, AttributeError):
            return 100

    def _write(self, text: str) -> None:
        if self._stream is not None:
            self._stream.write(text)
            self._stream.flush()


def number(value: float) -> str:
    """Four decimals, or four digits where those would show little: 0.0123, 3.210e-05."""
    return f"{value:.4f}" if value == 0 or 1e-3 <= abs(value) < 1e5 or value != value else f"{value:.3e}"


def per_step(seconds: float) -> str:
    """A short time: 85 us, 0.41 ms, 1.20 s."""
    if seconds < 1e-4:
        return f"{seconds * 1e6:.0f} us"
    return f"{seconds * 1e3:.2f} ms" if seconds < 1 else f"{seconds:.2f} s"


def clock(seconds: float) -> str:
    """A longer time: 0.4 s, 42 s, 3:20, 1:02:03."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = int(seconds + 0.5)
    if whole < 60:
        return f"{whole} s"
    hours, minutes = divmod(whole // 60, 60)
    return f"{hours}:{minutes:02}:{whole % 60:02}" if hours else f"{minutes}:{whole % 60:02}"
