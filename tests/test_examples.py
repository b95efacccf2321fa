"""The programs in examples/ run, in small, and do what they say."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import latchwork as lw

FOLDER = Path(__file__).resolve().parent.parent / "examples"


def example(name):
    spec = importlib.util.spec_from_file_location(f"example_{name}", FOLDER / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def test_every_example_is_tested():
    tested = {name.removeprefix("test_") for name in globals() if name.startswith("test_")}
    assert {p.stem for p in FOLDER.glob("*.py")} <= tested


@pytest.mark.parametrize("name", sorted(path.stem for path in FOLDER.glob("*.py")))
def test_help(name, tmp_path):
    """From any folder, at once, and in the program's own words."""
    command = [sys.executable, str(FOLDER / f"{name}.py"), "--help"]
    env = os.environ | {"PYTHONPATH": str(Path(lw.__file__).resolve().parents[1])}
    said = subprocess.run(command, cwd=tmp_path, env=env, check=True, capture_output=True, text=True, timeout=60).stdout
    assert example(name).__doc__.strip().splitlines()[0] in said
    assert "--steps" in said if name == "own_loop" else "--epochs" in said
    assert not list(tmp_path.iterdir())


def test_forecast(capsys):
    example("forecast").main(epochs=8)
    out = capsys.readouterr().out
    assert float(out.split("test RMSE: ")[1].split(" ppm")[0]) < 1.5  # persistence: 3.2
    assert "the 26 weeks up to 2001-12-29" in out


def test_classify_ragged(capsys):
    example("classify_ragged").main(epochs=5)
    assert float(capsys.readouterr().out.split("test accuracy: ")[1]) > 0.9


def test_own_loop(capsys):
    assert example("own_loop").main(steps=400) < 0.167
    assert "step    0" in capsys.readouterr().out


def test_audio_effect(capsys):
    assert example("audio_effect").main(epochs=6, seconds=1) < 0.05  # an amplifier that does not distort: 0.13
    out = capsys.readouterr().out
    assert all(f"{how}: " in out for how in ("whole", "sample by sample", "blocks of 64"))


def made_up_vowels(path, rng):
    """A file as aeon has it: speaker k holds channel k high, for 7 to 29 steps."""
    lines = []
    for sample in range(90):
        x = rng.normal(scale=0.3, size=(rng.integers(7, 30), 12))
        x[:, sample % 9] += 1
        lines.append(":".join([*(",".join(f"{v:.4f}" for v in channel) for channel in x.T), str(sample % 9 + 1)]))
    path.write_text("#A comment.\n@problemName JapaneseVowels\n@data\n" + "\n".join(lines) + "\n")


def test_vowels(tmp_path, capsys):
    rng = np.random.default_rng(0)
    for part in ("TRAIN", "TEST"):
        made_up_vowels(tmp_path / f"JapaneseVowels_{part}.ts", rng)
    assert example("vowels").main(epochs=6, folder=tmp_path) > 0.9  # a guess: 0.11
    assert "90 sequences to learn from, of 7 to 29 steps" in capsys.readouterr().out
    assert example("vowels").main(epochs=6, folder=tmp_path, tuned=True) > 0.9


@pytest.mark.skipif(importlib.util.find_spec("aeon") is None, reason="the data come with aeon")
def test_vowels_as_they_were_recorded(capsys):
    vowels = example("vowels")
    x, y = vowels.read(vowels.data_folder() / "JapaneseVowels_TRAIN.ts")
    assert x.values.shape == (4274, 12)
    assert np.bincount(y).tolist() == [30] * 9
    assert vowels.main(epochs=8) > 0.9
    assert vowels.main(epochs=8, tuned=True) > 0.95


def test_vowels_cross_validation(monkeypatch):
    """Each recording is left out once, three neighbours of each speaker at a time, and the best value is kept."""
    monkeypatch.syspath_prepend(FOLDER.parent / "benchmarks")
    import vowels_cross_validation as search

    numbers = np.arange(270.0)
    x, y = lw.Ragged.from_list([np.full((2, 12), n) for n in numbers]), np.repeat(np.arange(9), 30)
    left_out = []
    for (learned, of_learned), (rest, of_rest) in search.folds((x, y)):
        own = [int(sequence[0, 0]) for sequence in rest]
        assert own == [speaker * 30 + 3 * (len(left_out) // 27) + k for speaker in range(9) for k in range(3)]
        assert sorted(own + [int(sequence[0, 0]) for sequence in learned]) == numbers.tolist()
        assert of_rest.tolist() == [n // 30 for n in own]
        assert np.bincount(of_learned).tolist() == [27] * 9
        left_out += own
    assert sorted(left_out) == numbers.tolist()

    monkeypatch.setattr(
        search, "validated", lambda _, tried: (abs(tried["noise"] - 0.2) + abs(tried["units"] - 200), 0)
    )
    assert search.search((x, y)) == search.START | {"noise": 0.2, "units": 200}


def test_vowels_without_their_data(monkeypatch):
    vowels = example("vowels")
    monkeypatch.setattr(vowels, "find_spec", lambda name: None)
    with pytest.raises(SystemExit, match="the data come with aeon: pip install --no-deps aeon"):
        vowels.main()


def test_co2_quantiles(capsys):
    shares = example("co2_quantiles").main(epochs=10)
    assert np.abs(shares - [0.05, 0.25, 0.5, 0.75, 0.95]).max() < 0.15
    out = capsys.readouterr().out.split("off by ")[1]
    assert float(out.split(" ppm")[0]) < 2  # the season alone moves it by 4.17


def test_sonnets(capsys):
    assert example("sonnets").main(epochs=12, letters=12000, units=64) < 14  # the letters are 57
    assert "Shall I compare thee to " in capsys.readouterr().out


def test_pump(capsys):
    found = example("pump").main(epochs=15, count=1500)
    assert found["fault_accuracy"] > 0.75  # without looking: 0.34
    assert found["life_mae"] < 1  # 1.9
    assert "concatenate" in capsys.readouterr().out


def test_rare_events(capsys):
    scores = example("rare_events").main(epochs=5, count=1500)
    assert len(scores) == 3
    assert scores["focal, balanced"] > max(scores["binary cross-entropy"], 0.3)
    assert capsys.readouterr().out.count("silence") == 3


def test_handwriting(capsys):
    assert example("handwriting").main(epochs=10, count=1600) < 0.4
    rates = [float(line.split()[-1]) for line in capsys.readouterr().out.splitlines() if "error rate" in line]
    assert rates[0] > 0.9
    assert len(rates) == 10


def test_dates(tmp_path, capsys):
    pytest.importorskip("matplotlib").use("Agg")
    dates = example("dates")
    assert dates.main(epochs=5, count=4000, plot=tmp_path / "looks.png") > 0.5
    assert "right in every letter" in capsys.readouterr().out
    assert (tmp_path / "looks.png").stat().st_size > 5000


def test_dates_fit_in():
    """No letter of the longest is cut off; padding is told from letters."""
    texts, letters, _ = example("dates").dates(3000, np.random.default_rng(1))
    assert ((letters > 0).sum(axis=1) == [len(text) for text in texts]).all()
    assert max(map(len, texts)) == letters.shape[1] == len("Wednesday, 23 September 1998")
