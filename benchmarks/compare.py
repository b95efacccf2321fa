"""latchwork beside torch and ONNX Runtime, in one run on one machine.

    python benchmarks/compare.py                 every row, about ten minutes
    python benchmarks/compare.py --quick         a few rows, under a minute
    python benchmarks/compare.py --rows lstm     rows whose name holds "lstm"
    python benchmarks/compare.py --check         also exits with 1 where a promise of docs/verification.md is not kept

Prints Markdown. Times are medians of interleaved rounds, "±" half the distance between the quartiles; a ratio over 1
says how many times faster latchwork is. GFLOP/s counts the products alone, and "of peak" is the share of the fused
multiply-adds measured in the same run.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import contestants
import tutorial
from latchwork import _core
from rows import QUICK, Row, all_rows
from timing import FmaPeak, Measured, side_by_side

TRAINING_AT_LEAST = 0.95  # of torch's speed, rows with a batch of 30 and more
TUTORIAL_AT_LEAST = 2.0  # times the hand-written torch loop
FORWARD_OF_PEAK = 0.70
FORWARD_ROWS = ("lstm:100,64,128,128:forward", "lstm:50,64,512,512:forward")


def text(measured: Measured | None) -> str:
    return "" if measured is None else f"{measured.median:.3g} ± {measured.spread:.0f} %"


def compare_row(row: Row, threads: int, seconds: float) -> dict[str, Measured]:
    entries = contestants.of(row, threads)
    contestants.check(entries)
    return side_by_side({engine: call for engine, (call, _) in entries.items()}, seconds)


def run_rows(rows: list[Row], threads: int, seconds: float, peak: FmaPeak) -> tuple[list[dict], list[str]]:
    records, broken = [], []
    print("| cell | T, B, I, H | | latchwork ms | GFLOP/s | of peak | torch ms | ratio | ONNX Runtime ms | ratio |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    for row in rows:
        peak.measure()
        times = compare_row(row, threads, seconds)
        ours = times["latchwork"].median
        gflops = row.flops / ours / 1e6
        share = gflops / peak.gflops
        ratios = {engine: t.median / ours for engine, t in times.items() if engine != "latchwork"}
        cells = [row.cell, f"{row.T}, {row.B}, {row.I}, {row.H}", "training" if row.training else "forward"]
        cells += [text(times["latchwork"]), f"{gflops:.0f}", f"{share:.0%}"]
        for engine in ("torch", "onnxruntime"):
            cells += [text(times.get(engine)), f"{ratios[engine]:.2f}" if engine in ratios else ""]
        print("| " + " | ".join(cells) + " |", flush=True)
        records.append({"row": row.name, "gflops": gflops, "of_peak": share, "ratios": ratios}
                       | {"ms": {engine: asdict(t) for engine, t in times.items()}})  # fmt: skip
        if row.training and row.B >= 30 and ratios.get("torch", TRAINING_AT_LEAST) < TRAINING_AT_LEAST:
            broken.append(f"{row.name}: {ratios['torch']:.2f} of torch, promised {TRAINING_AT_LEAST}")
        if row.name in FORWARD_ROWS and share < FORWARD_OF_PEAK:
            broken.append(f"{row.name}: {share:.0%} of peak, promised {FORWARD_OF_PEAK:.0%}")
    return records, broken


def run_tutorial(seconds: float) -> tuple[list[dict], list[str]]:
    records, broken = [], []
    print("\n| LSTM(50) -> Dense(1), Adam, X (4096, 32, 1), batch 32 | latchwork ms | torch by hand ms | ratio |")
    print("|---|---|---|---|")
    for line, engines in tutorial.calls().items():
        times = side_by_side(engines, seconds)
        if line == "training step":
            times = {e: Measured(t.median / tutorial.STEPS, t.spread, t.rounds) for e, t in times.items()}
        ratio = times["torch"].median / times["latchwork"].median if "torch" in times else None
        print(f"| {line} | {text(times['latchwork'])} | {text(times.get('torch'))} | {ratio or 0:.2f} |", flush=True)
        records.append({"line": line, "ratio": ratio, "ms": {engine: asdict(t) for engine, t in times.items()}})
        if line == "training step" and ratio is not None and ratio < TUTORIAL_AT_LEAST:
            broken.append(f"tutorial: {ratio:.2f} times a torch loop, promised {TUTORIAL_AT_LEAST}")
    return records, broken


def versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for name in ("latchwork", "numpy", "torch", "onnxruntime"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def processor() -> str:
    names = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    return names[0].partition(":")[2].strip() if names else platform.processor()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a few rows, short")
    parser.add_argument("--rows", default="", help="only rows whose name holds this")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seconds", type=float, help="per row (default 6; quick: 1.5)")
    parser.add_argument("--json", type=Path, help="write the figures here too")
    parser.add_argument("--check", action="store_true", help="exit with 1 where a promise is not kept")
    options = parser.parse_args()
    seconds = options.seconds or (1.5 if options.quick else 6.0)
    _core.set_num_threads(options.threads)
    try:
        import torch

        torch.set_num_threads(options.threads)
    except ImportError:
        print("torch is not installed: latchwork alone\n")

    rows = [r for r in all_rows() if options.rows in r.name and (not options.quick or r.name.startswith(QUICK))]
    peak = FmaPeak(options.threads)
    print(f"{processor()}, {options.threads} threads, {_core.isa()}; {versions()}\n")
    row_records, broken = run_rows(rows, options.threads, seconds, peak)
    lines, tutorial_broken = run_tutorial(seconds) if options.rows in "tutorial" else ([], [])
    broken += tutorial_broken
    print(f"\nFMA peak: {peak.gflops:.0f} GFLOP/s, the best of {len(peak.samples)} samples taken between the rows.")
    for line in broken:
        print(f"not kept: {line}")
    if options.json:
        record = {"versions": versions(), "processor": processor(), "threads": options.threads, "isa": _core.isa()}
        record |= {"peak_gflops": peak.gflops, "rows": row_records, "tutorial": lines, "not_kept": broken}
        options.json.write_text(json.dumps(record, indent=1))
    return 1 if options.check and broken else 0


if __name__ == "__main__":
    sys.exit(main())
