"""Bidirectional: both directions against two plain layers, Keras' merge modes and order of states, gradients."""

import numpy as np
import pytest

import latchwork as lw
from latchwork import _core
from latchwork.layers import GRU, LSTM, Bidirectional, Dense, Masking, SimpleRNN
from latchwork.models import Sequential
from layer_checks import assert_same, built, check_gradients
from model_stacks import in_cpp

RNG = np.random.default_rng(3)
MODES = ["concat", "sum", "mul", "ave", None]
MASK = np.array([[1, 0, 1, 1, 0], [0, 0, 1, 0, 1], [1, 1, 1, 1, 1], [0, 0, 0, 0, 0], [0, 1, 0, 0, 0]], bool)


def halves(layer, inner_type, units, features, **options):
    """Plain layers with the weights of both directions."""
    ahead = inner_type(units, return_state=True, dtype="float64", **options)
    back = inner_type(units, return_state=True, go_backwards=True, dtype="float64", **options)
    weights = layer.get_weights()
    for half, own in ((ahead, weights[: len(weights) // 2]), (back, weights[len(weights) // 2 :])):
        half.build((None, None, features))
        half.set_weights(own)
    return ahead, back


def merged(mode, y, y_back):
    return {
        "concat": lambda: np.concatenate([y, y_back], axis=-1),
        "sum": lambda: y + y_back,
        "mul": lambda: y * y_back,
        "ave": lambda: (y + y_back) / 2,
    }[mode]()


@pytest.mark.parametrize("sequences", [False, True])
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("inner", [LSTM, GRU, SimpleRNN])
def test_follows_keras(inner, mode, masked, sequences):
    """Sequences have 0 at masked steps, and nothing else has, whatever the inner layer says."""
    pattern = inner(4, return_sequences=sequences, return_state=True, zero_output_for_mask=not sequences)
    layer = built(Bidirectional(pattern, merge_mode=mode, dtype="float64"), None, 3)
    ahead, back = halves(layer, inner, 4, 3, return_sequences=sequences, zero_output_for_mask=sequences)
    x = RNG.normal(size=(5, 5, 3))
    count = ahead.state_count
    states = [RNG.normal(size=(5, 4)) for _ in range(2 * count)]
    mask = MASK if masked else None
    y, *final = ahead(x, states[:count], mask)
    y_back, *final_back = back(x, states[count:], mask)
    if sequences:
        y_back = y_back[:, ::-1].copy()
    found = layer(x, states, mask)
    if mode is None:
        assert_same(found[0], y)
        assert_same(found[1], y_back)
    else:
        assert_same(found[0], merged(mode, y, y_back))
    for ours, theirs in zip(found[2 if mode is None else 1 :], final + final_back, strict=True):
        assert_same(ours, theirs)


def test_variables_have_keras_paths():
    layer = Bidirectional(LSTM(4))
    layer.build((None, None, 3))
    assert [v.name for v in layer.variables] == [
        f"bidirectional/{way}_lstm/{key}"
        for way in ("forward", "backward")
        for key in ("kernel", "recurrent_kernel", "bias")
    ]
    model = Sequential([Bidirectional(GRU(4, name="words"), input_shape=(5, 3)), Dense(1)])
    assert model.variables[3].name == "bidirectional/backward_words/kernel"
    assert model.count_params() == 2 * (3 * 12 + 4 * 12 + 24) + 9


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("sequences", [False, True])
def test_gradients(mode, sequences):
    layer = Bidirectional(GRU(3, return_sequences=sequences, dtype="float64"), merge_mode=mode)
    check_gradients(built(layer, None, 2), RNG.normal(size=(5, 5, 2)))
    layer = Bidirectional(LSTM(2, return_sequences=sequences, return_state=True), merge_mode=mode, dtype="float64")
    states = [RNG.normal(size=(5, 2)) for _ in range(4)]
    check_gradients(built(layer, None, 2), RNG.normal(size=(5, 5, 2)), initial_state=states, mask=MASK)


@pytest.mark.parametrize("mode", ["concat", "mul"])
def test_y_is_read_only_until_backward(mode):
    layer = built(Bidirectional(GRU(3, return_sequences=True), merge_mode=mode), None, 2)
    y, ctx = layer.forward(np.ones((2, 4, 2), np.float32))
    assert y.flags.writeable == (mode == "mul")  # backward reads the parts then
    layer.backward(ctx, np.ones_like(y))
    y[...] = 0
    layer(np.ones((2, 4, 2), np.float32))[...] = 0


def test_ragged_is_the_masked_batch():
    layer = built(Bidirectional(GRU(4, return_sequences=True), merge_mode="mul"), None, 3)
    mask = MASK[MASK.any(axis=1)]
    x = RNG.normal(size=(4, 5, 3)).astype(np.float32)
    ragged = lw.Ragged.from_list([row[real] for row, real in zip(x, mask, strict=True)])
    (y, ctx), (wanted, masked_ctx) = layer.forward(ragged), layer.forward(x, mask=mask)
    assert_same(y.values, wanted[mask])
    dy = RNG.normal(size=wanted.shape).astype(np.float32) * mask[:, :, None]
    dx = layer.backward(ctx, lw.Ragged(dy[mask], ragged.offsets))
    assert_same(dx.values, layer.backward(masked_ctx, dy)[mask])


def test_another_layer_on_the_way_back():
    back = GRU(3, go_backwards=True, return_state=True, name="back")
    layer = built(Bidirectional(LSTM(4, return_state=True), backward_layer=back), None, 2)
    y, *states = layer(np.ones((2, 5, 2)))
    assert y.shape == (2, 7)
    assert [s.shape for s in states] == [(2, 4), (2, 4), (2, 3)]
    assert layer.variables[3].name == "bidirectional/backward_back/kernel"
    check = Bidirectional(LSTM(2, dtype="float64"), backward_layer=SimpleRNN(3, go_backwards=True, dtype="float64"))
    check_gradients(built(check, None, 2), RNG.normal(size=(2, 4, 2)))


def test_made_of_its_own_halves():
    first = Bidirectional(GRU(3, name="words"))
    again = Bidirectional(first.forward_layer, backward_layer=first.backward_layer)
    assert [layer.name for layer in again.inner] == ["forward_words", "backward_words"]


def test_weights_given():
    pattern = Bidirectional(GRU(3))
    pattern.build((None, None, 2))
    copy = Bidirectional(GRU(3), weights=pattern.get_weights())
    x = np.ones((2, 4, 2))
    assert_same(copy(x), pattern(x))


def test_stateful():
    x = RNG.normal(size=(3, 6, 2)).astype(np.float32)
    carrying = Sequential([Bidirectional(LSTM(4, stateful=True))])
    carrying.build((None, None, 2))
    plain = built(Bidirectional(LSTM(4, return_state=True)), None, 2)
    plain.set_weights(carrying.get_weights())
    _, *states = plain(x[:, :3])
    carrying.predict(x[:, :3])
    assert_same(carrying.predict(x[:, 3:]), plain(x[:, 3:], states)[0])
    carrying.layers[0].reset_states()
    assert_same(carrying.predict(x), plain(x)[0])


def test_in_a_model():
    lw.set_seed(1)
    x = RNG.normal(size=(20, 5, 2))
    x[:, 3:] = 0
    model = Sequential([
        Masking(), Bidirectional(LSTM(4, return_sequences=True)), Bidirectional(GRU(3)), Dense(1),
    ])  # fmt: skip
    model.compile("adam", "mse")
    history = model.fit(x, x[:, 0, 0], epochs=20, verbose=0).history["loss"]
    assert history[-1] < history[0]
    assert_same(model.predict(x), model.predict(lw.Ragged.from_list(list(x[:, :3]))))


def bidirectional(**options):
    return Bidirectional(LSTM(3), **options)


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: Bidirectional(Dense(3)), "Bidirectional: layer must be an LSTM, GRU, SimpleRNN or RNN, got <Dense"),
        (lambda: bidirectional(backward_layer=3), "Bidirectional: backward_layer must be an LSTM"),
        (lambda: bidirectional(merge_mode="add"), "unknown merge_mode 'add'"),
        (lambda: bidirectional(backward_layer=LSTM(3)), "backward_layer have go_backwards=True"),
        (lambda: Bidirectional(LSTM(3, go_backwards=True)), "layer must go forwards"),
        (
            lambda: bidirectional(backward_layer=LSTM(3, go_backwards=True, return_sequences=True)),
            "return_sequences must be the same",
        ),
        (lambda: bidirectional(backward_layer=GRU(4, go_backwards=True), merge_mode="sum"), "units must be the same"),
        (lambda: bidirectional()(np.ones((2, 3))), r"x must be \(B, T, F\), got \(B, 3\)"),
        (lambda: bidirectional()(np.ones((2, 3, 1)), [np.ones((2, 3))]), "initial_state must be a list of 4 arrays"),
        (lambda: bidirectional(weights=[1]).build((None, None, 2)), "bidirectional: weights must be 6 arrays, got 1"),
        (
            lambda: (b := bidirectional()).backward(b.forward(np.ones((2, 3, 1)))[1], np.ones((2, 3))),
            r"bidirectional: dy must have 6 features as y has, got shape \(2, 3\)",
        ),
        (lambda: Sequential([bidirectional(merge_mode=None), Dense(1)]), "gives several outputs"),
    ],
)
def test_bad_input(call, text):
    with pytest.raises(ValueError, match=text):
        call()


def tiny_halves(mode, dtype):
    """A model of x -> a x both ways, merged, and weights a, b of whose outputs at x = 1 the merged is subnormal."""
    tiny = float(np.finfo(dtype).tiny)
    a, b = {"sum": (1.5 * tiny, -1.25 * tiny), "mul": (tiny**0.5, tiny**0.5 / 2), "ave": (1.5 * tiny, 0)}[mode]
    half = SimpleRNN(1, None, use_bias=False, return_sequences=True)
    model = Sequential([Bidirectional(half, mode, input_shape=(20_000, 1))], dtype=dtype)
    model.set_weights([np.full((1, 1), weight) for weight in (a, 0, b, 0)])
    return model, a, b


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("mode", ["sum", "mul", "ave"])
def test_merging_flushes_subnormal_numbers(mode, dtype, tmp_path):
    """As the kernels do, in Python and in C++; numpy keeps them."""
    model, a, b = tiny_halves(mode, dtype)
    x = np.ones((2, 20_000, 1), dtype)
    assert 0 < merged(mode, *np.array([a, b], dtype)) < np.finfo(dtype).tiny
    model.save(tmp_path / "m.safetensors")
    for y in (model.predict(x), model.layers[0](x), in_cpp(tmp_path / "m.safetensors", x)):
        assert_same(y, np.zeros_like(x))


def test_gradients_of_merging_flush_subnormal_numbers():
    tiny = np.finfo(np.float64).tiny
    for mode, y in (("mul", 0.75), ("ave", 0)):
        layer = built(Bidirectional(SimpleRNN(1), mode, dtype="float64"), None, 1)
        dy = np.full((3, 1), 1.25 * tiny)
        outputs = (np.full_like(dy, y), np.full_like(dy, y))
        for grad in layer._merge_backward(dy, outputs):
            assert_same(grad, np.zeros_like(dy))
        assert dy[0] == 1.25 * tiny
    layer = tiny_halves("sum", "float64")[0].layers[0]  # dx = (a + b) dy
    x = np.ones((2, 5, 1))
    assert_same(layer.backward(layer.forward(x)[1], np.ones_like(x)), np.zeros_like(x))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_core_merges(dtype):
    a, b = RNG.normal(size=(2, 70, 300, 3)).astype(dtype)
    for mode in ("sum", "mul", "ave"):
        assert_same(_core.merge(mode, a, b), merged(mode, a, b).astype(dtype))
    assert _core.merge("sum", a[:0], b[:0]).shape == (0, 300, 3)
    other = "float64" if dtype == "float32" else "float32"
    for args, message in (
        (("max", a, b), "name must be one of sum, mul, ave, got 'max'"),
        (("concat", a, b), "name must be"),
        (("sum", a, b[1:]), r"b must have the shape of a, \(70, 300, 3\), got \(69, 300, 3\)"),
        (("sum", a, b.astype(other)), f"b must be {dtype}"),
        (("sum", a, b[::-1]), "b must be C-contiguous"),
    ):
        with pytest.raises(ValueError, match=message):
            _core.merge(*args)
