"""The parts of the benchmarks that need no clock: rows, floors, ratios, targets, and the plan's cost table."""

from __future__ import annotations

import sys
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest

from latchwork import _core

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
import arrays
import report
import rows
import targets
from figures import Figures
from limits import floor
from rows import Row

LIMITS = {
    "threads": 2,
    "caches": {"L1": 32 << 10, "L2": 1 << 20, "L3": 32 << 20},
    "fma": 200.0,
    "read": {"L1": 400.0, "L2": 200.0, "L3": 100.0, "memory": 30.0},
    "line": [50.0, 200.0],
    "gates": {cell: {"forward": 0.5, "saving": 0.6, "backward": 0.4} for cell in ("lstm", "gru", "rnn")},
}


def measured(us: float, inside: float = 0.0) -> dict:
    return {"us": us, "spread": 2.0, "rounds": 5, "threads": 2, "inside_us": inside}


def record_of(row: Row, **us: float) -> dict:
    return {"row": asdict(row), "us": {name.replace("_", ", ", 1): measured(value) for name, value in us.items()}}


def test_rows_have_names_of_their_own_and_a_quick_grid_of_every_cell_and_kind():
    every = [*rows.layers(), *rows.field(), *rows.ragged()]
    assert len({row.name for row in every}) == len(every)
    quick = rows.quick(rows.layers())
    assert {row.cell for row in quick} == {"lstm", "gru", "rnn"}
    assert {row.kind for row in quick} == {"training", "forward", "stream"}
    for uneven, even in rows.odd():
        assert sum(getattr(uneven, size) != getattr(even, size) for size in "TBIH") == 1


def test_flops_count_real_steps_layers_and_directions():
    row = Row("gru", 10, 4, 3, 5, "forward")
    assert row.flops == 2 * 10 * 4 * (3 + 5) * 3 * 5
    assert replace(row, kind="training").flops == 3 * row.flops
    both = replace(row, layers=2, bidirectional=True)
    assert both.flops == 2 * 10 * 4 * 2 * 3 * 5 * ((3 + 5) + (10 + 5))
    ragged = rows.ragged()[0]
    assert ragged.flops < ragged.padded().flops
    assert ragged.steps == ragged.lengths.max() == ragged.padded().steps


def test_the_floor_is_products_or_weights_and_the_gates():
    many = floor(Row("lstm", 100, 64, 128, 128, "forward"), LIMITS)
    assert many.products == pytest.approx(2 * 100 * 64 * 256 * 512 / 200e9 * 1e6)
    assert many.gates == pytest.approx(100 * 64 * 128 * 0.5 / 2 / 1e3)
    assert many.us == many.products + many.gates > many.weights
    one = floor(Row("lstm", 1, 1, 512, 512, "stream"), LIMITS)
    assert one.level == "L3"  # 4 MB a step, 2 MB of each thread
    assert one.weights == pytest.approx(4 * 1024 * 2048 / 100e9 * 1e6)
    assert one.us == one.weights + one.gates > one.products
    assert floor(Row("lstm", 1, 1, 32, 32, "stream"), LIMITS).level == "L1"


def test_ratios():
    row = Row("lstm", 100, 64, 128, 128, "forward")
    f = Figures(record_of(row, latchwork=100.0, torch=200.0, openvino=150.0, **{"latchwork_1 thread": 190.0}), LIMITS)
    assert f.peers == {"torch": 2.0, "openvino": 1.5}
    assert (f.best_peer, f.speedup) == (1.5, 1.9)
    assert f.of_peak == pytest.approx(row.flops / 100e-6 / 200e9)

    ragged = rows.ragged()[0]
    share = ragged.real_steps / (ragged.B * ragged.steps)
    f = Figures(record_of(ragged, latchwork=110.0 * share, latchwork_padded=100.0), LIMITS)
    assert f.of_padded == pytest.approx(1.1)

    uneven, even = rows.odd()[0]
    record = record_of(uneven, latchwork=1.2 * uneven.flops, latchwork_even=even.flops) | {"even": asdict(even)}
    assert Figures(record, LIMITS).of_even == pytest.approx(1.2)


def a_run(torch: float) -> dict:
    """Every training row, and `torch` times our time for torch's."""
    training = [record_of(row, latchwork=100.0, torch=torch * 100.0) for row in rows.layers() if row.kind == "training"]
    step = {"line": "training step", "us": {"latchwork": measured(500.0, 450.0), "torch": measured(1600.0)}}
    lines = [step, {"line": "import", "seconds": {"latchwork": 0.1}}]
    limits = {"avx512": LIMITS}
    return {"processor": "one", "threads": 2, "isa": "avx512", "versions": {"python": "3"}, "limits": limits,
            "sections": {"layers": training, "tutorial": lines}}  # fmt: skip


def test_targets_are_kept_broken_or_not_measured():
    kept = {check.what: check.kept for check in targets.checks(a_run(torch=5.0))}
    assert kept["training x torch, mean"] == "aim"
    assert kept["training x torch, gru"] == "must"
    assert kept["training x torch, slowest row with its spread"] == "must"
    assert kept["tutorial: x a torch loop"] == "must"
    assert kept["tutorial: x Keras on JAX"] == "not measured"
    assert kept["tutorial: ms a step"] == "must"
    assert kept["tutorial: Python's us of a step"] == "must"
    assert kept["inference x best peer, mean"] == "not measured"

    kept = {check.what: check.kept for check in targets.checks(a_run(torch=0.97))}
    assert kept["training x torch, mean"] == "no"
    assert kept["training x torch, slowest row with its spread"] == "must"  # 0.97, within 4 % of 1
    kept = {check.what: check.kept for check in targets.checks(a_run(torch=0.95))}
    assert kept["training x torch, slowest row with its spread"] == "no"


def test_a_record_becomes_markdown_and_goes_into_a_page(tmp_path: Path):
    run = a_run(torch=2.0)
    text = report.markdown(run)
    assert "| lstm | 100, 64, 128, 128 |" in text
    assert "| training step | 0.5 ± 2 % | 50 | 1.6 ± 2 % (2) | 3.20 |" in text
    assert "(geometric mean)" in text
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- begin compare -->\nold\n<!-- end compare -->\nafter\n")
    report.put("new\n", page, "compare")
    assert page.read_text() == "before\n<!-- begin compare -->\nnew\n<!-- end compare -->\nafter\n"
    with pytest.raises(ValueError, match="begin scaling"):
        report.put("new\n", page, "scaling")


@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn"])
@pytest.mark.parametrize("convention", ["torch", "onnx"])
def test_gates_in_another_order_come_back(cell: str, convention: str):
    w = arrays.Weights(np.random.default_rng(0), cell, 3, 4)
    kernel, recurrent_kernel, biases = w.reordered(convention)
    assert biases.shape == (2, w.kernel.shape[1])
    assert np.array_equal(arrays.back_in_order(kernel, convention, cell), w.kernel)
    assert np.array_equal(arrays.back_in_order(recurrent_kernel, convention, cell), w.recurrent_kernel)


def test_results_that_differ_are_noticed():
    ours = {"y": np.array([1.0, 2.0])}
    arrays.check(ours, {"y": np.array([1.0, 2.0001])}, "another", 1e-4)
    for wrong in ([1.0, 2.001], [1.0, np.nan]):
        with pytest.raises(AssertionError, match="another differ in y"):
            arrays.check(ours, {"y": np.array(wrong)}, "another", 1e-4)


def test_the_cost_table_shares_work_where_it_pays():
    costs = _core.plan_costs("lstm", False, 64, 100, 128, 128, 8)
    assert len(costs) == 8
    assert costs == sorted(costs, reverse=True)
    assert costs[0] > 64 * 100 * 256 * 512  # multiply-adds, and the gates
    assert costs[0] / costs[1] == pytest.approx(2, rel=0.05)
    assert len(set(_core.plan_costs("lstm", False, 1, 1, 8, 8, 8))) == 1
