"""The parts of a comparison. Each gives records: what was run, and what was measured by contestant."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field

import engines
import rows
import tutorial
from engines import OWN, TORCH, Engine
from limits import Limits
from rows import Row
from timing import Call, Measured, agree, best, prepare, side_by_side
from worker import Worker

ONE_THREAD = "latchwork, 1 thread"
PADDED = "latchwork, padded"
EVEN = "latchwork, even"
NEAR = 100.0  # ns from core to core: 40-60 is usual; a virtual machine's cores may be 200-600 apart for minutes
LEARNED = 1e-2  # of the largest prediction: 128 updates of Adam widen differences of rounding

# torch as it is on a processor without AVX-512: its own kernels, oneDNN's and MKL's.
AVX2 = {"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2", "MKL_ENABLE_INSTRUCTIONS": "AVX2"}


@dataclass
class Run:
    """One run's settings and the processes it has started."""

    threads: int
    seconds: float  # a row
    quick: bool
    chosen: str  # rows whose name holds this
    limits: dict[str, Limits] = field(default_factory=dict)  # by instruction set
    workers: list[Worker] = field(default_factory=list)
    versions: dict[str, str] = field(default_factory=dict)
    patience: float = 0.0  # seconds that may still be spent waiting for cores to come near, and on rows taken anew

    def rows(self, all_rows: Iterable[Row]) -> list[Row]:
        return [row for row in all_rows if self.chosen in row.name]

    def start(self, wanted: Iterable[Engine], threads: int = 0, **environment: str) -> list[Worker]:
        """Processes of those engines that are installed."""
        started = [Worker(engine, threads, **environment) for engine in wanted if engine.installed]
        self.workers += started
        for worker in started:
            self.versions |= worker.versions
        return started

    def stop(self, workers: list[Worker]) -> None:
        for worker in workers:
            worker.close()
            self.workers.remove(worker)

    def measure_limits(self, isa: str) -> None:
        if isa not in self.limits:
            self.limits[isa] = Limits(self.threads, isa)
        self.limits[isa].measure()

    def _distance(self, isa: str) -> float:
        if isa not in self.limits:
            self.measure_limits(isa)
        return self.limits[isa].distance()

    def side_by_side(self, calls: dict[str, Call], isa: str) -> tuple[dict[str, Measured], float]:
        """A row, and ns from core to core beside it. Rows of two threads tell of the machine's phase, not of programs,
        where its cores are far apart: such a row is taken anew, for all contestants, while patience lasts."""
        while True:
            begin = time.perf_counter()
            before = self._distance(isa)
            if before > NEAR and self.patience > 0:
                time.sleep(1)
                self.patience -= time.perf_counter() - begin
                continue
            times = side_by_side(calls, self.seconds)
            apart = max(before, self._distance(isa))
            if apart <= NEAR or self.patience <= 0:
                return times, apart
            self.patience -= time.perf_counter() - begin


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _measured(times: dict[str, Measured]) -> dict[str, dict]:
    return {name: asdict(each) for name, each in times.items()}


def _each_row(run: Run, isa: str, some_rows: list[Row], workers: list[Worker], calls_of: Callable) -> list[dict]:
    records = []
    for i, row in enumerate(some_rows):
        if i % 8 == 0:
            run.measure_limits(isa)
        times, apart = run.side_by_side(calls_of(row), isa)
        for worker in workers:
            worker.forget()
        say(f"{row.name}: " + ", ".join(f"{name} {t.us:.4g} us ± {t.spread:.0f} %" for name, t in times.items()))
        records.append({"row": asdict(row), "us": _measured(times), "apart": apart})
    return records


def _beside_peers(run: Run, isa: str, some_rows: list[Row], workers: list[Worker]) -> list[dict]:
    """Rows beside every peer, and latchwork on one thread where it may have more."""

    def calls_of(row: Row) -> dict[str, Call]:
        calls = prepare(workers, row, run.threads)
        if run.threads > 1 and row.kind != "stream":
            calls[ONE_THREAD] = Call(workers[0], workers[0].layer(row, 1), 1)
        return calls

    records = _each_row(run, isa, some_rows, workers, calls_of)
    run.stop(workers)
    return records


def layers(run: Run, isa: str) -> list[dict]:
    chosen = run.rows(rows.quick(rows.layers()) if run.quick else rows.layers())
    return _beside_peers(run, isa, chosen, run.start([OWN, *engines.LAYER_PEERS]))


def field_shapes(run: Run, isa: str) -> list[dict]:
    return _beside_peers(run, isa, run.rows(rows.field()), run.start([OWN, *engines.LAYER_PEERS]))


def avx2(run: Run, _: str) -> list[dict]:
    """The rows of `layers` but streams, all engines as on a processor without AVX-512."""
    some_rows = run.rows(row for row in rows.layers() if row.kind != "stream")
    workers = run.start([OWN], LATCHWORK_ISA="avx2") + run.start([TORCH], **AVX2)
    return _beside_peers(run, "avx2", some_rows, workers)


def ragged(run: Run, isa: str) -> list[dict]:
    """Ragged training beside the same padded, and torch's packed sequences."""
    workers = run.start([OWN, TORCH])
    [other] = padding = run.start([OWN])  # a program has its batches ragged or padded, not both in turn

    def calls_of(row: Row) -> dict[str, Call]:
        calls = prepare(workers, row, run.threads)
        calls[PADDED] = Call(other, other.layer(row.padded(), run.threads), run.threads)
        return calls

    records = _each_row(run, isa, run.rows(rows.ragged()), workers + padding, calls_of)
    run.stop(workers + padding)
    return records


def odd(run: Run, isa: str) -> list[dict]:
    """Sizes that fill no vector beside their neighbours that do."""
    workers = run.start([OWN])
    even = {row: neighbour for row, neighbour in rows.odd() if run.chosen in row.name}

    def calls_of(row: Row) -> dict[str, Call]:
        pair = {OWN.name: row, EVEN: even[row]}
        return {name: Call(workers[0], workers[0].layer(each, run.threads), run.threads) for name, each in pair.items()}

    records = _each_row(run, isa, list(even), workers, calls_of)
    for record, neighbour in zip(records, even.values(), strict=True):
        record["even"] = asdict(neighbour)
    run.stop(workers)
    return records


def program(run: Run, isa: str) -> list[dict]:
    """The tutorials' program; every peer as fast as it is on one thread or on all."""
    candidates: dict[str, list[Worker]] = {OWN.name: run.start([OWN])}
    for engine in [TORCH] if run.quick else engines.PROGRAM_PEERS:
        for threads in sorted({1, run.threads}):
            started = run.start([engine], threads if engine.threads_at_start else 0)
            for worker in started:
                worker.threads = threads
                candidates.setdefault(engine.name, []).append(worker)
    candidates[OWN.name][0].threads = run.threads
    started = [worker for workers in candidates.values() for worker in workers]

    records = []
    for line in tutorial.LINES:
        calls = {w: Call(w, w.line(line, w.threads), w.threads) for w in started}
        if line == tutorial.LINES[0]:
            agree({f"{w.engine.name}, {w.threads} threads": call for w, call in calls.items()}, LEARNED)
        fastest = {name: best([calls[w] for w in workers]) for name, workers in candidates.items()}
        times, apart = run.side_by_side(fastest, isa)
        say(f"{line}: " + ", ".join(f"{name} {t.us:.4g} us ± {t.spread:.0f} %" for name, t in times.items()))
        records.append({"line": line, "us": _measured(times), "apart": apart})
    imports = {name: min(w.import_seconds for w in workers) for name, workers in candidates.items()}
    records.append({"line": "import", "seconds": imports})
    run.stop(started)
    return records


SECTIONS: dict[str, Callable[[Run, str], list[dict]]] = {
    "tutorial": program,
    "layers": layers,
    "field": field_shapes,
    "ragged": ragged,
    "odd": odd,
    "avx2": avx2,
}
QUICK = ("tutorial", "layers")
