"""Read numbers from the movements of a pen, without being told where one digit ends and the next begins (CTC).

Digits are drawn as strokes of random size, slant and speed. The network sees how the pen moves at each step; the labels
are the digits alone. CTC (A. Graves and others, 2006) finds the places of the digits by itself.
"""

import argparse

import numpy as np

import latchwork as lw
from latchwork.layers import LSTM, Bidirectional, Dense, Input
from latchwork.models import Sequential

# The corners that the pen passes, on a grid of 2 by 4: x from 0 at the left, y from 0 at the foot.
SHAPES = {
    0: [(0, 4), (0, 0), (2, 0), (2, 4), (0, 4)],
    1: [(0, 3), (1, 4), (1, 0)],
    2: [(0, 4), (2, 4), (2, 2), (0, 0), (2, 0)],
    3: [(0, 4), (2, 4), (1, 2), (2, 0), (0, 0)],
    4: [(1, 4), (0, 2), (2, 2), (2, 4), (2, 0)],
    5: [(2, 4), (0, 4), (0, 2), (2, 2), (2, 0), (0, 0)],
    6: [(2, 4), (0, 2), (0, 0), (2, 0), (2, 2), (0, 2)],
    7: [(0, 4), (2, 4), (0, 0)],
    8: [(2, 4), (0, 4), (2, 0), (0, 0), (2, 4)],
    9: [(2, 2), (0, 2), (0, 4), (2, 4), (2, 0)],
}
BLANK = 0  # digit d is label d + 1


def draw(digits, rng):
    """How the pen moves: [T, 2], T some ten steps a digit."""
    corners, left = [], 0.0
    slant, height = rng.normal(scale=0.15), rng.uniform(0.7, 1.3)
    for digit in digits:
        shape = np.array(SHAPES[digit], float) + rng.normal(scale=0.15, size=(len(SHAPES[digit]), 2))
        corners.append(shape @ [[1, 0], [slant, height]] + [left, 0])
        left += 3 + rng.uniform(-0.3, 0.5)
    corners = np.concatenate(corners)
    lengths = np.linalg.norm(np.diff(corners, axis=0), axis=1)
    travelled = np.concatenate([[0], np.cumsum(lengths)])
    steps = np.arange(0, travelled[-1], rng.uniform(0.6, 0.9))
    pen = np.column_stack([np.interp(steps, travelled, axis) for axis in corners.T])
    return np.diff(pen, axis=0) + rng.normal(scale=0.05, size=(len(pen) - 1, 2))


def numbers(count, rng):
    """Numbers of one to five digits: what the pen did, a Ragged of [T, 2], and labels [N, 5], -1 behind the last."""
    digits = [rng.integers(0, 10, rng.integers(1, 6)) for _ in range(count)]
    labels = np.full((count, 5), -1)
    for row, number in zip(labels, digits, strict=True):
        row[: len(number)] = number + 1
    return lw.Ragged.from_list([draw(number, rng) for number in digits]), labels


def build(units=48):
    model = Sequential([Input((None, 2)), Bidirectional(LSTM(units, return_sequences=True)), Dense(11)])
    model.compile(loss=lw.losses.CTC(blank=BLANK), optimizer=lw.optimizers.Adam(0.005, clipnorm=5.0))
    return model


def distance(a, b):
    """How many labels must be inserted, removed or changed to make b of a (V. Levenshtein, 1966)."""
    row = list(range(len(b) + 1))
    for i, of_a in enumerate(a, 1):
        corner, row[0] = row[0], i
        for j, of_b in enumerate(b, 1):
            corner, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, corner + (of_a != of_b))
    return row[-1]


def error_rate(model, x, labels):
    """Wrong labels a label."""
    read = lw.losses.ctc_decode(model.predict(x), blank=BLANK)
    wrong = sum(distance(list(said[:, 0]), list(row[row > 0])) for said, row in zip(read, labels, strict=True))
    return wrong / np.count_nonzero(labels > 0)


def main(epochs=12, count=2000):
    lw.set_seed(0)
    rng = np.random.default_rng(0)
    x, y = numbers(count, rng)
    x_test, y_test = numbers(300, rng)
    print(f"{len(x)} numbers of {x.lengths.min()} to {x.lengths.max()} steps")

    model = build()
    for epoch in range(epochs):
        loss = model.fit(x, y, epochs=epoch + 1, initial_epoch=epoch, verbose=0).history["loss"][0]
        rate = error_rate(model, x_test, y_test)
        print(f"epoch {epoch + 1:2d}   loss {loss:6.3f}   label error rate {rate:.3f}")
    read = lw.losses.ctc_decode(model.predict(x_test), blank=BLANK)
    for i in range(5):
        wanted, said = ("".join(str(d - 1) for d in labels if d > 0) for labels in (y_test[i], read[i][:, 0]))
        print(f"written {wanted:<5} read {said}")
    return rate


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=argparse.SUPPRESS)
    main(**vars(parser.parse_args()))
