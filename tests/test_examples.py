"""The programs in examples/ run, in small, and do what they say."""

import importlib.util
import sys
from pathlib import Path

FOLDER = Path(__file__).resolve().parent.parent / "examples"


def example(name):
    spec = importlib.util.spec_from_file_location(f"example_{name}", FOLDER / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def test_every_example_is_tested():
    assert {p.stem for p in FOLDER.glob("*.py")} == {"forecast", "classify_ragged", "own_loop", "audio_effect"}


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
