"""The C++ library inside the wheel, used by a project that knows nothing of this tree."""

from __future__ import annotations

import shutil
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import pytest

import latchwork

CONSUMER = Path(__file__).parent / "consumer"
MODEL = Path(__file__).parent / "cpp" / "data" / "model.safetensors"


def run(*command: str, cwd: Path | None = None) -> str:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def option(name: str) -> str:
    return run(sys.executable, "-m", "latchwork", name).strip()


def test_options_name_existing_folders() -> None:
    assert option("--version") == latchwork.__version__
    assert (Path(option("--include")) / "latchwork" / "latchwork.h").is_file()
    assert (Path(option("--cmakedir")) / "latchworkConfig.cmake").is_file()


def test_entry_point_for_builds_of_wheels() -> None:
    (found,) = (e for e in entry_points(group="cmake.root") if e.name == "latchwork")
    assert found.value == "latchwork"


def test_consumer_with_cmake(tmp_path: Path) -> None:
    run("cmake", "-S", str(CONSUMER), "-B", str(tmp_path), f"-Dlatchwork_DIR={option('--cmakedir')}")
    run("cmake", "--build", str(tmp_path))
    assert "consumer: good" in run(str(tmp_path / "consumer"), str(MODEL))


@pytest.mark.skipif(not shutil.which("pkg-config") or not shutil.which("c++"), reason="needs pkg-config and c++")
def test_consumer_with_pkg_config(tmp_path: Path) -> None:
    folder = Path(option("--cmakedir")).parents[1] / "pkgconfig"
    flags = run("pkg-config", f"--with-path={folder}", "--cflags", "--libs", "latchwork").split()
    program = tmp_path / "consumer"
    run("c++", "-std=c++20", "-O1", str(CONSUMER / "main.cpp"), *flags, "-o", str(program))
    assert "consumer: good" in run(str(program), str(MODEL))
