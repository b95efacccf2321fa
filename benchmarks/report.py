"""A run's record as Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from figures import Figures, figures_of, geometric_mean
from sections import EVEN, NEAR, PADDED

PEERS = ("torch", "onnxruntime", "openvino")
TITLES = {"onnxruntime": "ONNX Runtime", "openvino": "OpenVINO"}
KINDS = {"training": "Training: forward, backward with dx", "forward": "Inference", "stream": "Single steps"}


def table(header: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    rows = [header, ["---"] * len(header), *lines]
    return "\n".join("| " + " | ".join(row) + " |" for row in rows) + "\n"


def put(text: str, page: Path, mark: str) -> None:
    """Writes `text` between the page's two comments that name `mark`."""
    begin, end = f"<!-- begin {mark} -->\n", f"<!-- end {mark} -->"
    before, _, rest = page.read_text().partition(begin)
    _, found, after = rest.partition(end)
    if not found:
        raise ValueError(f"{page} must have a line {begin.strip()} and after it {end}")
    page.write_text(before + begin + text.strip() + "\n" + end + after)


def us(measured: dict | None, per: float = 1) -> str:
    """Median ± spread, in microseconds divided by `per`."""
    return "" if measured is None else f"{measured['us'] / per:.3g} ± {measured['spread']:.0f} %"


def _ratio(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


def _mark(record: dict) -> str:
    return " *" if record.get("apart", 0) > NEAR else ""


def _shape(f: Figures) -> list[str]:
    row = f.row
    extra = (f", {row.layers} layers" if row.layers > 1 else "") + (", bidirectional" if row.bidirectional else "")
    return [row.cell + extra + _mark(f.record), f"{row.T}, {row.B}, {row.I}, {row.H}"]


def _peer_cells(f: Figures, names: Sequence[str]) -> list[str]:
    cells = []
    for name in names:
        measured = f.record["us"].get(name)
        threads = f" ({measured['threads']})" if measured else ""
        cells += [us(measured, f.row.steps) + threads, _ratio(f.peers.get(name))]
    return cells


def _beside_peers(found: list[Figures]) -> str:
    names = [name for name in PEERS if any(name in f.us for f in found)]
    header = ["cell", "T, B, I, H", "latchwork, us a step", "GFLOP/s", "of peak", "floor, us", "x floor", "2 threads x"]
    for name in names:
        header += [f"{TITLES.get(name, name)}, us (threads)", "ratio"]
    lines = []
    for f in found:
        cells = [us(f.record["us"]["latchwork"], f.row.steps), f"{f.gflops:.0f}", f"{f.of_peak:.0%}"]
        cells += [f"{f.floor.us / f.row.steps:.3g}", _ratio(f.ours / f.floor.us), _ratio(f.speedup)]
        lines.append(_shape(f) + cells + _peer_cells(f, names))
    text = table(header, lines)
    best = [f.best_peer for f in found if f.best_peer]
    if not best:
        return text
    return text + f"\nAgainst the best peer of each row: {geometric_mean(best):.2f} (geometric mean).\n"


def _ragged(found: list[Figures]) -> str:
    header = ["lengths", "longest", "real of padded", "latchwork, ms", "padded, ms", "x its share", "packed torch, ms"]
    lines = []
    for f in found:
        share = f.row.real_steps / (f.row.B * f.row.steps)
        cells = [us(f.record["us"]["latchwork"], 1e3), us(f.record["us"][PADDED], 1e3), _ratio(f.of_padded)]
        cells += [us(f.record["us"].get("torch"), 1e3), _ratio(f.peers.get("torch"))]
        lines.append([f.row.ragged + _mark(f.record), str(f.row.steps), f"{share:.0%}", *cells])
    return table([*header, "ratio"], lines)


def _odd(found: list[Figures]) -> str:
    header = ["cell", "T, B, I, H", "", "us", "neighbour", "us", "time a FLOP"]
    lines = []
    for f in found:
        even = f.record["even"]
        neighbour = f"{even['T']}, {even['B']}, {even['I']}, {even['H']}"
        cells = [f.row.kind, us(f.record["us"]["latchwork"]), neighbour, us(f.record["us"][EVEN]), _ratio(f.of_even)]
        lines.append(_shape(f) + cells)
    return table(header, lines)


def _tutorial(records: list[dict]) -> str:
    """Milliseconds; Python's share is what a call takes beyond the extension's own counter."""
    names = list(records[0]["us"])
    peers = names[1:]
    header = ["", "latchwork, ms", "Python's share, us", *(c for p in peers for c in (f"{p}, ms (threads)", "ratio"))]
    lines = []
    for each in records:
        if each["line"] == "import":
            continue
        ours = each["us"]["latchwork"]
        cells = [each["line"] + _mark(each), us(ours, 1e3), f"{ours['us'] - ours['inside_us']:.0f}"]
        for peer in peers:
            measured = each["us"][peer]
            cells += [f"{us(measured, 1e3)} ({measured['threads']})", _ratio(measured["us"] / ours["us"])]
        lines.append(cells)
    seconds = next(each["seconds"] for each in records if each["line"] == "import")
    imports = [f"import, once cached: {name} {s:.2f} s" for name, s in seconds.items()]
    return table(header, lines) + "\n" + "; ".join(imports).replace("; import, once cached: ", ", ") + ".\n"


def _limits(record: dict) -> str:
    header = ["instruction set", "FMA, GFLOP/s", "L1", "L2", "L3", "memory, GB/s", "core to core, ns"]
    header.append("gates, ns a unit on one thread")
    lines = []
    for isa, limits in record["limits"].items():
        read = [f"{limits['read'][level]:.0f}" for level in ("L1", "L2", "L3", "memory")]
        gates = "; ".join(
            f"{cell} " + ", ".join(f"{name} {ns:.2f}" for name, ns in passes.items())
            for cell, passes in limits["gates"].items()
        )
        line = f"{min(limits['line']):.0f}-{max(limits['line']):.0f}" if limits["line"] else ""
        lines.append([isa, f"{limits['fma']:.0f}", *read, line, gates])
    return table(header, lines)


def markdown(record: dict) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in record["versions"].items())
    parts = [f"{record['processor']}, {record['threads']} threads, {record['isa']}; {versions}\n"]
    parts.append("## Limits, measured in this run\n\n" + _limits(record))
    parts.append(f"A row marked * was taken while the cores were more than {NEAR:.0f} ns apart.\n")
    sections = record["sections"]
    if "tutorial" in sections:
        parts.append("## The tutorials' program\n\n" + _tutorial(sections["tutorial"]))
    for section, title in (("layers", ""), ("field", ", shapes of the field"), ("avx2", ", without AVX-512")):
        found = figures_of(record, section)
        for kind, name in KINDS.items():
            of_kind = [f for f in found if f.row.kind == kind]
            if of_kind:
                parts.append(f"## {name}{title}\n\n" + _beside_peers(of_kind))
    if sections.get("ragged"):
        parts.append("## Ragged training, LSTM, B 64, I 64, H 128\n\n" + _ragged(figures_of(record, "ragged")))
    if sections.get("odd"):
        parts.append("## Odd sizes against even neighbours\n\n" + _odd(figures_of(record, "odd")))
    return "\n".join(parts)
