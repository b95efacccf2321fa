"""Other processes: fork, forkserver and spawn, before and after use, alone and beside torch and scikit-learn."""

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

SECONDS = 120  # a child that hangs

# A program: METHOD of starting, WHEN the parent uses the library (before, after), OTHER packages imported.
PROGRAM = """
import importlib, multiprocessing, sys
import numpy as np
import latchwork as lw
from latchwork import _core

def answer():
    '''A model trained and asked, with a team of two.'''
    _core.set_num_threads(2)
    init = lw.initializers.GlorotUniform(seed=1)
    layers = [
        lw.layers.Input((30, 8)),
        lw.layers.LSTM(64, kernel_initializer=init, recurrent_initializer=init),
        lw.layers.Dense(1, kernel_initializer=init),
    ]
    model = lw.models.Sequential(layers)
    model.compile(optimizer="adam", loss="mse")
    x = (np.arange(64 * 30 * 8, dtype=np.float32) % 17).reshape(64, 30, 8) / 16
    model.fit(x, x[:, 0, :1], epochs=1, batch_size=64, shuffle=False)
    return b"".join(each.tobytes() for each in (*model.get_weights(), model.predict(x)))

def child(connection):
    connection.send_bytes(answer())

def children(context, count):
    started = []
    for _ in range(count):
        ours, theirs = context.Pipe(duplex=False)
        process = context.Process(target=child, args=(theirs,))
        process.start()
        theirs.close()
        started.append((process, ours))
    return started

def finish(started, wanted):
    for process, connection in started:
        assert connection.poll(SECONDS), "a child hangs"
        assert connection.recv_bytes() == wanted, "a child's bits differ"
        process.join(SECONDS)
        assert process.exitcode == 0, process.exitcode

def use(package):
    '''Leaves whatever threads the package keeps.'''
    module = importlib.import_module(package)
    if package == "torch":
        a = module.ones(300, 300, requires_grad=True)
        (a @ a).sum().backward()
    elif package == "sklearn":
        linear = importlib.import_module("sklearn.linear_model")
        linear.Ridge().fit(np.ones((500, 50)), np.ones(500))
        clusters = importlib.import_module("sklearn.cluster")
        clusters.KMeans(2, n_init=1).fit(np.random.default_rng(0).normal(size=(500, 3)))

if __name__ == "__main__":
    method, when, *others = sys.argv[1:]
    for package in others:
        use(package)
    context = multiprocessing.get_context(method)
    if when == "after":
        wanted = answer()
        started = children(context, 2)
        assert answer() == wanted, "the parent's bits differ while children run"
    else:
        started = children(context, 2)
        wanted = answer()
    finish(started, wanted)
    for package in others:
        use(package)
    assert answer() == wanted, "the parent does not go on"
    finish(children(context, 1), wanted)
"""


def present(*packages):
    absent = [name for name in packages if find_spec(name) is None]
    return pytest.mark.skipif(bool(absent), reason=f"needs {' and '.join(absent)}")


OTHERS = [
    pytest.param((), id="alone"),
    pytest.param(("torch",), marks=present("torch"), id="torch"),
    pytest.param(("sklearn",), marks=present("sklearn"), id="scikit-learn"),
    pytest.param(("torch", "sklearn"), marks=present("torch", "sklearn"), id="both"),
]


@pytest.mark.parametrize("others", OTHERS)
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("method", ["fork", "forkserver", "spawn"])
def test_children(method, when, others, tmp_path, thorough):
    """They start before or after the parent has used the library; all train and predict the same bits."""
    if not thorough and others and (method, when, len(others)) != ("fork", "after", 2):
        pytest.skip("in .ci/full: loading the packages takes seconds")
    program = tmp_path / "program.py"
    program.write_text(f"SECONDS = {SECONDS}\n{PROGRAM}")
    done = subprocess.run(
        [sys.executable, "-W", "ignore", str(program), method, when, *others],
        capture_output=True,
        text=True,
        timeout=3 * SECONDS,
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path])},
    )
    assert done.returncode == 0, done.stderr


FORK_WHILE_BUSY = """
import os, threading
import numpy as np, latchwork as lw
from latchwork import _core
_core.set_num_threads(4)
rng = np.random.default_rng(0)
x, k, r, b = (rng.uniform(-1, 1, s).astype("f4") for s in ((64, 30, 16), (16, 256), (64, 256), (256,)))
def run():
    y, _, ctx = lw.functional.lstm(x, (k, r, b))
    return y.tobytes() + lw.functional.lstm_backward(ctx, np.ones_like(y)).kernel.tobytes()
before = run()
stop = threading.Event()
def work():
    while not stop.is_set():
        assert run() == before
busy = threading.Thread(target=work)
busy.start()
for _ in range(20):
    child = os.fork()
    if child == 0:
        os._exit(0 if run() == before and run() == before else 1)
    assert run() == before
    assert os.waitpid(child, 0)[1] == 0
stop.set()
busy.join()
"""


def test_fork_while_another_thread_computes():
    """Neither the team nor the pool of memory may be found locked in the child by a thread that it does not have."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", FORK_WHILE_BUSY], capture_output=True, text=True, timeout=SECONDS
    )
    assert done.returncode == 0, done.stderr


FORK_WITH_A_MODEL = """
import os, signal, threading
import numpy as np, latchwork as lw
model = lw.models.Sequential([lw.layers.Input((1, 16)), lw.layers.LSTM(256), lw.layers.Dense(1)])
model.compile(optimizer="sgd", loss="mse")
x, y = np.full((1, 1, 16), 0.5, "f4"), np.zeros((1, 1), "f4")
stop = threading.Event()
def work():
    while not stop.is_set():
        model.predict(x)
        model.train_on_batch(x, y)
model.train_on_batch(x, y)
busy = threading.Thread(target=work)
busy.start()
statuses = []
for _ in range(30):
    child = os.fork()
    if child == 0:
        signal.alarm(SECONDS)
        try:
            losses = [model.train_on_batch(x, y) for _ in range(3)]
            os._exit(0 if np.isfinite(losses + [model.predict(x)[0, 0]]).all() else 1)
        except BaseException as error:
            os.write(2, repr(error).encode())
            os._exit(2)
    statuses.append(os.waitpid(child, 0)[1])
    if statuses[-1]:
        break
stop.set()
busy.join()
assert not any(statuses), statuses
"""


def test_fork_while_another_thread_uses_the_model():
    """In the child nobody else uses it: neither that thread's call nor its locks are left, nor half a pack."""
    program = f"SECONDS = {SECONDS}\n{FORK_WITH_A_MODEL}"
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program], capture_output=True, text=True, timeout=3 * SECONDS
    )
    assert done.returncode == 0, done.stderr
