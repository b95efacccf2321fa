"""latchwork: pure calls on weights packed once an update; a session where steps are streamed."""

from __future__ import annotations

import numpy as np

import tutorial
from arrays import STREAM_STEPS, Arrays, Results, Weights
from engines import Prepared
from latchwork import Ragged, _core, layers
from latchwork import functional as F
from latchwork.models import Sequential
from rows import Row

CALLS = {
    "lstm": (F.lstm, F.lstm_backward, layers.LSTM),
    "gru": (F.gru, F.gru_backward, layers.GRU),
    "rnn": (F.rnn, F.rnn_backward, layers.SimpleRNN),
}


def layer(row: Row, arrays: Arrays, threads: int) -> Prepared:
    make = _stream if row.kind == "stream" else _one if row.layers * row.directions == 1 else _stack
    prepared = make(row, arrays)
    prepared.enter = lambda: _core.set_num_threads(threads)
    prepared.nanoseconds = _core.nanoseconds
    return prepared


def _one(row: Row, arrays: Arrays) -> Prepared:
    forward, backward, _ = CALLS[row.cell]
    ((w,),) = arrays.weights
    weights = _core.RecurrentWeights(row.cell.replace("rnn", "elman"), w.kernel, w.recurrent_kernel, w.bias)
    x, dy = arrays.x, arrays.dy
    if row.ragged:
        x, dy = (Ragged.from_list([a[:n] for a, n in zip(array, row.lengths, strict=True)]) for array in (x, dy))

    def train() -> Results:
        weights.touch()  # a training step has just written them: packing them anew belongs to its cost
        y, _, ctx = forward(x, weights)
        g = backward(ctx, dy)
        return {"y": y, "dx": g.x, "kernel": g.kernel, "recurrent_kernel": g.recurrent_kernel}

    def padded() -> Results:
        return {name: a.to_padded() if isinstance(a, Ragged) else a for name, a in train().items()}

    def infer() -> Results:
        return {"y": forward(x, weights, training=False)[0]}

    return Prepared(train, padded) if row.kind == "training" else Prepared(infer, infer)


def _layer(row: Row, directions: list[Weights]) -> layers.Layer:
    made = CALLS[row.cell][2](row.H, return_sequences=True)
    made = layers.Bidirectional(made) if row.bidirectional else made
    made.build((None, None, directions[0].kernel.shape[0]))
    made.set_weights([array for w in directions for array in (w.kernel, w.recurrent_kernel, w.bias)])
    return made


def _stack(row: Row, arrays: Arrays) -> Prepared:
    stack = [_layer(row, directions) for directions in arrays.weights]

    def infer() -> Results:
        y = arrays.x
        for each in stack:
            y, _ = each.forward(y, training=False)
        return {"y": y}

    def train() -> Results:
        y, contexts = arrays.x, []
        for each in stack:
            each.touch()
            y, ctx = each.forward(y, training=True)
            contexts.append(ctx)
        gradient = arrays.dy
        for each, ctx in zip(reversed(stack), reversed(contexts), strict=True):
            gradient = each.backward(ctx, gradient)
        return {"y": y, "dx": gradient}

    run = train if row.kind == "training" else infer
    return Prepared(run, run)


def _stream(row: Row, arrays: Arrays) -> Prepared:
    model = Sequential([CALLS[row.cell][2](row.H, input_shape=(None, row.I))])
    model.build()
    ((w,),) = arrays.weights
    model.set_weights([w.kernel, w.recurrent_kernel, w.bias])
    session = model.session(row.B)
    steps = [np.ascontiguousarray(arrays.x[:, t]) for t in range(STREAM_STEPS)]
    x = steps[0]

    def results() -> Results:
        session.reset()
        return {f"y{t}": session.step(step, copy=True) for t, step in enumerate(steps)}

    return Prepared(lambda: session.step(x), results)


class Tutorial(tutorial.Program):
    def __init__(self) -> None:
        self.model = Sequential([layers.LSTM(50, input_shape=(tutorial.T, 1)), layers.Dense(1)])
        self.model.compile(loss="mse", optimizer="adam")
        self.model.build()
        self.model.set_weights(tutorial.weights())

    def epoch(self, *, shuffle: bool) -> None:
        self.model.fit(*tutorial.data(), epochs=1, batch_size=tutorial.BATCH, shuffle=shuffle, verbose=0)

    def evaluate(self) -> object:
        return self.model.evaluate(*tutorial.data(), verbose=0)

    def predict(self, samples: int) -> np.ndarray:
        return self.model.predict(tutorial.data()[0][:samples], verbose=0)


def program(threads: int) -> tutorial.Program:
    _core.set_num_threads(threads)
    made = Tutorial()
    made.nanoseconds = _core.nanoseconds
    return made
