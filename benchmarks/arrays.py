"""The arrays of a row: the same numbers in every engine, weights in latchwork's layout."""

from __future__ import annotations

import numpy as np

from rows import GATES, Row

STREAM_STEPS = 3  # of a stream, compared before timing

Results = dict[str, np.ndarray]

# Where each gate of latchwork's order stands in another's: LSTM i, f, g, o; GRU z, r, n.
ORDERS = {
    "torch": {"lstm": [0, 1, 2, 3], "gru": [1, 0, 2], "rnn": [0]},
    "onnx": {"lstm": [0, 3, 1, 2], "gru": [0, 1, 2], "rnn": [0]},
}


class Weights:
    """Of one layer and direction: kernel [I, G*H], recurrent_kernel [H, G*H], bias [G*H] ([2, 3*H] for GRU)."""

    def __init__(self, rng: np.random.Generator, cell: str, inputs: int, H: int) -> None:
        bound = 1 / np.sqrt(H)

        def draw(*shape: int) -> np.ndarray:
            return rng.uniform(-bound, bound, shape).astype(np.float32)

        self.cell = cell
        self.kernel, self.recurrent_kernel = draw(inputs, GATES[cell] * H), draw(H, GATES[cell] * H)
        self.bias = draw(2, 3 * H) if cell == "gru" else draw(GATES[cell] * H)

    def reordered(self, convention: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """[G*H, I], [G*H, H] and the two biases [2, G*H], gates in the order of "torch" or "onnx"."""
        order = ORDERS[convention][self.cell]

        def pick(array: np.ndarray) -> np.ndarray:
            blocks = np.split(array, len(order), axis=-1)
            return np.ascontiguousarray(np.concatenate([blocks[g] for g in order], axis=-1))

        biases = self.bias if self.bias.ndim == 2 else np.stack([self.bias, np.zeros_like(self.bias)])
        return pick(self.kernel).T.copy(), pick(self.recurrent_kernel).T.copy(), pick(biases)


def back_in_order(array: np.ndarray, convention: str, cell: str) -> np.ndarray:
    """A gradient [G*H, ...] of another's order as latchwork has it, [..., G*H]."""
    order = ORDERS[convention][cell]
    blocks = np.split(array, len(order))
    return np.concatenate([blocks[g] for g in np.argsort(order)]).T


class Arrays:
    """weights[layer][direction]; x [B, T, I] and dy [B, T, directions * H], batch first; y likewise."""

    def __init__(self, row: Row) -> None:
        rng = np.random.default_rng(0)
        self.weights = []
        for layer in range(row.layers):
            inputs = row.directions * row.H if layer else row.I
            self.weights.append([Weights(rng, row.cell, inputs, row.H) for _ in range(row.directions)])
        steps = STREAM_STEPS if row.kind == "stream" else row.T
        self.x = rng.uniform(-1, 1, (row.B, steps, row.I)).astype(np.float32)
        self.dy = rng.uniform(-1, 1, (row.B, steps, row.directions * row.H)).astype(np.float32)


def check(ours: Results, theirs: Results, engine: str, tolerance: float) -> None:
    """Raises unless both computed the same, within `tolerance` of the largest value."""
    for name, value in theirs.items():
        error = np.abs(value - ours[name]).max() / np.abs(ours[name]).max()
        if not error < tolerance:
            raise AssertionError(f"latchwork and {engine} differ in {name} by {error:.2g} of the largest value")
