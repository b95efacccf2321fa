"""The process of one engine: prepares what worker.py asks for, runs it, and times it.

    python server.py ENGINE FD THREADS

ENGINE is one of engines.ENGINES, FD the pipe, THREADS the CPUs it may use (0: all).
"""

from __future__ import annotations

import ctypes
import importlib
import os
import signal
import sys
import time
import traceback
from multiprocessing.connection import Connection
from typing import Any

import tutorial
from arrays import Arrays, Results
from engines import ENGINES, Prepared
from rows import Row
from worker import Turn

WARM = 0.003  # seconds of untimed calls before a turn: threads wake, caches fill
TURN = 0.005  # seconds of timed calls in a turn, at least one


class Server:
    """Keeps what was prepared and does what is asked."""

    def __init__(self, module: Any) -> None:
        self._module = module
        self._prepared: list[Prepared] = []
        self._program: tutorial.Program | None = None

    def layer(self, row: Row, threads: int) -> int:
        return self._keep(self._module.layer(row, Arrays(row), threads))

    def line(self, name: str, threads: int) -> int:
        if self._program is None:
            self._program = self._module.program(threads)
        return self._keep(tutorial.prepare(self._program, name))

    def results(self, number: int) -> Results:
        prepared = self._prepared[number]
        prepared.enter()
        return prepared.results()

    def turn(self, number: int) -> Turn:
        prepared = self._prepared[number]
        run, nanoseconds = prepared.run, prepared.nanoseconds
        prepared.enter()
        start, calls = time.perf_counter(), 0
        while calls == 0 or time.perf_counter() - start < WARM:
            run()
            calls += 1
        repeats = max(1, int(TURN * calls / (time.perf_counter() - start)))
        before, start = nanoseconds(), time.perf_counter()
        for _ in range(repeats):
            run()
        seconds, inside = time.perf_counter() - start, (nanoseconds() - before) / 1e9
        steps = repeats * prepared.steps
        return Turn(seconds / steps, inside / steps)

    def forget(self) -> None:
        self._prepared.clear()

    def _keep(self, prepared: Prepared) -> int:
        self._prepared.append(prepared)
        return len(self._prepared) - 1


def serve(name: str, pipe: Connection, threads: int) -> None:
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG: does not outlive who commands it, stopped or not
    if threads:
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])
    engine, start = ENGINES[name], time.perf_counter()
    server = Server(importlib.import_module(f"engines.{engine.module}"))
    seconds = time.perf_counter() - start
    versions = {module: importlib.import_module(module).__version__ for module in engine.needs}
    pipe.send(((seconds, versions), ""))
    while True:
        try:
            command, *arguments = pipe.recv()
        except EOFError:
            return
        try:
            pipe.send((getattr(server, command)(*arguments), ""))
        except NotImplementedError:
            pipe.send((None, "NotImplementedError"))
        except Exception:
            pipe.send((None, traceback.format_exc()))


if __name__ == "__main__":
    serve(sys.argv[1], Connection(int(sys.argv[2])), int(sys.argv[3]))
