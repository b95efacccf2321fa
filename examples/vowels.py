"""Who is speaking? Nine speakers say two vowels: sequences of 7 to 29 steps, none padded.

The data are JapaneseVowels (M. Kudo, J. Toyama, M. Shimbo, 1999; UCI Machine Learning Repository), as the wheel of aeon
carries them: `pip install --no-deps aeon`. Nothing of aeon itself is run.

`--tuned` takes the recipe that benchmarks/vowels_cross_validation.py found on the 270 recordings to learn from alone.
"""

import argparse
from importlib.util import find_spec
from pathlib import Path

import numpy as np

import latchwork as lw
from latchwork.layers import (
    LSTM,
    Bidirectional,
    Dense,
    Dropout,
    GaussianNoise,
    GlobalAveragePooling1D,
    Input,
    Normalization,
)
from latchwork.models import Sequential

CHANNELS, SPEAKERS, BATCH = 12, 9, 27


def data_folder():
    aeon = find_spec("aeon")
    if aeon is None:
        raise SystemExit("the data come with aeon: pip install --no-deps aeon")
    return Path(aeon.origin).parent / "datasets" / "data" / "JapaneseVowels"


def read(path):
    """The sequences [T, 12] and speakers of a .ts file: a line is a sample, channels and the label between colons."""
    lines = path.read_text().split("@data\n")[1].split()
    samples = [line.split(":") for line in lines]
    sequences = [np.array([c.split(",") for c in channels], np.float32).T for *channels, _ in samples]
    speakers = np.array([int(label) - 1 for *_, label in samples])
    return lw.Ragged.from_list(sequences), speakers


def build(units=100, dtype="float32"):
    layers = [Input((None, CHANNELS)), Bidirectional(LSTM(units)), Dense(SPEAKERS, activation="softmax")]
    model = Sequential(layers, dtype=dtype)
    model.compile(loss="sparse_categorical_crossentropy", optimizer="adam", metrics=["accuracy"])
    return model


def build_tuned(
    x, units=100, normalize=True, average=True, noise=0.6, dropout=0.25, rate=0.006, decay=0.01, ema=True, epochs=60
):
    """A model to be trained on the recordings x for so many epochs. All that was tried, by default the best of it."""
    layers = [Input((None, CHANNELS)), Normalization(), GaussianNoise(noise)]
    if normalize:  # each channel to mean 0 and variance 1
        layers[1].adapt(x)
    layers.append(Bidirectional(LSTM(units, return_sequences=average)))
    if average:  # of the states of all steps, not the last ones
        layers.append(GlobalAveragePooling1D())
    model = Sequential([*layers, Dropout(dropout), Dense(SPEAKERS, activation="softmax")])
    rate = lw.schedules.CosineDecay(rate, epochs * -(-len(x) // BATCH))
    adam = lw.optimizers.Adam(rate, weight_decay=decay or None, use_ema=ema)
    model.compile(loss="sparse_categorical_crossentropy", optimizer=adam, metrics=["accuracy"])
    return model


def main(epochs=60, seed=0, folder=None, tuned=False):
    lw.set_seed(seed)
    folder = folder or data_folder()
    x, y = read(folder / "JapaneseVowels_TRAIN.ts")
    x_test, y_test = read(folder / "JapaneseVowels_TEST.ts")
    print(f"{len(x)} sequences to learn from, of {x.lengths.min()} to {x.lengths.max()} steps; {len(x_test)} to test")

    model = build_tuned(x, epochs=epochs) if tuned else build()
    model.fit(x, y, batch_size=BATCH, epochs=epochs, verbose=2)
    _, accuracy = model.evaluate(x_test, y_test)
    print(f"test accuracy: {accuracy:.3f}")
    return accuracy


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tuned", action="store_true", help="the recipe found by cross-validation")
    parser.add_argument("--epochs", type=int, default=argparse.SUPPRESS)
    parser.add_argument("--seed", type=int, default=0)
    main(**vars(parser.parse_args()))
