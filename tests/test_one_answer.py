"""The first promise: the same sample gives the same bits, however it is presented and wherever it is computed."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import latchwork as lw
from latchwork import _core
from latchwork import functional as F
from problems import CELLS, DTYPES, ISAS, THREADS, answer, assert_bits, assert_same_bits, forced, problem, using


@st.composite
def problems(draw, largest_batch=12, **fixed):
    cell = draw(st.sampled_from(sorted(CELLS)))
    B, T, I = draw(st.integers(1, largest_batch)), draw(st.integers(1, 12)), draw(st.integers(1, 20))
    H = draw(st.integers(1, 40))
    options = {"ragged": draw(st.booleans()), "reverse": draw(st.booleans()), "bias": draw(st.booleans())} | fixed
    p = problem(cell, B, T, I, H, seed=draw(st.integers(0, 2**16)), **options)
    return p.astype(draw(st.sampled_from(DTYPES)))


def lengths_of(p):
    return np.full(len(p.x), p.x.shape[1]) if p.lengths is None else p.lengths


def rows(p, chosen):
    """The same samples in another batch."""
    return replace(
        p,
        x=p.x[chosen].copy(),
        state=tuple(s[chosen].copy() for s in p.state),
        lengths=None if p.lengths is None else p.lengths[chosen],
        dy=p.dy[chosen].copy(),
        d_state=tuple(d[chosen].copy() for d in p.d_state),
    )


def assert_rows(part, whole, chosen):
    """All that belongs to samples; the parameters' gradients are sums over the batch."""
    for name in ("y", "dx"):
        assert_bits(getattr(part, name), getattr(whole, name)[chosen], name)
    for name in ("state", "d_initial"):
        for ours, theirs in zip(getattr(part, name), getattr(whole, name), strict=True):
            assert_bits(ours, theirs[chosen], name)


@given(problems(), st.randoms(use_true_random=False))
def test_batch_and_place_in_it(p, random):
    whole = answer(p)
    order = list(range(len(p.x)))
    random.shuffle(order)
    for chosen in (order, order[: len(order) // 2 + 1], order[:1], order + order):
        assert_rows(answer(rows(p, chosen)), whole, chosen)


@given(problems(), st.sampled_from(THREADS))
def test_threads(p, threads):
    with using(threads=1):
        wanted = answer(p)
    with using(threads=threads):
        assert_same_bits(answer(p), wanted)


@given(problems(largest_batch=6))
def test_isas(p):
    with using(isa=ISAS[0]):
        wanted = answer(p)
    for isa in ISAS[1:]:
        with using(isa=isa):
            assert_same_bits(answer(p), wanted)


@pytest.mark.parametrize("dtype", DTYPES, ids=["float32", "float64"])
@pytest.mark.parametrize("shape", [(64, 30, 16, 64), (37, 20, 130, 100), (2, 12, 64, 256), (300, 4, 3, 20)], ids=str)
@pytest.mark.parametrize("cell", CELLS)
def test_threads_and_isas_where_work_is_split(cell, shape, dtype):
    p = problem(cell, *shape).astype(dtype)
    with using(threads=1):
        wanted = answer(p)
    for threads in THREADS[1:]:
        with using(threads=threads):
            assert_same_bits(answer(p), wanted)
    for isa in ISAS:
        if isa != "portable":  # emulated: the smaller problems above are enough
            with using(isa=isa):
                assert_same_bits(answer(p), wanted)


@pytest.mark.parametrize("cell", CELLS)
def test_backward_elsewhere_than_forward(cell):
    """A context may be used on another ISA and with other threads than it was made with."""
    p = problem(cell, 9, 8, 5, 21)
    wanted = answer(p)
    for there in ISAS:
        with using(isa=ISAS[0], threads=2):
            _, _, ctx = p.cell.run(p.x, p.parameters, p.state, lengths=p.lengths)
        with using(isa=there, threads=3):
            gradients = p.cell.backward(ctx, p.dy, p.d_state)
        assert_bits(gradients.x, wanted.dx, "dx")
        assert_bits(gradients.recurrent_kernel, wanted.recurrent_kernel, "recurrent_kernel")


@given(problems(), st.sampled_from(THREADS))
def test_every_legal_plan(p, threads):
    """Fused or hoisted input products, split over rows or units, strips of any height: forced, not hoped for."""
    with using(threads=1):
        wanted = answer(p)
    B, T, I = p.x.shape
    H = p.state[0].shape[1]
    plans = _core.legal_plans(p.cell.core, p.x.dtype == np.float64, B, T, I, H, threads)
    assert plans
    with using(threads=threads):
        for plan in plans:
            with forced(plan):
                assert_same_bits(answer(p), wanted)


@pytest.mark.parametrize("cell", CELLS)
def test_every_legal_plan_of_a_larger_shape(cell):
    p = problem(cell, 70, 12, 37, 50)
    with using(threads=1):
        wanted = answer(p)
    with using(threads=3):
        for plan in _core.legal_plans(p.cell.core, False, 70, 12, 37, 50, 3):
            with forced(plan):
                assert_same_bits(answer(p), wanted)


@given(problems(ragged=True))
def test_padded_and_ragged(p):
    padded = answer(p)
    offsets = np.concatenate([[0], np.cumsum(p.lengths)])

    def join(array):
        return np.concatenate([array[b, :n] for b, n in enumerate(p.lengths)])

    y, state, ctx = p.cell.run(lw.Ragged(join(p.x), offsets), p.parameters, p.state, reverse=p.reverse)
    assert_bits(y.values, join(padded.y), "y")
    for ours, theirs in zip(state, padded.state, strict=True):
        assert_bits(ours, theirs, "state")
    gradients = p.cell.backward(ctx, lw.Ragged(join(p.dy), offsets), p.d_state)
    assert_bits(gradients.x.values, join(padded.dx), "dx")
    assert_bits(gradients.kernel, padded.kernel, "kernel")
    assert_bits(gradients.recurrent_kernel, padded.recurrent_kernel, "recurrent_kernel")
    if padded.bias is not None:
        assert_bits(gradients.bias, padded.bias, "bias")


@given(problems(), st.integers(1, 5))
def test_more_padding(p, extra):
    def wider(array):
        return np.pad(array, ((0, 0), (0, extra), (0, 0)), constant_values=np.nan)

    T = p.x.shape[1]
    found = answer(replace(p, x=wider(p.x), dy=wider(p.dy), lengths=lengths_of(p)))
    assert_same_bits(replace(found, y=found.y[:, :T], dx=found.dx[:, :T]), answer(p))


@given(problems(reverse=False), st.data())
def test_chunks_and_single_steps(p, data):
    """A stream cut anywhere, its states carried: the bits of the whole."""
    whole = answer(p)
    T = p.x.shape[1]
    cuts = data.draw(st.one_of(st.just(list(range(T))), st.lists(st.integers(0, T), max_size=3)), label="cuts")
    state, outputs = p.state, []
    for start, stop in zip([0, *sorted(cuts)], [*sorted(cuts), T], strict=True):
        lengths = np.clip(lengths_of(p) - start, 0, stop - start)
        y, state, _ = p.cell.run(p.x[:, start:stop], p.parameters, state, lengths=lengths, training=False)
        outputs.append(np.array(y))
    assert_bits(np.concatenate(outputs, axis=1), whole.y, "y")
    for ours, theirs in zip(state, whole.state, strict=True):
        assert_bits(ours, theirs, "state")


@given(problems())
def test_inference_and_training(p):
    trained = answer(p)
    for options in ({}, {"return_sequences": False}):
        y, state, _ = p.cell.run(
            p.x, p.parameters, p.state, lengths=p.lengths, reverse=p.reverse, training=False, **options
        )
        assert_bits(y, trained.state[0] if options else trained.y, "y")
        for ours, theirs in zip(state, trained.state, strict=True):
            assert_bits(ours, theirs, "state")


@given(problems(reverse=True))
def test_reading_backwards_is_reading_the_flipped(p):
    def flip(array):
        flipped = array.copy()
        for b, n in enumerate(lengths_of(p)):
            flipped[b, :n] = array[b, :n][::-1]
        return flipped

    forwards = answer(replace(p, x=flip(p.x), reverse=False))
    assert_same_bits(replace(forwards, dx=flip(forwards.dx)), answer(p))


@given(problems())
def test_time_major(p):
    wanted = answer(p)

    def turn(array):
        return np.ascontiguousarray(array.swapaxes(0, 1))

    y, state, ctx = p.cell.run(turn(p.x), p.parameters, p.state, lengths=p.lengths, reverse=p.reverse, time_major=True)
    y = np.array(y)
    g = p.cell.backward(ctx, turn(p.dy), p.d_state)
    found = replace(
        wanted, y=turn(y), state=state, dx=turn(g.x), d_initial=g.state, kernel=g.kernel,
        recurrent_kernel=g.recurrent_kernel, bias=g.bias,
    )  # fmt: skip
    assert_same_bits(found, wanted)


@given(
    st.sampled_from(DTYPES),
    st.integers(1, 40),
    st.integers(1, 40),
    st.integers(1, 40),
    st.sampled_from(["linear", "relu", "tanh", "sigmoid"]),
    st.integers(0, 2**16),
)
def test_dense(dtype, N, features, units, activation, seed):
    rng = np.random.default_rng(seed)
    x, kernel, bias, dy = (
        rng.uniform(-1, 1, s).astype(dtype) for s in ((N, features), (features, units), (units,), (N, units))
    )

    def run(x, dy):
        y, ctx = F.dense(x, (kernel, bias), activation=activation)
        y = np.array(y)
        return y, *F.dense_backward(ctx, dy)

    with using(threads=1):
        wanted = run(x, dy)
    for place in [{"threads": t} for t in THREADS[1:]] + [{"isa": isa} for isa in ISAS]:
        with using(**place):
            for ours, theirs in zip(run(x, dy), wanted, strict=True):
                assert_bits(ours, theirs, str(place))
    row = N // 2
    y, dx, *_ = run(x[row : row + 1].copy(), dy[row : row + 1].copy())
    assert_bits(y, wanted[0][row : row + 1], "y")
    assert_bits(dx, wanted[1][row : row + 1], "dx")


def trained_weights(layer, dtype):
    """Three Adam steps of a small model, from the seed on."""
    lw.set_seed(7)
    recurrent = {"lstm": lw.layers.LSTM, "gru": lw.layers.GRU, "rnn": lw.layers.SimpleRNN}[layer]
    model = lw.models.Sequential(
        [
            lw.layers.Input((11, 3), dtype=dtype),
            recurrent(19, return_sequences=True, dtype=dtype),
            recurrent(10, dtype=dtype),
            lw.layers.Dense(2, dtype=dtype),
        ]
    )
    model.compile(loss="mse", optimizer="adam")
    rng = np.random.default_rng(1)
    x, y = rng.uniform(-1, 1, (45, 11, 3)).astype(dtype), rng.uniform(-1, 1, (45, 2)).astype(dtype)
    for _ in range(3):
        model.train_on_batch(x, y)
    return model.get_weights()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("layer", ["lstm", "gru", "rnn"])
def test_trained_weights(layer, dtype):
    with using(threads=1):
        wanted = trained_weights(layer, dtype)
    assert any(w.any() for w in wanted)
    for place in [{"threads": t} for t in THREADS[1:]] + [{"isa": isa} for isa in ISAS]:
        with using(**place):
            for number, (ours, theirs) in enumerate(zip(trained_weights(layer, dtype), wanted, strict=True)):
                assert_bits(ours, theirs, f"weight {number}, {place}")
