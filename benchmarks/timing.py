"""Measuring side by side: contestants take turns within one run, so that a drifting machine drifts for all of them."""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass

from arrays import check
from rows import Row
from worker import Turn, Worker

ROUNDS = 5  # at least
FLOAT32 = 1e-4  # of the largest value: float32 sums in other orders
ALONE_BELOW = 2e9  # FLOPs of a call that may be faster on one thread: some milliseconds


@dataclass
class Call:
    """Something one engine has prepared."""

    worker: Worker
    number: int
    threads: int

    def turn(self) -> Turn:
        return self.worker.turn(self.number)


@dataclass
class Measured:
    """Microseconds of one call: the median of the rounds; half the distance between the quartiles, in percent."""

    us: float
    spread: float
    rounds: int
    threads: int
    inside_us: float  # by the engine's own counter; 0: it has none


def side_by_side(calls: dict[str, Call], seconds: float) -> dict[str, Measured]:
    """Turns of every call, round after round, for about `seconds` in all; each round begins with another one."""
    turns: dict[str, list[Turn]] = {name: [] for name in calls}
    names = list(calls)
    end = time.perf_counter() + seconds
    while len(turns[names[0]]) < ROUNDS or time.perf_counter() < end:
        for name in names:
            turns[name].append(calls[name].turn())
        names.append(names.pop(0))
    return {name: _summary(turns[name], calls[name].threads) for name in calls}


def _summary(turns: list[Turn], threads: int) -> Measured:
    low, median, high = statistics.quantiles([t.seconds for t in turns], n=4)
    inside = statistics.median(t.inside for t in turns)
    return Measured(median * 1e6, (high - low) / 2 / median * 100, len(turns), threads, inside * 1e6)


def prepare(workers: list[Worker], row: Row, threads: int) -> dict[str, Call]:
    """A row in every engine that has it, the results compared: the first worker is the one to agree with.

    Peers get the thread count, 1 or `threads`, that is faster in three short turns; the first worker has `threads`.
    """
    calls: dict[str, Call] = {}
    for i, worker in enumerate(workers):
        counts = {threads} if i == 0 or row.flops > ALONE_BELOW else {1, threads}
        try:
            calls[worker.engine.name] = best([Call(worker, worker.layer(row, n), n) for n in sorted(counts)])
        except NotImplementedError:
            continue
    agree(calls)
    return calls


def best(calls: list[Call]) -> Call:
    """The fastest in three short turns."""
    if len(calls) == 1:
        return calls[0]
    return min(calls, key=lambda call: min(call.turn().seconds for _ in range(3)))


def agree(calls: dict[str, Call], tolerance: float = FLOAT32) -> None:
    """Raises unless all compute what the first does."""
    first, *others = calls
    ours = calls[first].worker.results(calls[first].number)
    for name in others:
        check(ours, calls[name].worker.results(calls[name].number), name, tolerance)
