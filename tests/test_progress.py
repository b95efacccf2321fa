"""The progress bar: redrawn on a terminal, plain lines elsewhere, nothing when silent."""

import io
import re
import sys

import pytest

from latchwork import progress
from latchwork.progress import Progress, clock, number, per_step, verbosity


class Terminal(io.StringIO):
    encoding = "utf-8"

    def isatty(self):
        return True


class Clock:
    """Time that passes when told to."""

    def __init__(self, monkeypatch):
        self.now = 100.0
        monkeypatch.setattr(progress, "perf_counter", lambda: self.now)


def run(bar, clock, steps, seconds_per_step, figures):
    bar.begin("Epoch 1/2")
    for done in range(1, steps + 1):
        clock.now += seconds_per_step
        bar.step(done, figures)
    bar.end(steps, figures())


@pytest.mark.parametrize("verbose", [1, 2])
def test_without_a_terminal_one_plain_line(monkeypatch, verbose):
    stream = io.StringIO()
    run(Progress(verbose, 4, stream), Clock(monkeypatch), 4, 1.0, lambda: {"loss": 0.5})
    assert stream.getvalue() == "Epoch 1/2  4/4  1.00 s/step  4.0 s  loss 0.5000\n"


def test_terminal_shows_bar_eta_and_figures_in_place(monkeypatch):
    stream = Terminal()
    run(Progress(1, 4, stream), Clock(monkeypatch), 4, 30.0, lambda: {"loss": 0.5, "mae": 2e-5})
    text = stream.getvalue()
    frames = text.split("\r")
    assert "ETA 1:30" in frames[1]
    assert "1/4" in frames[1]
    assert "30.00 s/step" in frames[1]
    assert "loss 0.5000  mae 2.000e-05" in frames[1]
    assert frames[-1].endswith("\n")
    assert "ETA" not in frames[-1]
    assert frames[-1].count("━") == 24
    assert not re.search(r"[\x00-\x09\x0b\x0c\x0e-\x1f\x7f]", text)  # no control character but the two it needs


def test_drawing_is_throttled_and_figures_are_asked_for_only_then(monkeypatch):
    asked = []
    stream = Terminal()
    run(Progress(1, 1000, stream), Clock(monkeypatch), 1000, 0.001, lambda: asked.append(1) or {"loss": 1.0})
    assert 9 <= len(asked) <= 11  # ten a second, and the last line


def test_a_shorter_line_wipes_the_longer_one(monkeypatch):
    stream, clock = Terminal(), Clock(monkeypatch)
    bar = Progress(1, 10, stream)
    bar.begin("Epoch")
    clock.now += 1
    bar.step(1, lambda: {"a_long_name": 123.0})
    clock.now += 1
    bar.step(2, dict)
    first, second = stream.getvalue().split("\r")[1:]
    assert len(second) >= len(first)


def test_a_narrow_terminal_never_wraps_a_frame(monkeypatch):
    monkeypatch.setattr(Progress, "_columns", lambda self: 40)
    stream = Terminal()
    run(Progress(1, 4, stream), Clock(monkeypatch), 3, 1.0, lambda: {"loss": 1.0, "mae": 1.0})
    frames = stream.getvalue().split("\r")
    assert all(len(frame) < 40 for frame in frames[:-1])


def test_a_terminal_without_the_characters_gets_plain_ones(monkeypatch):
    stream = Terminal()
    stream.encoding = "ascii"
    run(Progress(1, 4, stream), Clock(monkeypatch), 4, 1.0, dict)
    assert stream.getvalue().isascii()
    assert "=" * 24 in stream.getvalue()


def test_silent(monkeypatch, capsys):
    run(Progress(0, 4), Clock(monkeypatch), 4, 1.0, dict)
    assert capsys.readouterr() == ("", "")


def test_abort_ends_the_line(monkeypatch):
    stream, clock = Terminal(), Clock(monkeypatch)
    bar = Progress(1, 10, stream)
    bar.begin("Epoch")
    clock.now += 1
    bar.step(1, dict)
    bar.abort()
    bar.abort()
    assert stream.getvalue().endswith("\n")
    assert stream.getvalue().count("\n") == 1


def test_verbosity(monkeypatch):
    assert [verbosity(v) for v in (0, 1, 2, False, True)] == [0, 1, 2, 0, 1]
    assert verbosity("auto") == 0  # pytest captures stderr
    monkeypatch.setattr(sys, "stderr", Terminal())
    assert verbosity("auto") == 1
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    monkeypatch.setitem(sys.modules, "ipykernel", None)
    assert verbosity("auto") == 1  # a notebook
    for wrong in (3, "loud", None, 1.0):
        with pytest.raises(ValueError, match="verbose must be 'auto', 0, 1 or 2, got"):
            verbosity(wrong)


def test_numbers_and_times_are_short():
    assert [number(v) for v in (0, 0.01234, 123.4, 3.21e-5, -4e9)] == [
        "0.0000", "0.0123", "123.4000", "3.210e-05", "-4.000e+09",
    ]  # fmt: skip
    assert number(float("nan")) == "nan"
    assert [per_step(s) for s in (85e-6, 4.1e-4, 1.2)] == ["85 us", "0.41 ms", "1.20 s"]
    assert [clock(s) for s in (0.44, 42, 59.7, 200, 3723)] == ["0.4 s", "42 s", "1:00", "3:20", "1:02:03"]
