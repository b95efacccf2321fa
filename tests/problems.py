"""What the tests of the kernels share: the cells by name, random problems for them, derived tolerances."""

from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from math import ceil, log2
from typing import Any

import numpy as np

import latchwork as lw
import reference
from latchwork import _core
from latchwork import functional as F

ISAS = tuple(_core.supported_isas())
DTYPES = (np.float32, np.float64)
TAILS = (1, 7, 16, 33, 50)  # one unit, less than a vector, a whole one, one over, several and a rest
THREADS = (1, 2, 3, 5, 8, 16)


@dataclass(frozen=True)
class Cell:
    """One cell: its name in the core, the library's calls for it, and the reference's class."""

    core: str
    forward: Callable[..., Any]
    backward: Callable[..., Any]
    reference: type
    options: dict[str, Any] = field(default_factory=dict)  # of the library's call
    activations: dict[str, str] = field(default_factory=dict)  # of both

    @property
    def gates(self):
        return self.reference.gates

    def run(self, x, parameters, state=None, **options):
        return self.forward(x, parameters, state, **self.options, **self.activations, **options)


CELLS = {
    "lstm": Cell("lstm", F.lstm, F.lstm_backward, reference.Lstm),
    "gru": Cell("gru", F.gru, F.gru_backward, reference.GruResetAfter, {"reset_after": True}),
    "gru_reset_before": Cell(
        "gru_reset_before", F.gru, F.gru_backward, reference.GruResetBefore, {"reset_after": False}
    ),
    "rnn_tanh": Cell("elman", F.rnn, F.rnn_backward, reference.Elman, {}, {"activation": "tanh"}),
    "rnn_relu": Cell("elman", F.rnn, F.rnn_backward, reference.Elman, {}, {"activation": "relu"}),
}


@dataclass(frozen=True)
class Problem:
    """Inputs of a forward and a backward call; every value is a float32, whatever the dtype."""

    cell: Cell
    x: np.ndarray  # [B, T, I]
    parameters: tuple[np.ndarray, np.ndarray, np.ndarray | None]
    state: tuple[np.ndarray, ...]  # each [B, H]
    lengths: np.ndarray | None  # [B]
    dy: np.ndarray  # [B, T, H]
    d_state: tuple[np.ndarray, ...]
    reverse: bool = False

    def astype(self, dtype):
        def cast(arrays):
            return tuple(None if a is None else a.astype(dtype) for a in arrays)

        x, dy = cast((self.x, self.dy))
        parameters, state, d_state = cast(self.parameters), cast(self.state), cast(self.d_state)
        return replace(self, x=x, dy=dy, parameters=parameters, state=state, d_state=d_state)

    def tolerance(self, backward=False):
        """4 eps for every doubling of the terms in the longest sum: a pre-activation's, through all steps."""
        (B, T, I), H = self.x.shape, self.state[0].shape[1]
        terms = max(self.cell.gates * H, B) if backward else I + H + 1
        return 4 * (2 if backward else 1) * max(1, ceil(log2(terms * max(T, 1)))) * float(np.finfo(self.x.dtype).eps)


def problem(cell, B, T, I, H, *, seed=0, ragged=True, reverse=False, bias=True):
    """A random float32 problem; magnitudes lie in [0.05, 1] before scaling, so nothing on the way is subnormal."""
    rng = np.random.default_rng([seed, B, T, I, H])
    cell = CELLS[cell] if isinstance(cell, str) else cell

    def draw(*shape, scale=1.0):
        values = rng.uniform(0.05, 1, shape) * rng.choice([-1, 1], shape) * scale
        return values.astype(np.float32)

    G, states = cell.gates, cell.reference.states
    bias_shape = (G * H,) if cell.reference.bias_rows == 1 else (cell.reference.bias_rows, G * H)
    parameters = (
        draw(I, G * H, scale=1 / np.sqrt(I)),
        draw(H, G * H, scale=1 / np.sqrt(H)),
        draw(*bias_shape, scale=0.5) if bias else None,
    )
    lengths = rng.integers(0, T + 1, B) if ragged else None
    if ragged:
        lengths[rng.permutation(B)[: min(B, 2)]] = [0, T][: min(B, 2)]
    state = tuple(draw(B, H) for _ in range(states))
    d_state = tuple(draw(B, H) for _ in range(states))
    return Problem(cell, draw(B, T, I), parameters, state, lengths, draw(B, T, H), d_state, reverse)


@dataclass(frozen=True)
class Answer:
    """Everything a forward and a backward call return, by name."""

    y: np.ndarray
    state: tuple[np.ndarray, ...]
    dx: np.ndarray
    d_initial: tuple[np.ndarray, ...]
    kernel: np.ndarray
    recurrent_kernel: np.ndarray
    bias: np.ndarray | None

    def arrays(self):
        named = {f"state[{i}]": s for i, s in enumerate(self.state)}
        named |= {f"d_initial[{i}]": s for i, s in enumerate(self.d_initial)}
        names = ("y", "dx", "kernel", "recurrent_kernel", "bias")
        return named | {name: getattr(self, name) for name in names if getattr(self, name) is not None}


def answer(p, **options):
    """The library's answer."""
    y, state, ctx = p.cell.run(p.x, p.parameters, p.state, lengths=p.lengths, reverse=p.reverse, **options)
    y = np.array(y)
    g = p.cell.backward(ctx, p.dy, p.d_state)
    return Answer(y, state, g.x, g.state, g.kernel, g.recurrent_kernel, g.bias)


def expected(p):
    """The reference's answer, in float64."""
    p = p.astype(np.float64)
    kernel, recurrent_kernel, bias = p.parameters
    if bias is None:
        bias = np.zeros((2, kernel.shape[1]) if p.cell.reference.bias_rows == 2 else kernel.shape[1])
    cell = p.cell.reference(kernel, recurrent_kernel, bias, **p.cell.activations)
    run = reference.forward(cell, p.x, p.state, p.lengths, p.reverse)
    dx, d_initial = reference.backward(cell, p.x, run, p.dy, p.d_state)
    d_kernel, d_recurrent_kernel, d_bias = cell.gradients
    return Answer(
        run.y, run.state, dx, d_initial, d_kernel, d_recurrent_kernel, None if p.parameters[2] is None else d_bias
    )


def distance(actual, wanted):
    """The largest difference, relative to the largest value."""
    scale = np.abs(wanted).max(initial=0)
    return 0.0 if np.array_equal(actual, wanted) else float(np.abs(actual - wanted).max() / scale)


def assert_close(actual, wanted, problem):
    """Compares two answers within the problem's tolerances: outputs and states, then gradients."""
    assert actual.arrays().keys() == wanted.arrays().keys()
    for name, values in actual.arrays().items():
        backward = name != "y" and not name.startswith("state")
        bound = problem.tolerance(backward)
        assert values.shape == wanted.arrays()[name].shape, name
        assert values.dtype == problem.x.dtype, name
        found = distance(values, wanted.arrays()[name])
        assert found <= bound, f"{name}: {found:.3g} is over {bound:.3g}"


def assert_same_bits(actual, wanted):
    """Compares two answers bit for bit, names in the message."""
    for name, values in actual.arrays().items():
        assert_bits(values, wanted.arrays()[name], name)


def assert_bits(actual, wanted, name="values"):
    actual, wanted = np.ascontiguousarray(actual), np.ascontiguousarray(wanted)
    assert actual.dtype == wanted.dtype, name
    assert actual.shape == wanted.shape, name
    unsigned = np.dtype(f"u{actual.dtype.itemsize}")
    different = np.argwhere(actual.view(unsigned) != wanted.view(unsigned))
    assert not len(different), f"{name}: {len(different)} of {actual.size} values differ, first at {different[0]}"


@contextmanager
def forced(plan):
    """Runs a block under one plan instead of the one that the cost table selects."""
    _core.force_plan(plan)
    try:
        yield
    finally:
        _core.force_plan(None)


@contextmanager
def using(*, isa=None, threads=None):
    """Runs a block on another ISA, with another number of threads, or both."""
    before = lw.cpu.isa(), _core.num_threads()
    try:
        if isa is not None:
            lw.cpu.use(isa)
        if threads is not None:
            _core.set_num_threads(threads)
        yield
    finally:
        lw.cpu.use(before[0])
        _core.set_num_threads(before[1])
