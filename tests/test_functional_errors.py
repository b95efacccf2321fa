"""Bad input to lw.functional: one ValueError that names the argument, and nothing changed."""

import re

import numpy as np
import pytest

import latchwork as lw
from latchwork import _core
from latchwork import functional as F

B, T, I, H = 3, 4, 2, 5


def array(*shape, dtype=np.float32):
    return np.random.default_rng(0).uniform(0.1, 1, shape).astype(dtype)


CALLS = {
    "lstm": (F.lstm, F.lstm_backward, (array(I, 4 * H), array(H, 4 * H), array(4 * H)), 2),
    "gru": (F.gru, F.gru_backward, (array(I, 3 * H), array(H, 3 * H), array(2, 3 * H)), 1),
    "rnn": (F.rnn, F.rnn_backward, (array(I, H), array(H, H), array(H)), 1),
}
each_call = pytest.mark.parametrize("name", CALLS)


def refuses(name, *words, x=None, kernel=None, recurrent_kernel=None, bias=None, state=None, **options):
    """The call with one argument replaced raises a ValueError holding every one of `words`."""
    function, _, parameters, _ = CALLS[name]
    given = (kernel, recurrent_kernel, bias)
    parameters = tuple(p if g is None else g for p, g in zip(parameters, given, strict=True))
    with pytest.raises(ValueError) as raised:
        function(array(B, T, I) if x is None else x, parameters, state, **options)
    for word in words:
        assert re.search(rf"(?<![A-Za-z0-9]){re.escape(word)}", str(raised.value)), (
            f"{word!r} is not in: {raised.value}"
        )


@each_call
@pytest.mark.parametrize("shape", [(), (I,), (T, I), (1, B, T, I)], ids=str)
def test_rank_of_x(name, shape):
    refuses(name, "x", f"[B, T, {I}]", str(shape), x=array(*shape))


@each_call
def test_features_of_x(name):
    refuses(name, "x", f"[B, T, {I}]", "(3, 4, 7)", x=array(B, T, 7))


@each_call
@pytest.mark.parametrize("dtype", ["int64", "bool", "float16", "complex64", "object", "S3", ">f4"])
def test_dtype_of_x(name, dtype):
    refuses(name, "x", "float32", x=array(B, T, I).astype(dtype))


@each_call
@pytest.mark.parametrize("argument", ["kernel", "recurrent_kernel", "bias"])
def test_one_dtype_for_all(name, argument):
    position = ("kernel", "recurrent_kernel", "bias").index(argument)
    other = CALLS[name][2][position].astype(np.float64)
    refuses(name, argument, "float32", "float64", **{argument: other})


@each_call
@pytest.mark.parametrize("argument", ["kernel", "recurrent_kernel", "bias"])
@pytest.mark.parametrize("change", [lambda a: a[..., :-1], lambda a: a[None]], ids=["shorter", "deeper"])
def test_shape_of_parameters(name, argument, change):
    position = ("kernel", "recurrent_kernel", "bias").index(argument)
    refuses(name, argument, **{argument: np.ascontiguousarray(change(CALLS[name][2][position]))})


@each_call
@pytest.mark.parametrize(
    ("argument", "value", "expected"),
    [
        ("reverse", np.ones((2, 3)), "reverse must be True or False, got float64 of shape (2, 3)"),
        ("activation", 4, "activation must be a name or None, got int"),
        ("out", [1.0], "out must be a numpy array or None, got list"),
    ],
)
def test_types_of_options(name, argument, value, expected):
    """One short line, whatever was given and however much of it."""
    function, backward, parameters, _ = CALLS[name]
    with pytest.raises(TypeError) as raised:
        function(array(B, T, I), parameters, **{argument: value})
    assert str(raised.value) == expected
    y, _, ctx = function(array(B, T, I), parameters)
    with pytest.raises(TypeError, match=r"^need_dx must be True or False, got str$"):
        backward(ctx, y, need_dx="no")
    with pytest.raises(TypeError, match=r"^out must be a sequence of numpy arrays or None, or None, got tuple$"):
        backward(ctx, y, out=(3, None, None))
    backward(ctx, y)


def test_gru_biases():
    refuses("gru", "bias", "(2, 15)", bias=array(3 * H))
    refuses("gru", "bias", "(15,)", bias=array(2, 3 * H), reset_after=False)


@each_call
def test_parameters_are_three(name):
    function, _, parameters, _ = CALLS[name]
    for wrong in (parameters[:2], (*parameters, None)):
        with pytest.raises(ValueError, match="params"):
            function(array(B, T, I), wrong)


@each_call
@pytest.mark.parametrize(
    ("lengths", "word"),
    [
        ([1, 2], "3 entries"),
        ([[1, 2, 3]], "(1, 3)"),
        ([1, -1, 2], "-1"),
        ([1, T + 1, 2], str(T + 1)),
        ([1.0, 2.0, 3.0], "float64"),
    ],
    ids=str,
)
def test_lengths(name, lengths, word):
    refuses(name, "lengths", word, lengths=np.array(lengths))


@each_call
def test_states(name):
    states = CALLS[name][3]
    good = tuple(array(B, H) for _ in range(states))
    refuses(name, "state", state=(*good, array(B, H)))
    refuses(name, "state", state=())
    for wrong in (array(B + 1, H), array(B, H + 1), array(H), array(B, H, dtype=np.float64)):
        refuses(name, "state", state=(wrong, *good[1:]))


@each_call
def test_unknown_activation_names_the_nearest(name):
    refuses(name, "activation", "tahn", "tanh", activation="tahn")


@pytest.mark.parametrize("name", ["lstm", "gru"])
def test_unknown_recurrent_activation_names_the_nearest(name):
    refuses(name, "recurrent_activation", "sigmoidd", "sigmoid", recurrent_activation="sigmoidd")


@each_call
def test_ragged_has_its_lengths(name):
    ragged = lw.Ragged(array(6, I), np.array([0, 2, 6]))
    refuses(name, "lengths", x=ragged, lengths=np.array([2, 4]))
    refuses(name, "x", str(I), x=lw.Ragged(array(6, I + 1), np.array([0, 2, 6])))


@pytest.mark.parametrize("offsets", [[0, 2, 5], [1, 2, 6], [0, 4, 2, 6], [], [0.0, 6.0]], ids=str)
def test_ragged_offsets(offsets):
    with pytest.raises(ValueError, match="offsets"):
        lw.Ragged(array(6, I), np.array(offsets))


def contexts(name):
    function, backward, parameters, states = CALLS[name]
    _, _, ctx = function(array(B, T, I), parameters)
    out = tuple(np.full_like(p, 0.5) for p in parameters)
    return ctx, backward, out, tuple(array(B, H) for _ in range(states))


@each_call
def test_bad_gradients_change_nothing(name):
    ctx, backward, out, good = contexts(name)
    dy = array(B, T, H)
    wrong = [
        ("dy", {"dy": array(B, T, H + 1)}),
        ("dy", {"dy": array(B, H)}),
        ("dy", {"dy": dy.astype(np.float64)}),
        ("dstate", {"dstate": (*good, array(B, H))}),
        ("dstate", {"dstate": (array(B + 1, H), *good[1:])}),
        ("dstate", {"dstate": (array(B, H, dtype=np.float64), *good[1:])}),
        ("out", {"out": out[:2]}),
        ("out", {"out": (out[0], out[1], array(H + 1))}),
        ("out", {"out": (out[0].astype(np.float64), *out[1:])}),
    ]
    for word, change in wrong:
        with pytest.raises(ValueError, match=rf"\b{word}\b"):
            backward(ctx, **({"dy": dy, "dstate": good, "out": out} | change))
        assert all((o == 0.5).all() for o in out), word
    read_only = np.zeros_like(out[0])
    read_only.flags.writeable = False
    with pytest.raises(ValueError, match=r"\bout\b"):
        backward(ctx, dy, good, out=(read_only, *out[1:]))
    backward(ctx, dy, good, out=out)  # the context is still good
    assert any((o != 0.5).any() for o in out)


@each_call
def test_what_is_no_array(name):
    function, backward, (kernel, recurrent_kernel, bias), states = CALLS[name]
    x = array(B, T, I)
    given = (kernel, recurrent_kernel, bias)
    other = "gru" if name == "lstm" else "lstm"
    packed = _core.RecurrentWeights(other, *CALLS[other][2])
    for message, call in {
        "x must be a numpy array or a Ragged, got list": lambda: function(x.tolist(), given),
        "kernel must be a numpy array, got list": lambda: function(x, (kernel.tolist(), recurrent_kernel, bias)),
        "bias must be a numpy array or None, got float": lambda: function(x, (kernel, recurrent_kernel, 0.5)),
        r"state\[0\] must be a numpy array, got int": lambda: function(x, given, (0,) * states),
        f"params must be weights of '.*', got weights of '{other}'": lambda: function(x, packed),
        "ctx must be the context of a training call": lambda: backward(None, array(B, T, H)),
        "dy must be a numpy array, a Ragged or None, got list": lambda: backward(
            function(x, given)[2], array(B, T, H).tolist()
        ),
        "dy must have the lengths of y": lambda: backward(
            function(lw.Ragged(array(6, I), [0, 2, 6]), given)[2], lw.Ragged(array(6, H), [0, 4, 6])
        ),
    }.items():
        with pytest.raises(ValueError, match=message):
            call()


@each_call
def test_a_context_serves_one_backward(name):
    ctx, backward, _, _ = contexts(name)
    backward(ctx, array(B, T, H))
    with pytest.raises(ValueError, match="ctx has been used: a context serves one backward"):
        backward(ctx, array(B, T, H))


def test_context_of_another_cell():
    ctx, _, _, _ = contexts("lstm")
    with pytest.raises(ValueError, match=r"lstm"):
        F.gru_backward(ctx, array(B, T, H))


def test_dense():
    x, kernel, bias = array(B, I), array(I, H), array(H)
    for word, call in {
        "x": lambda: F.dense(array(B, I + 1), (kernel, bias)),
        "kernel": lambda: F.dense(x, (array(I), bias)),
        "bias": lambda: F.dense(x, (kernel, array(H + 1))),
        "activation": lambda: F.dense(x, (kernel, bias), activation="sofplus"),
    }.items():
        with pytest.raises(ValueError, match=rf"\b{word}\b"):
            call()
    with pytest.raises(ValueError, match="float64"):
        F.dense(x.astype(np.float64), (kernel, bias))
    _, ctx = F.dense(x, (kernel, bias))
    with pytest.raises(ValueError, match=r"\bdy\b"):
        F.dense_backward(ctx, array(B, H + 1))


@pytest.mark.parametrize(("offsets", "time_major"), [(None, True), (np.array([0, 1, 2]), False)])
def test_rows_of_any_axes_are_batch_first(offsets, time_major):
    """A dense layer's x may have other axes than three, but not in another arrangement."""
    weights = _core.RecurrentWeights("dense", np.ones((3, 5), np.float32), None, None)
    x = np.ones((2, 2, 2, 3), np.float32)
    options = (time_major, False, "linear", "linear", True, None, False, False, None, "store")
    with pytest.raises(ValueError, match=r"\bx\b"):
        _core.recurrent_forward([(weights, x, [], None, offsets, *options)], False)
