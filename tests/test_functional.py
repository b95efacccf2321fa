"""Every cell on every ISA, in both types and at every tail, against the naive float64 cells."""

import sys
from dataclasses import replace
from functools import lru_cache

import numpy as np
import pytest

import latchwork as lw
import reference
from latchwork import functional as F
from problems import CELLS, DTYPES, ISAS, TAILS, answer, assert_bits, assert_close, distance, expected, problem, using

each_isa = pytest.mark.parametrize("isa", ISAS)
each_dtype = pytest.mark.parametrize("dtype", DTYPES, ids=["float32", "float64"])
each_cell = pytest.mark.parametrize("cell", CELLS)


@lru_cache
def solved(cell, B, T, I, H, **options):
    p = problem(cell, B, T, I, H, **options)
    return p, expected(p)


def check(isa, dtype, *shape, **options):
    p, wanted = solved(*shape, **options)
    p = p.astype(dtype)
    with using(isa=isa):
        assert_close(answer(p), wanted, p)


@each_isa
@each_dtype
@pytest.mark.parametrize("H", TAILS)
@each_cell
def test_forward_and_backward(cell, H, dtype, isa):
    check(isa, dtype, cell, 5, 9, 3, H)


@each_isa
@each_dtype
@each_cell
def test_reversed(cell, dtype, isa):
    check(isa, dtype, cell, 5, 9, 3, 17, reverse=True)


@each_isa
@each_dtype
@each_cell
def test_without_bias(cell, dtype, isa):
    check(isa, dtype, cell, 4, 5, 3, 16, bias=False)


@each_isa
@each_dtype
@pytest.mark.parametrize("shape", [(1, 1, 1, 1), (1, 1, 64, 64), (1, 20, 2, 5), (33, 1, 5, 9), (300, 3, 1, 4)], ids=str)
@each_cell
def test_extreme_shapes(cell, shape, dtype, isa):
    check(isa, dtype, cell, *shape, ragged=False)


@each_isa
@each_dtype
@each_cell
def test_enough_work_for_blocks_and_threads(cell, dtype, isa):
    """More rows than a tile, more inputs than units, several groups of the weight gradients' sums, all threads."""
    check(isa, dtype, cell, 70, 24, 37, 50)


@each_dtype
@each_cell
def test_wide_units(cell, dtype):
    check(ISAS[0], dtype, cell, 8, 6, 20, 200)


PAIRS = [("lstm", a, s) for a in ("relu", "softsign", "linear", "elu") for s in ("hard_sigmoid", "sigmoid")] + [
    ("gru", "softsign", "hard_sigmoid"),
    ("gru_reset_before", "elu", "hard_sigmoid"),
    *(("rnn_tanh", a, None) for a in ("linear", "sigmoid", "hard_sigmoid", "softsign", "elu", "softplus")),
    ("rnn_tanh", "exponential", None),
]


@each_isa
@each_dtype
@pytest.mark.parametrize(("cell", "activation", "recurrent_activation"), PAIRS)
def test_other_activations(cell, activation, recurrent_activation, dtype, isa):
    names = {"activation": activation}
    if recurrent_activation is not None:
        names["recurrent_activation"] = recurrent_activation
    p = problem(replace(CELLS[cell], activations=names), 5, 4, 3, 17)
    if activation == "exponential":  # exp of exp of exp: kept small
        p = replace(p, parameters=tuple(a * np.float32(0.1) for a in p.parameters))
    wanted = expected(p)
    p = p.astype(dtype)
    with using(isa=isa):
        assert_close(answer(p), wanted, p)


@each_isa
@each_dtype
@pytest.mark.parametrize("activation", list(reference.activations.FUNCTION))
def test_dense(activation, dtype, isa):
    rng = np.random.default_rng(7)
    x, kernel, bias, dy = (rng.uniform(-1, 1, s).astype(np.float32) for s in ((6, 4, 19), (19, 33), (33,), (6, 4, 33)))
    dense = reference.Dense(kernel.astype(float), bias.astype(float), activation)
    rows = x.reshape(-1, 19).astype(float)
    wanted = [dense.forward(rows).reshape(dy.shape)]
    wanted += [dense.backward(rows, dy.reshape(-1, 33).astype(float)).reshape(x.shape), *dense.gradients]
    x, kernel, bias, dy = (a.astype(dtype) for a in (x, kernel, bias, dy))
    with using(isa=isa):
        y, ctx = F.dense(x, (kernel, bias), activation=activation)
        y = np.array(y)
        gradients = F.dense_backward(ctx, dy)
    eps = np.finfo(dtype).eps
    found = (y, gradients.x, gradients.kernel, gradients.bias)
    bounds = (4 * 5 * eps, 8 * 6 * eps, 8 * 5 * eps, 8 * 5 * eps)  # log2 of 19 + 1, 33, 24 and 24 terms, rounded up
    for name, ours, theirs, bound in zip(("y", "dx", "kernel", "bias"), found, wanted, bounds, strict=True):
        assert ours.dtype == dtype
        assert distance(ours, theirs) <= bound, name


@pytest.mark.parametrize("shape", [(3, 19), (2, 3, 4, 19)], ids=str)
def test_dense_takes_any_rank_and_no_bias(shape):
    rng = np.random.default_rng(8)
    x, kernel = rng.uniform(-1, 1, shape), rng.uniform(-1, 1, (19, 5))
    y, ctx = F.dense(x, (kernel, None))
    wanted = (x[..., None] * kernel).sum(-2)
    assert y.shape == (*shape[:-1], 5)
    assert distance(y, wanted) < 1e-14
    gradients = F.dense_backward(ctx, np.ones_like(y))
    assert gradients.bias is None
    assert distance(gradients.x, np.broadcast_to(kernel.sum(1), shape)) < 1e-14


def test_dense_reads_axes_as_rows():
    """Of one step or none between: the same bits; dy may have the rows of y in other axes, and dx has them then."""
    rng = np.random.default_rng(9)
    x, kernel, dy = (rng.uniform(-1, 1, shape) for shape in ((2, 3, 4, 19), (19, 5), (2, 12, 5)))
    found, flat = [], x.reshape(2, 12, 19)
    for given in (x, flat, np.asfortranarray(x)):
        y, ctx = F.dense(given, (kernel, None))
        found.append((y.reshape(dy.shape), F.dense_backward(ctx, dy)))
    for y, gradients in found:
        assert_bits(y, found[0][0])
        assert gradients.x.shape == flat.shape
        assert_bits(gradients.x, found[0][1].x)
        assert_bits(gradients.kernel, found[0][1].kernel)
    y, _ = F.dense(flat[:, 0], (kernel, None))
    assert_bits(y, found[0][0][:, 0])


@each_dtype
def test_native_byte_order_by_its_own_name(dtype):
    """numpy keeps "<" apart from "=" where it was asked for."""
    named = np.dtype(dtype).newbyteorder("<" if sys.byteorder == "little" else ">")
    assert named.byteorder != "="
    x, kernel = np.ones((2, 3), dtype), np.ones((3, 5), dtype)
    assert_bits(F.dense(x.view(named), (kernel.view(named), None))[0], F.dense(x, (kernel, None))[0])


@each_cell
def test_default_state_is_zero(cell):
    p = problem(cell, 3, 4, 2, 5)
    zero = replace(p, state=tuple(np.zeros_like(s) for s in p.state))
    y, state, _ = p.cell.run(p.x, p.parameters, lengths=p.lengths, training=False)
    wanted = answer(zero)
    assert np.array_equal(y, wanted.y)
    assert all(np.array_equal(a, b) for a, b in zip(state, wanted.state, strict=True))


@each_cell
def test_last_output_alone(cell):
    p = problem(cell, 6, 5, 3, 17)
    y, state, ctx = p.cell.run(p.x, p.parameters, p.state, lengths=p.lengths, return_sequences=False)
    assert np.array_equal(y, state[0])
    dy = p.dy[:, 0]
    gradients = p.cell.backward(ctx, dy, p.d_state)
    through_state = replace(p, dy=np.zeros_like(p.dy), d_state=(p.d_state[0] + dy, *p.d_state[1:]))
    wanted = expected(through_state)
    bound = p.tolerance(backward=True)
    assert distance(gradients.x, wanted.dx) <= bound
    assert distance(gradients.kernel, wanted.kernel) <= bound
    assert distance(gradients.recurrent_kernel, wanted.recurrent_kernel) <= bound


@each_cell
def test_inference_keeps_nothing(cell):
    p = problem(cell, 3, 4, 2, 5)
    _, _, ctx = p.cell.run(p.x, p.parameters, training=False)
    assert ctx is None


@each_cell
def test_gradients_accumulate_into_out(cell):
    p = problem(cell, 5, 4, 3, 9)
    wanted = answer(p)
    before = [np.full_like(a, 0.5) for a in p.parameters]
    _, _, ctx = p.cell.run(p.x, p.parameters, p.state, lengths=p.lengths)
    gradients = p.cell.backward(ctx, p.dy, p.d_state, out=tuple(before))
    for given, fresh in zip(before, (wanted.kernel, wanted.recurrent_kernel, wanted.bias), strict=True):
        assert distance(given, fresh + np.float32(0.5)) <= p.tolerance(backward=True)
    assert np.array_equal(gradients.x, wanted.dx)


@each_cell
def test_what_is_not_wanted_is_not_computed(cell):
    p = problem(cell, 5, 4, 3, 9)
    wanted = answer(p)
    _, _, ctx = p.cell.run(p.x, p.parameters, p.state, lengths=p.lengths)
    gradients = p.cell.backward(ctx, p.dy, p.d_state, need_dx=False)
    assert gradients.x is None
    assert np.array_equal(gradients.kernel, wanted.kernel)


@each_cell
def test_missing_gradients_are_zero(cell):
    p = problem(cell, 5, 4, 3, 9)
    _, _, ctx = p.cell.run(p.x, p.parameters, p.state, lengths=p.lengths)
    only_states = p.cell.backward(ctx, None, p.d_state)
    wanted = answer(replace(p, dy=np.zeros_like(p.dy)))
    assert np.array_equal(only_states.x, wanted.dx)
    _, _, ctx = p.cell.run(p.x, p.parameters, p.state, lengths=p.lengths)
    only_y = p.cell.backward(ctx, p.dy)
    wanted = answer(replace(p, d_state=tuple(np.zeros_like(s) for s in p.d_state)))
    assert np.array_equal(only_y.x, wanted.dx)


@each_cell
def test_padding_is_neither_read_nor_counted(cell):
    p = problem(cell, 6, 5, 3, 17)
    wanted = answer(p)
    beyond = np.arange(5) >= np.asarray(p.lengths)[:, None]
    poisoned = answer(replace(p, x=np.where(beyond[..., None], np.nan, p.x).astype(np.float32)))
    for name, values in poisoned.arrays().items():
        assert np.array_equal(values, wanted.arrays()[name]), name
    assert (wanted.y[beyond] == 0).all()
    assert (wanted.dx[beyond] == 0).all()


@each_cell
def test_a_context_is_used_once(cell):
    p = problem(cell, 3, 4, 2, 5)
    _, _, ctx = p.cell.run(p.x, p.parameters)
    p.cell.backward(ctx, p.dy)
    with pytest.raises(ValueError, match="context"):
        p.cell.backward(ctx, p.dy)


@each_cell
def test_output_of_training_is_read_only(cell):
    """It is backward's h."""
    p = problem(cell, 3, 4, 2, 5)
    y, _, _ctx = p.cell.run(p.x, p.parameters)
    with pytest.raises(ValueError, match="read-only"):
        y[0, 0, 0] = 1


@each_cell
@pytest.mark.parametrize("shape", [(0, 4, 2, 5), (3, 0, 2, 5)], ids=["no sequences", "no steps"])
def test_nothing_to_do(cell, shape):
    B, T, I, H = shape
    p = problem(cell, B, T, I, H, ragged=False)
    found = answer(p)
    assert found.y.shape == (B, T, H)
    assert all(np.array_equal(s, given) for s, given in zip(found.state, p.state, strict=True))
    assert (found.kernel == 0).all()


@each_cell
def test_arrays_with_strides(cell):
    """Views are read as they are; features that are not side by side cost a copy, never a wrong answer."""
    p = problem(cell, 5, 6, 4, 7)
    wanted = answer(p)
    wide = np.zeros((5, 12, 9), np.float32)
    wide[:, ::2, 3:7] = p.x
    apart = np.zeros((5, 6, 8), np.float32)
    apart[..., ::2] = p.x
    for view in (wide[:, ::2, 3:7], apart[..., ::2], np.asfortranarray(p.x), p.x[::-1].copy()[::-1]):
        found = answer(replace(p, x=view))
        for name, values in found.arrays().items():
            assert np.array_equal(values, wanted.arrays()[name]), name


@each_cell
def test_ragged_and_time_major_shapes(cell):
    p = problem(cell, 4, 5, 3, 7)
    wanted = answer(p)
    y, _, ctx = p.cell.run(p.x.swapaxes(0, 1).copy(), p.parameters, p.state, lengths=p.lengths, time_major=True)
    assert np.array_equal(y.swapaxes(0, 1), wanted.y)
    gradients = p.cell.backward(ctx, p.dy.swapaxes(0, 1).copy(), p.d_state)
    assert np.array_equal(gradients.x.swapaxes(0, 1), wanted.dx)
    offsets = np.concatenate([[0], np.cumsum(p.lengths)])
    values = np.concatenate([p.x[b, :n] for b, n in enumerate(p.lengths)])
    y, _, _ = p.cell.run(lw.Ragged(values, offsets), p.parameters, p.state)
    assert isinstance(y, lw.Ragged)
    assert np.array_equal(y.values, np.concatenate([wanted.y[b, :n] for b, n in enumerate(p.lengths)]))
