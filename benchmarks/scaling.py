"""How the cost of an LSTM grows with the time steps, the batch, the units and the threads.

    python benchmarks/scaling.py                    three tables of times, one of threads; about five minutes
    python benchmarks/scaling.py --only H --seconds 0.2

Prints Markdown for docs/performance.md. Times are medians in microseconds; those for more threads than this machine
is asked for are predictions of the plan's cost table (cpp/sequence/plan.cpp) and say so.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from engines import OWN
from latchwork import _core
from report import put, table, us
from rows import Row
from sections import say
from timing import Call, Measured, side_by_side
from worker import Worker

BASE = Row("lstm", 50, 32, 64, 128, "forward")
SWEEPS = {
    "T": [replace(BASE, T=T, B=1, I=64, H=64) for T in (1, 10, 100, 1000, 10_000, 100_000)],
    "B": [replace(BASE, B=B) for B in (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)],
    "H": [replace(BASE, H=H, I=H) for H in (8, 16, 32, 50, 64, 100, 128, 256, 512, 1024)],
}
FIXED = {"T": "B 1, I 64, H 64", "B": "T 50, I 64, H 128", "H": "T 50, B 32, I = H"}
THREADS = [Row("lstm", *shape, "forward") for shape in ((30, 32, 8, 32), (100, 64, 128, 128), (25, 64, 1024, 1024))]
THREADS += [Row("lstm", 100, 1, 256, 256, "forward"), Row("lstm", 100, 1, 1024, 1024, "forward")]
PREDICTED = (4, 8, 16, 32)


def measure(worker: Worker, row: Row, threads: Iterable[int], seconds: float) -> dict[str, Measured]:
    times = side_by_side({str(n): Call(worker, worker.layer(row, n), n) for n in threads}, seconds)
    worker.forget()
    say(f"{row.name}: " + ", ".join(f"{n} threads {t.us:.4g} us" for n, t in times.items()))
    return times


def sweep(worker: Worker, name: str, threads: int, seconds: float) -> str:
    """A line a size; "grows as" is the exponent between a line and the one before: 1 is in proportion."""
    header = [name]
    for kind in ("forward", "training"):
        header += [f"{kind}, us", "GFLOP/s", "grows as"]
    lines, before = [], {}
    for row in SWEEPS[name]:
        cells = [f"{getattr(row, name)}"]
        for kind in ("forward", "training"):
            each = replace(row, kind=kind)
            measured = measure(worker, each, [threads], seconds)[str(threads)]
            size = getattr(row, name)
            slope = ""
            if kind in before:
                size_before, us_before = before[kind]
                slope = f"{math.log(measured.us / us_before) / math.log(size / size_before):.2f}"
            before[kind] = size, measured.us
            cells += [us(vars(measured)), f"{each.flops / measured.us / 1e3:.1f}", slope]
        lines.append(cells)
    return f"### {name} ({FIXED[name]}; {threads} threads)\n\n" + table(header, lines)


def cost(row: Row, threads: int) -> float:
    """Of a forward call, in multiply-adds of one core at its peak, by the plan's cost table."""
    return _core.plan_costs(row.cell, False, row.B, row.T, row.I, row.H, threads)[-1]


def thread_table(worker: Worker, most: int, seconds: float) -> str:
    """Measured up to `most`; beyond it the measured time of one thread, divided as the cost table says."""
    measured_counts = [n for n in (1, 2, *PREDICTED) if n <= most]
    predicted_counts = [n for n in PREDICTED if n > most]
    header = ["T, B, I, H", *(f"{n} threads, us" for n in measured_counts), f"{most} threads x"]
    header += [f"{n} threads x, predicted" for n in predicted_counts]
    lines = []
    for row in THREADS:
        times = measure(worker, row, measured_counts, seconds)
        cells = [f"{row.T}, {row.B}, {row.I}, {row.H}", *(us(vars(times[str(n)])) for n in measured_counts)]
        cells.append(f"{times['1'].us / times[str(most)].us:.2f} (table: {cost(row, 1) / cost(row, most):.2f})")
        lines.append(cells + [f"{cost(row, 1) / cost(row, n):.1f}" for n in predicted_counts])
    return "### Threads (LSTM, forward)\n\n" + table(header, lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=[*SWEEPS, "threads"], default=[*SWEEPS, "threads"])
    parser.add_argument("--threads", type=int, default=2, help="most to measure with")
    parser.add_argument("--seconds", type=float, default=2.0, help="per measurement")
    parser.add_argument("--into", type=Path, metavar="PAGE", help="writes the tables into docs/performance.md")
    options = parser.parse_args()
    worker = Worker(OWN)
    try:
        text = "\n".join(
            thread_table(worker, options.threads, options.seconds)
            if name == "threads"
            else sweep(worker, name, options.threads, options.seconds)
            for name in options.only
        )
    finally:
        worker.close()
    print(text)
    if options.into:
        put(text, options.into, "scaling")


if __name__ == "__main__":
    main()
