"""Two inputs, two questions: a pump's vibration and its data sheet say what is wrong, and how long it will last.

The pumps are made up. A sound one hums at the shaft's speed, an unbalanced one at twice that, one with a worn bearing
at three times; the speed stands in the data sheet. Wear is heard as loudness, but a larger pump is louder anyway.
"""

import argparse

import numpy as np

import latchwork as lw
from latchwork.layers import LSTM, Concatenate, Dense, Input
from latchwork.models import Model

STEPS, FAULTS = 60, ("none", "balance", "bearing")


def pumps(count, rng):
    """{"vibration": [N, 60, 1], "sheet": [N, 2]}, {"fault": [N], "life": [N, 1]}: life is in years."""
    fault = rng.integers(0, 3, count)
    wear = rng.uniform(0, 1, (count, 1))
    size, speed = rng.uniform(0.5, 2, (count, 1)), rng.uniform(0.4, 0.9, (count, 1))
    phase = rng.uniform(0, 2 * np.pi, (count, 1))
    loudness = size * (0.5 + wear)
    hum = np.sin(phase + (1 + fault[:, None]) * speed * np.arange(STEPS))
    vibration = loudness * hum + rng.normal(scale=0.3, size=(count, STEPS))
    life = 10 * (1 - wear) / np.where(fault == 0, 1, 2)[:, None]
    return {"vibration": vibration[..., None], "sheet": np.hstack([size, speed])}, {"fault": fault, "life": life}


def build():
    vibration, sheet = Input((None, 1), name="vibration"), Input((2,), name="sheet")
    heard = LSTM(32)(vibration)
    known = Dense(16, activation="relu")(sheet)
    both = Dense(32, activation="relu")(Concatenate()([heard, known]))
    fault = Dense(len(FAULTS), activation="softmax", name="fault")(both)
    life = Dense(1, name="life")(both)
    model = Model([vibration, sheet], [fault, life])
    model.compile(
        lw.optimizers.Adam(0.005),
        loss={"fault": "sparse_categorical_crossentropy", "life": "mse"},
        loss_weights={"fault": 1.0, "life": 0.2},  # squared years are the larger numbers
        metrics={"fault": "accuracy", "life": "mae"},
    )
    return model


def main(epochs=40, count=3000):
    lw.set_seed(0)
    rng = np.random.default_rng(0)
    x, y = pumps(count, rng)
    x_test, y_test = pumps(1000, rng)

    model = build()
    model.summary()
    model.fit(x, y, epochs=epochs, validation_split=0.1, verbose=2)

    found = model.evaluate(x_test, y_test, return_dict=True)
    guess = np.mean(np.abs(y_test["life"] - np.median(y["life"])))
    print(f"the fault is right in {found['fault_accuracy']:.1%}; life is off by {found['life_mae']:.2f} years")
    print(f"without looking: {np.bincount(y_test['fault']).max() / 1000:.1%}, {guess:.2f} years")
    without = {**x_test, "sheet": np.broadcast_to(x["sheet"].mean(axis=0), x_test["sheet"].shape)}
    blind = model.evaluate(without, y_test, return_dict=True)
    print(f"with an average sheet: {blind['fault_accuracy']:.1%}, {blind['life_mae']:.2f} years")
    return found


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=argparse.SUPPRESS)
    main(**vars(parser.parse_args()))
