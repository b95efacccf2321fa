"""Memory: none grows over 100,000 steps, and where there is none left it is a MemoryError that leaves all usable."""

import ctypes
import gc
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import latchwork as lw
from latchwork import _core
from latchwork import functional as F

STEPS = 100_000
PAGE = os.sysconf("SC_PAGE_SIZE")
# Bytes: a leak of 16 bytes a step would be 1.6 MB. Python's and malloc's own arenas move by a few pages.
GROWTH = 512 * 1024


def resident():
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE


def assert_no_growth(step, steps):
    """The first tenth may still fill pools and caches."""
    for number in range(steps // 10):
        step(number)
    before = resident()
    for number in range(steps):
        step(number)
    grown = resident() - before
    assert grown <= GROWTH, f"{grown} bytes over {steps} steps, {grown / steps:.1f} a step"


X, ONE = np.full((2, 3, 4), 0.5, np.float32), np.full((4, 20), 0.1, np.float32)
PARAMS = (ONE, np.full((5, 20), 0.1, np.float32), np.zeros(20, np.float32))


def test_training_steps():
    model = lw.models.Sequential([lw.layers.Input((3, 4)), lw.layers.LSTM(5), lw.layers.Dense(1)])
    model.compile(optimizer="adam", loss="mse")
    y = np.zeros((2, 1), np.float32)
    assert_no_growth(lambda number: model.train_on_batch(X, y), STEPS)


def test_forward_and_backward_calls():
    """Of changing shapes, so that the pool serves many sizes."""
    xs = [np.full((1 + n % 3, 1 + n % 7, 4), 0.5, np.float32) for n in range(21)]
    weights = _core.RecurrentWeights("lstm", *PARAMS)

    def step(number):
        y, _, ctx = F.lstm(xs[number % 21], weights)
        F.lstm_backward(ctx, y)

    assert_no_growth(step, STEPS)


def test_contexts_dropped_unused():
    assert_no_growth(lambda number: F.lstm(X, PARAMS), STEPS)


def test_exceptions():
    """From every floor: wrong shapes, names, a used context."""
    wrong = np.zeros((2, 3, 5), np.float32)
    y, _, used = F.lstm(X, PARAMS)
    F.lstm_backward(used, y)
    calls = [
        lambda: F.lstm(wrong, PARAMS),
        lambda: F.lstm(X, PARAMS, activation="?"),
        lambda: F.lstm_backward(used, y),
        lambda: _core.loss("mse", X, wrong),
        lambda: _core.empty([1 << 40, 1 << 40], True),
    ]

    def step(number):
        with pytest.raises((ValueError, MemoryError)):
            calls[number % len(calls)]()

    assert_no_growth(step, STEPS)


def test_predicting_and_stepping(tmp_path):
    model = lw.models.Sequential([lw.layers.Input((3, 4)), lw.layers.LSTM(5), lw.layers.Dense(1)])
    model.build()
    path = tmp_path / "m.safetensors"
    model.save(path)
    loaded = _core.Model(bytes(path))
    session = model.session(2)
    at_once = X[:, 0].copy()

    def step(number):
        loaded.predict(X)
        session.step(at_once)
        if number % 10 == 0:
            model.predict(X)
            _core.Model(bytes(path))

    assert_no_growth(step, STEPS)


# ---- steady state -----------------------------------------------------------------------------------------------


def steady_steps():
    """By name: what a program repeats."""
    rng = np.random.default_rng(0)
    layers = lw.layers
    model = lw.models.Sequential(
        [
            layers.Input((40, 4)),
            layers.Bidirectional(layers.LSTM(48, return_sequences=True)),
            layers.GRU(20, return_sequences=True),
            layers.RNN(layers.LSTMCell(16)),
            layers.Dense(3, activation="softmax"),
        ]
    )
    model.compile(optimizer="adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    x, y = rng.random((64, 40, 4), np.float32), rng.integers(0, 3, 64)
    masked = lw.models.Sequential([layers.Input((40, 4)), layers.Masking(), layers.LSTM(24), layers.Dense(1)])
    masked.compile(optimizer="sgd", loss="mse")
    gaps = x * (rng.random((64, 40, 1)) < 0.8)
    streamed = lw.models.Sequential([layers.Input((None, 4)), layers.LSTM(24), layers.Dense(1)])
    session, at_once = streamed.session(3), x[:3, 0].copy()
    weights = _core.RecurrentWeights("lstm", *PARAMS)

    def direct(memory):
        y, _, ctx = F.lstm(x, weights, memory=memory)
        F.lstm_backward(ctx, y)

    return {
        "train_on_batch": lambda: model.train_on_batch(x, y),
        "fit": lambda: model.fit(x, y, batch_size=32, verbose=0),
        "fit within a budget": lambda: model.fit(x, y, batch_size=32, verbose=0, memory="6MB"),
        "masked": lambda: masked.train_on_batch(gaps, x[:, 0, :1]),
        "predict": lambda: model.predict(x),
        "session": lambda: session.step(at_once),
        **{memory: lambda memory=memory: direct(memory) for memory in ("store", "recompute", "checkpoint", "4MB")},
    }


def test_steady_steps_take_nothing_from_the_system():
    """Buffers, contexts and results come from the pool, which has them; tests/cpp/test_allocation.cpp counts the core's
    other allocations. A call that a late team has left to its caller needs other buffers."""
    _core.tolerate_late_teams(True)
    try:
        for name, step in steady_steps().items():
            for _ in range(5):
                step()
            before = _core.pool_fresh()
            for _ in range(20):
                step()
            assert _core.pool_fresh() == before, name
    finally:
        _core.tolerate_late_teams(False)


# ---- allocations that fail --------------------------------------------------------------------------------------

# Stands before C++'s allocation; Python's own does not come by. `fail_at` 0: none fails. The few bytes in which
# pybind11 registers an object are left alone: it ends the process where they fail (docs/decisions.md).
SHIM = """
#include <cstdlib>
#include <new>
extern "C" {
long made = 0, fail_at = 0;
int and_later = 0;
}
static bool fails(std::size_t bytes) {
  if (bytes <= 64) return false;
  const long number = ++made;
  return fail_at > 0 && (number == fail_at || (and_later && number > fail_at));
}
static void* get(std::size_t bytes, std::size_t alignment) {
  if (fails(bytes)) return nullptr;
  return alignment ? std::aligned_alloc(alignment, (bytes + alignment - 1) / alignment * alignment)
                   : std::malloc(bytes ? bytes : 1);
}
static void* get_or_throw(std::size_t bytes, std::size_t alignment) {
  if (void* memory = get(bytes, alignment)) return memory;
  throw std::bad_alloc();
}
void* operator new(std::size_t n) { return get_or_throw(n, 0); }
void* operator new[](std::size_t n) { return get_or_throw(n, 0); }
void* operator new(std::size_t n, std::align_val_t a) { return get_or_throw(n, std::size_t(a)); }
void* operator new(std::size_t n, const std::nothrow_t&) noexcept { return get(n, 0); }
void* operator new(std::size_t n, std::align_val_t a, const std::nothrow_t&) noexcept { return get(n, std::size_t(a)); }
void operator delete(void* p) noexcept { std::free(p); }
void operator delete[](void* p) noexcept { std::free(p); }
void operator delete(void* p, std::size_t) noexcept { std::free(p); }
void operator delete[](void* p, std::size_t) noexcept { std::free(p); }
void operator delete(void* p, std::align_val_t) noexcept { std::free(p); }
void operator delete(void* p, std::size_t, std::align_val_t) noexcept { std::free(p); }
"""

EACH_FAILS = """
import ctypes, os, sys
import numpy as np
import latchwork as lw
from latchwork import _core

shim = ctypes.CDLL(sys.argv[1])
made, fail_at, and_later = (ctypes.c_long.in_dll(shim, "made"), ctypes.c_long.in_dll(shim, "fail_at"),
                            ctypes.c_int.in_dll(shim, "and_later"))
x = (np.arange(6 * 4 * 3, dtype=np.float32) % 7).reshape(6, 4, 3) / 8
y = x[:, 0, :1].copy()
path = "m.safetensors"

def make():
    init = lw.initializers.GlorotUniform(seed=1)
    model = lw.models.Sequential([
        lw.layers.Input((4, 3)),
        lw.layers.LSTM(5, kernel_initializer=init, recurrent_initializer=init),
        lw.layers.Dense(1, kernel_initializer=init),
    ])
    model.compile(optimizer="adam", loss="mse")
    return model

def bits(model):
    return b"".join(w.tobytes() for w in model.get_weights())

def built_and_trained():
    model = make()
    model.train_on_batch(x, y)
    return bits(model)

model = make()
model.train_on_batch(x, y)
model.save(path)
saved = open(path, "rb").read()
answer = model.predict(x).tobytes()

def train():
    '''One step from where the file is: a step that failed has not half happened.'''
    loaded = lw.models.load_model(path)
    at, fail_at.value = fail_at.value, 0
    made.value, fail_at.value = 0, at
    try:
        loaded.train_on_batch(x, y)
    except MemoryError:
        fail_at.value = 0
        assert bits(loaded) == bits(model), "a step that failed changed weights"
        loaded.train_on_batch(x, y)
        assert bits(loaded) == stepped, "a step after one that failed"
        raise
    return bits(loaded)

def save():
    model.save(path)
    return open(path, "rb").read()

stepped = train()
calls = {
    "predict": lambda: model.predict(x).tobytes(),
    "build and train": built_and_trained,
    "train": train,
    "save": save,
    "load": lambda: lw.models.load_model(path).predict(x).tobytes(),
    "C++ model": lambda: _core.Model(path.encode()).predict(x).tobytes(),
}
for name, call in calls.items():
    wanted = call()
    call()
    for later in (0, 1):
        failures = n = 0
        reached = True
        while reached:
            n += 1
            and_later.value, made.value, fail_at.value = later, 0, n
            try:
                found = call()
                reached = made.value >= n
                fail_at.value = 0
                assert found == wanted, f"{name}: the bits while allocation {n} failed"
            except MemoryError:
                fail_at.value = 0
                failures += 1
            assert open(path, "rb").read() == saved, f"{name}: the file after allocation {n} failed"
            assert os.listdir() == [path], os.listdir()
            assert model.predict(x).tobytes() == answer, f"{name}: another call after allocation {n} failed"
            assert call() == wanted, f"{name}: the bits after allocation {n} failed"
        assert failures > 0, f"{name}: nothing failed"
"""


@pytest.mark.skipif(not shutil.which("c++"), reason="needs a C++ compiler")
def test_every_failed_allocation_is_a_memory_error(tmp_path):
    """Of the C++ side, in training, predicting, saving and loading; tests/cpp/test_allocation.cpp has the core's."""
    source, library = tmp_path / "shim.cpp", tmp_path / "shim.so"
    source.write_text(SHIM)
    subprocess.run(["c++", "-O1", "-shared", "-fPIC", "-std=c++17", "-o", library, source], check=True)
    folder = tmp_path / "files"
    folder.mkdir()
    done = subprocess.run(
        [sys.executable, "-X", "faulthandler", "-c", EACH_FAILS, str(library)],
        cwd=folder,
        env=os.environ | {"LD_PRELOAD": str(library), "PYTHONPATH": os.pathsep.join(map(os.path.abspath, sys.path))},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-3000:]
