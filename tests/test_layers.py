"""Layers: Keras' arguments, defaults and shapes; forward and backward against the pure calls and finite differences."""

import numpy as np
import pytest

import latchwork as lw
from latchwork import functional
from latchwork.layers import GRU, LSTM, Activation, Dense, Dropout, Input, SimpleRNN
from layer_checks import assert_same, built, check_gradients

RNG = np.random.default_rng(0)
RECURRENT = [LSTM, GRU, SimpleRNN]
STATES = {LSTM: 2, GRU: 1, SimpleRNN: 1}
GATES = {LSTM: 4, GRU: 3, SimpleRNN: 1}


# ---- parameters --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("layer", "shapes"),
    [
        (LSTM(5), {"lstm/kernel": (3, 20), "lstm/recurrent_kernel": (5, 20), "lstm/bias": (20,)}),
        (GRU(5), {"gru/kernel": (3, 15), "gru/recurrent_kernel": (5, 15), "gru/bias": (2, 15)}),
        (GRU(5, reset_after=False, name="g"), {"g/kernel": (3, 15), "g/recurrent_kernel": (5, 15), "g/bias": (15,)}),
        (SimpleRNN(5), {"simple_rnn/kernel": (3, 5), "simple_rnn/recurrent_kernel": (5, 5), "simple_rnn/bias": (5,)}),
        (LSTM(5, use_bias=False), {"lstm/kernel": (3, 20), "lstm/recurrent_kernel": (5, 20)}),
        (Dense(5), {"dense/kernel": (3, 5), "dense/bias": (5,)}),
        (Dense(5, use_bias=False), {"dense/kernel": (3, 5)}),
        (Dropout(0.5), {}),
    ],
)
def test_variables(layer, shapes):
    layer.build((None, None, 3))
    assert {v.name: v.value.shape for v in layer.variables} == shapes
    assert layer.count_params() == sum(int(np.prod(shape)) for shape in shapes.values())
    assert all(v.value.dtype == np.float32 for v in layer.variables)


def test_initial_values_are_keras_defaults():
    lw.set_seed(3)
    layer = LSTM(16)
    layer.build((None, None, 8))
    kernel, recurrent_kernel, bias = layer.get_weights()
    limit = np.sqrt(6 / (8 + 64))
    assert 0.9 * limit < abs(kernel).max() <= limit
    assert abs(recurrent_kernel.astype(float) @ recurrent_kernel.T - np.eye(16)).max() < 1e-6
    assert bias.tolist() == [0] * 16 + [1] * 16 + [0] * 32
    plain = LSTM(16, unit_forget_bias=False)
    plain.build((None, None, 8))
    assert not plain.get_weights()[2].any()
    assert not np.array_equal(plain.get_weights()[0], kernel)  # its own stream


def test_initializers_are_heeded():
    layer = LSTM(2, kernel_initializer="ones", recurrent_initializer="zeros", bias_initializer="ones")
    layer.build((None, None, 1))
    kernel, recurrent_kernel, bias = layer.get_weights()
    assert (kernel == 1).all()
    assert (recurrent_kernel == 0).all()
    assert (bias == 1).all()
    dense = Dense(2, kernel_initializer=lw.initializers.Constant(0.25), bias_initializer="ones")
    assert dense(np.ones((1, 4))).tolist() == [[2, 2]]


def test_set_weights_reach_the_kernels():
    layer = LSTM(4)
    x = np.ones((1, 3, 2), np.float32)
    before = layer(x)
    layer.set_weights([w * 0.5 for w in layer.get_weights()])
    after = layer(x)
    assert not np.array_equal(before, after)
    layer.set_weights([w * 2 for w in layer.get_weights()])
    assert_same(layer(x), before)


def test_get_weights_are_copies():
    layer = Dense(2)
    layer.build((None, 3))
    layer.get_weights()[0][:] = 7
    assert not (layer.get_weights()[0] == 7).any()


# ---- forward -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("layer_type", RECURRENT)
def test_forward_is_the_pure_call(layer_type, dtype):
    layer = layer_type(7, return_sequences=True, return_state=True, dtype=dtype)
    x = RNG.normal(size=(3, 5, 2)).astype(dtype)
    y, *states = layer(x)
    run = {LSTM: functional.lstm, GRU: functional.gru, SimpleRNN: functional.rnn}[layer_type]
    expected, expected_states, _ = run(x, tuple(v.value for v in layer.variables))
    assert_same(y, expected)
    assert len(states) == STATES[layer_type]
    for state, other in zip(states, expected_states, strict=True):
        assert_same(state, other)
    assert_same(y[:, -1], states[0])


def test_activations_reach_the_kernels():
    x = RNG.normal(size=(2, 4, 3))
    layer = built(LSTM(5, activation="softsign", recurrent_activation="hard_sigmoid", dtype="float64"), 4, 3)
    expected = functional.lstm(
        x, tuple(v.value for v in layer.variables), activation="softsign", recurrent_activation="hard_sigmoid"
    )[0]
    assert_same(layer(x), expected[:, -1].copy())
    before = built(GRU(5, reset_after=False, dtype="float64"), 4, 3)
    expected = functional.gru(x, tuple(v.value for v in before.variables), reset_after=False)[0]
    assert_same(before(x), expected[:, -1].copy())
    dense = built(Dense(5, activation="relu", dtype="float64"), 3)
    assert (dense(x) >= 0).all()
    assert dense(x).shape == (2, 4, 5)
    assert built(Dense(5, activation=None, dtype="float64"), 3).activation == "linear"


@pytest.mark.parametrize("layer_type", RECURRENT)
def test_go_backwards_reads_from_the_end(layer_type):
    x = RNG.normal(size=(2, 5, 3)).astype(np.float32)
    ahead = built(layer_type(4, return_sequences=True), None, 3)
    back = built(layer_type(4, return_sequences=True, go_backwards=True), None, 3)
    back.set_weights(ahead.get_weights())
    assert_same(back(x), ahead(np.ascontiguousarray(x[:, ::-1])))


@pytest.mark.parametrize("layer_type", RECURRENT)
def test_initial_state_continues_a_sequence(layer_type):
    layer = built(layer_type(4, return_sequences=True, return_state=True), None, 3)
    x = RNG.normal(size=(2, 6, 3)).astype(np.float32)
    whole, *_ = layer(x)
    first, *states = layer(x[:, :2])
    second, *_ = layer(x[:, 2:], initial_state=states)
    assert_same(np.concatenate([first, second], axis=1), whole)
    if STATES[layer_type] == 1:
        assert_same(layer(x[:, 2:], initial_state=states[0])[0], second)


def test_numbers_of_other_types_are_cast():
    layer = built(LSTM(3), None, 2)
    x = np.array([[[1, 0], [0, 1]]])
    for other in (
        x.astype(bool),
        x.astype(np.int8),
        x.astype(np.float64),
        x.tolist(),
        x.astype(">f4"),
        np.asfortranarray(x),
    ):
        assert_same(layer(other), layer(x))
    assert layer(x).dtype == np.float32


def test_any_number_of_steps_runs():
    layer = LSTM(3, input_shape=(10, 2))
    for steps in (1, 10, 33):
        assert layer(np.ones((2, steps, 2))).shape == (2, 3)
    assert layer(np.ones((0, 4, 2))).shape == (0, 3)
    assert not LSTM(3)(np.ones((2, 0, 2))).any()  # no steps: the initial state


def test_softmax():
    x = RNG.normal(size=(3, 4, 5))
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    expected = e / e.sum(axis=-1, keepdims=True)
    assert abs(Activation("softmax", dtype="float64")(x) - expected).max() < 1e-15
    dense = built(Dense(5, activation="softmax", dtype="float64"), 5)
    kernel, bias = dense.get_weights()
    z = x @ kernel + bias
    e = np.exp(z - z.max(axis=-1, keepdims=True))
    assert abs(dense(x) - e / e.sum(axis=-1, keepdims=True)).max() < 1e-14


# ---- masks and ragged batches ------------------------------------------------------------------------------


LENGTHS = [3, 0, 5, 1]
MASK = np.arange(5) < np.array(LENGTHS)[:, None]


@pytest.mark.parametrize("layer_type", RECURRENT)
@pytest.mark.parametrize("backwards", [False, True])
def test_mask_follows_keras(layer_type, backwards):
    """y is 0 before the first real step and repeats the last output behind the end; states are of the last step."""
    layer = built(layer_type(4, return_sequences=True, return_state=True, go_backwards=backwards), None, 3)
    x = RNG.normal(size=(4, 5, 3)).astype(np.float32)
    y, *states = layer(x, mask=MASK)
    for row, length in enumerate(LENGTHS):
        alone, *alone_states = layer(x[row : row + 1, :length])
        for state, other in zip(states, alone_states, strict=True):
            assert_same(state[row], other[0])
        if length == 0:
            assert not y[row].any()
        elif backwards:  # the padding is read first
            assert not y[row, : 5 - length].any()
            assert_same(y[row, 5 - length :], alone[0])
        else:
            assert_same(y[row, :length], alone[0])
            assert (y[row, length:] == alone[0, -1]).all()
    last = layer_type(4, go_backwards=backwards)
    last.build((None, None, 3))
    last.set_weights(layer.get_weights())
    assert_same(last(x, mask=MASK), y[:, -1].copy())


@pytest.mark.parametrize("layer_type", RECURRENT)
def test_ragged_is_the_padded_batch_without_padding(layer_type):
    layer = built(layer_type(4, return_sequences=True), None, 3)
    x = RNG.normal(size=(4, 5, 3)).astype(np.float32)
    ragged = lw.Ragged.from_list([x[i, :n] for i, n in enumerate(LENGTHS)])
    y = layer(ragged)
    padded = layer(x, mask=MASK)
    assert isinstance(y, lw.Ragged)
    for i, n in enumerate(LENGTHS):
        assert_same(y[i], padded[i, :n])
    behind = built(Dense(2, activation="softmax"), None, 4)(y)
    assert isinstance(behind, lw.Ragged)
    assert np.array_equal(behind.offsets, y.offsets)
    assert behind.values.shape == (9, 2)


# ---- backward ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sequences", [False, True])
@pytest.mark.parametrize("state", [False, True])
@pytest.mark.parametrize("layer_type", RECURRENT)
def test_gradients(layer_type, state, sequences):
    layer = built(layer_type(3, return_sequences=sequences, return_state=state, dtype="float64"), None, 2)
    call = {"initial_state": [RNG.normal(size=(2, 3)) for _ in range(STATES[layer_type])]} if state else {}
    check_gradients(layer, RNG.normal(size=(2, 4, 2)), **call)


@pytest.mark.parametrize("backwards", [False, True])
@pytest.mark.parametrize("sequences", [False, True])
def test_gradients_with_mask(sequences, backwards):
    layer = built(GRU(3, return_sequences=sequences, go_backwards=backwards, dtype="float64"), None, 2)
    check_gradients(layer, RNG.normal(size=(4, 5, 2)), mask=MASK)


@pytest.mark.parametrize("activation", ["linear", "tanh", "softmax"])
@pytest.mark.parametrize("shape", [(4,), (3, 4)])
def test_gradients_of_dense_and_activation(activation, shape):
    x = RNG.normal(size=(2, *shape))
    check_gradients(built(Dense(3, activation=activation, dtype="float64"), *shape), x)
    check_gradients(built(Activation(activation, dtype="float64"), *shape), x)


def test_gradients_of_parameters_add_up_and_dx_is_left_out_on_request():
    layer = built(LSTM(3), None, 2)
    x = RNG.normal(size=(2, 4, 2)).astype(np.float32)
    dy = np.ones((2, 3), np.float32)
    assert layer.backward(layer.forward(x)[1], dy).shape == x.shape
    once = [v.gradient.copy() for v in layer.variables]
    assert layer.backward(layer.forward(x)[1], dy, need_dx=False) is None
    for v, gradient in zip(layer.variables, once, strict=True):
        assert gradient.any()
        assert_same(v.gradient, gradient + gradient)


def test_gradient_of_states_may_be_left_out():
    layer = built(LSTM(3, return_state=True, dtype="float64"), None, 2)
    x = RNG.normal(size=(2, 4, 2))
    dh = RNG.normal(size=(2, 3))
    _, ctx = layer.forward(x)
    some = layer.backward(ctx, [None, dh, None])
    _, ctx = layer.forward(x)
    assert_same(some, layer.backward(ctx, [dh, None, None]))  # y is the last h


def test_ragged_gradients_are_those_of_the_padded_batch():
    layer = built(GRU(3, return_sequences=True, dtype="float64"), None, 2)
    x = RNG.normal(size=(4, 5, 2))
    dy = RNG.normal(size=(4, 5, 3)) * MASK[:, :, None]
    _, ctx = layer.forward(x, mask=MASK)
    dx = layer.backward(ctx, dy)
    gradients = [v.gradient.copy() for v in layer.variables]
    for v in layer.variables:
        v.gradient[...] = 0
    y, ctx = layer.forward(lw.Ragged(x[MASK], np.concatenate([[0], np.cumsum(LENGTHS)])))
    dx_ragged = layer.backward(ctx, lw.Ragged(dy[MASK], y.offsets))
    assert_same(dx_ragged.values, dx[MASK])
    for v, gradient in zip(layer.variables, gradients, strict=True):
        assert_same(v.gradient, gradient)


# ---- dropout -----------------------------------------------------------------------------------------------


def test_dropout_only_in_training():
    x = np.ones((4, 100), np.float32)
    layer = Dropout(0.25)
    assert_same(layer(x), x)
    y = layer(x, training=True)
    assert set(y.ravel().tolist()) == {0.0, float(np.float32(1 / 0.75))}
    assert 50 < (y == 0).sum() < 150
    assert_same(Dropout(0.0)(x, training=True), x)


def test_dropout_gradient_uses_the_mask_of_forward():
    x = RNG.normal(size=(4, 30)).astype(np.float32)
    layer = Dropout(0.5)
    y, ctx = layer.forward(x, step=3)
    dy = np.ones_like(x)
    assert_same(layer.backward(ctx, dy) * x, y)
    assert_same(layer.forward(x, step=3)[0], y)  # a pure function of the step
    assert not np.array_equal(layer.forward(x, step=4)[0], y)


def test_dropout_is_repeatable_and_differs_between_seeds_and_layers():
    x = np.ones((4, 100))

    def masks(**arguments):
        lw.set_seed(5)
        layer = Dropout(0.5, **arguments)
        return layer(x, training=True), layer(x, training=True)

    first, second = masks()
    assert not np.array_equal(first, second)
    assert_same(masks()[1], second)
    assert not np.array_equal(masks(seed=1)[0], masks(seed=2)[0])
    a, b = Dropout(0.5, seed=1), Dropout(0.5, seed=1)
    lw.models.Sequential([a, b])
    assert not np.array_equal(a.forward(x, step=0)[0], b.forward(x, step=0)[0])


# ---- arguments ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("layer_type", RECURRENT)
@pytest.mark.parametrize(
    ("name", "default", "other"),
    [
        ("dropout", 0.0, 0.2),
        ("recurrent_dropout", 0.0, 0.2),
        ("unroll", False, True),
        ("seed", None, 3),
        ("kernel_regularizer", None, "l2"),
        ("recurrent_constraint", None, "max_norm"),
        ("activity_regularizer", None, "l2"),
    ],
)
def test_arguments_that_are_not_built_take_their_default_only(layer_type, name, default, other):
    layer_type(3, **{name: default})
    with pytest.raises(ValueError, match=rf"{layer_type.__name__}: {name} must be {default!r}.*got {other!r}"):
        layer_type(3, **{name: other})


def test_unknown_arguments_name_the_nearest():
    with pytest.raises(TypeError, match="LSTM has no argument 'return_sequence'; nearest: return_sequences"):
        LSTM(3, return_sequence=True)
    with pytest.raises(TypeError, match="Dense has no argument 'inputs_shape'; nearest: input_shape"):
        Dense(3, inputs_shape=(2,))
    with pytest.raises(TypeError, match="SimpleRNN has no argument 'recurrent_activation'"):
        SimpleRNN(3, recurrent_activation="sigmoid")
    with pytest.raises(ValueError, match="Input: batch_size must be None"):
        Input((3, 1), batch_size=4)


def test_keras_positions():
    layer = LSTM(3, "relu", "hard_sigmoid", False)
    assert (layer.activation, layer.recurrent_activation, layer.use_bias) == ("relu", "hard_sigmoid", False)
    assert Dense(3, "sigmoid").activation == "sigmoid"
    assert SimpleRNN(3, "relu", False).use_bias is False
    assert Dropout(0.5).rate == 0.5


def test_repr():
    layer = LSTM(3)
    assert repr(layer) == "<LSTM 'lstm', 0 parameters>"
    assert repr(Input((2, 1))) == "<Input 'input' (B, 2, 1)>"
