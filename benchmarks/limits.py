"""What the machine can do at most, measured in the run that quotes it, and the floor of a row that follows from it."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from rows import Row

HERE = Path(__file__).parent
CPP = HERE.parent / "cpp"
LEVELS = ("L1", "L2", "L3", "memory")
# What cpp/CMakeLists.txt compiles an instruction set with.
FLAGS = {
    "avx512": "-mavx512f -mavx512bw -mavx512dq -mavx512vl -mavx512cd -mavx2 -mfma -mf16c -mprefer-vector-width=512",
    "avx2": "-mavx2 -mfma -mf16c",
    "neon": "",
    "portable": "",
}


def cache_bytes() -> dict[str, int]:
    """Of the caches that CPU 0 reads data through; common sizes where the system does not say."""
    found = {"L1": 32 << 10, "L2": 1 << 20, "L3": 32 << 20}
    for folder in Path("/sys/devices/system/cpu/cpu0/cache").glob("index*"):
        if (folder / "type").read_text().strip() != "Instruction":
            size = (folder / "size").read_text().strip()
            found[f"L{(folder / 'level').read_text().strip()}"] = int(size.rstrip("K")) << 10
    return found


class Limits:
    """Peak and bandwidths of `threads` threads, and the cells' pointwise passes, for one instruction set.

    A limit is the best of its samples: what the machine can do when left alone.
    """

    def __init__(self, threads: int, isa: str) -> None:
        self.threads, self.isa, self.caches, self.samples = threads, isa, cache_bytes(), 0
        self.fma = 0.0  # GFLOP/s
        self.read = dict.fromkeys(LEVELS, 0.0)  # GB/s
        self.line: list[float] = []  # ns that a cache line takes from core to core, of every sample
        self._folder = tempfile.TemporaryDirectory()
        flags = ["-std=c++20", "-O3", *FLAGS[isa].split()]
        self._limits = self._compile("limits", [*flags, "-pthread"], [])
        cell_flags = [f"-I{CPP}", f"-DLATCHWORK_ISA={isa}", f'-DLATCHWORK_VEC_HEADER="simd/vec_{isa}.h"']
        cells = [str(CPP / f"kernels/cells/{cell}.cpp") for cell in ("lstm", "gru", "elman")]
        self._gates = self._compile("gates", [*flags, "-ffp-contract=off", "-fno-math-errno", *cell_flags], cells)
        self.gates: dict[str, dict[str, float]] = {}  # ns of a unit on one thread, by cell and pass

    def _compile(self, name: str, flags: list[str], sources: list[str]) -> str:
        program = str(Path(self._folder.name) / name)
        compiler = os.environ.get("CXX", "c++")
        subprocess.run([compiler, *flags, str(HERE / f"{name}.cpp"), *sources, "-o", program], check=True)
        return program

    def measure(self) -> None:
        """One more sample: half a second."""
        sizes = [str(self.caches[level]) for level in LEVELS[:3]]
        found = self._run([self._limits, str(self.threads), *sizes])
        self.fma = max(self.fma, found["fma"])
        self.line += [found["line"]] if "line" in found else []
        self.read = {level: max(self.read[level], found[level]) for level in LEVELS}
        for cell, passes in self._run([self._gates]).items():
            known = self.gates.setdefault(cell, passes)
            self.gates[cell] = {name: min(known[name], ns) for name, ns in passes.items()}
        self.samples += 1

    def distance(self) -> float:
        """Nanoseconds that a cache line takes from core to core now; 0 with one thread."""
        return self._run([self._limits, str(self.threads)])["line"]

    @staticmethod
    def _run(command: list[str]) -> dict:
        return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)

    def record(self) -> dict:
        names = ("threads", "isa", "caches", "fma", "read", "line", "gates", "samples")
        return {name: getattr(self, name) for name in names}


@dataclass
class Floor:
    """Microseconds of one call that no schedule on this machine goes below."""

    products: float  # multiply-adds at the peak
    weights: float  # the recurrent ones read once a step (training: twice), the others once, from where they fit
    gates: float  # the cells' pointwise passes, as fast as they run alone
    level: str

    @property
    def us(self) -> float:
        """Loads overlap with multiply-adds; the gates use the same units as those and do not."""
        return max(self.products, self.weights) + self.gates


def floor(row: Row, limits: dict) -> Floor:
    """Of a row, from what `Limits.record` keeps: the work is spread over all threads without loss."""
    threads, caches = limits["threads"], limits["caches"]
    training = row.kind == "training"
    per_step = row.recurrent_weights * (2 if training else 1)
    reads = 4 * (per_step * row.steps + row.weights - row.recurrent_weights)
    share = 4 * row.recurrent_weights / threads  # bytes of one thread, units split
    level = next((name for name in LEVELS[:2] if share <= caches[name]), "")
    level = level or ("L3" if 4 * row.recurrent_weights <= caches["L3"] else "memory")
    passes = limits["gates"][row.cell]
    unit = passes["saving"] + passes["backward"] if training else passes["forward"]
    units = row.real_steps * row.layers * row.directions * row.H
    return Floor(
        products=row.flops / limits["fma"] / 1e3,
        weights=reads / limits["read"][level] / 1e3,
        gates=units * unit / threads / 1e3,
        level=level,
    )
