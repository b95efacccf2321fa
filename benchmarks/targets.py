"""What the project promises about speed, and whether a run kept it. A must is a promise, an aim a hope."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from figures import Figures, figures_of, geometric_mean
from report import table

AMPLE = 100.0  # microseconds on one thread, from where two are asked to pay


@dataclass
class Check:
    """One line of the table; measured is None where the run has no such row."""

    what: str
    measured: float | None
    must: float
    aim: float | None
    less: bool = False  # less is better
    note: str = ""

    @property
    def kept(self) -> str:
        """One of: aim, must, no, not measured."""
        if self.measured is None:
            return "not measured"
        sign = -1 if self.less else 1
        for name, bound in (("aim", self.aim), ("must", self.must)):
            if bound is not None and sign * self.measured >= sign * bound:
                return name
        return "no"


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return geometric_mean(known) if known else None


def _worst(named: dict[str, float], *, less: bool) -> tuple[float | None, str]:
    """The worst value, and whose it is."""
    if not named:
        return None, ""
    name = (max if less else min)(named, key=lambda key: named[key])
    return named[name], name


def _tutorial(record: dict) -> list[Check]:
    times = next((r["us"] for r in record["sections"].get("tutorial", []) if r["line"] == "training step"), {})
    ours = times.get("latchwork", {})

    def ratio(peer: str) -> float | None:
        return times[peer]["us"] / ours["us"] if peer in times else None

    ms = ours["us"] / 1e3 if ours else None
    python = ours["us"] - ours["inside_us"] if ours else None
    return [
        Check("tutorial: x Keras on TensorFlow", ratio("keras-tensorflow"), 8, None),
        Check("tutorial: x Keras on JAX", ratio("keras-jax"), 3, None),
        Check("tutorial: x a torch loop", ratio("torch"), 3, None),
        Check("tutorial: ms a step", ms, 0.60, 0.47, less=True),
        Check("tutorial: Python's us of a step", python, 60, 30, less=True),
    ]


def _training(found: list[Figures], where: str) -> list[Check]:
    rows = [f for f in found if f.row.kind == "training" and "torch" in f.peers]
    slowest, name = _worst({f.row.name: f.peers["torch"] * f.spread("torch") for f in rows}, less=False)
    checks = [
        Check(f"{where}training x torch, mean", _mean(f.peers["torch"] for f in rows), 3.0, 3.6),
        Check(f"{where}training x torch, slowest row with its spread", slowest, 1.0, None, note=name),
    ]
    for cell, must, aim in (("lstm", 1.5, 1.8), ("gru", 4.5, 5.8), ("rnn", 4.0, 4.7)):
        mean = _mean(f.peers["torch"] for f in rows if f.row.cell == cell)
        checks.append(Check(f"{where}training x torch, {cell}", mean, must, aim))
    return checks


def _inference(found: list[Figures], where: str) -> list[Check]:
    best = {f.row.name: f.best_peer for f in found if f.row.kind != "training" and f.row.H <= 512 and f.best_peer}
    slowest, name = _worst(best, less=False)
    return [
        Check(f"{where}inference x best peer, mean", _mean(best.values()), 1.4, 2.0),
        Check(f"{where}inference x best peer, slowest row", slowest, 0.95, 1.0, note=name),
    ]


def _streams(record: dict) -> list[Check]:
    found = {f.row.H: f for f in figures_of(record, "layers") if f.row.kind == "stream" and f.row.cell == "lstm"}
    checks = []
    for H, must, aim in ((64, 4.0, 6.0), (256, 2.0, 2.4), (512, 1.25, 1.45)):
        ratio = found[H].peers.get("onnxruntime") if H in found else None
        checks.append(Check(f"a step from Python x ONNX Runtime, H {H}", ratio, must, aim))
    steps = record.get("micro", {}).get("step_us", {})
    for H, must, aim in ((32, 0.5, 0.3), (64, 1.4, 1.25), (256, 24.5, 22.5)):
        checks.append(Check(f"a step in C++, us, H {H}", steps.get(str(H)), must, aim, less=True))
    return checks


Bounds = dict[tuple[str, bool], tuple[float, float | None]]


def _shares(found: list[Figures], where: str, bounds: Bounds) -> list[Check]:
    """Bounds by kind, and whether for the large sizes (the worst of them counts) or for H 128."""
    checks = []
    for (kind, large), (must, aim) in bounds.items():
        rows = [f for f in found if f.row.cell == "lstm" and f.row.kind == kind and f.row.I == f.row.H and f.row.B > 1]
        of_peak = {f.row.name: f.of_peak for f in rows if (f.row.H >= 256 if large else f.row.H == 128)}
        share, name = _worst(of_peak, less=False)
        what = f"{where}of peak, LSTM {kind}, H {'>= 256' if large else 128}"
        checks.append(Check(what, share, must, aim, note=name if large else ""))
    return checks


def _ragged(record: dict) -> list[Check]:
    checks = []
    bounds = (("uniform", 1.08, 1.05, 3.0), ("lognormal", 1.15, 1.08, 10.0))
    for kind, must, aim, packed in bounds:
        rows = [f for f in figures_of(record, "ragged") if f.row.ragged.startswith(kind)]
        share, name = _worst({f.row.ragged: f.of_padded for f in rows}, less=True)
        ratio, slowest = _worst({f.row.ragged: f.peers["torch"] for f in rows if "torch" in f.peers}, less=False)
        checks.append(Check(f"ragged, {kind}: x its share of the padded time", share, must, aim, less=True, note=name))
        checks.append(Check(f"ragged, {kind}: x torch's packed sequences", ratio, packed, None, note=slowest))
    return checks


def checks(record: dict) -> list[Check]:
    """Every target, whether this run measured it or not."""
    found, forced = figures_of(record, "layers"), figures_of(record, "avx2")
    odd = figures_of(record, "odd")
    fifty, _ = _worst({f.row.name: f.of_even for f in odd if f.row.H == 50}, less=True)
    others, name = _worst({f.row.name: f.of_even for f in odd if f.row.H != 50}, less=True)
    speedups = {f.row.name: f.speedup for f in found if f.speedup and f.ours * f.speedup >= AMPLE}
    speedup, slowest = _worst(speedups, less=False)
    forward, training = ("forward", False), ("training", False)
    shares = {forward: (0.84, 0.88), ("forward", True): (0.88, 0.92), training: (0.80, 0.85)}
    return [
        *_tutorial(record),
        *_training(found, ""),
        *_inference(found, ""),
        *_streams(record),
        *_shares(found, "", shares | {("training", True): (0.85, 0.88)}),
        Check("odd sizes: time a FLOP, H 50", fifty, 1.25, 1.1, less=True),
        Check("odd sizes: time a FLOP, the others", others, 1.2, 1.1, less=True, note=name),
        *_ragged(record),
        Check("two threads x one", speedup, 1.8, 1.95, note=slowest),
        *_training(forced, "AVX2: "),
        *_inference(forced, "AVX2: "),
        *_shares(forced, "AVX2: ", {forward: (0.74, None), ("forward", True): (0.82, None)}),
    ]


def markdown(found: list[Check]) -> str:
    def text(value: float | None) -> str:
        return "" if value is None else f"{value:.3g}"

    lines = []
    for check in found:
        kept = "**no**" if check.kept == "no" else check.kept
        lines.append([check.what, text(check.measured), text(check.must), text(check.aim), kept, check.note])
    return "\n## Targets\n\n" + table(["target", "measured", "must", "aim", "kept", "worst row"], lines)
