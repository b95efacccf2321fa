"""Writes tests/cpp/data: a small model, and what Python's predict gives on some input. A new bit version needs it anew.

python tests/cpp/make_model_data.py
"""

from pathlib import Path

import numpy as np

import latchwork as lw
from latchwork import _core
from latchwork.layers import GRU, LSTM, Activation, Dense, Dropout, Input, SimpleRNN

FOLDER = Path(__file__).parent / "data"


def model():
    lw.set_seed(1)
    layers = [
        LSTM(5, return_sequences=True),
        Dropout(0.5),
        GRU(4, return_sequences=True, recurrent_activation="hard_sigmoid"),
        Dense(3, activation="elu"),
        GRU(3, reset_after=False, return_sequences=True, use_bias=False),
        SimpleRNN(3, activation="softsign"),
        Activation("tanh"),
        Dense(2, activation="softmax"),
    ]
    return lw.models.Sequential([Input((None, 2)), *layers], name="small")


if __name__ == "__main__":
    made = model()
    made.save(FOLDER / "model.safetensors")
    x = lw.initializers.RandomNormal(stddev=1.0)((3, 6, 2), np.float32, seed=2, stream=0)
    arrays = [("x", x), ("y", made.predict(x))]
    _core.write_safetensors(str(FOLDER / "model_data.safetensors").encode(), arrays, {})
