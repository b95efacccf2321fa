"""The demo: honest baselines, a model that beats them, a report and a picture."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from latchwork import demo
from latchwork.data import StandardScaler

SEEDS = range(5)


@pytest.mark.parametrize("name", demo.TASKS)
def test_the_model_beats_the_baselines_as_the_mean_of_five_seeds(name):
    results = [demo.run(demo.TASKS[name], seed, verbose=0).rmse for seed in SEEDS]
    model = np.mean([rmse["LSTM(32)"] for rmse in results])
    for baseline in ("persistence", "seasonal naive", "seasonal naive with drift"):
        assert model < results[0][baseline], (baseline, results)


def test_the_baselines_are_what_they_say():
    task = demo.TASKS["co2"]
    values = np.arange(200.0) + 10 * np.tile(np.sin(np.arange(52)), 4)[:200]  # a trend and an exact season
    scaler = StandardScaler().fit(values)
    part = demo.prepare(values, task, scaler)
    guesses = demo.baselines(part, task)
    assert np.array_equal(guesses["persistence"], np.repeat(part.past[:, -1:], 26, axis=1))
    assert np.allclose(guesses["seasonal naive"], part.future - 52)
    # one season's worth of growth less a step, as the window is exactly one season long
    assert abs(guesses["seasonal naive with drift"] - part.future).max() < 20
    assert demo.rmse(demo.autoregression(part, part, scaler), part.future) < 1e-8
    assert demo.rmse(np.array([[1.0, 2.0]]), np.array([[1.0, 4.0]])) == np.sqrt(2)


def test_windows_lead_back_to_the_series():
    task = demo.TASKS["sunspots"]
    values = np.random.default_rng(0).normal(size=100) * 40 + 60
    scaler = StandardScaler().fit(values)
    part = demo.prepare(values, task, scaler)
    assert np.allclose(part.past[:, -1:] + part.y * scaler.scale_, part.future)
    assert not part.x[:, -1].any()


def test_no_test_row_reaches_training(monkeypatch):
    """Whatever the last years were, the same weights come out: only the test figures may change."""
    task = demo.TASKS["sunspots"]
    time, values = task.load()
    changed = values.copy()
    changed[-40:] *= 3
    before = demo.run(task, epochs=2, verbose=0)
    after = demo.run(demo.Task(**{**vars(task), "load": lambda: (time, changed)}), epochs=2, verbose=0)
    assert before.history.history == after.history.history
    assert before.rmse != after.rmse


def command(*arguments, **environment):
    return subprocess.run(
        [sys.executable, "-m", "latchwork", *arguments],
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, **environment},
    )


def test_command_line(tmp_path):
    pytest.importorskip("matplotlib")
    picture = tmp_path / "picture.png"
    done = command("demo", "sunspots", "--epochs", "2", "--seed", "3", "--output", str(picture))
    assert done.returncode == 0, done.stderr
    assert "Sunspot number, yearly: the next value from the last 33" in done.stdout
    for name in ("persistence", "seasonal naive", "seasonal naive with drift", "autoregression", "LSTM(32)"):
        assert f"  {name} " in done.stdout
    assert done.stderr.splitlines()[0].startswith("Epoch 1/2")
    assert picture.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    assert picture.stat().st_size > 20_000
    assert (
        command("demo", "sunspots", "--epochs", "2", "--seed", "3", "--output", str(picture)).stdout.split("RMSE")[1]
        == done.stdout.split("RMSE")[1]
    )


def test_without_matplotlib_it_says_which_extra_is_missing(tmp_path):
    (tmp_path / "matplotlib.py").write_text("raise ImportError('not here')")
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    done = command("demo", "sunspots", "--epochs", "1", "--output", str(tmp_path / "p.png"), PYTHONPATH=path)
    assert done.returncode == 0
    assert "pip install 'latchwork[demo]'" in done.stderr
    assert not (tmp_path / "p.png").exists()


def test_version_and_usage():
    import latchwork

    assert command("--version").stdout.strip() == latchwork.__version__
    assert command().returncode == 2
    assert "invalid choice" in command("demo", "weather").stderr


def test_the_package_says_nothing_and_imports_no_matplotlib():
    program = (
        "import sys, json, latchwork; print(json.dumps([m for m in ('matplotlib', 'argparse') if m in sys.modules]))"
    )
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True, timeout=60)
    assert json.loads(done.stdout) == []
    assert done.stderr == ""
