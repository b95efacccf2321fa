"""latchwork beside its peers, in one run on one machine: every engine that is installed, in a process of its own.

    python benchmarks/compare.py                      everything, about three quarters of an hour
    python benchmarks/compare.py --quick              a few rows beside torch, ONNX Runtime and OpenVINO, under a minute
    python benchmarks/compare.py --sections layers --rows lstm
    python benchmarks/compare.py --check              also says which targets are kept; exits with 1 where one is not
    python benchmarks/compare.py --output results     also writes results.json, results.md and results.png
    python benchmarks/compare.py --from results.json  prints what an earlier run measured

Sections: tutorial (the program of the tutorials), layers (what people run: training, inference, single steps), field
(shapes of others' benchmarks), ragged, odd (sizes that fill no vector), avx2 (all without AVX-512).

Prints Markdown; progress goes to stderr. Times are medians of interleaved rounds; docs/performance.md says how to read
them. Peers come with `pip install "latchwork[peers]"`; those that are missing are left out.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
from pathlib import Path

import micro
import report
import targets
from latchwork import _core
from sections import QUICK, SECTIONS, Run


def processor() -> str:
    names = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    return names[0].partition(":")[2].strip() if names else platform.processor()


def measure(run: Run, sections: list[str]) -> dict:
    """Everything a report needs, ready for JSON."""
    isa = _core.isa()
    try:
        run.measure_limits(isa)
        record = {name: SECTIONS[name](run, isa) for name in sections}
        for known in run.limits:
            run.measure_limits(known)
    finally:
        for worker in run.workers:
            worker.close()
    return {
        "processor": processor(),
        "threads": run.threads,
        "isa": isa,
        "versions": {"python": platform.python_version()} | run.versions,
        "limits": {known: limits.record() for known, limits in run.limits.items()},
        "sections": record,
    }


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a few rows, short")
    parser.add_argument("--sections", nargs="+", choices=SECTIONS, help="default: all")
    parser.add_argument("--rows", default="", help="only rows whose name holds this")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seconds", type=float, help="per row (default 5; quick: 0.3)")
    parser.add_argument(
        "--patience", type=float, default=0, help="seconds for rows while cores are far apart (0: take them)"
    )
    parser.add_argument("--micro", type=Path, metavar="PROGRAM", help="micro.cpp as built: the targets of C++ too")
    parser.add_argument("--output", type=Path, metavar="NAME", help="writes NAME.json, NAME.md and NAME.png")
    parser.add_argument("--into", type=Path, metavar="PAGE", help="writes the tables into docs/performance.md")
    parser.add_argument("--from", type=Path, dest="source", metavar="JSON", help="report on an earlier run")
    parser.add_argument("--check", action="store_true", help="exit with 1 where a target is not kept")
    return parser.parse_args()


def main() -> int:
    options = parse()
    if options.source:
        record = json.loads(options.source.read_text())
    else:
        run = Run(options.threads, options.seconds or (0.3 if options.quick else 5.0), options.quick, options.rows)
        run.patience = options.patience
        record = measure(run, options.sections or list(QUICK if options.quick else SECTIONS))
        if options.micro:
            record["micro"] = micro.run(options.micro)
    text = report.markdown(record)
    checks = targets.checks(record) if options.check else []
    text += targets.markdown(checks) if options.check else ""
    print(text)
    if options.into:
        report.put(text.replace("\n## ", "\n### "), options.into, "compare")
    if options.output:
        import chart

        options.output.with_suffix(".json").write_text(json.dumps(record, indent=1))
        options.output.with_suffix(".md").write_text(text)
        chart.draw(record, options.output.with_suffix(".png"))
    return 1 if any(check.kept == "no" for check in checks) else 0


if __name__ == "__main__":
    sys.exit(main())
