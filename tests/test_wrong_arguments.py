"""Random wrong arguments on every function and class of `_core` and on every public call of `functional`.

Never a crash, an abort or a hang, only an exception of Python's; and what was given is as it was after an error. The
calls are made in a process of their own, so that a crash is a failing test that names the call: `wrong_calls.py`.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import wrong_calls
from latchwork import _core

CALLS_EACH = 60, 1000  # usually, and in .ci/full


def test_every_bound_function_and_class_has_a_recipe():
    """A new one is an error here until `wrong_calls.py` knows how to call it."""
    bound = {name for name in dir(_core) if not name.startswith("_") and callable(getattr(_core, name))}
    methods = {
        f"{name}.{method}"
        for name in bound
        if isinstance(getattr(_core, name), type)
        for method in vars(getattr(_core, name))
        if not method.startswith("_")
    }
    functions = {name for name in bound if not isinstance(getattr(_core, name), type)}
    constructed = {name for name in bound - functions if name not in wrong_calls.MADE_BY_OTHERS}
    assert functions | methods | constructed == set(wrong_calls.CORE)


def test_every_public_call_of_functional_has_a_recipe():
    from latchwork import functional

    classes = {name for name in functional.__all__ if isinstance(getattr(functional, name), type)}
    assert set(functional.__all__) - classes == set(wrong_calls.FUNCTIONAL)


@pytest.mark.parametrize("which", ["core", "functional"])
def test_wrong_arguments(which, thorough):
    program, seed = Path(wrong_calls.__file__), 1
    done = subprocess.run(
        [sys.executable, "-X", "faulthandler", str(program), which, str(seed), str(CALLS_EACH[thorough])],
        capture_output=True,
        text=True,
        timeout=1800 if thorough else 300,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(map(os.path.abspath, sys.path))},
    )
    last = "\n".join(done.stdout.splitlines()[-3:])
    assert done.returncode == 0, f"exit code {done.returncode} after\n{last}\n{done.stderr[-3000:]}"
