"""Masks of any form: masked steps are skipped, and the answer is that of the real steps alone, bit for bit."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import latchwork as lw
import reference
from latchwork import _core
from latchwork.layers import GRU, LSTM, Dense, Masking, SimpleRNN
from layer_checks import assert_same, built, check_gradients
from problems import CELLS, DTYPES, assert_bits, forced, problem, using

RNG = np.random.default_rng(5)
# holes, padding on the left, none, all, one real step
MASK = np.array([[1, 0, 1, 1, 0], [0, 0, 1, 0, 1], [1, 1, 1, 1, 1], [0, 0, 0, 0, 0], [0, 1, 0, 0, 0]], bool)


@st.composite
def masked_problems(draw):
    B, T = draw(st.integers(1, 9)), draw(st.integers(1, 12))
    p = problem(
        draw(st.sampled_from(sorted(CELLS))), B, T, draw(st.integers(1, 9)), draw(st.integers(1, 20)), ragged=False,
        seed=draw(st.integers(0, 2**16)), reverse=draw(st.booleans()), bias=draw(st.booleans()),
    )  # fmt: skip
    rng = np.random.default_rng(draw(st.integers(0, 2**16)))
    mask = rng.uniform(size=(B, T)) < draw(st.sampled_from([0.0, 0.2, 0.5, 0.9, 1.0]))
    return p.astype(draw(st.sampled_from(DTYPES))), mask


def run(p, x, dy, **options):
    """y, states and all gradients of a call."""
    y, state, ctx = p.cell.run(x, p.parameters, p.state, reverse=p.reverse, **options)
    y = lw.Ragged(np.array(y.values), y.offsets) if isinstance(y, lw.Ragged) else np.array(y)
    return y, state, p.cell.backward(ctx, dy, p.d_state)


def joined(array, mask):
    return lw.Ragged(array[mask], np.concatenate([[0], np.cumsum(mask.sum(axis=1))]))


def in_order_read(array, mask, reverse):
    """The outputs of a call as a batch of real steps: reversed, the order read counts masked steps too."""
    return joined(array, mask[:, ::-1] if reverse else mask)


def assert_rest(found, wanted):
    """States and gradients that do not depend on how the steps lie."""
    for ours, theirs in zip((*found[1], *found[2].state), (*wanted[1], *wanted[2].state), strict=True):
        assert_bits(ours, theirs)
    for name in ("kernel", "recurrent_kernel", "bias"):
        ours, theirs = getattr(found[2], name), getattr(wanted[2], name)
        assert (ours is None) == (theirs is None)
        if ours is not None:
            assert_bits(ours, theirs, name)


@given(masked_problems(), st.sampled_from([1, 3]))
def test_masked_is_the_ragged_batch_of_real_steps(case, threads):
    p, mask = case
    dirty = np.where(mask[:, :, None], p.x, np.nan).astype(p.x.dtype)  # never read
    written = mask[:, ::-1] if p.reverse else mask
    with using(threads=threads):
        found = run(p, dirty, np.where(written[:, :, None], p.dy, np.nan).astype(p.x.dtype), mask=mask)
    wanted = run(p, joined(p.x, mask), in_order_read(p.dy, mask, p.reverse))
    assert_bits(in_order_read(found[0], mask, p.reverse).values, wanted[0].values, "y")
    assert not found[0][~written].any()
    assert_bits(found[2].x[mask], wanted[2].x.values, "dx")
    assert not found[2].x[~mask].any()
    assert_rest(found, wanted)


@given(masked_problems(), st.booleans())
def test_time_major_and_ragged_masks(case, hold):
    p, mask = case
    wanted = run(p, p.x, p.dy, mask=mask, hold=hold)

    def turn(array):
        return np.ascontiguousarray(array.swapaxes(0, 1))

    y, _, gradients = found = run(p, turn(p.x), turn(p.dy), mask=turn(mask), hold=hold, time_major=True)
    assert_bits(turn(y), wanted[0], "y")
    assert_bits(turn(gradients.x), wanted[2].x, "dx")
    assert_rest(found, wanted)

    whole = np.ones_like(mask)
    y, _, gradients = found = run(p, joined(p.x, whole), joined(p.dy, whole), mask=mask.ravel(), hold=hold)
    assert_bits(y.values, wanted[0][whole], "y")
    assert_bits(gradients.x.values, wanted[2].x[whole], "dx")
    assert_rest(found, wanted)


@given(masked_problems())
def test_leading_true_is_lengths(case):
    p, mask = case
    lengths = mask.sum(axis=1)
    mask = np.arange(mask.shape[1]) < lengths[:, None]
    found = run(p, p.x, p.dy, mask=mask, align=True)
    wanted = run(p, p.x, p.dy, lengths=lengths, align=True)
    assert_bits(found[0], wanted[0], "y")
    assert_bits(found[2].x, wanted[2].x, "dx")
    assert_rest(found, wanted)


@given(masked_problems(), st.booleans())
def test_aligned_outputs_lie_at_their_steps(case, hold):
    p, mask = case
    flip = (slice(None), slice(None, None, -1 if p.reverse else 1))
    found = run(p, p.x, p.dy, mask=mask, hold=hold, align=True)
    wanted = run(p, p.x, p.dy[flip].copy(), mask=mask, hold=hold)
    assert_bits(found[0], wanted[0][flip].copy(), "y")
    assert_bits(found[2].x, wanted[2].x, "dx")
    assert_rest(found, wanted)


@given(masked_problems(), st.booleans(), st.booleans(), st.booleans())
def test_rows_that_lie_apart(case, hold, align, lengths):
    """Outputs and their gradients in a part of a wider array: the rest is not touched."""
    p, mask = case
    given_rows = {"lengths": mask.sum(axis=1)} if lengths else {"mask": mask, "hold": hold}
    wanted = run(p, p.x, p.dy, align=align, **given_rows)
    H = p.dy.shape[2]
    wide, wide_dy = (np.full((*p.dy.shape[:2], H + 5), 7, p.dy.dtype) for _ in range(2))
    wide_dy[..., 3:-2] = p.dy
    out = wide[..., 3:-2]
    y, state, ctx = p.cell.run(p.x, p.parameters, p.state, reverse=p.reverse, align=align, out=out, **given_rows)
    assert y is out
    gradients = p.cell.backward(ctx, wide_dy[..., 3:-2], p.d_state)
    assert_bits(y, wanted[0], "y")
    assert (wide[..., :3] == 7).all()
    assert (wide[..., -2:] == 7).all()
    assert_bits(gradients.x, wanted[2].x, "dx")
    assert_rest((y, state, gradients), wanted)


@pytest.mark.parametrize("reverse", [False, True])
def test_every_legal_plan(reverse):
    p = problem("gru_reset_before", 7, 9, 5, 33, ragged=False, reverse=reverse)
    mask = np.random.default_rng(1).uniform(size=(7, 9)) < 0.5
    wanted = run(p, p.x, p.dy, mask=mask, hold=True)
    with using(threads=3):
        for plan in _core.legal_plans(p.cell.core, False, 7, 9, 5, 33, 3):
            with forced(plan):
                found = run(p, p.x, p.dy, mask=mask, hold=True)
                assert_bits(found[0], wanted[0], "y")
                assert_bits(found[2].x, wanted[2].x, "dx")
                assert_rest(found, wanted)


# ---- Keras' rule in layers ---------------------------------------------------------------------------------


def keras_rnn(layer, x, mask, initial):
    """The loop of keras.ops.rnn with a mask, one sample at a time, in float64: (y [B, T, H], last y, last state)."""
    cell = {LSTM: reference.Lstm, GRU: reference.GruResetAfter, SimpleRNN: reference.Elman}[type(layer)]
    cell = cell(*(v.value for v in layer.variables))
    if layer.go_backwards:
        x, mask = x[:, ::-1], mask[:, ::-1]
    outputs, finals = [], []
    for row, real, first in zip(x, mask, zip(*initial, strict=True), strict=True):
        states, output, rows = first, np.zeros(layer.units), []
        for step, wanted in zip(row, real, strict=True):
            if wanted:
                states = cell.step(step, states)[0]
                output = states[0]
            rows.append(np.zeros(layer.units) if layer.zero_output_for_mask and not wanted else output)
        outputs.append(rows)
        finals.append(states)
    y = np.array(outputs)
    return y, y[:, -1], [np.array(state) for state in zip(*finals, strict=True)]


@pytest.mark.parametrize("zero", [False, True])
@pytest.mark.parametrize("backwards", [False, True])
@pytest.mark.parametrize("layer_type", [LSTM, GRU, SimpleRNN])
def test_layers_follow_keras(layer_type, backwards, zero):
    options = {"return_state": True, "go_backwards": backwards, "zero_output_for_mask": zero, "dtype": "float64"}
    layer = built(layer_type(4, return_sequences=True, **options), None, 3)
    last = built(layer_type(4, **options), None, 3)
    last.set_weights(layer.get_weights())
    x = RNG.normal(size=(5, 5, 3))
    initial = [RNG.normal(size=(5, 4)) for _ in range(layer.state_count)]
    y, *states = layer(x, initial_state=initial, mask=MASK)
    wanted, wanted_last, wanted_states = keras_rnn(layer, x, MASK, initial)
    assert abs(y - wanted).max() < 1e-14
    for found, other in zip(states, wanted_states, strict=True):
        assert abs(found - other).max() < 1e-14
    assert abs(last(x, initial_state=initial, mask=MASK)[0] - wanted_last).max() < 1e-14


@pytest.mark.parametrize(("backwards", "sequences", "zero"), list(product([False, True], repeat=3)))
def test_gradients(backwards, sequences, zero):
    layer = GRU(3, return_sequences=sequences, go_backwards=backwards, zero_output_for_mask=zero, dtype="float64")
    check_gradients(built(layer, None, 2), RNG.normal(size=(5, 5, 2)), mask=MASK)
    layer = LSTM(3, return_state=True, return_sequences=sequences, go_backwards=backwards, dtype="float64")
    states = [RNG.normal(size=(5, 3)) for _ in range(2)]
    check_gradients(built(layer, None, 2), RNG.normal(size=(5, 5, 2)), mask=MASK, initial_state=states)


def test_a_ragged_batch_takes_a_mask_too():
    layer = built(GRU(3, return_sequences=True), None, 2)
    x = RNG.normal(size=(5, 5, 2)).astype(np.float32)
    ragged = lw.Ragged.from_list(list(x))
    assert_same(layer(ragged, mask=MASK.ravel()).values, layer(x, mask=MASK).reshape(25, 3))
    last = built(GRU(3), None, 2)
    for zero, backwards in product([False, True], repeat=2):
        last = GRU(3, zero_output_for_mask=zero, go_backwards=backwards)
        last.build((None, None, 2))
        assert_same(last(ragged, mask=MASK.ravel()), last(x, mask=MASK))


# ---- Masking and models ------------------------------------------------------------------------------------


def data(value, mask=MASK, features=3):
    x = RNG.normal(size=(*mask.shape, features)).astype(np.float32)
    x[~mask] = value
    return x


@pytest.mark.parametrize("value", [0.0, -1.0, 0.1, np.nan])
def test_masking(value):
    layer = Masking(value)
    x = data(value)
    x[0, 0, 0] = value  # one feature of a real step
    y, ctx = layer.forward(x)
    assert_same(layer.compute_mask(x, None), MASK)
    assert_bits(y[MASK], x[MASK])
    if value == value:
        assert not y[~MASK].any()
    assert_same(layer.backward(ctx, np.ones_like(x)), np.broadcast_to(MASK[..., None], x.shape).astype(np.float32))
    ragged = lw.Ragged.from_list(list(x))
    assert_same(layer.compute_mask(ragged, None), MASK.ravel())
    assert_bits(layer(ragged).values, y.reshape(25, 3))


def trained(x, y, first, sequences):
    lw.set_seed(3)
    model = lw.models.Sequential([*first, LSTM(6, return_sequences=True), GRU(5, return_sequences=sequences), Dense(2)])
    model.compile("adam", "mse", metrics=["mae"])
    losses = [model.train_on_batch(x, y) for _ in range(3)]
    return model, losses


@pytest.mark.parametrize("sequences", [False, True])
def test_training_masked_is_training_ragged(sequences):
    """The loss of a masked sequence counts real steps only, so the two are the same to the last bit."""
    mask = MASK[MASK.any(axis=1)]
    x = data(-7.0, mask)
    y = RNG.normal(size=(4, 5, 2)).astype(np.float32)
    target, ragged_target = (y, joined(y, mask)) if sequences else (y[:, 0], y[:, 0])
    masked, losses = trained(x, target, [Masking(-7.0)], sequences)
    ragged, ragged_losses = trained(joined(x, mask), ragged_target, [], sequences)
    assert losses == ragged_losses
    for ours, theirs in zip(masked.get_weights(), ragged.get_weights(), strict=True):
        assert_bits(ours, theirs)
    assert masked.evaluate(x, target, verbose=0) == ragged.evaluate(joined(x, mask), ragged_target, verbose=0)
    assert masked.evaluate(x, target, batch_size=3, verbose=0) == masked.evaluate(x, target, verbose=0)
    found, wanted = masked.predict(x), ragged.predict(joined(x, mask))
    assert_bits(found[mask] if sequences else found, wanted.values if sequences else wanted)


def test_a_batch_without_a_real_step_trains_nothing():
    x = np.zeros((3, 4, 2))
    model = lw.models.Sequential([Masking(), LSTM(3, return_sequences=True), Dense(1)])
    model.compile("sgd", "mse")
    model.build((None, None, 2))
    before = model.get_weights()
    model.train_on_batch(x, np.ones((3, 4, 1)))
    for ours, theirs in zip(model.get_weights(), before, strict=True):
        assert_same(ours, theirs)


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: rnn(out=np.zeros((2, 4, 2))), r"out must have shape \(2, 4, 1\), got \(2, 4, 2\)"),
        (lambda: rnn(out=np.zeros((2, 4, 1), np.float32)), "out must be float64 like the other arrays, got float32"),
        (lambda: rnn(out=np.zeros((4, 2, 1)).swapaxes(0, 1)), "out must have rows of feature stride 1, evenly spaced"),
        (lambda: rnn(out=np.zeros((2, 1)), return_sequences=False), "out must be None without return_sequences"),
        (lambda: rnn(out=np.broadcast_to(np.zeros((2, 4, 1)), (2, 4, 1))), "out must be writeable"),
        (lambda: Masking("0"), "Masking: mask_value must be a number, got '0'"),
        (lambda: Masking()(np.ones((2, 3))), r"masking: x must be \(B, T, F\), got \(B, 3\)"),
        (
            lambda: LSTM(3)(np.ones((2, 4, 1)), mask=np.ones((2, 4))),
            r"lstm: mask must be bool of shape \(2, 4\), got float64 of shape \(2, 4\)",
        ),
        (lambda: LSTM(3, zero_output_for_mask=1), "LSTM: zero_output_for_mask must be True or False, got 1"),
        (
            lambda: rnn(mask=np.ones((2, 3), bool)),
            r"mask must be bool of shape \(2, 4\), C-contiguous, got bool of shape",
        ),
        (lambda: rnn(mask=np.ones((2, 4), bool), lengths=[1, 2]), "mask and lengths exclude each other"),
    ],
)
def test_bad_input(call, text):
    with pytest.raises(ValueError, match=text):
        call()


def rnn(**options):
    return lw.functional.rnn(np.ones((2, 4, 1)), (np.ones((1, 1)), np.ones((1, 1)), None), **options)
