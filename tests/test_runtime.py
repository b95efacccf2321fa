"""No surprises in production: environment variables, affinity, the GIL, tiny numbers, NaN."""

import os
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

import latchwork as lw
from latchwork import _core
from problems import CELLS, ISAS, answer, assert_bits, distance, problem, using

LARGE = problem("lstm", 64, 30, 16, 64)


def python(program, **environment):
    """Runs a program in a fresh interpreter with some environment variables set."""
    return subprocess.run(
        [sys.executable, "-c", program],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_import_and_use_print_nothing():
    program = """
import numpy as np, latchwork as lw
x, k, r, b = (np.ones(s, "f4") for s in ((2, 3, 4), (4, 20), (5, 20), (20,)))
y, state, ctx = lw.functional.lstm(x, (k, r, b))
lw.functional.lstm_backward(ctx, np.ones_like(y))
"""
    done = python(program)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize("isa", ISAS)
def test_isa_from_the_environment(isa):
    done = python("import latchwork as lw; print(lw.cpu.isa())", LATCHWORK_ISA=isa)
    assert done.stdout.strip() == isa


def test_unknown_isa_is_an_error_that_names_the_known():
    done = python("import latchwork", LATCHWORK_ISA="avx1024")
    assert done.returncode != 0
    assert "LATCHWORK_ISA" in done.stderr
    assert "avx1024" in done.stderr
    assert "portable" in done.stderr
    before = lw.cpu.isa()
    with pytest.raises(ValueError, match=r"avx1024.*portable|portable.*avx1024"):
        lw.cpu.use("avx1024")
    assert lw.cpu.isa() == before


def test_threads_from_the_environment():
    done = python("from latchwork import _core; print(_core.num_threads())", LATCHWORK_NUM_THREADS="3")
    assert done.stdout.strip() == "3"
    for wrong in ("0", "-1", "many", "2.5"):
        done = python("from latchwork import _core; print(_core.num_threads())", LATCHWORK_NUM_THREADS=wrong)
        assert done.returncode != 0, wrong
        assert "LATCHWORK_NUM_THREADS" in done.stderr
    for wrong in (0, -1):
        with pytest.raises(ValueError, match="threads"):
            _core.set_num_threads(wrong)


def test_default_threads_respect_affinity():
    program = "import os; os.sched_setaffinity(0, [min(os.sched_getaffinity(0))]); "
    done = python(program + "from latchwork import _core; print(_core.num_threads())")
    assert done.stdout.strip() == "1"


def test_the_gil_is_released():
    """Another Python thread runs on while a kernel does."""
    p = problem("lstm", 32, 100, 64, 128, ragged=False)
    done = threading.Event()

    def work():
        for _ in range(3):
            p.cell.run(p.x, p.parameters, training=False)
        done.set()

    sleeps = 0
    with using(isa="portable", threads=1):
        start = time.perf_counter()
        thread = threading.Thread(target=work)
        thread.start()
        while not done.is_set():
            time.sleep(0.001)
            sleeps += 1
        seconds = time.perf_counter() - start
        thread.join()
    assert sleeps > seconds / 0.05, f"woke {sleeps} times in {seconds:.2f} s"


def test_the_caller_keeps_its_subnormal_numbers():
    answer(LARGE)
    tiny = np.full(64, 1e-40, np.float32)
    assert (tiny * np.float32(0.5) > 0).all()
    assert np.finfo(np.float32).smallest_subnormal > 0


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_tiny_numbers_are_right_and_fast(dtype):
    """Where intermediates are subnormal the bits may differ between ISAs; the values and the time may not by much."""
    p = problem("lstm", 32, 20, 16, 64, ragged=False).astype(dtype)
    scale = dtype(np.finfo(dtype).tiny)
    tiny = p.x * scale
    zero = tuple(np.zeros_like(a) for a in p.parameters)

    def seconds(x, parameters):
        start = time.perf_counter()
        p.cell.run(x, parameters, training=False)
        return time.perf_counter() - start

    def best(x, parameters):
        return min(seconds(x, parameters) for _ in range(5))

    for isa in ISAS:
        with using(isa=isa):
            y, _, _ = p.cell.run(tiny, p.parameters, p.state, training=False)
            wanted, _, _ = p.cell.run(np.zeros_like(tiny), p.parameters, p.state, training=False)
            assert distance(y, wanted) <= p.tolerance()
            silent = (p.parameters[0], p.parameters[1], zero[2])
            slow, usual = best(tiny, silent), best(p.x, silent)
            for _ in range(20):  # neighbours only add
                if slow <= 3 * usual + 1e-3:
                    break
                slow, usual = min(slow, best(tiny, silent)), min(usual, best(p.x, silent))
            assert slow <= 3 * usual + 1e-3


@pytest.mark.parametrize("cell", CELLS)
def test_nan_and_infinity_stay_in_their_sample(cell):
    p = problem(cell, 6, 5, 3, 17, ragged=False)
    wanted = answer(p)
    for poison in (np.nan, np.inf):
        p.x[2, 3, 1] = poison
        for isa in ISAS:
            with using(isa=isa):
                y, state, _ = p.cell.run(p.x, p.parameters, p.state, training=False)
            others = [0, 1, 3, 4, 5]
            assert_bits(y[others], wanted.y[others])
            assert_bits(y[2, :3], wanted.y[2, :3])
            if np.isnan(poison):
                assert np.isnan(y[2, 3:]).all()
                assert np.isnan(state[0][2]).all()


def test_nanoseconds_count_the_computation_of_this_thread():
    answer(LARGE)  # threads and buffers are made
    for _ in range(20):
        before, start = _core.nanoseconds(), time.perf_counter_ns()
        answer(LARGE)
        wall, inside = time.perf_counter_ns() - start, _core.nanoseconds() - before
        assert 0 < inside <= wall
        if inside > 0.1 * wall:  # the rest is the reference's casts and this machine's other work
            break
    assert inside > 0.1 * wall

    after = _core.nanoseconds()
    others = []
    thread = threading.Thread(target=lambda: others.append((_core.nanoseconds(), answer(LARGE), _core.nanoseconds())))
    thread.start()
    thread.join()
    ((first, _, last),) = others
    assert first == 0  # a thread that has computed nothing
    assert last > 0
    assert _core.nanoseconds() == after


def test_pool_counters():
    before, size = _core.pool_bytes(), 3 << 20
    _core.reset_pool_peak()
    assert _core.pool_peak() == before
    a = _core.empty([size], True)
    assert size * 8 <= _core.pool_bytes() - before <= size * 9
    assert _core.pool_peak() == _core.pool_bytes()
    made = _core.pool_fresh()
    del a
    assert _core.pool_bytes() == before
    assert _core.pool_peak() >= before + size * 8
    again = _core.empty([size], True)
    assert _core.pool_fresh() == made  # the block was kept
    more = [_core.empty([size], True) for _ in range(2)]
    assert made <= _core.pool_fresh() <= made + 2  # other tests may have left some
    del again, more
    made = _core.pool_fresh()
    smaller = _core.empty([size * 3 // 4], True)  # of a block for a longer batch, but counted as what it is
    assert _core.pool_fresh() == made
    assert size * 6 <= _core.pool_bytes() - before <= size * 6.2
    del smaller
    assert _core.pool_bytes() == before
    _core.reset_pool_peak()
    assert _core.pool_peak() == before
