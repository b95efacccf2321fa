"""The standing budgets of what is installed: size on disk and over the wire, and the time of an import."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import latchwork as lw
from latchwork import _core

MEGABYTE = 1_000_000
PACKAGE = Path(lw.__file__).parent


def stripped_core(folder):
    target = folder / Path(_core.__file__).name
    subprocess.run(["strip", "--strip-unneeded", "-o", str(target), _core.__file__], check=True)
    return target


def test_core_library(tmp_path):
    assert stripped_core(tmp_path).stat().st_size <= 2 * MEGABYTE


def test_wheel(tmp_path):
    """The package's files zipped as a wheel zips them; .ci/run looks at the wheel itself."""
    core = stripped_core(tmp_path)
    wheel = tmp_path / "wheel.zip"
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in PACKAGE.rglob("*"):
            if path.is_file() and "__pycache__" not in path.parts and path.suffix != ".so":
                archive.write(path, path.relative_to(PACKAGE))
        archive.write(core, core.name)
    assert wheel.stat().st_size <= 5 * MEGABYTE


def run(program, bytecode):
    """Runs a program with its bytecode kept in that folder, whatever this process was told about writing some."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    environment = kept | {"PYTHONPYCACHEPREFIX": str(bytecode)}
    command = [sys.executable, "-c", program]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60, env=environment).stdout


def test_import_time(tmp_path):
    """Beyond numpy's own, in seconds of the importing thread: a worker of numpy's BLAS spins beside it.

    A slow minute and neighbours only add: one process within is enough.
    """
    program = "import time, numpy; t = time.thread_time(); import latchwork; print(time.thread_time() - t)"
    run(program, tmp_path)  # writes the bytecode
    seconds = [float(run(program, tmp_path))]
    while seconds[-1] > 0.050 and len(seconds) < 20:
        seconds.append(float(run(program, tmp_path)))
    assert seconds[-1] <= 0.050, seconds


def test_import_needs_numpy_alone(tmp_path):
    """No code path changes because something else is installed, so nothing else is loaded."""
    program = """
import sys, numpy
before = set(sys.modules)
import latchwork
print(*{name.split(".")[0] for name in set(sys.modules) - before} - {"numpy"} - set(sys.stdlib_module_names))
"""
    assert run(program, tmp_path).split() == ["latchwork"]
