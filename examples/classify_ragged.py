"""Classify sequences of different lengths without padding: which way does a noisy wave turn?"""

import argparse

import numpy as np

import latchwork as lw
from latchwork.layers import GRU, Dense
from latchwork.models import Sequential


def spirals(count, rng):
    """Points on a circle, [T, 2] each with T from 5 to 40, turning left (1) or right (0)."""
    labels = rng.integers(0, 2, size=count)
    sequences = []
    for label in labels:
        steps = np.arange(rng.integers(5, 41))
        angle = rng.uniform(0, 2 * np.pi) + (0.4 if label else -0.4) * steps
        points = np.stack([np.cos(angle), np.sin(angle)], axis=1)
        sequences.append(points + rng.normal(scale=0.4, size=points.shape))
    return lw.Ragged.from_list(sequences), labels


def main(epochs=15):
    lw.set_seed(0)
    rng = np.random.default_rng(0)
    x, y = spirals(1000, rng)
    x_test, y_test = spirals(500, rng)

    model = Sequential([GRU(32), Dense(1, activation="sigmoid")])
    model.compile(loss="binary_crossentropy", optimizer=lw.optimizers.Adam(0.01), metrics=["accuracy"])
    model.fit(x, y, epochs=epochs, batch_size=32, validation_split=0.2, verbose=2)
    model.summary()
    _, accuracy = model.evaluate(x_test, y_test)
    print(f"test accuracy: {accuracy:.3f}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=argparse.SUPPRESS)
    main(**vars(parser.parse_args()))
