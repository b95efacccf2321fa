"""Random wrong arguments on every function and class of `_core` and on every public call of `functional`.

Never a crash, an abort or a hang, only an exception of Python's; and what was given is as it was after an error. The
calls are made in a process of their own, so that a crash is a failing test that names the call: `wrong_calls.py`.
"""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
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


def test_arrays_that_overlap():
    """What a call writes may not be what it reads: the answer would hang on the order of its work."""
    whole = np.full(400, 0.25, np.float32)
    weights = _core.RecurrentWeights("elman", np.ones((4, 4), np.float32), np.ones((4, 4), np.float32), None)
    rest = ([None], None, None, False, False, "tanh", "tanh", True, None, False, False)

    def forward(out):
        [(_, _, ctx)] = _core.recurrent_forward([(weights, x, *rest, out, "store")], True)
        return ctx

    x = whole[:40].reshape(2, 5, 4)
    with pytest.raises(ValueError, match="out must not share memory with x"):
        forward(whole[10:50].reshape(2, 5, 4))
    ctx = forward(whole[40:80].reshape(2, 5, 4))
    kernel, recurrent = whole[100:116].reshape(4, 4), whole[110:126].reshape(4, 4)
    with pytest.raises(ValueError, match=r"out\[1\] .* must not share memory"):
        _core.recurrent_backward([(ctx, None, [], True, True, [kernel, recurrent, None])])
    params = whole[:50]
    for grads in (whole[:50], whole[49:99]):
        with pytest.raises(ValueError, match="params must not share memory with grads"):
            _core.sgd_update(params, grads, None, learning_rate=1.0, weight_decay=0.0, momentum=0.0, nesterov=False)
    table = whole[:40].reshape(10, 4)
    numbers = whole[:4].view(np.int64)
    with pytest.raises(ValueError, match="d_table must not share memory with numbers"):
        _core.scatter_add_rows(whole[200:208].reshape(2, 4), numbers, table)
    with pytest.raises(ValueError, match="d_table must not share memory with d_rows"):
        _core.scatter_add_rows(whole[36:44].reshape(2, 4), np.zeros(2, np.int64), table)
    x += 0  # nothing keeps it locked
    assert (whole[100:200] == 0.25).all()
