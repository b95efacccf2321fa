"""One engine in a process of its own, commanded over a pipe: engines share no threads, flags or caches of code.

The process is stopped (SIGSTOP) between its turns: threads that spin after a call, as most engines' do for up to 20 ms,
would take a core from the next one's turn.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from multiprocessing import Pipe
from pathlib import Path
from typing import Any

from arrays import Results
from engines import Engine
from rows import Row

SERVER = Path(__file__).with_name("server.py")


@dataclass
class Turn:
    """Seconds of one call, and of them inside the engine by its own counter (0: it has none)."""

    seconds: float
    inside: float


class Worker:
    """The process of an engine. Calls are numbered by what `prepare` returned."""

    def __init__(self, engine: Engine, threads: int = 0, **environment: str) -> None:
        """threads: CPUs it may use at all; 0: any."""
        self.engine, self.threads = engine, threads
        ours, theirs = Pipe()
        command = [sys.executable, str(SERVER), engine.name, str(theirs.fileno()), str(threads)]
        variables = os.environ | dict(engine.environment) | environment
        self._process = subprocess.Popen(command, env=variables, pass_fds=[theirs.fileno()])
        theirs.close()
        self._pipe = ours
        self.import_seconds: float
        self.versions: dict[str, str]
        self.import_seconds, self.versions = self._answer()

    def layer(self, row: Row, threads: int) -> int:
        """Prepares a row. Raises NotImplementedError where the engine has nothing for it."""
        return self._call("layer", row, threads)

    def line(self, name: str, threads: int) -> int:
        """Prepares a line of the tutorials' program."""
        return self._call("line", name, threads)

    def results(self, number: int) -> Results:
        return self._call("results", number)

    def turn(self, number: int) -> Turn:
        return self._call("turn", number)

    def forget(self) -> None:
        """Drops the rows prepared so far."""
        self._call("forget")

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        self._pipe.close()

    def _call(self, *command: Any) -> Any:
        self._process.send_signal(signal.SIGCONT)
        self._pipe.send(command)
        return self._answer()

    def _answer(self) -> Any:
        try:
            answer, error = self._pipe.recv()
        except EOFError:
            raise RuntimeError(f"{self.engine.name}: the process ended with {self._process.wait()}") from None
        self._process.send_signal(signal.SIGSTOP)
        if error == "NotImplementedError":
            raise NotImplementedError
        if error:
            raise RuntimeError(f"{self.engine.name}:\n{error}")
        return answer
