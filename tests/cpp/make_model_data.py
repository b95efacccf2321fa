"""Writes tests/cpp/data: small models, and what Python's predict gives on some input. A new bit version needs it anew.

python tests/cpp/make_model_data.py
"""

from pathlib import Path

import numpy as np

import latchwork as lw
from latchwork import _core, layers
from latchwork.layers import GRU, LSTM, Activation, Dense, Dropout, Input, SimpleRNN
from latchwork.models import Model, Sequential

FOLDER = Path(__file__).parent / "data"


def model():
    """Plain layers."""
    found = [
        LSTM(5, return_sequences=True),
        Dropout(0.5),
        GRU(4, return_sequences=True, recurrent_activation="hard_sigmoid"),
        Dense(3, activation="elu"),
        GRU(3, reset_after=False, return_sequences=True, use_bias=False),
        SimpleRNN(3, activation="softsign"),
        Activation("tanh"),
        Dense(2, activation="softmax"),
    ]
    return Sequential([Input((None, 2)), *found], name="small")


def nested():
    """Layers of layers, and masks."""
    found = [
        layers.Masking(),
        layers.Bidirectional(GRU(5, return_sequences=True)),
        layers.TimeDistributed(Dense(4, "softmax")),
        layers.Bidirectional(
            LSTM(17, return_sequences=True, zero_output_for_mask=True),
            "mul",
            backward_layer=LSTM(17, return_sequences=True, zero_output_for_mask=True, go_backwards=True),
        ),
        layers.RNN([layers.LSTMCell(3), layers.GRUCell(20, reset_after=False)], go_backwards=True),
    ]
    return Sequential([Input((None, 2)), *found], name="nested")


def tokens():
    """Token numbers; goes step by step."""
    found = [
        layers.Embedding(7, 3, mask_zero=True),
        layers.RNN([layers.GRUCell(5), layers.SimpleRNNCell(4)], return_sequences=True),
        layers.TimeDistributed(Dense(3, "softmax")),
        LSTM(18, return_sequences=True, stateful=True, zero_output_for_mask=True),
        GRU(2, reset_after=False),
        Activation("softmax"),
    ]
    return Sequential([Input((None, 1)), *found], name="tokens")


def graph():
    """Three inputs, states handed over, masks that meet, a layer called twice, three outputs."""
    words, series, table = Input((None,), name="words"), Input((None, 2), name="series"), Input((3,), name="table")
    _, h, c = LSTM(3, return_state=True)(layers.Embedding(7, 3, mask_zero=True)(words))
    steps = LSTM(3, return_sequences=True, name="decoder")(layers.Masking()(series), initial_state=[h, c])
    shared = Dense(3, activation="tanh", name="shared")
    read = layers.Add()([steps, layers.Concatenate()([Dense(1)(series), Dense(2)(series)])])
    end = layers.Bidirectional(GRU(3), merge_mode=None)(read)
    both = layers.Concatenate()([layers.Subtract()([shared(end[0]), shared(table)]), end[1]])
    outputs = [Dense(2, activation="softmax", name="kind")(both), steps, layers.Dot(1)([h, table])]
    return Model([words, series, table], outputs, name="graph")


def looking():
    """Attention of every kind, on masks of queries and values; it cannot step."""
    a, b = Input((None, 2)), Input((None, 2))
    asking, told = layers.Masking()(a), layers.Masking()(b)
    found, scores = layers.Attention(use_scale=True, return_attention_scores=True)([asking, told])
    heads = layers.MultiHeadAttention(2, 3, use_causal_mask=True)(asking, asking)
    return Model([a, b], [layers.AdditiveAttention()([found, told]), scores, heads], name="looking")


def stepping():
    """Branches that step: a series, tokens and a table, layers called twice, masks that meet."""
    words, series, table = Input((None,), name="words"), Input((None, 2), name="series"), Input((3,), name="table")
    steps, text = layers.Masking()(series), layers.Embedding(7, 2, mask_zero=True)(words)
    cell = LSTM(2, return_sequences=True)
    both = [cell(steps), cell(text), steps]
    rows = layers.Concatenate()([layers.Maximum()(both), layers.Average()(both), layers.Subtract()(both[:2])])
    end = GRU(3)(layers.LayerNormalization()(rows))
    return Model([words, series, table], [Dense(2, "softmax")(end), rows, layers.Dot(1)([end, table])], name="stepping")


def write_graph(made, x):
    """The model, and its outputs."""
    made.save(FOLDER / f"{made.name}.safetensors")
    arrays = [(f"x{i}", each) for i, each in enumerate(x)]
    arrays += [(f"y{i}", each) for i, each in enumerate(made.predict(x))]
    _core.write_safetensors(str(FOLDER / f"{made.name}_data.safetensors").encode(), arrays, {})


def write(made, name, x):
    """The model, and its output on arrays [B, T, F] and on sequences of 0 to T steps."""
    lengths = np.arange(len(x)) % (x.shape[1] + 1)
    ragged = lw.Ragged.from_list([row[:n] for row, n in zip(x, lengths, strict=True)])
    made.save(FOLDER / f"{name}.safetensors")
    arrays = [("x", x), ("ragged_x", ragged.values), ("lengths", lengths.astype(np.float64))]
    for key, given in (("y", x), ("ragged_y", ragged)):
        made.reset_states()
        arrays.append((key, made.predict(given)))
    _core.write_safetensors(str(FOLDER / f"{name}_data.safetensors").encode(), arrays, {})


def write_roll_outs():
    """What the models above go on with: read from their files. test_rollout.cpp makes the same calls."""
    plain, numbers = (lw.models.load_model(FOLDER / f"{name}.safetensors") for name in ("model", "tokens"))
    x = lw.Ragged(np.arange(14, dtype=np.float32).reshape(7, 2) * 3 % 5 / 4 - 0.5, [0, 4, 5, 7])
    known = np.arange(18, dtype=np.float32).reshape(3, 6, 1) / 8 - 1
    paths = {"outputs": "gaussian", "paths": 25, "min_scale": 0.125, "seed": 2**63 + 5, "known": known}
    prompts = [[1, 2, 3], [6], [0, 5]]
    arrays = {
        "tokens": numbers.generate(prompts, 30, temperature=1.5, top_p=0.9, seed=7).astype(np.float64),
        "one_hot": plain.generate([[1], [0, 1, 0]], 40, seed=8).astype(np.float64),
        "values": plain.forecast(x, 6),
        "quantiles": plain.forecast(x, 6, quantiles=[0.1, 0.5, 0.75], **paths),
        "paths": plain.forecast(x, 6, **paths),
    }
    _core.write_safetensors(str(FOLDER / "rollout_data.safetensors").encode(), list(arrays.items()), {})


if __name__ == "__main__":
    lw.set_seed(1)
    made = model()
    numbers = lw.initializers.RandomNormal(stddev=1.0)((9, 6, 2), np.float32, seed=2, stream=0)
    write(made, "model", numbers)
    masked = numbers * (np.arange(108).reshape(9, 6, 2) // 2 % 5 > 1)
    masked[1], masked[2, :3], masked[3, 3:] = 0, 0, 0
    write(nested(), "nested", masked.astype(np.float32))
    write(tokens(), "tokens", (np.arange(54).reshape(9, 6, 1) * 5 % 11 % 7).astype(np.float32))
    write_roll_outs()
    table = numbers.reshape(-1)[:27].reshape(9, 3)
    words, masked = (np.arange(54).reshape(9, 6) * 5 % 11 % 7).astype(np.float32), masked.astype(np.float32)
    write_graph(graph(), [(np.arange(45).reshape(9, 5) * 5 % 11 % 7).astype(np.float32), masked, table])
    write_graph(looking(), [masked, np.roll(masked, 4, axis=0)])
    write_graph(stepping(), [words, masked, table])
