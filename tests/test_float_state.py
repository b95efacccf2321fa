"""The caller's floating-point state: rounding, flushing and masks are as they were after import and after every call,
also one that raises, in every thread; and whatever they are, the library's answer has the same bits.

Status flags, which say what some operation did, are left alone by the core; the Python around it may raise them as any
Python code does, so they are compared for the core only.
"""

import ctypes
import os
import platform
import subprocess
import sys
import threading
from contextlib import contextmanager, suppress

import numpy as np
import pytest

import latchwork as lw
import wrong_calls
from latchwork import _core
from problems import assert_bits

LIBM = ctypes.CDLL("libm.so.6")
X86 = platform.machine() == "x86_64"
if not X86 and platform.machine() != "aarch64":
    pytest.skip("fenv_t is known for x86-64 and AArch64", allow_module_level=True)

# fenv_t of the system's C library: MXCSR after 28 bytes of x87 (x86-64), FPCR (AArch64).
ENVIRONMENT_BYTES, CONTROL = (32, 28) if X86 else (8, 0)
FLAGS = 0x3F if X86 else 0
USUAL = 0x1F80 if X86 else 0
UP, FLUSH = (0x4000, 0x8040) if X86 else (1 << 22, 1 << 24)
# What a division by zero, an overflow or an invalid operation of the library's would do: end the process.
TRAPS = 0x80 | 0x200 | 0x400 if X86 else 0  # masks on x86-64; few AArch64 processors trap at all

STATES = {"usual": 0, "upwards": UP, "flushing": FLUSH, "upwards and flushing": UP | FLUSH}


def environment():
    content = ctypes.create_string_buffer(ENVIRONMENT_BYTES)
    LIBM.fegetenv(content)
    return content.raw


def control(raw=None):
    return int.from_bytes((raw or environment())[CONTROL : CONTROL + 4], "little")


def set_control(word):
    raw = bytearray(environment())
    raw[CONTROL : CONTROL + 4] = word.to_bytes(4, "little")
    LIBM.fesetenv((ctypes.c_char * ENVIRONMENT_BYTES).from_buffer(raw))


@contextmanager
def state(bits, trapping=0):
    before = control()
    set_control((USUAL | bits) & ~trapping)  # not what was found: a call before this one may have left it
    try:
        yield
    finally:
        set_control(before)


def arrays_of(value):
    """Every array and number in a result, in order."""
    if isinstance(value, np.ndarray):
        return [value]
    if isinstance(value, lw.Ragged):
        return [value.values]
    if isinstance(value, float):
        return [np.float64(value)]
    if isinstance(value, dict):
        return [a for each in value.values() for a in arrays_of(each)]
    return [a for each in value for a in arrays_of(each)] if isinstance(value, (list, tuple)) else []


def results(run, arguments):
    """What the call returns and what it wrote."""
    made = arrays_of(run(**arguments))
    return [np.array(a) for a in (*made, *arrays_of(list(arguments.values())))]


def assert_same(found, wanted):
    assert len(found) == len(wanted)
    for ours, theirs in zip(found, wanted, strict=True):
        if ours.dtype.kind == "f":
            assert_bits(ours, theirs)
        else:
            assert np.array_equal(ours, theirs)


RECIPES = {
    f"{name}, {number}": recipe
    for table in (wrong_calls.CORE, wrong_calls.FUNCTIONAL)
    for name, recipes in table.items()
    for number, recipe in enumerate(recipes)
}
CORE_ONLY = {f"{name}, {n}" for name, recipes in wrong_calls.CORE.items() for n in range(len(recipes))}


@pytest.mark.parametrize("odd", STATES)
def test_every_function(odd, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, recipe in RECIPES.items():
        wanted = results(*recipe())
        run, arguments = recipe()
        with state(STATES[odd]):
            before = environment()
            made = run(**arguments)
            after = environment()
        _core.force_plan(None)
        if name in CORE_ONLY:
            assert after == before, name
        assert control(after) | FLAGS == control(before) | FLAGS, name
        assert_same([np.array(a) for a in (*arrays_of(made), *arrays_of(list(arguments.values())))], wanted)


@pytest.mark.parametrize("odd", STATES)
def test_every_function_that_raises(odd):
    """Every argument in turn is one that nobody expects."""
    for name, recipe in RECIPES.items():
        for argument in recipe()[1]:
            run, arguments = recipe()
            arguments[argument] = object()
            with state(STATES[odd]):
                before = control()
                with suppress(TypeError, ValueError):
                    run(**arguments)
                after = control()
            assert after | FLAGS == before | FLAGS, f"{name}, {argument}"


@pytest.mark.skipif(not X86, reason="few AArch64 processors trap")
def test_unmasked_exceptions_do_not_end_the_process():
    """A caller that wants its own divisions by zero to trap (feenableexcept) has none of ours trapped."""
    x = np.array([[-np.inf, np.inf, np.nan, 0, 1e38, -1e38, 1e-40, 88, 89, -104]], np.float32)

    def work():
        for name in _core.activation_names():
            _core.activation_backward(name, _core.activation(name, x), x)
        for name in ("exp", "log", "log1p", "expm1"):
            _core.unary(name, x)
        _core.softmax(x)
        _core.sum_squares(x)
        _core.loss("binary_crossentropy", np.clip(np.nan_to_num(x), 0, 1), x)
        _core.adam_update(
            x.copy(), x, np.zeros_like(x), np.zeros_like(x), None, step=1, learning_rate=1e38, weight_decay=0.0,
            beta_1=1.0, beta_2=1.0, epsilon=0.0,
        )  # fmt: skip
        params = (np.full((10, 8), 1e38, np.float32), np.full((2, 8), 1e38, np.float32), None)
        y, _, ctx = lw.functional.lstm(x[:, None], params)
        lw.functional.lstm_backward(ctx, y)

    with state(0, TRAPS):
        before = control()
        work()
        after = control()
    assert after | FLAGS == before | FLAGS


def model_answer():
    """Every figure of a small model's life."""
    lw.random.set_seed(3)
    model = lw.models.Sequential(
        [
            lw.layers.Input((6, 2)),
            lw.layers.LSTM(5, return_sequences=True),
            lw.layers.Dropout(0.1),
            lw.layers.GRU(4),
            lw.layers.Dense(3, activation="softmax"),
        ]
    )
    optimizer = lw.optimizers.Adam(1e-2, clipnorm=1.0)
    model.compile(optimizer=optimizer, loss="categorical_crossentropy", metrics=["accuracy", "mse"])
    x = (np.arange(20 * 6 * 2, dtype=np.float32) % 7).reshape(20, 6, 2) / 8
    y = np.eye(3, dtype=np.float32)[np.arange(20) % 3]
    history = model.fit(x, y, epochs=2, batch_size=8, validation_split=0.25, verbose=0).history
    scaled = lw.data.StandardScaler().fit_transform(x.reshape(-1, 2))
    return [*model.get_weights(), model.predict(x), np.array(model.evaluate(x, y, verbose=0)), scaled,
            *(np.array(figures) for figures in history.values())]  # fmt: skip


@pytest.mark.parametrize("odd", STATES)
def test_a_models_life(odd, tmp_path):
    """Initialisers, layers, training, metrics, scalers, files: the same bits in any state, which is left as it was."""
    wanted = model_answer()
    with state(STATES[odd]):
        before = control()
        found = model_answer()
        after = control()
    assert after | FLAGS == before | FLAGS
    assert_same(found, wanted)


def test_in_threads():
    """Each has a state of its own; the team's members have the kernels'."""
    wanted = model_answer()
    found = {}

    def work(odd):
        with state(STATES[odd]):
            before = control()
            found[odd] = model_answer()
            assert control() | FLAGS == before | FLAGS
            found[odd].append(control() & UP)

    threads = [threading.Thread(target=work, args=(odd,)) for odd in STATES]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for odd in STATES:
        assert found[odd].pop() == STATES[odd] & UP
        assert_same(found[odd], wanted)


@pytest.mark.parametrize("odd", STATES)
def test_import(odd):
    program = f"""
import sys
sys.path[:0] = {[os.path.dirname(__file__), *sys.path]!r}
import numpy, ctypes
libm = ctypes.CDLL("libm.so.6")
def get():
    raw = ctypes.create_string_buffer({ENVIRONMENT_BYTES}); libm.fegetenv(raw); return bytearray(raw.raw)
raw = get()
word = int.from_bytes(raw[{CONTROL}:{CONTROL + 4}], "little") | {STATES[odd]}
raw[{CONTROL}:{CONTROL + 4}] = word.to_bytes(4, "little")
libm.fesetenv((ctypes.c_char * {ENVIRONMENT_BYTES}).from_buffer(raw))
before = int.from_bytes(get()[{CONTROL}:{CONTROL + 4}], "little") | {FLAGS}
import latchwork
after = int.from_bytes(get()[{CONTROL}:{CONTROL + 4}], "little") | {FLAGS}
assert before == after, (hex(before), hex(after))
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
