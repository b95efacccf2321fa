"""Graphs of every layer that takes or gives several arrays, with input that has something for each of them to do."""

import os

import numpy as np

from latchwork import _core
from latchwork.layers import (
    GRU,
    LSTM,
    RNN,
    Add,
    AdditiveAttention,
    Attention,
    Average,
    Bidirectional,
    Concatenate,
    Conv1D,
    Dense,
    Dot,
    Dropout,
    Embedding,
    Flatten,
    GRUCell,
    Input,
    LSTMCell,
    Masking,
    Maximum,
    Minimum,
    MultiHeadAttention,
    Multiply,
    RepeatVector,
    SimpleRNN,
    Subtract,
    TimeDistributed,
)
from latchwork.models import Model
from model_stacks import STEPS, TOKENS, X

TABLE = np.random.default_rng(7).normal(size=(70, 3)).astype(np.float32)
OTHER = np.roll(STEPS, 5, axis=0)


def merges():
    """Every merging layer, on arrays and on what a layer made of them twice."""
    a, b = Input((None, 2)), Input((None, 2))
    shared = Dense(2, "tanh")
    u, v = shared(a), shared(b)
    found = [kind()([u, v]) for kind in (Subtract, Add, Multiply, Average, Maximum, Minimum)]
    three = [kind()([u, b, v, a]) for kind in (Add, Multiply, Average, Maximum, Minimum)]
    return [a, b], [*found, *three, Concatenate()([a, u, b])], [X, OTHER]


def products():
    """Dot along every axis."""
    a, b, c = Input((6, 2)), Input((6, 2)), Input((3,))
    row = Dense(3)(c)
    found = [Dot(axes)([a, b]) for axes in (1, 2, (-1, 2), (-2, 1))]
    return [a, b, c], [*found, Dot(1)([c, row]), Dot((2, 1))([Dense(3)(a), row])], [X, OTHER, TABLE]


def masks():
    """Masks that meet: of both, of one alone, laid behind each other."""
    a, b = Input((6, 2)), Input((6, 2))
    u, v = Masking()(a), Masking()(b)
    merged = [Add()([u, v]), Add()([u, b]), Concatenate()([u, v]), Concatenate()([u, b])]
    behind = [Concatenate(axis=1)([u, v]), Concatenate(axis=-2)([b, u])]
    ended = Dot(2)([u, v])
    return [a, b], [LSTM(3)(each) for each in (*merged, *behind, ended)], [STEPS, OTHER]


def deep_masks():
    """A mask of steps on arrays of more axes."""
    x = Input((6,))
    words = Embedding(9, 2, mask_zero=True)(x)
    both = Concatenate()([words, Dense(1)(words)])
    return x, [GRU(3)(both), both], [TOKENS]


def states():
    """Encoder and decoder: states handed over, from one input and from others."""
    text, series, start = Input((None,), name="text"), Input((None, 2), name="series"), Input((3,), name="start")
    _, h, c = LSTM(3, return_state=True)(Embedding(9, 4, mask_zero=True)(text))
    y = LSTM(3, return_sequences=True, name="decoder")(Masking()(series), initial_state=[h, c])
    z, last = GRU(3, return_sequences=True, return_state=True)(y, initial_state=start)
    silent, end = SimpleRNN(3, return_state=True, zero_output_for_mask=True, go_backwards=True)(z)
    return [text, series, start], [Dense(1, name="score")(last), y, silent, end, h], [TOKENS, STEPS, TABLE]


def stacks_and_ways():
    """States of cells on each other, and of both directions."""
    x, start = Input((None, 2)), Input((3,))
    steps = Masking()(x)
    _, *found = RNN([LSTMCell(3), GRUCell(4)], return_state=True)(steps)
    again = RNN([LSTMCell(3), GRUCell(4)], return_sequences=True)(steps, initial_state=found)
    both = Bidirectional(LSTM(3, return_sequences=True, return_state=True))
    y, *ends = both(again, initial_state=[start, found[0], found[1], start])
    apart = Bidirectional(GRU(3, return_sequences=True, return_state=True), merge_mode=None)(y)
    last = Bidirectional(GRU(4, return_state=True, zero_output_for_mask=True), "sum")(apart[1])
    one, other = Bidirectional(LSTM(3), merge_mode=None)(apart[0])
    return [x, start], [*ends, *apart, *last, one, other], [STEPS, TABLE]


def branches():
    """A series, tokens and a table; a layer called three times; an output that others read, and one named twice."""
    series, words, table = Input((6, 2)), Input((6,)), Input((3,))
    shared = Dense(4, "relu", name="shared")
    rows = [shared(each) for each in (table, Dropout(0.3)(Dense(3)(table)), Dense(3)(LSTM(5)(series)))]
    read = Conv1D(4, 3, padding="causal")(series)
    each = Add()([TimeDistributed(Dense(4))(read), RepeatVector(6)(rows[2]), Embedding(9, 4)(words)])
    flat = Dense(2, "softmax")(Flatten()(each))
    return [words, series, table], [flat, *rows, Concatenate()([flat, *rows]), flat], [TOKENS, X, TABLE]


def attention():
    """Every form of it: masks of queries, values and keys, keys of their own, scores, and readers behind them."""
    a, b, words = Input((6, 2)), Input((6, 2)), Input((6,))
    u, v = Masking()(a), Masking()(b)
    keys = Dense(2, "tanh")(Embedding(9, 3, mask_zero=True)(words))
    dot = Attention(use_scale=True, dropout=0.2)([u, v])
    sums, scores = Attention(use_scale=True, score_mode="concat", return_attention_scores=True)([u, b, keys])
    causal = Attention(score_mode="concat", use_causal_mask=True)([a, v, keys])
    found = [AdditiveAttention(scaled, use_causal_mask=not scaled)([v, u]) for scaled in (True, False)]
    heads, of_heads = MultiHeadAttention(2, 3, return_attention_scores=True)(u, u)
    wide = MultiHeadAttention(3, 2, value_dim=5, output_shape=4, use_bias=False, use_causal_mask=True)(b, u, keys)
    read = [GRU(3)(each) for each in (dot, sums, wide)]
    return [a, b, words], [dot, sums, scores, causal, *found, heads, of_heads, wide, *read], [STEPS, OTHER, TOKENS]


def row():
    """A graph that is a row: it steps."""
    x = Input((None, 2))
    return x, Dense(2)(GRU(3)(LSTM(4, return_sequences=True, stateful=True)(Masking()(x)))), [STEPS]


GRAPHS = {
    made.__name__: made
    for made in (merges, products, masks, deep_masks, states, stacks_and_ways, branches, attention, row)
}


def graph_example(name, dtype="float32"):
    """The graph, and its inputs."""
    inputs, outputs, x = GRAPHS[name]()
    return Model(inputs, outputs, dtype=dtype, name="G"), [each.astype(dtype) for each in x]


def graph_in_cpp(path, x):
    """What C++ makes of all inputs: all outputs."""
    return _core.Model(os.fsencode(path)).predict_all(list(x))
