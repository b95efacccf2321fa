"""Models of every layer that a file may hold, with input that has something for each of them to do."""

import os

import numpy as np

import latchwork as lw
from latchwork import _core
from latchwork.layers import (
    GRU,
    LSTM,
    RNN,
    Activation,
    AveragePooling1D,
    BatchNormalization,
    Bidirectional,
    Conv1D,
    Dense,
    Dropout,
    Embedding,
    Flatten,
    GaussianNoise,
    GlobalAveragePooling1D,
    GlobalMaxPooling1D,
    GRUCell,
    Input,
    LayerNormalization,
    LSTMCell,
    Masking,
    MaxPooling1D,
    Normalization,
    Permute,
    RepeatVector,
    Reshape,
    SimpleRNN,
    SimpleRNNCell,
    SpatialDropout1D,
    StackedRNNCells,
    TimeDistributed,
)
from latchwork.models import Sequential

RNG = np.random.default_rng(0)
X = RNG.normal(size=(70, 6, 2)).astype(np.float32)
Y = RNG.random(size=(70, 3)).astype(np.float32)


def sometimes_masked(x):
    """Steps of zeros in the middle, in front, behind, everywhere."""
    real = RNG.random((len(x), x.shape[1], 1)) > 0.3
    real[0], real[1, :2], real[2, 4:] = False, False, False
    return x * real


STEPS = sometimes_masked(X)
TOKENS = RNG.integers(0, 9, (70, 6)) * (RNG.random((70, 6)) > 0.3)

STACKS = {
    "LSTM": lambda: [LSTM(5)],
    "LSTM, other activations": lambda: [LSTM(17, "relu", "hard_sigmoid", use_bias=False), Dense(3)],
    "GRU": lambda: [GRU(5, return_sequences=True), GRU(4, reset_after=False)],
    "SimpleRNN": lambda: [SimpleRNN(33, activation=None, go_backwards=True)],
    "Dense": lambda: [Dense(7, "softplus"), Dropout(0.25, seed=2**64 - 1), Dense(3, "softmax", use_bias=False)],
    "Activation": lambda: [LSTM(3, return_sequences=True, name="mine"), Activation("softmax"), Activation("elu")],
    "frozen": lambda: [LSTM(4, trainable=False), Dense(3)],
    "stateful": lambda: [LSTM(4, stateful=True, return_sequences=True), RNN(GRUCell(3), stateful=True)],
    "Masking": lambda: [Masking(), LSTM(5, return_sequences=True), GRU(20)],
    "Masking, zeros": lambda: [
        Masking(),
        GRU(5, return_sequences=True, zero_output_for_mask=True, go_backwards=True),
        LSTM(4, zero_output_for_mask=True),
    ],
    "Masking, zeros at each step": lambda: [
        Masking(),
        RNN([LSTMCell(3), GRUCell(4)], return_sequences=True, zero_output_for_mask=True),
        Dense(2),
        SimpleRNN(4, zero_output_for_mask=True),
    ],
    "Masking of NaN": lambda: [Masking(float("nan")), LSTM(3)],
    "Masking of infinity": lambda: [Masking(-float("inf")), Dense(3)],
    "Masking passes by": lambda: [
        Masking(0),
        TimeDistributed(Dense(4)),
        Dropout(0.5),
        Activation("tanh"),
        Bidirectional(GRU(3, return_sequences=True)),
        LSTM(3),
    ],
    "Embedding": lambda: [Embedding(9, 4), LSTM(5)],
    "Embedding masks": lambda: [Embedding(9, 4, mask_zero=True), LSTM(5, return_sequences=True), GRU(3), Dense(2)],
    "Embedding alone": lambda: [Embedding(9, 1, mask_zero=True)],
    "Embedding of steps": lambda: [TimeDistributed(Embedding(9, 2)), Dense(2)],
    "Embedding, a mask of sequences": lambda: [
        Embedding(9, 3, mask_zero=True),
        TimeDistributed(LSTM(4)),
        TimeDistributed(Dense(2)),
    ],
    "Flatten": lambda: [Dense(3), Flatten(), Dense(4)],
    "Flatten of one axis": lambda: [LSTM(3), Flatten(), Dense(4)],
    "RepeatVector": lambda: [LSTM(3), RepeatVector(4), GRU(2, return_sequences=True)],
    "TimeDistributed": lambda: [
        TimeDistributed(RepeatVector(3)),
        TimeDistributed(TimeDistributed(Dense(4, "softmax"))),
        TimeDistributed(LSTM(5, return_sequences=True)),
        TimeDistributed(Flatten()),
        TimeDistributed(Activation("softmax"), trainable=False),
    ],
    "TimeDistributed of Bidirectional": lambda: [
        TimeDistributed(RepeatVector(3)),
        TimeDistributed(Bidirectional(LSTM(4, activation="softsign"))),
        TimeDistributed(Dense(2), name="out"),
    ],
    "Bidirectional": lambda: [Bidirectional(LSTM(4, return_sequences=True)), Bidirectional(GRU(3, name="inner"))],
    "Bidirectional, sum": lambda: [Bidirectional(GRU(4, return_sequences=True), "sum", name="both")],
    "Bidirectional, mul": lambda: [Masking(), Bidirectional(LSTM(4), "mul")],
    "Bidirectional, ave": lambda: [Masking(), Bidirectional(SimpleRNN(4, return_sequences=True), "ave")],
    "Bidirectional of two": lambda: [
        Masking(),
        Bidirectional(
            GRU(4, return_sequences=True, zero_output_for_mask=True, trainable=False),
            backward_layer=LSTM(
                17, return_sequences=True, zero_output_for_mask=True, go_backwards=True, use_bias=False
            ),
        ),
    ],
    "Bidirectional, silent": lambda: [Masking(), Bidirectional(LSTM(4, zero_output_for_mask=True, stateful=True))],
    "Bidirectional of cells": lambda: [
        Bidirectional(RNN(LSTMCell(5, "softsign"), return_sequences=True)),
        Bidirectional(RNN(GRUCell(4, reset_after=False), name="inner"), "ave"),
    ],
    "Bidirectional of stacks": lambda: [
        Masking(),
        Bidirectional(RNN([LSTMCell(3), GRUCell(18)], return_sequences=True, stateful=True)),
        Bidirectional(RNN(StackedRNNCells([StackedRNNCells([GRUCell(3)]), LSTMCell(4)], name="s")), "mul"),
    ],
    "Bidirectional of stacks, sum": lambda: [
        Masking(),
        Bidirectional(RNN([SimpleRNNCell(3), SimpleRNNCell(4)], return_sequences=True, trainable=False), "sum"),
    ],
    "Bidirectional of three cells and one": lambda: [
        Masking(),
        Bidirectional(
            RNN([GRUCell(3), LSTMCell(17), GRUCell(5)], return_sequences=True),
            backward_layer=LSTM(4, return_sequences=True, go_backwards=True),
        ),
        Bidirectional(GRU(3), backward_layer=RNN([LSTMCell(3), GRUCell(2)], go_backwards=True)),
    ],
    "RNN": lambda: [RNN(LSTMCell(5, use_bias=False), return_sequences=True), RNN(SimpleRNNCell(4, "relu"))],
    "RNN of a stack": lambda: [RNN([GRUCell(5), LSTMCell(3, name="top"), GRUCell(2, reset_after=False)])],
    "RNN backwards": lambda: [
        Masking(),
        RNN(StackedRNNCells([LSTMCell(3), LSTMCell(4)], name="s"), return_sequences=True, go_backwards=True),
    ],
    "LayerNormalization": lambda: [
        Masking(),
        Dense(19),
        LayerNormalization(beta_initializer="normal", gamma_initializer="normal"),
        LayerNormalization(epsilon=0.1, center=False),
        LayerNormalization(scale=False, beta_initializer="normal"),
        LSTM(3),
    ],
    "BatchNormalization": lambda: [
        Masking(),
        BatchNormalization(moving_mean_initializer="normal", beta_initializer="normal"),
        LSTM(4, return_sequences=True),
        BatchNormalization(-1, 0.5, 0.01, center=False, scale=False),
        BatchNormalization(scale=False, trainable=False),
        Dense(2),
    ],
    "Normalization": lambda: [
        Normalization(mean=[0.3, -2.0], variance=[0.7, 0.0]),
        GRU(3, return_sequences=True),
        Normalization(mean=0.1, variance=0.3, invert=True),
        TimeDistributed(LayerNormalization()),
    ],
    "SpatialDropout1D, GaussianNoise": lambda: [SpatialDropout1D(0.5), GaussianNoise(0.1, seed=7), LSTM(3)],
    "Conv1D": lambda: [Conv1D(5, 3, strides=2, activation="relu"), Conv1D(3, 2, use_bias=False), LSTM(3)],
    "Conv1D, same": lambda: [
        Masking(),
        Conv1D(17, 4, padding="same", activation="softmax", bias_initializer="normal"),
        Conv1D(3, 2, padding="same", dilation_rate=3),
        LSTM(3),
    ],
    "Conv1D, causal": lambda: [
        Masking(),
        Conv1D(6, 3, padding="causal", dilation_rate=2, bias_initializer="normal"),
        GRU(4, return_sequences=True),
    ],
    "Conv1D, strides": lambda: [
        Masking(),
        Conv1D(4, 5, strides=3, padding="same", bias_initializer="normal"),
        Conv1D(4, 2, strides=2, padding="causal"),
        LSTM(3),
    ],
    "Pooling": lambda: [MaxPooling1D(3, 1), Masking(), AveragePooling1D(2, padding="same"), LSTM(3)],
    "Pooling, same": lambda: [
        Masking(),
        MaxPooling1D(3, strides=1, padding="same"),
        AveragePooling1D(4, strides=1, padding="same"),
        Conv1D(3, 2, padding="same", bias_initializer="normal"),
        LSTM(3),
    ],
    "GlobalMaxPooling1D": lambda: [Masking(), GlobalMaxPooling1D(), Dense(3)],
    "GlobalAveragePooling1D": lambda: [Masking(), GlobalAveragePooling1D(keepdims=True), Flatten(), Dense(3)],
    "Reshape": lambda: [
        Reshape((3, -1)),
        Permute((2, 1)),
        Reshape((12,)),
        Reshape((2, 3, 2)),
        Permute((3, 1, 2)),
        Dense(4),
    ],
    "RNN of stacks of stacks": lambda: [RNN(StackedRNNCells([StackedRNNCells([LSTMCell(3)]), GRUCell(4)]))],
}

# Which cannot go step by step, and why; test_sessions.py.
NO_STEPS = {
    "SimpleRNN": "simple_rnn: .*go_backwards",
    "Masking, zeros": "gru: .*go_backwards",
    "RNN backwards": "rnn: .*go_backwards",
    "Masking passes by": "bidirectional: cannot step",
    "Flatten": "flatten: cannot step",
    "RepeatVector": "repeat_vector: cannot step",
    "Conv1D": "conv1d: cannot step",
    "Conv1D, same": "conv1d: cannot step",
    "Conv1D, causal": "conv1d: cannot step",
    "Conv1D, strides": "conv1d: cannot step",
    "Pooling": "max_pooling1d: cannot step",
    "Pooling, same": "max_pooling1d: cannot step",
    "GlobalMaxPooling1D": "global_max_pooling1d: cannot step",
    "GlobalAveragePooling1D": "global_average_pooling1d: cannot step",
    "Reshape": "reshape: cannot step",
    "TimeDistributed": "time_distributed: cannot step",
    "TimeDistributed of Bidirectional": "time_distributed: cannot step",
    "Embedding, a mask of sequences": "embedding: cannot step",
    "Embedding of steps": "time_distributed: cannot step",
    **{name: "bidirectional: cannot step|both: cannot step" for name in STACKS if name.startswith("Bidirectional")},
}


def example(name, dtype="float32"):
    """A model of that stack, and its input."""
    steps = {"Masking of NaN": np.nan, "Masking of infinity": -np.inf}
    x = STEPS.copy()
    x[x == 0] = steps.get(name, 0)
    if name == "Masking of NaN":
        x[..., 1] = -x[..., 1]  # NaN of the other sign, which is NaN too
    if name.startswith("Embedding"):
        shapes = {"Embedding of steps": (70, 6, 1), "Embedding, a mask of sequences": (70, 2, 3)}
        x = TOKENS.reshape(shapes.get(name, (70, 6)))
    model = Sequential([Input(x.shape[1:]), *STACKS[name]()], dtype=dtype, name="N")
    return model, x.astype(dtype)


def whole(model, x):
    """predict from states of zero."""
    model.reset_states()
    return model.predict(x, batch_size=256)


def in_cpp(path, x):
    """What C++ makes of an array, or of a Ragged: its values."""
    native = _core.Model(os.fsencode(path))
    return native.predict(x.values, x.lengths.tolist()) if isinstance(x, lw.Ragged) else native.predict(x)


def same(a, b):
    return len(a) == len(b) and all(
        (u.dtype, u.shape, u.tobytes()) == (v.dtype, v.shape, v.tobytes()) for u, v in zip(a, b, strict=True)
    )
