"""The library's pieces by themselves: product tiles, gates, a streaming step in C++, a barrier, a fork and join.

    cmake -S . -B build/tools -DLATCHWORK_TOOLS=ON && cmake --build build/tools --target micro
    python benchmarks/micro.py build/tools/benchmarks/micro

Prints Markdown: GFLOP/s of one thread and their share of the peak measured in the same run.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import tempfile
from pathlib import Path

from latchwork.layers import LSTM
from latchwork.models import Sequential
from limits import Limits
from report import put, table

STEPS = (32, 64, 256, 512)  # H = I of the streaming steps


def run(program: Path) -> dict:
    """micro.cpp's figures, and `step_us` by H."""
    with tempfile.TemporaryDirectory() as folder:
        paths = []
        for H in STEPS:
            paths.append(str(Path(folder) / f"{H}.safetensors"))
            model = Sequential([LSTM(H, input_shape=(None, H))])
            model.compile(loss="mse", optimizer="sgd")
            model.save(paths[-1])
        done = subprocess.run([program.resolve(), *paths], check=True, capture_output=True, text=True)
    figures = json.loads(done.stdout)
    return figures | {"step_us": {str(H): us for H, us in zip(STEPS, figures["steps_us"], strict=True)}}


def markdown(figures: dict, limits: dict) -> str:
    def share(gflops: float) -> str:
        return f"{gflops:.1f} ({gflops / limits['fma']:.0%})"

    heights = sorted({each["rows"] for each in figures["products"]})
    by_size: dict[tuple[int, int], list[str]] = {}
    for each in figures["products"]:
        by_size.setdefault((each["terms"], each["panels"]), []).append(share(each["gflops"]))
    products = [[str(terms), str(panels), *cells] for (terms, panels), cells in by_size.items()]
    outers = [[str(each["terms"]), share(each["gflops"])] for each in figures["outers"]]
    gates = [[cell, *(f"{ns:.3f}" for ns in passes.values())] for cell, passes in limits["gates"].items()]
    steps = [[H, f"{us:.3g}"] for H, us in figures["step_us"].items()]
    team = [["barrier of two", f"{figures['barrier_us']:.2f}"], ["fork and join", f"{figures['fork_join_us']:.2f}"]]
    return "\n".join(
        [
            f"{figures['isa']}, one thread; FMA peak {limits['fma']:.0f} GFLOP/s.\n",
            "Products, GFLOP/s (share of peak):\n",
            table(["terms", "panels", *(f"{rows} rows" for rows in heights)], products),
            "Tiles of weight gradients, GFLOP/s (share of peak):\n",
            table(["terms", "one tile"], outers),
            "Pointwise passes, ns a unit:\n",
            table(["cell", "forward", "saving", "backward"], gates),
            "A streaming step of LSTM(H) on H features:\n",
            table(["H", "us"], steps),
            "The team:\n",
            table(["", "us"], team),
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program", type=Path, help="micro.cpp as built")
    parser.add_argument("--into", type=Path, metavar="PAGE", help="writes the tables into docs/performance.md")
    options = parser.parse_args()
    figures = run(options.program)
    limits = Limits(1, figures["isa"])
    for _ in range(3):
        limits.measure()
    text = markdown(figures, limits.record())
    print(text)
    if options.into:
        put(text, options.into, "micro")


if __name__ == "__main__":
    main()
