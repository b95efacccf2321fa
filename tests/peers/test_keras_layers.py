"""Keras' own layer tests, by their numbers (keras_numbers.py). Keras itself is not needed."""

import numpy as np
import pytest

import latchwork as lw
from latchwork import layers
from latchwork.models import Sequential
from peers.keras_numbers import CASES, CONSTANTS


class OneState(layers.Cell):
    """rnn_test.py's cell of one state: y = h' = x W + h R, all weights 1."""

    def __init__(self, units):
        super().__init__()
        self.state_size = units

    def create(self, features):
        self.kernel = self.add_weight((features, self.state_size), "ones", "kernel")
        self.recurrent_kernel = self.add_weight((self.state_size, self.state_size), "ones", "recurrent_kernel")

    def forward(self, x, states, training=False):
        y = x @ self.kernel.value + states[0] @ self.recurrent_kernel.value
        return y, [y], None


class TwoStates(layers.Cell):
    """rnn_test.py's cell of two states; both read the first: y = h1' + h2'."""

    def __init__(self, units):
        super().__init__()
        self.state_size = [units, units]

    def create(self, features):
        units = self.state_size[0]
        self.kernel = self.add_weight((features, units), "ones", "kernel")
        self.recurrent_kernels = [self.add_weight((units, units), "ones", f"recurrent_kernel_{i}") for i in (1, 2)]

    def forward(self, x, states, training=False):
        new = [x @ self.kernel.value + states[0] @ kernel.value for kernel in self.recurrent_kernels]
        return new[0] + new[1], new, None


def constant(constants):
    """The initialisers of a layer whose weights of a kind are one number."""
    arguments = {"kernel": "kernel_initializer", "recurrent_kernel": "recurrent_initializer"}
    arguments["bias"] = "bias_initializer"
    return {arguments[kind]: lw.initializers.Constant(value) for kind, value in constants.items()}


def layer_of(case, dtype):
    cells = {"OneState": OneState, "TwoStates": TwoStates}
    if case.layer in cells:
        units = case.units if isinstance(case.units, list) else [case.units]
        stack = [cells[case.layer](n) for n in units]
        return layers.RNN(stack if len(stack) > 1 else stack[0], dtype=dtype, **case.options)
    layer_class = getattr(layers, case.layer)
    layer = layer_class(case.units, **constant(CONSTANTS), dtype=dtype, **case.options)
    if case.bidirectional is None:
        return layer
    back = None
    if case.back is not None:
        back = layer_class(case.units, **constant(case.back), dtype=dtype, go_backwards=True, **case.options)
    return layers.Bidirectional(layer, backward_layer=back, **case.bidirectional)


def answers(case, dtype):
    """What the layer returns, as a list of arrays."""
    x = (np.ones(case.x) if case.ones else np.arange(np.prod(case.x)).reshape(case.x)).astype(dtype)
    layer = layer_of(case, dtype)
    if case.calls == 1:
        state = case.initial_state and [
            np.ones(shape) if factor is None else np.arange(np.prod(shape)).reshape(shape) * factor
            for shape, factor in case.initial_state
        ]
        mask = None if case.mask is None else np.array(case.mask)
        y = layer(x, initial_state=state, mask=mask)
        return y if isinstance(y, list) else [y]
    model = Sequential([layer])
    repeated = []
    for _ in range(2):  # Keras' tests reset the states and find the same numbers
        repeated = [model.predict(x) for _ in range(case.calls)]
        model.reset_states()
    assert np.array_equal(model.predict(x), repeated[0])
    assert not np.array_equal(repeated[0], repeated[-1])
    return repeated[-1:]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("case", [pytest.param(c, id=f"{c.test}, {i}") for i, c in enumerate(CASES)])
def test_numbers_of_keras(case, dtype):
    found = answers(case, dtype)
    assert len(found) == len(case.outputs)
    for ours, wanted in zip(found, case.outputs, strict=True):
        assert ours.dtype == dtype
        theirs = np.asarray(wanted)
        if theirs.ndim == ours.ndim - 1:
            theirs = np.broadcast_to(theirs[..., None], ours.shape)
        assert ours.shape == theirs.shape
        exact = theirs.dtype.kind == "i"
        # Numbers written with seven digits, made in float32: in float64 Keras' default tolerance holds everywhere.
        tolerance = 0 if exact else case.tolerance if dtype == "float32" else 1e-6
        np.testing.assert_allclose(ours, theirs, rtol=tolerance, atol=tolerance)


def test_stacked_lstm_cells_with_a_mask():
    """stacked_rnn_cells: test_stacked_lstm_cell_mask; four digits."""
    cells = [layers.LSTMCell(1, kernel_initializer="ones", recurrent_initializer="ones") for _ in range(2)]
    y = layers.RNN(cells)(np.ones((2, 3, 4)), mask=np.array([[True, True, True], [True, True, False]]))
    np.testing.assert_allclose(y, [[0.7793], [0.5998]], rtol=0, atol=0.5e-4)


def test_time_distributed():
    """time_distributed: test_correctness."""
    dense = layers.Dense(1, kernel_initializer=lw.initializers.Constant(0.01), use_bias=False)
    y = layers.TimeDistributed(dense)(np.arange(24).reshape(3, 2, 4))
    np.testing.assert_allclose(y, [[[0.06], [0.22]], [[0.38], [0.54]], [[0.7], [0.86]]], rtol=1e-6, atol=1e-6)


def test_embedding():
    """embedding: test_correctness, test_masking, test_compute_mask_no_masking."""
    table = [[0.0, 0.0], [2.0, 2.0], [3.0, 3.0]]
    numbers = np.array([2, 1, 0])
    layer = layers.Embedding(3, 2, weights=[np.array(table)], mask_zero=True)
    assert layer(numbers).tolist() == [[3, 3], [2, 2], [0, 0]]
    assert layer.compute_mask(numbers, None).tolist() == [True, True, False]
    assert layers.Embedding(3, 2).compute_mask(numbers, None) is None


def test_masking():
    """masking: test_masking_correctness."""
    x = np.array([[[0.0, 0.0], [1.0, 2.0], [0.0, 0.0]], [[2.0, 2.0], [0.0, 0.0], [2.0, 1.0]]])
    assert layers.Masking(0.0).compute_mask(x, None).tolist() == [[False, True, False], [True, False, True]]


def test_repeat_vector():
    """repeat_vector: test_repeat_vector."""
    x = np.random.default_rng(0).random((2, 5), np.float32)
    assert np.array_equal(layers.RepeatVector(3)(x), np.repeat(x.reshape(2, 1, 5), 3, axis=1))
